//! Super-seeding (BEP 16).

use super::*;
use crate::torrent::limits::{HAVE_DELAY, SHOW_PATIENCE};
use crate::wire::Feature;

fn table(pieces: u32) -> Table {
    let config = TorrentConfig { super_seeding: true, ..TorrentConfig::default() };
    Table::configured(pieces, &(0..pieces).collect::<Vec<_>>(), config)
}

fn haves(outputs: &[Output], peer: PeerKey) -> Vec<u32> {
    let have = |message| if let Message::Have { piece } = message { Some(piece) } else { None };
    said(outputs, peer).into_iter().filter_map(have).collect()
}

#[test]
fn each_peer_is_shown_another_piece_and_nothing_else() {
    let mut table = table(4);
    let shown: Vec<_> = (1..=4)
        .map(|name| {
            let (peer, outputs) = table.arrive(name, Direction::Incoming);
            let messages = said(&outputs, peer);
            assert_eq!(messages.len(), 1, "no bitfield");
            haves(&outputs, peer)[0]
        })
        .collect();
    assert_eq!(shown, [0, 1, 2, 3]);
}

#[test]
fn the_next_piece_is_shown_once_somebody_else_has_the_last_one() {
    let mut table = table(6);
    let (first, _) = table.arrive(1, Direction::Incoming);
    let (second, _) = table.arrive(2, Direction::Incoming);
    assert_eq!(haves(&table.say(first, Message::Have { piece: 0 }), first), []);
    assert_eq!(haves(&table.say(second, Message::Have { piece: 0 }), first), [2]);
}

#[test]
fn a_lone_peer_and_one_that_nobody_takes_from_go_on() {
    let mut table = table(6);
    let (first, _) = table.arrive(1, Direction::Incoming);
    assert_eq!(haves(&table.say(first, Message::Have { piece: 0 }), first), [1]);
    table.arrive(2, Direction::Incoming);
    table.say(first, Message::Have { piece: 1 });
    assert_eq!(haves(&table.pass(SHOW_PATIENCE + Duration::from_secs(10)), first).len(), 1);
}

#[test]
fn who_says_nothing_of_its_pieces_is_shown_more_all_the_same() {
    let mut table = table(6);
    let (first, _) = table.arrive(1, Direction::Incoming);
    table.say(first, Message::Interested);
    assert_eq!(haves(&table.say(first, Message::NotInterested), first), [1]);
    let (second, _) = table.arrive(2, Direction::Incoming);
    table.say(first, Message::Interested);
    assert_eq!(haves(&table.say(first, Message::NotInterested), first), [], "the second may still ask it");
    let outputs = table.pass(SHOW_PATIENCE + Duration::from_secs(10));
    assert_eq!((haves(&outputs, first).len(), haves(&outputs, second).len()), (1, 1));
}

#[test]
fn a_peer_that_came_with_pieces_is_shown_one_that_it_lacks() {
    let mut table = table(6);
    let (peer, _) = table.arrive(1, Direction::Incoming);
    let bitfield = bits(&table.metainfo, &[0, 1, 2]).to_wire();
    assert_eq!(haves(&table.say(peer, Message::Bitfield(bitfield)), peer), [3]);
}

#[test]
fn it_ends_when_every_piece_is_elsewhere() {
    let mut table = table(3);
    let (first, _) = table.arrive(1, Direction::Incoming);
    let (second, _) = table.arrive(2, Direction::Incoming);
    table.say(first, Message::Have { piece: 0 });
    table.say(second, Message::Have { piece: 1 });
    assert!(table.torrent.super_seed.is_some());
    table.say(second, Message::Have { piece: 2 });
    assert!(table.torrent.super_seed.is_none());
    let outputs = table.pass(HAVE_DELAY);
    assert_eq!((haves(&outputs, first), haves(&outputs, second)), (vec![0, 1, 2], vec![0, 1, 2]));
}

#[test]
fn it_ends_with_a_piece_that_is_lost_and_who_stays_hears_of_all_the_others() {
    let mut table = table(4);
    let (peer, _) = table.arrive_with(1, Direction::Incoming, Feature::FAST.add_to([0; 8]));
    table.say(peer, Message::HaveNone);
    table.feed(Input::Doubt(vec![table.piece(1)]));
    assert!(table.torrent.super_seed.is_none());
    assert_eq!(haves(&table.pass(HAVE_DELAY), peer), [0, 2, 3]);
    assert_eq!(haves(&table.verify(1), peer), [1], "it was a passing failure");
}
