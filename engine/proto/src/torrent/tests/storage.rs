//! A storage that refuses or lags behind: downloading pauses, nothing is lost, and it goes on by itself.

use super::*;
use crate::torrent::limits::{MAX_WRITING, MIN_PIPELINE, STORAGE_RETRY};

fn writes(outputs: &[Output]) -> Vec<Block> {
    let write = |output: &Output| if let Output::Write { block, .. } = output { Some(*block) } else { None };
    outputs.iter().filter_map(write).collect()
}

#[test]
fn a_full_disk_pauses_and_then_resumes_with_the_same_bytes() {
    let mut table = Table::new(99, &[]);
    let (peer, asked) = table.server(&(0..99).collect::<Vec<_>>());
    let piece = asked[0].piece;
    let next: Vec<_> = asked.iter().flat_map(|&block| requests(&table.answer(peer, block))).collect();
    let [first, second] = [0, 1].map(|number| table.block(piece, number));
    let outputs = table.feed(Input::Written { block: first, ok: false });
    assert_eq!(outputs, [Output::Event(Event::StorageFailed)]);
    assert_eq!(table.feed(Input::Written { block: second, ok: false }), [], "it is said once");

    // Blocks on order are still taken in, but nothing new is asked for.
    for block in next {
        assert_eq!(requests(&table.answer(peer, block)), []);
    }

    let outputs = table.pass(STORAGE_RETRY);
    assert_eq!(writes(&outputs), [first], "one block probes");
    assert_eq!(table.feed(Input::Written { block: first, ok: false }), []);
    let outputs = table.pass(STORAGE_RETRY);
    assert_eq!(writes(&outputs), [second]);
    let outputs = table.feed(Input::Written { block: second, ok: true });
    assert_eq!(writes(&outputs), [first]);
    assert!(!requests(&outputs).is_empty(), "downloading goes on");
}

#[test]
fn a_piece_that_cannot_be_read_back_is_hashed_again_later() {
    let mut table = Table::new(1, &[]);
    let (peer, asked) = table.server(&[0]);
    table.answer_all(peer, asked);
    table.write(0);
    let piece = table.piece(0);
    assert_eq!(table.feed(Input::Hashed { piece, hash: None }), [Output::Event(Event::StorageFailed)]);
    assert_eq!(table.pass(STORAGE_RETRY), [Output::Hash { piece }]);
    assert!(table.verify(0).contains(&Output::Event(Event::Completed)));
}

#[test]
fn a_storage_that_lags_behind_pauses_everybody_before_much_waits() {
    const PEERS: usize = 10;
    let all: Vec<_> = (0..560).collect();
    let mut table = Table::new(560, &[]);
    let mut owed: Vec<_> = (0..PEERS).map(|_| table.server(&all)).collect();
    let mut unwritten = Vec::new();
    // Fast peers, whose pipelines alone could hold more than may wait.
    while owed.iter().any(|(_, asked)| !asked.is_empty()) {
        table.now += MOMENT;
        for (peer, asked) in &mut owed {
            let outputs: Vec<_> =
                std::mem::take(asked).into_iter().flat_map(|block| table.answer(*peer, block)).collect();
            asked.extend(requests(&outputs));
            unwritten.extend(writes(&outputs));
        }
        let waiting = unwritten.len() + owed.iter().map(|(_, asked)| asked.len()).sum::<usize>();
        assert!(waiting <= MAX_WRITING + PEERS * MIN_PIPELINE, "{waiting} blocks wait or will");
    }
    assert!(unwritten.len() >= MAX_WRITING, "{}", unwritten.len());
    assert_eq!(requests(&table.pass(Duration::from_secs(10))), [], "nothing goes on by itself");

    let room = unwritten.len() - MAX_WRITING + 1;
    let written = unwritten.drain(..room).map(|block| Input::Written { block, ok: true });
    let outputs: Vec<_> = written.flat_map(|input| table.feed(input)).collect();
    assert_eq!(requests(&outputs).len(), PEERS * MIN_PIPELINE, "everybody goes on, and not by much");
}
