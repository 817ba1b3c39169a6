//! Fetching metadata (BEP 9), from honest, slow, ignorant and lying peers.

use super::extended::extension_bit;
use super::*;
use crate::metainfo::Magnet;
use crate::torrent::limits::{GIVER_PATIENCE, GOSSIP_PATIENCE, MAX_EARLY_GOSSIP, RECONNECT_AFTER};
use crate::torrent::metadata_fetch::MetadataFetch;
use crate::wire::extension::{
    Extension, ExtensionHandshake, MAX_METADATA_LEN, METADATA_BLOCK_LEN, MetadataMessage, Pex, PexPeer,
};

const THEIRS: u8 = 5;

struct Search {
    fetch: MetadataFetch,
    metainfo: Metainfo,
    now: Instant,
}

impl Search {
    /// For a torrent whose info dictionary has two blocks.
    fn new() -> Self {
        let pieces = 1000;
        let draft = Draft::new("content", Content::Single(pieces * 16384), Some(BLOCK_LEN)).unwrap();
        let hashes: Vec<_> = (0..pieces).map(|piece| PieceHash([piece as u8; 20])).collect();
        let metainfo = Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap();
        let magnet = Magnet::of(&metainfo);
        let now = Instant::ZERO;
        let fetch = MetadataFetch::new(magnet, TorrentConfig::default(), Seed::from_u64(1), now);
        let mut search = Self { fetch, metainfo, now };
        assert_eq!(search.drain(), [Output::Announce(Some(AnnounceEvent::Started))]);
        search
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.fetch.poll_output()).collect()
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        self.fetch.handle_input(self.now, input);
        self.drain()
    }

    fn pass(&mut self, span: Duration) -> Vec<Output> {
        let until = self.now + span;
        let mut outputs = Vec::new();
        while let Some(at) = self.fetch.poll_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.fetch.handle_timeout(at);
            outputs.extend(self.drain());
        }
        self.now = until;
        outputs
    }

    fn arrive(&mut self, name: u8, reserved: [u8; 8]) -> Vec<Output> {
        let (peer, addr, id) = (PeerKey(name.into()), address(name), PeerId([name; 20]));
        self.feed(Input::Connected { peer, addr, id, reserved, direction: Direction::Outgoing })
    }

    /// A peer says how long the metadata is; returns the blocks that are asked of it.
    fn giver(&mut self, name: u8, len: u32) -> Vec<u32> {
        self.arrive(name, extension_bit());
        let hello = ExtensionHandshake {
            metadata: Some(THEIRS),
            metadata_size: Some(len),
            ..ExtensionHandshake::default()
        };
        let outputs = self.say(name, 0, hello.encode());
        asked(&outputs, name)
    }

    fn len(&self) -> u32 {
        self.metainfo.info().len() as u32
    }

    fn say(&mut self, name: u8, id: u8, payload: Bytes) -> Vec<Output> {
        self.feed(Input::Message { peer: PeerKey(name.into()), message: Message::Extended { id, payload } })
    }

    fn send(&mut self, name: u8, message: &MetadataMessage) -> Vec<Output> {
        self.say(name, Extension::Metadata.ours(), message.encode())
    }

    fn data(&self, block: u32) -> MetadataMessage {
        let start = (block * METADATA_BLOCK_LEN) as usize;
        let end = self.metainfo.info().len().min(start + METADATA_BLOCK_LEN as usize);
        MetadataMessage::Data { block, total: Some(self.len()), data: self.metainfo.info().slice(start..end) }
    }
}

fn asked(outputs: &[Output], name: u8) -> Vec<u32> {
    let block = |message| {
        let Message::Extended { id: THEIRS, payload } = message else { return None };
        let MetadataMessage::Request { block } = MetadataMessage::decode(&payload).unwrap() else {
            return None;
        };
        Some(block)
    };
    said(outputs, PeerKey(name.into())).into_iter().filter_map(block).collect()
}

fn parted(name: u8, reason: DisconnectReason) -> Vec<(PeerKey, DisconnectReason)> {
    vec![(PeerKey(name.into()), reason)]
}

