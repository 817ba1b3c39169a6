//! What a peer may not do: each misdeed closes its connection with its own reason, and only its.

use super::*;
use crate::torrent::limits::{MAX_QUEUED_REQUESTS, MAX_REFUSED_REQUESTS, MAX_UNSENT, MAX_UNSOLICITED};
use crate::wire::Feature;

fn fate(pieces: u32, have: &[u32], messages: impl IntoIterator<Item = Message>) -> Option<DisconnectReason> {
    let mut table = Table::new(pieces, have);
    let (peer, _) = table.arrive(1, Direction::Incoming);
    let outputs: Vec<_> = messages.into_iter().flat_map(|message| table.say(peer, message)).collect();
    let closed = closes(&outputs);
    assert!(closed.len() <= 1);
    assert_eq!(closed.is_empty(), table.torrent.peers.contains_key(&peer));
    closed.first().map(|&(_, reason)| reason)
}

fn bitfield(byte: u8) -> Message {
    Message::Bitfield(Bytes::copy_from_slice(&[byte]))
}

fn block(piece: u32, offset: u32, len: u32) -> RawBlock {
    RawBlock { piece, offset, len }
}

#[test]
fn bitfields_fit() {
    assert_eq!(fate(4, &[], [bitfield(0xf0)]), None);
    assert_eq!(fate(4, &[], [Message::KeepAlive, bitfield(0xf0)]), None);
    assert_eq!(fate(4, &[], [bitfield(0xf8)]), Some(DisconnectReason::BadBitfield));
    assert_eq!(fate(9, &[], [bitfield(0xff)]), Some(DisconnectReason::BadBitfield));
    assert_eq!(
        fate(4, &[], [Message::Have { piece: 0 }, bitfield(0xf8)]),
        Some(DisconnectReason::BadBitfield)
    );
}

#[test]
fn haves_name_pieces_that_exist() {
    assert_eq!(fate(4, &[], [Message::Have { piece: 3 }, Message::Have { piece: 3 }]), None);
    assert_eq!(fate(4, &[], [Message::Have { piece: 4 }]), Some(DisconnectReason::BadHave));
}

#[test]
fn requests_are_in_range_and_for_what_we_have() {
    let ask = |block| fate(4, &[0], [Message::Interested, Message::Request(block)]);
    assert_eq!(ask(block(0, 0, 16384)), None);
    assert_eq!(ask(block(0, 0, 16385)), Some(DisconnectReason::BadRequest));
    assert_eq!(ask(block(0, 0, 0)), Some(DisconnectReason::BadRequest));
    assert_eq!(ask(block(0, 65536, 1)), Some(DisconnectReason::BadRequest));
    assert_eq!(ask(block(4, 0, 1)), Some(DisconnectReason::BadRequest));
    assert_eq!(ask(block(0, u32::MAX, 16384)), Some(DisconnectReason::BadRequest));
    assert_eq!(ask(block(1, 0, 16384)), Some(DisconnectReason::RequestedMissing));
}

#[test]
fn the_request_queue_has_an_end() {
    let flood = |count: usize| {
        let requests = (0..count as u32).map(|n| Message::Request(block(n / 16384, n % 16384, 1)));
        fate(1, &[0], [Message::Interested].into_iter().chain(requests))
    };
    assert_eq!(flood(MAX_QUEUED_REQUESTS), None);
    assert_eq!(flood(MAX_QUEUED_REQUESTS + 3), Some(DisconnectReason::RequestFlood));
}

#[test]
fn requests_that_are_refused_have_an_end_as_well() {
    let mut table = Table::new(2, &[0]);
    let fast = Feature::FAST.add_to([0; 8]);
    let (peer, _) = table.arrive_with(1, Direction::Incoming, fast);
    table.say(peer, Message::HaveNone);
    let ask = |table: &mut Table| closes(&table.say(peer, Message::Request(block(1, 0, 16384))));
    assert!((0..MAX_REFUSED_REQUESTS).all(|_| ask(&mut table).is_empty()), "each is rejected");
    assert_eq!(ask(&mut table), [(peer, DisconnectReason::RequestFlood)]);
}

#[test]
fn blocks_never_asked_for_are_a_crime_when_they_go_on() {
    let unasked = |count: u64| {
        let piece = Message::Piece { piece: 0, offset: 0, data: Bytes::from(vec![0; 16384]) };
        fate(4, &[], (0..count).map(|_| piece.clone()))
    };
    assert_eq!(unasked(MAX_UNSOLICITED / 16384), None);
    assert_eq!(unasked(MAX_UNSOLICITED / 16384 + 1), Some(DisconnectReason::Unsolicited));
    let outside = Message::Piece { piece: 9, offset: 0, data: Bytes::from(vec![0; 1]) };
    assert_eq!(fate(4, &[], [outside]), Some(DisconnectReason::BadBlock));
}

#[test]
fn the_fast_extension_was_not_agreed_on() {
    assert_eq!(fate(4, &[], [Message::HaveAll]), Some(DisconnectReason::FastNotAgreed));
}

#[test]
fn what_nobody_reads_does_not_pile_up() {
    let mut table = Table::new(2, &[0]);
    let peer = table.peer(&[]);
    let rounds = MAX_UNSENT / 5;
    let flip = [Message::Interested, Message::NotInterested];
    let mut closed = Vec::new();
    for round in 0..rounds as usize {
        closed.extend(closes(&table.say(peer, flip[round % 2].clone())));
        table.now += Duration::from_secs(10);
        table.torrent.handle_timeout(table.now);
        closed.extend(closes(&table.drain()));
        if !closed.is_empty() {
            break;
        }
    }
    assert_eq!(closed, [(peer, DisconnectReason::NotReading)]);
}

#[test]
fn strangers_are_ignored() {
    let mut table = Table::new(4, &[0]);
    let stranger = PeerKey(77);
    assert_eq!(table.say(stranger, Message::Have { piece: 0 }), []);
    assert_eq!(table.feed(Input::Disconnected { peer: stranger }), []);
    assert_eq!(table.feed(Input::Sent { peer: stranger, bytes: 9 }), []);
    let block = table.block(1, 0);
    assert_eq!(table.feed(Input::Written { block, ok: true }), []);
}

#[test]
fn reasons_read_well() {
    assert_eq!(DisconnectReason::Poisoner.to_string(), "sent bad pieces");
}
