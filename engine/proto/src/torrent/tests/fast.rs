//! BEP 6, sentence by sentence: one summary, one answer to each request, pieces for the choked, suggestions.

use super::*;
use crate::torrent::limits::{MAX_STRAY_REJECTS, REJECT_PAUSE};
use crate::wire::{Feature, allowed_fast};

fn fast_bit() -> [u8; 8] {
    Feature::FAST.add_to([0; 8])
}

/// A fast peer that dialled us, after its summary.
fn fast_peer(table: &mut Table, summary: Message) -> (PeerKey, Vec<Output>) {
    let name = table.connections as u8 + 1;
    let (peer, _) = table.arrive_with(name, Direction::Incoming, fast_bit());
    let outputs = table.say(peer, summary);
    (peer, outputs)
}

/// A table whose torrent grants nobody anything while choked.
fn strict(pieces: u32, have: &[u32]) -> Table {
    let config = TorrentConfig { allowed_fast: 0, ..TorrentConfig::default() };
    Table::configured(pieces, have, config)
}

/// A fast leecher that we serve.
fn taker(table: &mut Table) -> PeerKey {
    let (peer, _) = fast_peer(table, Message::HaveNone);
    assert_eq!(said(&table.say(peer, Message::Interested), peer), [Message::Unchoke]);
    peer
}

fn request(table: &mut Table, peer: PeerKey, piece: u32, number: u32) -> Vec<Output> {
    let block = raw(table.block(piece, number));
    table.say(peer, Message::Request(block))
}

#[test]
fn the_first_message_sums_up_what_we_have() {
    let first = |have: &[u32], reserved| {
        let mut table = strict(4, have);
        let (peer, outputs) = table.arrive_with(1, Direction::Incoming, reserved);
        said(&outputs, peer).first().cloned()
    };
    assert_eq!(first(&[0, 1, 2, 3], fast_bit()), Some(Message::HaveAll));
    assert_eq!(first(&[], fast_bit()), Some(Message::HaveNone));
    let bitfield = Message::Bitfield(Bytes::from_static(&[0x80]));
    assert_eq!(first(&[0], fast_bit()), Some(bitfield));
    assert_eq!(first(&[], [0; 8]), None);
}

#[test]
fn have_all_and_have_none_come_first_or_not_at_all() {
    let mut table = strict(4, &[]);
    let (peer, outputs) = fast_peer(&mut table, Message::HaveAll);
    assert_eq!(said(&outputs, peer), [Message::Interested]);
    let outputs = table.say(peer, Message::HaveNone);
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::LateSummary)]);
    let (peer, _) = fast_peer(&mut table, Message::HaveNone);
    let outputs = table.say(peer, Message::HaveAll);
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::LateSummary)]);
}

#[test]
fn a_request_that_we_will_not_serve_is_rejected() {
    let mut table = strict(4, &[0]);
    let (peer, _) = fast_peer(&mut table, Message::HaveNone);
    let [here, missing] = [0, 1].map(|piece| raw(table.block(piece, 0)));
    let outputs = table.say(peer, Message::Request(here));
    assert_eq!(said(&outputs, peer), [Message::Reject(here)], "choked");
    let outputs = table.say(peer, Message::Request(missing));
    assert_eq!(said(&outputs, peer), [Message::Reject(missing)], "not here");
    let outside = RawBlock { piece: 0, offset: 0, len: BLOCK_LEN + 1 };
    let outputs = table.say(peer, Message::Request(outside));
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BadRequest)]);
}

#[test]
fn a_choke_goes_before_the_rejects_of_what_it_drops() {
    let mut table = strict(1, &[0]);
    let peer = taker(&mut table);
    let blocks: Vec<_> = (0..4).map(|number| raw(table.block(0, number))).collect();
    (0..4).for_each(|number| drop(request(&mut table, peer, 0, number)));
    table.say(peer, Message::NotInterested);
    let choked = said(&table.pass(Duration::from_secs(10)), peer);
    assert_eq!(choked[0], Message::Choke);
    let rejected: Vec<_> = blocks.into_iter().map(Message::Reject).collect();
    assert_eq!(choked[1..], rejected);
}

