//! What real clients do beside the letter of the specification, found with them on the other end.

use std::sync::Arc;

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::id::{PeerId, PieceHash};
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use proto::time::Instant;
use proto::torrent::{Direction, Input, Output, PeerKey, Torrent, TorrentConfig};
use proto::wire::Message;

const PEER: PeerKey = PeerKey(1);

/// A leecher of eight pieces, and one peer at its door.
fn connected() -> Torrent {
    let draft = Draft::new("f", Content::Single(8 * 16_384), Some(16_384)).expect("valid");
    let file = draft.finish(&[PieceHash::default(); 8]).expect("eight pieces");
    let metainfo = Arc::new(Metainfo::parse(&file).expect("our own"));
    let (config, seed) = (TorrentConfig::default(), Seed::from_u64(1));
    let mut torrent = Torrent::new(metainfo, Bitfield::empty(8), config, seed, Instant::ZERO);
    let (addr, direction) = (([127, 0, 0, 1], 6881).into(), Direction::Incoming);
    let hello = Input::Connected { peer: PEER, addr, id: PeerId([7; 20]), reserved: [0; 8], direction };
    torrent.handle_input(Instant::ZERO, hello);
    torrent
}

/// Says `message` to `torrent`, and what that makes it do.
fn say(torrent: &mut Torrent, message: Message) -> Vec<Output> {
    torrent.handle_input(Instant::ZERO, Input::Message { peer: PEER, message });
    std::iter::from_fn(|| torrent.poll_output()).collect()
}

#[test]
fn aria2_sends_a_bitfield_in_place_of_many_haves() {
    let mut torrent = connected();
    let bitfield = |bits: u8| Message::Bitfield(Bytes::copy_from_slice(&[bits]));
    say(&mut torrent, Message::Interested);
    let outputs = say(&mut torrent, bitfield(0b1010_0000));
    assert!(outputs.contains(&Output::Send { peer: PEER, message: Message::Interested }));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Disconnect { .. })));
    // Both were learned, and only they: the other six are not asked for.
    let outputs = say(&mut torrent, Message::Unchoke);
    let asked = |output: &Output| {
        let Output::Send { message: Message::Request(block), .. } = output else { return None };
        Some(block.piece)
    };
    let mut pieces: Vec<u32> = outputs.iter().filter_map(asked).collect();
    pieces.sort_unstable();
    assert_eq!(pieces, [0, 2]);
}
