//! Whole-piece affinity: what a fast peer and a slow one are asked for.

use super::*;
use crate::torrent::limits::MIN_PIPELINE;

/// Blocks in each piece here: more than are asked of a stranger at once.
const LONG: u32 = 16;

/// A torrent of long pieces. Whoever serves here has all of them, so that none is rare.
fn table(pieces: u32) -> Table {
    let len = u64::from(pieces * LONG * BLOCK_LEN);
    let draft = Draft::new("content", Content::Single(len), Some(LONG * BLOCK_LEN)).unwrap();
    let hashes: Vec<_> = (0..pieces).map(|piece| PieceHash([piece as u8 + 1; 20])).collect();
    Table::of(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap(), &[], TorrentConfig::default())
}

/// A peer of unknown speed, which is slow until it proves fast; and the pieces that it is asked for.
fn stranger(table: &mut Table) -> (PeerKey, Vec<u32>) {
    let all: Vec<_> = (0..table.metainfo.geometry().pieces()).collect();
    let (peer, asked) = table.server(&all);
    assert_eq!(asked.len(), MIN_PIPELINE);
    (peer, pieces(&asked))
}

/// A peer that brings a piece in a third of a second, and the piece at which it works.
fn fast(table: &mut Table) -> (PeerKey, u32) {
    let (peer, _) = stranger(table);
    answer_next(table, peer, 5);
    let last = *owed(table, peer).last().unwrap();
    assert!(last.offset < (LONG - 1) * BLOCK_LEN, "there is more to ask for in it");
    (peer, last.piece)
}

/// The peer answers its next requests, one each 20 ms; returns the pieces of which it is asked for more.
fn answer_next(table: &mut Table, peer: PeerKey, count: u32) -> Vec<u32> {
    let mut asked = Vec::new();
    for _ in 0..count {
        table.now += Duration::from_millis(20);
        let next = owed(table, peer)[0];
        asked.extend(requests(&table.answer(peer, next)));
    }
    pieces(&asked)
}

/// The pieces of these requests, in order.
fn pieces(asked: &[RawBlock]) -> Vec<u32> {
    let mut pieces: Vec<_> = asked.iter().map(|block| block.piece).collect();
    pieces.dedup();
    pieces
}

/// What a peer was asked for and did not send yet.
fn owed(table: &Table, peer: PeerKey) -> Vec<RawBlock> {
    table.torrent.peers[&peer].pipeline.asked.iter().map(|asked| raw(asked.block)).collect()
}

#[test]
fn slow_peers_share_a_piece() {
    let mut table = table(64);
    let (_, first) = stranger(&mut table);
    let (_, second) = stranger(&mut table);
    assert_eq!((first.len(), second), (1, first));
}

#[test]
fn a_slow_peer_leaves_the_piece_of_a_fast_one_alone() {
    let mut table = table(64);
    let (_, whole) = fast(&mut table);
    let (_, first) = stranger(&mut table);
    assert_ne!(first, [whole], "it begins another");
    let (_, second) = stranger(&mut table);
    assert_eq!(second, first, "the next slow one helps with that");
}

#[test]
fn a_fast_peer_fetches_whole_pieces_by_itself() {
    let mut table = table(64);
    let (peer, own) = fast(&mut table);
    let (_, slow) = stranger(&mut table);
    let asked = answer_next(&mut table, peer, LONG);
    assert_eq!(asked[0], own, "first what it works on");
    assert!(asked.len() > 1 && !asked.contains(&slow[0]), "then new ones: {asked:?}, not {slow:?}");
}

#[test]
fn a_fast_peer_finishes_what_was_given_up_before_it_begins_another_piece() {
    let mut table = table(64);
    let (peer, own) = fast(&mut table);
    let (slow, given_up) = stranger(&mut table);
    answer_next(&mut table, slow, 1);
    table.say(slow, Message::Choke);
    assert_eq!(answer_next(&mut table, peer, LONG)[..2], [own, given_up[0]]);
}

#[test]
fn where_nothing_is_left_to_begin_everybody_helps_with_everything() {
    // The fast one was asked for a whole piece and works on the second.
    let mut table = table(3);
    let (peer, own) = fast(&mut table);
    let (_, slow) = stranger(&mut table);
    assert_ne!(slow, [own]);
    assert_eq!(answer_next(&mut table, peer, LONG), [own, slow[0]]);
    // Likewise a slow one.
    let mut table = self::table(2);
    let (_, own) = fast(&mut table);
    assert_eq!(stranger(&mut table).1, [own]);
}