#[test]
fn a_cancel_is_answered_once_too() {
    let mut table = strict(1, &[0]);
    let peer = taker(&mut table);
    (0..3).for_each(|number| drop(request(&mut table, peer, 0, number)));
    let (reading, queued) = (table.block(0, 0), raw(table.block(0, 2)));
    assert_eq!(said(&table.say(peer, Message::Cancel(queued)), peer), [Message::Reject(queued)]);
    let cancel = Message::Cancel(raw(reading));
    assert_eq!(said(&table.say(peer, cancel.clone()), peer), [Message::Reject(raw(reading))]);
    let data = Some(Bytes::from(vec![0; 16384]));
    assert_eq!(said(&table.feed(Input::BlockRead { peer, block: reading, data }), peer), []);
    assert_eq!(said(&table.say(peer, cancel), peer), [], "it has its answer");
}

#[test]
fn a_repeated_request_and_an_unreadable_block_are_rejected() {
    let mut table = strict(1, &[0]);
    let peer = taker(&mut table);
    let block = table.block(0, 0);
    assert_eq!(said(&request(&mut table, peer, 0, 0), peer), []);
    assert_eq!(said(&request(&mut table, peer, 0, 0), peer), [Message::Reject(raw(block))]);
    let outputs = table.feed(Input::BlockRead { peer, block, data: None });
    assert_eq!(said(&outputs, peer), [Message::Reject(raw(block))]);
}

#[test]
fn a_choke_implies_no_reject_and_a_reject_frees_the_block() {
    let mut table = strict(1, &[]);
    let (first, _) = fast_peer(&mut table, Message::HaveAll);
    let asked = requests(&table.say(first, Message::Unchoke));
    assert_eq!(asked.len(), 4);
    let (second, _) = fast_peer(&mut table, Message::HaveAll);
    assert_eq!(requests(&table.say(second, Message::Unchoke)), []);
    assert_eq!(requests(&table.say(first, Message::Choke)), [], "it may still send them");
    assert_eq!(requests(&table.say(first, Message::Reject(asked[2]))), [asked[2]]);
    table.answer(first, asked[0]);
    assert_eq!(table.torrent.stats(table.now).wasted, 0);
}

#[test]
fn a_peer_that_serves_us_and_refuses_is_asked_again_after_a_pause() {
    let mut table = strict(1, &[]);
    let (peer, _) = fast_peer(&mut table, Message::HaveAll);
    let asked = requests(&table.say(peer, Message::Unchoke));
    for &block in &asked {
        assert_eq!(requests(&table.say(peer, Message::Reject(block))), []);
    }
    assert_eq!(requests(&table.pass(REJECT_PAUSE.saturating_sub(MOMENT))), []);
    assert_eq!(requests(&table.pass(MOMENT)).len(), 4);
}

#[test]
fn rejects_of_what_was_never_asked_end_the_connection_when_they_go_on() {
    let mut table = strict(1, &[]);
    let (peer, _) = fast_peer(&mut table, Message::HaveAll);
    let block = raw(table.block(0, 0));
    for _ in 0..MAX_STRAY_REJECTS {
        assert_eq!(closes(&table.say(peer, Message::Reject(block))), []);
    }
    let outputs = table.say(peer, Message::Reject(block));
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::StrayRejects)]);
    let (peer, _) = fast_peer(&mut table, Message::HaveAll);
    let outside = RawBlock { piece: 7, ..block };
    assert_eq!(closes(&table.say(peer, Message::Reject(outside))), [(peer, DisconnectReason::BadRequest)]);
}

