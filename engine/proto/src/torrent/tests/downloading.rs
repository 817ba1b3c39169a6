//! Interest, requests, endgame, snubbing, verification and blame.

use super::*;
use crate::torrent::limits::{MAX_PIPELINE, MIN_PIPELINE, REQUEST_TIMEOUT, SNUB_AFTER};

#[test]
fn our_bitfield_comes_first_unless_it_is_empty() {
    let mut table = Table::new(4, &[0, 3]);
    let (peer, outputs) = table.arrive(1, Direction::Incoming);
    assert_eq!(said(&outputs, peer), [Message::Bitfield(Bytes::from_static(&[0x90]))]);
    let mut empty = Table::new(4, &[]);
    assert_eq!(empty.arrive(1, Direction::Incoming).1, []);
}

#[test]
fn interest_is_exact_both_ways() {
    let mut table = Table::new(2, &[0]);
    let peer = table.peer(&[0]);
    assert!(!table.torrent.peers[&peer].us.interested);
    let outputs = table.say(peer, Message::Have { piece: 1 });
    assert_eq!(said(&outputs, peer), [Message::Interested]);
    let asked = requests(&table.say(peer, Message::Unchoke));
    table.answer_all(peer, asked);
    table.write(1);
    let outputs = table.verify(1);
    assert_eq!(said(&outputs, peer), [Message::NotInterested]);
}

#[test]
fn a_started_piece_is_finished_before_another_is_begun() {
    let mut table = Table::new(8, &[]);
    let everything: Vec<_> = (0..8).collect();
    let (_, first) = table.server(&everything);
    assert_eq!(first.len(), MIN_PIPELINE);
    assert!(first.iter().all(|block| block.piece == first[0].piece));
    // A second peer begins another piece, because the first one's blocks are all on order.
    let (second, asked) = table.server(&everything);
    assert_ne!(asked[0].piece, first[0].piece);
    // What a choke drops is taken over by whoever has room.
    table.say(second, Message::Choke);
    let (_, third) = table.server(&everything);
    assert_ne!(third[0].piece, first[0].piece);
}

#[test]
fn the_rarest_piece_is_begun_first() {
    let mut table = Table::new(4, &[]);
    table.peer(&[0, 1, 3]);
    table.peer(&[0, 1, 3]);
    let (_, asked) = table.server(&[0, 1, 2, 3]);
    assert!(asked.iter().all(|block| block.piece == 2), "{asked:?}");
}

#[test]
fn afast_peer_gets_a_deep_pipeline_within_the_limit() {
    let mut table = Table::new(1000, &[]);
    let (peer, mut asked) = table.server(&(0..1000).collect::<Vec<_>>());
    for _ in 0..8 {
        table.now += Duration::from_millis(50);
        asked = asked.iter().flat_map(|&block| requests(&table.answer(peer, block))).collect();
    }
    let depth = table.torrent.peers[&peer].pipeline.len();
    assert!((100..=MAX_PIPELINE).contains(&depth), "{depth}");
}

/// Some tools make pieces shorter than a block; a pipeline is as deep as its bytes demand.
#[test]
fn a_pipeline_of_tiny_pieces_holds_as_many_bytes() {
    const PIECES: u32 = 2000;
    let info = format!("d6:lengthi{}e4:name1:x12:piece lengthi1024e6:pieces", PIECES * 1024);
    let hashes = "h".repeat(PIECES as usize * 20);
    let torrent = format!("d4:info{info}{}:{hashes}ee", hashes.len());
    let metainfo = Metainfo::parse(torrent.as_bytes()).unwrap();
    let mut table = Table::of(metainfo, &[], TorrentConfig::default());
    let (peer, mut asked) = table.server(&(0..PIECES).collect::<Vec<_>>());
    for _ in 0..10 {
        table.now += Duration::from_millis(100);
        asked = asked.iter().flat_map(|&block| requests(&table.answer(peer, block))).collect();
    }
    let depth = table.torrent.peers[&peer].pipeline.len();
    assert!((100..=MAX_PIPELINE).contains(&depth), "{depth}");
}

#[test]
fn a_verified_piece_is_told_to_those_who_lack_it() {
    let mut table = Table::new(2, &[]);
    let (giver, asked) = table.server(&[0]);
    let lacking = table.peer(&[]);
    table.answer_all(giver, asked);
    assert_eq!(table.write(0), [Output::Hash { piece: table.piece(0) }]);
    let outputs = table.verify(0);
    assert!(outputs.contains(&Output::Event(Event::PieceVerified(table.piece(0)))));
    assert_eq!(said(&outputs, lacking), [Message::Have { piece: 0 }]);
    assert_eq!(said(&outputs, giver), [Message::NotInterested]);
}

#[test]
fn completion_is_announced_exactly_once() {
    let mut table = Table::new(1, &[]);
    let (peer, asked) = table.server(&[0]);
    table.answer_all(peer, asked);
    table.write(0);
    let outputs = [table.verify(0), table.verify(0)].concat();
    let completed = |output: &&Output| **output == Output::Announce(Some(AnnounceEvent::Completed));
    assert_eq!(outputs.iter().filter(completed).count(), 1);
    assert_eq!(table.torrent.progress(), Progress { uploaded: 0, downloaded: 65536, left: 0 });
}