#[test]
fn one_honest_peer_suffices() {
    let mut search = Search::new();
    let len = search.len();
    assert_eq!(search.giver(1, len), [0, 1]);
    // In any order; what follows the dictionary is the block.
    search.send(1, &search.data(1));
    assert!(search.fetch.outcome().is_none());
    search.send(1, &search.data(0));
    let found = search.fetch.outcome().unwrap().unwrap();
    assert_eq!((found.info_hash(), found.info()), (search.metainfo.info_hash(), search.metainfo.info()));
}

#[test]
fn a_liar_is_refused_for_good_and_nobody_else_is() {
    let mut search = Search::new();
    search.feed(Input::Candidates(Source::Tracker, vec![address(1), address(2)]));
    let len = search.len();
    search.giver(1, len);
    search.giver(2, len);
    search.send(2, &search.data(0));
    search.send(1, &search.data(0));
    let forged = Bytes::from(vec![7; (len - METADATA_BLOCK_LEN) as usize]);
    let lie = MetadataMessage::Data { block: 1, total: None, data: forged };
    assert_eq!(closes(&search.send(1, &lie)), parted(1, DisconnectReason::BadMetadata));
    let again = search.arrive(1, extension_bit());
    assert_eq!(closes(&again), parted(1, DisconnectReason::Poisoner));
    search.send(2, &search.data(1));
    assert!(search.fetch.outcome().unwrap().is_ok());
}

#[test]
fn who_has_no_metadata_is_left_and_tried_again() {
    let mut search = Search::new();
    search.feed(Input::Candidates(Source::User, vec![address(1)]));
    assert_eq!(closes(&search.arrive(1, [0; 8])), parted(1, DisconnectReason::NoMetadata));
    assert_eq!(dials(&search.pass(RECONNECT_AFTER)), [address(1)]);
    search.arrive(1, extension_bit());
    let outputs = search.say(1, 0, ExtensionHandshake::default().encode());
    assert_eq!(closes(&outputs), parted(1, DisconnectReason::NoMetadata));
    for len in [0, MAX_METADATA_LEN + 1] {
        search.arrive(2, extension_bit());
        let hello =
            ExtensionHandshake { metadata: Some(THEIRS), metadata_size: Some(len), ..Default::default() };
        assert_eq!(closes(&search.say(2, 0, hello.encode())), parted(2, DisconnectReason::NoMetadata));
    }
}

#[test]
fn a_reject_and_a_silence_move_on_to_the_next_peer() {
    let mut search = Search::new();
    let len = search.len();
    for name in 1..=3 {
        assert_eq!(search.giver(name, len), [0, 1]);
    }
    assert_eq!(search.giver(4, len), [] as [u32; 0], "three at a time");
    let outputs = search.send(1, &MetadataMessage::Reject { block: 0 });
    assert_eq!(closes(&outputs), parted(1, DisconnectReason::NoMetadata));
    assert_eq!(asked(&outputs, 4), [0, 1]);
    let outputs = search.pass(GIVER_PATIENCE);
    assert_eq!(closes(&outputs).len(), 3, "all were silent");
}

#[test]
fn what_was_not_asked_for_or_has_another_length_ends_it() {
    let mut search = Search::new();
    let len = search.len();
    let bad = |search: &mut Search, name: u8, block: u32, data: usize| {
        search.giver(name, len);
        let message = MetadataMessage::Data { block, total: Some(len), data: Bytes::from(vec![0; data]) };
        closes(&search.send(name, &message))
    };
    assert_eq!(bad(&mut search, 1, 0, 5), parted(1, DisconnectReason::BadMetadata));
    assert_eq!(bad(&mut search, 2, 2, 0), parted(2, DisconnectReason::BadMetadata));
    assert_eq!(bad(&mut search, 3, u32::MAX, 16384), parted(3, DisconnectReason::BadMetadata));
    search.giver(4, len);
    search.send(4, &search.data(0));
    assert_eq!(closes(&search.send(4, &search.data(0))), parted(4, DisconnectReason::BadMetadata));
    search.arrive(5, extension_bit());
    let outputs = search.say(5, 0, Bytes::from_static(b"x"));
    assert_eq!(closes(&outputs), parted(5, DisconnectReason::BadExtension));
}