#[test]
fn the_answer_to_a_cancelled_request_is_no_crime() {
    let mut table = strict(1, &[]);
    let (slow, _) = fast_peer(&mut table, Message::HaveAll);
    let asked = requests(&table.say(slow, Message::Unchoke));
    // It is taken back after a minute, and asked for anew; the late reject belongs to the first request.
    let again = requests(&table.pass(Duration::from_secs(61)));
    assert_eq!(again, asked[..1]);
    for &block in &asked {
        table.say(slow, Message::Reject(block));
    }
    assert_eq!(table.torrent.peers[&slow].pipeline.len(), 1);
    table.say(slow, Message::Reject(asked[0]));
    assert_eq!(table.torrent.peers[&slow].pipeline.len(), 0);
}

#[test]
fn a_newcomer_is_granted_the_set_of_its_address() {
    let config = TorrentConfig { allowed_fast: 3, ..TorrentConfig::default() };
    let mut table = Table::configured(40, &(0..40).collect::<Vec<_>>(), config);
    let (peer, outputs) = fast_peer(&mut table, Message::HaveNone);
    let set = allowed_fast([10, 0, 0, 1].into(), table.metainfo.info_hash(), 40, 3);
    let granted: Vec<_> = set.iter().map(|&piece| Message::AllowedFast { piece }).collect();
    assert_eq!(said(&outputs, peer), granted);
    assert_eq!(reads(&request(&mut table, peer, set[1], 0)), [table.block(set[1], 0)]);
    let other = (0..40).find(|piece| !set.contains(piece)).unwrap();
    let refused = raw(table.block(other, 0));
    assert_eq!(said(&request(&mut table, peer, other, 0), peer), [Message::Reject(refused)]);
    // With as many pieces of its own it needs no help.
    (0..3).for_each(|piece| drop(table.say(peer, Message::Have { piece })));
    let refused = raw(table.block(set[2], 0));
    assert_eq!(said(&request(&mut table, peer, set[2], 0), peer), [Message::Reject(refused)]);
    let bitfield = bits(&table.metainfo, &[0, 1, 2]).to_wire();
    let (peer, outputs) = fast_peer(&mut table, Message::Bitfield(bitfield));
    assert_eq!(said(&outputs, peer), []);
}

#[test]
fn granted_requests_survive_a_choke() {
    let config = TorrentConfig { allowed_fast: 1, ..TorrentConfig::default() };
    let mut table = Table::configured(2, &[0, 1], config);
    let peer = taker(&mut table);
    let [granted] = allowed_fast([10, 0, 0, 1].into(), table.metainfo.info_hash(), 2, 1)[..] else {
        panic!()
    };
    let dropped = raw(table.block(1 - granted, 0));
    request(&mut table, peer, granted, 0);
    request(&mut table, peer, 1 - granted, 0);
    table.say(peer, Message::NotInterested);
    let choked = said(&table.pass(Duration::ZERO), peer);
    assert_eq!(choked, [Message::Choke, Message::Reject(dropped)]);
    assert_eq!(table.torrent.peers[&peer].uplink.len(), 1);
}

#[test]
fn what_is_allowed_is_asked_for_while_choked() {
    let mut table = strict(4, &[]);
    let (peer, _) = fast_peer(&mut table, Message::HaveAll);
    let asked = requests(&table.say(peer, Message::AllowedFast { piece: 2 }));
    assert_eq!(asked.iter().map(|block| block.piece).collect::<Vec<_>>(), [2; 4]);
    // A reject takes the permission away.
    for &block in &asked {
        table.say(peer, Message::Reject(block));
    }
    assert_eq!(requests(&table.pass(Duration::from_secs(30))), []);
    let outputs = table.say(peer, Message::AllowedFast { piece: 4 });
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BadFastPiece)]);
}

#[test]
fn a_suggested_piece_is_begun_first() {
    let mut table = strict(40, &[]);
    let (peer, _) = fast_peer(&mut table, Message::HaveAll);
    let (other, _) = fast_peer(&mut table, Message::HaveAll);
    table.say(peer, Message::Suggest { piece: 33 });
    let asked = requests(&table.say(peer, Message::Unchoke));
    assert_eq!(asked[0].piece, 33);
    let outputs = table.say(other, Message::Suggest { piece: 40 });
    assert_eq!(closes(&outputs), [(other, DisconnectReason::BadFastPiece)]);
}
