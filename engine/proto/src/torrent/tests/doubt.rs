//! Pieces that were here and may be gone: what peers are told, what is fetched, what the tracker hears.

use super::*;
use crate::torrent::limits::PARALLEL_DOUBTS;
use crate::wire::Feature;

/// A peer without pieces that speaks the fast extension and is served.
fn taker(table: &mut Table) -> PeerKey {
    let name = table.connections as u8 + 1;
    let (peer, _) = table.arrive_with(name, Direction::Incoming, Feature::FAST.add_to([0; 8]));
    table.say(peer, Message::HaveNone);
    table.say(peer, Message::Interested);
    peer
}

fn doubt(table: &mut Table, pieces: &[u32]) -> Vec<Output> {
    let pieces = pieces.iter().map(|&piece| table.piece(piece)).collect();
    table.feed(Input::Doubt(pieces))
}

fn hashes(outputs: &[Output]) -> Vec<u32> {
    let hash = |output: &Output| if let Output::Hash { piece } = output { Some(piece.get()) } else { None };
    outputs.iter().filter_map(hash).collect()
}

#[test]
fn a_read_that_fails_is_rejected_and_the_piece_is_not_claimed_until_it_was_hashed() {
    let mut table = Table::seeder(2);
    let peer = taker(&mut table);
    let block = table.block(1, 0);
    table.say(peer, Message::Request(raw(block)));
    let outputs = table.feed(Input::BlockRead { peer, block, data: None });
    assert_eq!(said(&outputs, peer), [Message::Reject(raw(block))], "never dropped in silence");
    assert!(outputs.contains(&Output::Event(Event::PieceLost(table.piece(1)))));
    assert_eq!(hashes(&outputs), [1]);
    let again = table.say(peer, Message::Request(raw(block)));
    assert_eq!(said(&again, peer), [Message::Reject(raw(block))]);
    let (late, outputs) = table.arrive(9, Direction::Incoming);
    assert_eq!(said(&outputs, late), [Message::Bitfield(Bytes::from_static(&[0x80]))]);
    assert_eq!(table.torrent.progress().left, u64::from(BLOCKS * BLOCK_LEN));

    let outputs = table.verify(1);
    assert!(said(&outputs, late).contains(&Message::Have { piece: 1 }), "it was a passing failure");
    assert!(!outputs.contains(&Output::Announce(Some(AnnounceEvent::Completed))));
    assert_eq!(table.torrent.progress().left, 0);
    assert_eq!(reads(&table.say(peer, Message::Request(raw(block)))), [block]);
}

#[test]
fn what_is_gone_is_fetched_anew() {
    let mut table = Table::seeder(3);
    let outputs = doubt(&mut table, &[0, 1, 2]);
    assert_eq!(hashes(&outputs).len(), PARALLEL_DOUBTS);
    let (peer, asked) = table.server(&[0, 1, 2]);
    assert_eq!(asked, [], "it may still be here");
    let outputs = table.feed(Input::Hashed { piece: table.piece(0), hash: None });
    assert_eq!(hashes(&outputs), [2]);
    let asked = requests(&outputs);
    assert!(!asked.is_empty() && asked.iter().all(|block| block.piece == 0), "{asked:?}");
    table.feed(Input::Hashed { piece: table.piece(1), hash: Some(PieceHash([9; 20])) });
    table.verify(2);
    table.answer_all(peer, asked);
    table.write(0);
    table.write(1);
    table.verify(0);
    let outputs = table.verify(1);
    assert!(outputs.contains(&Output::Event(Event::Completed)));
    assert!(!outputs.contains(&Output::Announce(Some(AnnounceEvent::Completed))), "it was complete before");
}

#[test]
fn who_cannot_be_told_of_a_loss_is_parted_with_and_not_blamed() {
    let mut table = Table::seeder(2);
    let plain = table.peer(&[]);
    let fast = taker(&mut table);
    let block = table.block(0, 1);
    table.say(fast, Message::Request(raw(block)));
    let outputs = doubt(&mut table, &[0]);
    assert_eq!(closes(&outputs), [(plain, DisconnectReason::LostPieces)]);
    assert_eq!(said(&outputs, fast), [Message::Reject(raw(block))]);
    assert_eq!(doubt(&mut table, &[0]), [], "it is in doubt already");
}

#[test]
fn a_seeder_that_fetches_nothing_goes_on_with_what_is_left() {
    let mut table = Table::seeder(2);
    table.feed(Input::Wanted(vec![crate::metainfo::Priority::Skip; 2]));
    doubt(&mut table, &[1]);
    table.feed(Input::Hashed { piece: table.piece(1), hash: None });
    let (peer, asked) = table.server(&[0, 1]);
    assert_eq!((asked.len(), table.torrent.peers[&peer].us.interested), (0, false));
}

#[test]
fn nobody_is_told_of_a_piece_that_was_lost_again_before_it_was_told() {
    let mut table = Table::seeder(2);
    let (peer, _) = table.arrive_with(9, Direction::Incoming, Feature::FAST.add_to([0; 8]));
    table.say(peer, Message::HaveNone);
    table.say(peer, Message::Have { piece: 0 });
    doubt(&mut table, &[0]);
    assert_eq!(said(&table.verify(0), peer), [Message::NotInterested], "it has that itself");
    doubt(&mut table, &[0, 1]);
    assert_eq!(said(&table.verify(1), peer), [Message::Have { piece: 1 }]);
}
