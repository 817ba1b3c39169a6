//! Serving requests with back-pressure, cancels and chokes.

use super::*;
use crate::torrent::limits::{HAVE_DELAY, MIN_SEND_WATERMARK};
use crate::wire::Feature;

/// An interested leecher at a seeder, already served by it.
fn taker(table: &mut Table) -> PeerKey {
    let peer = table.peer(&[]);
    let outputs = table.say(peer, Message::Interested);
    assert_eq!(said(&outputs, peer), [Message::Unchoke]);
    peer
}

fn request(table: &mut Table, peer: PeerKey, piece: u32, number: u32) -> Vec<Output> {
    let block = raw(table.block(piece, number));
    table.say(peer, Message::Request(block))
}

#[test]
fn reading_goes_no_further_ahead_than_the_socket_needs() {
    let mut table = Table::seeder(2);
    let peer = taker(&mut table);
    let read: usize = (0..4).map(|number| reads(&request(&mut table, peer, 0, number)).len()).sum();
    assert_eq!(read as u64 * 16384, MIN_SEND_WATERMARK);
    let block = table.block(0, 0);
    let data = Some(Bytes::from(vec![0; 16384]));
    let outputs = table.feed(Input::BlockRead { peer, block, data });
    assert!(matches!(
        outputs[..],
        [Output::Send { message: Message::Piece { piece: 0, offset: 0, .. }, .. }]
    ));
    // Only what has left for the socket makes room for more.
    assert_eq!(reads(&table.feed(Input::Sent { peer, bytes: 16397 + 20 })), [table.block(0, 2)]);
    assert_eq!(table.torrent.progress().uploaded, 16384);
}

#[test]
fn a_cancel_takes_back_what_is_queued_or_being_read() {
    let mut table = Table::seeder(1);
    let peer = taker(&mut table);
    for number in 0..3 {
        request(&mut table, peer, 0, number);
    }
    let [reading, queued] = [0, 2].map(|number| table.block(0, number));
    table.say(peer, Message::Cancel(raw(queued)));
    table.say(peer, Message::Cancel(raw(reading)));
    let data = Some(Bytes::from(vec![0; 16384]));
    assert_eq!(table.feed(Input::BlockRead { peer, block: reading, data }), []);
    assert_eq!(table.torrent.peers[&peer].uplink.len(), 1);
}

#[test]
fn who_asks_and_cancels_on_and_on_heaps_no_reads_up_at_a_slow_disk() {
    let mut table = Table::seeder(500);
    let fast = Feature::FAST.add_to([0; 8]);
    let (peer, _) = table.arrive_with(1, Direction::Incoming, fast);
    table.say(peer, Message::HaveNone);
    table.say(peer, Message::Interested);
    let mut under_way = Vec::new();
    for (piece, number) in (0..400).flat_map(|piece| [(piece, 0), (piece, 1)]) {
        under_way.extend(reads(&request(&mut table, peer, piece, number)));
        if number == 1 {
            for number in [0, 1] {
                let block = raw(table.block(piece, number));
                assert_eq!(said(&table.say(peer, Message::Cancel(block)), peer), [Message::Reject(block)]);
            }
        }
    }
    assert_eq!(under_way.len() as u64 * u64::from(BLOCK_LEN), MIN_SEND_WATERMARK);

    // What it asks for in earnest waits for these two, and is sent once.
    assert_eq!(reads(&request(&mut table, peer, 0, 1)), []);
    let mut sent = Vec::new();
    while let Some(block) = under_way.pop() {
        let data = Some(Bytes::from(vec![0; 16384]));
        let outputs = table.feed(Input::BlockRead { peer, block, data });
        under_way.extend(reads(&outputs));
        sent.extend(said(&outputs, peer));
    }
    assert!(matches!(sent[..], [Message::Piece { piece: 0, offset: 16384, .. }]), "{sent:?}");
}

#[test]
fn a_repeated_request_is_served_once() {
    let mut table = Table::seeder(1);
    let peer = taker(&mut table);
    assert_eq!(reads(&request(&mut table, peer, 0, 0)).len(), 1);
    assert_eq!(request(&mut table, peer, 0, 0), []);
}

#[test]
fn a_request_of_a_choked_peer_crossed_the_choke_and_is_ignored() {
    let mut table = Table::seeder(1);
    let peer = table.peer(&[]);
    assert_eq!(request(&mut table, peer, 0, 0), []);
}

#[test]
fn a_request_that_the_storage_fails_is_not_dropped_in_silence() {
    let mut table = Table::seeder(2);
    let peer = taker(&mut table);
    request(&mut table, peer, 0, 0);
    let block = table.block(0, 0);
    let outputs = table.feed(Input::BlockRead { peer, block, data: None });
    // It does not speak the extension with the reject; what is sound is served on the next connection.
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::LostPieces)]);
    let again = taker(&mut table);
    assert_eq!(reads(&request(&mut table, again, 1, 0)), [table.block(1, 0)]);
}

#[test]
fn news_that_opens_no_transfer_waits_for_company() {
    let mut table = Table::new(8, &[0]);
    let (giver, asked) = table.server(&[1]);
    let takers: Vec<_> = (0..6).map(|_| table.peer(&[])).collect();
    for &peer in &takers {
        table.say(peer, Message::Interested);
    }
    table.pass(Duration::ZERO);
    // Every slot is taken; for those who wait, one more piece changes nothing now.
    let (waiting, served): (Vec<_>, Vec<_>) =
        takers.iter().partition(|key| table.torrent.peers[key].us.choking);
    table.answer_all(giver, asked);
    table.write(1);
    let outputs = table.verify(1);
    assert_eq!(said(&outputs, served[0]), [Message::Have { piece: 1 }]);
    assert_eq!(said(&outputs, waiting[0]), []);
    assert_eq!(said(&table.pass(HAVE_DELAY), waiting[0]), [Message::Have { piece: 1 }]);
}