#[test]
fn content_messages_are_passed_over_and_requests_rejected() {
    let mut search = Search::new();
    let len = search.len();
    search.giver(1, len);
    let message = Message::Bitfield(Bytes::from_static(&[0xff; 125]));
    assert_eq!(search.feed(Input::Message { peer: PeerKey(1), message }), []);
    let payload = MetadataMessage::Reject { block: 3 }.encode();
    let reject = Output::Send { peer: PeerKey(1), message: Message::Extended { id: THEIRS, payload } };
    assert_eq!(search.send(1, &MetadataMessage::Request { block: 3 }), [reject]);
    assert_eq!(search.send(1, &MetadataMessage::Unknown), []);
}

#[test]
fn a_dictionary_with_the_right_hash_that_is_no_torrent_ends_the_search() {
    let info = Bytes::from_static(b"d4:name1:xe");
    let magnet = Magnet { info_hash: crate::id::InfoHash::of(&info), ..Magnet::of(&Search::new().metainfo) };
    let mut search = Search::new();
    search.fetch = MetadataFetch::new(magnet, TorrentConfig::default(), Seed::from_u64(1), search.now);
    assert_eq!(search.giver(1, info.len() as u32), [0]);
    search.send(1, &MetadataMessage::Data { block: 0, total: None, data: info });
    assert!(matches!(search.fetch.outcome(), Some(Err(_))));
}

/// What a peer says that has no metadata, and names others if `gossips`.
fn ignorant(gossips: bool) -> Bytes {
    ExtensionHandshake { pex: gossips.then_some(THEIRS), ..ExtensionHandshake::default() }.encode()
}

fn gossip(names: &[u8]) -> Bytes {
    let peer = |&name| PexPeer { addr: address(name), upload_only: false, reachable: true };
    Pex { added: names.iter().map(peer).collect(), dropped: Vec::new() }.encode()
}

#[test]
fn who_has_no_metadata_may_know_somebody_who_has() {
    let mut search = Search::new();
    search.arrive(1, extension_bit());
    assert_eq!(closes(&search.say(1, 0, ignorant(true))), []);
    let outputs = search.say(1, Extension::Pex.ours(), gossip(&[2, 3]));
    let mut dialled = dials(&outputs);
    dialled.sort_unstable();
    assert_eq!(dialled, [address(2), address(3)]);
    let len = search.len();
    assert_eq!(search.giver(2, len), [0, 1], "one of those who were named");
    let reason = DisconnectReason::Idle;
    assert!(closes(&search.pass(GOSSIP_PATIENCE)).contains(&(PeerKey(1), reason)), "it has had its time");
}

#[test]
fn peer_exchange_in_a_search_is_capped_and_can_be_switched_off() {
    let mut search = Search::new();
    search.arrive(1, extension_bit());
    search.say(1, 0, ignorant(true));
    search.say(1, Extension::Pex.ours(), gossip(&[2]));
    let mut floods = 0;
    let flooded = loop {
        let outputs = search.say(1, Extension::Pex.ours(), gossip(&[3]));
        assert_eq!(dials(&outputs), [], "too soon to be read");
        floods += 1;
        if let Some(parted) = closes(&outputs).first() {
            break *parted;
        }
    };
    assert_eq!((flooded, floods), ((PeerKey(1), DisconnectReason::GossipFlood), MAX_EARLY_GOSSIP + 1));

    let mut search = Search::new();
    search.fetch = MetadataFetch::new(
        Magnet::of(&search.metainfo),
        TorrentConfig { pex: false, ..TorrentConfig::default() },
        Seed::from_u64(1),
        search.now,
    );
    search.arrive(1, extension_bit());
    assert_eq!(closes(&search.say(1, 0, ignorant(true))), parted(1, DisconnectReason::NoMetadata));
}