#[test]
fn a_choke_drops_what_is_on_order_and_late_blocks_are_waste_and_no_crime() {
    let mut table = Table::new(1, &[]);
    let (slow, asked) = table.server(&[0]);
    table.say(slow, Message::Choke);
    let (_, again) = table.server(&[0]);
    assert_eq!(again, asked);
    assert_eq!(closes(&table.answer(slow, asked[0])), []);
    assert_eq!(table.torrent.stats(table.now).wasted, 16384);
}

#[test]
fn a_snubbing_peer_is_overtaken_and_its_request_cancelled() {
    let mut table = Table::new(1, &[]);
    let (snubbing, mut asked) = table.server(&[0]);
    let (second, nothing) = table.server(&[0]);
    assert_eq!(nothing, []);
    let mut taken = requests(&table.pass(SNUB_AFTER));
    taken.sort_by_key(|block| block.offset);
    asked.sort_by_key(|block| block.offset);
    assert_eq!(taken, asked);
    assert!(table.torrent.peers[&snubbing].pipeline.snubbed);
    let outputs = table.answer(second, asked[0]);
    assert_eq!(said(&outputs, snubbing), [Message::Cancel(asked[0])]);
}

/// Some clients drop requests beyond a queue of theirs, or cannot read a block for a moment.
#[test]
fn what_the_only_source_forgot_is_asked_for_again() {
    let mut table = Table::new(1, &[]);
    let (peer, asked) = table.server(&[0]);
    table.answer(peer, asked[0]);
    let outputs = table.pass(REQUEST_TIMEOUT);
    let taken_back = asked[1..].iter().map(|&block| Message::Cancel(block));
    let again = Message::Request(asked[1]);
    assert_eq!(said(&outputs, peer), taken_back.chain([again]).collect::<Vec<_>>());
    let again = requests(&outputs);
    assert_eq!(table.torrent.peers[&peer].pipeline.len(), again.len(), "one at a time");
    table.answer_all(peer, again);
    table.write(0);
    assert!(table.verify(0).contains(&Output::Event(Event::Completed)));
}

#[test]
fn endgame_asks_afaster_peer_for_the_slowest_block_alone() {
    let mut table = Table::new(2, &[]);
    let (slow, first) = table.server(&[0]);
    table.pass(Duration::from_secs(3));
    table.answer(slow, first[0]);
    table.pass(Duration::from_secs(3));
    let (fast, asked) = table.server(&[0, 1]);
    let doubled: Vec<_> = asked.iter().filter(|block| block.piece == 0).collect();
    assert!(doubled.is_empty(), "an unproven peer is no better: {doubled:?}");
    let second = table.answer_all(fast, asked);
    let doubled = requests(&second);
    assert_eq!(doubled.first(), first.last(), "the block that is due last");
}

#[test]
fn in_the_end_whoever_idles_is_no_worse_than_a_stranger_that_stalls() {
    let mut table = Table::new(2, &[]);
    let (honest, asked) = table.server(&[0]);
    table.answer_all(honest, asked);
    let (_, held) = table.server(&[1]);
    assert_eq!(held.len() as u32, BLOCKS, "everything that is missing is on order");
    table.pass(SNUB_AFTER / 2);
    let taken = requests(&table.say(honest, Message::Have { piece: 1 }));
    assert_eq!(taken.first(), held.last());
}

#[test]
fn two_strangers_do_not_keep_the_last_blocks_from_who_serves() {
    let mut table = Table::new(2, &[]);
    let (honest, asked) = table.server(&[0]);
    table.answer_all(honest, asked);
    table.server(&[1]);
    table.pass(SNUB_AFTER / 3);
    let (_, doubled) = table.server(&[1]);
    assert!(!doubled.is_empty(), "a stranger may help");
    table.pass(SNUB_AFTER / 3);
    let taken = requests(&table.say(honest, Message::Have { piece: 1 }));
    assert_eq!(taken.first(), doubled.first(), "the block that is due last");
}

#[test]
fn what_liars_hold_is_free_for_whoever_serves() {
    let mut table = Table::new(2, &[]);
    let (honest, asked) = table.server(&[0, 1]);
    for block in asked {
        table.answer(honest, block);
    }
    table.say(honest, Message::Choke);
    let _liars = [table.server(&[0, 1]), table.server(&[0, 1])];
    // They are tried again now and then, as they say that they serve us.
    table.pass(2 * REQUEST_TIMEOUT);
    let taken = requests(&table.say(honest, Message::Unchoke));
    assert_eq!(taken.len() as u32, BLOCKS);
}

#[test]
fn a_block_that_comes_when_its_peer_was_let_go_of_came_all_the_same() {
    let mut table = Table::new(1, &[]);
    let (peer, asked) = table.server(&[0]);
    let late = asked[0];
    table.answer_all(peer, asked);
    table.write(0);
    let outputs = table.verify(0);
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BothComplete)]);
    let before = table.torrent.stats(table.now);
    assert_eq!(table.answer(peer, late), []);
    let after = table.torrent.stats(table.now);
    assert_eq!(after.progress.downloaded - before.progress.downloaded, u64::from(late.len));
    assert_eq!(after.wasted - before.wasted, u64::from(late.len));
}
