//! One machine at a table: the test plays the peers, the disk and the clock.

mod affinity;
mod book;
mod choking;
mod connections;
mod doubt;
mod downloading;
mod extended;
mod fast;
mod hostile;
mod metadata_fetch;
mod pex;
mod policies;
mod storage;
mod super_seed;
mod suspects;
mod uploading;
mod wanted;
mod web_seed;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::pipeline::raw;
use super::*;
use crate::bitfield::Bitfield;
use crate::id::PieceHash;
use crate::metainfo::Metainfo;
use crate::metainfo::create::{Content, Draft};
use crate::piece::BLOCK_LEN;
use crate::seed::Seed;
use crate::time::{Duration, Instant};
use crate::wire::RawBlock;

const MOMENT: Duration = Duration::from_millis(1);

/// Blocks in each piece here.
const BLOCKS: u32 = 4;

struct Table {
    torrent: Torrent,
    metainfo: Arc<Metainfo>,
    now: Instant,
    connections: u64,
}

impl Table {
    /// A torrent of `pieces` pieces that has those of `have`.
    fn new(pieces: u32, have: &[u32]) -> Self {
        Self::configured(pieces, have, TorrentConfig::default())
    }

    fn configured(pieces: u32, have: &[u32], config: TorrentConfig) -> Self {
        let len = u64::from(pieces * BLOCKS * BLOCK_LEN);
        let draft = Draft::new("content", Content::Single(len), Some(BLOCKS * BLOCK_LEN)).unwrap();
        let hashes: Vec<_> = (0..pieces).map(|piece| PieceHash([(piece % 251) as u8 + 1; 20])).collect();
        Self::of(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap(), have, config)
    }

    /// Any torrent.
    fn of(metainfo: Metainfo, have: &[u32], config: TorrentConfig) -> Self {
        let metainfo = Arc::new(metainfo);
        let have = bits(&metainfo, have);
        let now = Instant::ZERO;
        let torrent = Torrent::new(Arc::clone(&metainfo), have, config, Seed::from_u64(1), now);
        let mut table = Self { torrent, metainfo, now, connections: 0 };
        assert_eq!(table.drain(), [Output::Announce(Some(AnnounceEvent::Started))]);
        table
    }

    fn seeder(pieces: u32) -> Self {
        Self::new(pieces, &(0..pieces).collect::<Vec<_>>())
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.torrent.poll_output()).collect()
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        self.torrent.handle_input(self.now, input);
        self.drain()
    }

    fn say(&mut self, peer: PeerKey, message: Message) -> Vec<Output> {
        self.feed(Input::Message { peer, message })
    }

    /// Lets time pass, with every timeout on its way.
    fn pass(&mut self, span: Duration) -> Vec<Output> {
        let until = self.now + span;
        let mut outputs = Vec::new();
        while let Some((at, _)) = self.torrent.poll_timeout()
            && at <= until
        {
            self.now = at.max(self.now);
            self.torrent.handle_timeout(self.now);
            outputs.extend(self.drain());
        }
        self.now = until;
        outputs
    }

    /// A handshake is done with a peer of this name.
    fn arrive(&mut self, name: u8, direction: Direction) -> (PeerKey, Vec<Output>) {
        self.arrive_with(name, direction, [0; 8])
    }

    /// The same, with these features.
    fn arrive_with(&mut self, name: u8, direction: Direction, reserved: [u8; 8]) -> (PeerKey, Vec<Output>) {
        self.connections += 1;
        let peer = PeerKey(self.connections);
        let (addr, id) = (address(name), PeerId([name; 20]));
        (peer, self.feed(Input::Connected { peer, addr, id, reserved, direction }))
    }

    /// A peer that dialled us has the pieces of `has`.
    fn peer(&mut self, has: &[u32]) -> PeerKey {
        let name = self.connections as u8 + 1;
        let (peer, _) = self.arrive(name, Direction::Incoming);
        let bitfield = bits(&self.metainfo, has).to_wire();
        self.say(peer, Message::Bitfield(bitfield));
        peer
    }

    /// The same, and it serves us; returns what we ask of it.
    fn server(&mut self, has: &[u32]) -> (PeerKey, Vec<RawBlock>) {
        let peer = self.peer(has);
        let asked = requests(&self.say(peer, Message::Unchoke));
        (peer, asked)
    }

    /// The peer sends what it was asked for.
    fn answer(&mut self, peer: PeerKey, block: RawBlock) -> Vec<Output> {
        let RawBlock { piece, offset, len } = block;
        self.say(peer, Message::Piece { piece, offset, data: Bytes::from(vec![0; len as usize]) })
    }

    fn block(&self, piece: u32, number: u32) -> Block {
        let geometry = self.metainfo.geometry();
        geometry.block(geometry.piece(piece).unwrap(), number).unwrap()
    }

    fn piece(&self, piece: u32) -> PieceIndex {
        self.metainfo.geometry().piece(piece).unwrap()
    }

    /// The disk takes the four blocks of a piece that just arrived.
    fn write(&mut self, piece: u32) -> Vec<Output> {
        let written = (0..BLOCKS).map(|number| Input::Written { block: self.block(piece, number), ok: true });
        written.collect::<Vec<_>>().into_iter().flat_map(|input| self.feed(input)).collect()
    }

    /// A piece came in and its hash is right.
    fn verify(&mut self, piece: u32) -> Vec<Output> {
        let piece = self.piece(piece);
        let hash = Some(self.metainfo.hash_of(piece));
        self.feed(Input::Hashed { piece, hash })
    }

    /// The peer sends everything that it is asked for, until it is asked for nothing more.
    fn answer_all(&mut self, peer: PeerKey, mut asked: Vec<RawBlock>) -> Vec<Output> {
        let mut outputs = Vec::new();
        while !asked.is_empty() {
            let answers: Vec<_> = asked.iter().flat_map(|&block| self.answer(peer, block)).collect();
            asked = requests(&answers);
            outputs.extend(answers);
        }
        outputs
    }
}

fn address(name: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, name], 6881))
}

fn bits(metainfo: &Metainfo, pieces: &[u32]) -> Bitfield {
    let geometry = metainfo.geometry();
    let mut field = Bitfield::empty(geometry.pieces());
    for &piece in pieces {
        field.set(geometry.piece(piece).unwrap());
    }
    field
}

fn requests(outputs: &[Output]) -> Vec<RawBlock> {
    let request = |output: &Output| {
        let Output::Send { message: Message::Request(block), .. } = output else { return None };
        Some(*block)
    };
    outputs.iter().filter_map(request).collect()
}

fn reads(outputs: &[Output]) -> Vec<Block> {
    let read = |output: &Output| if let Output::Read { block, .. } = output { Some(*block) } else { None };
    outputs.iter().filter_map(read).collect()
}

fn said(outputs: &[Output], to: PeerKey) -> Vec<Message> {
    let said = |output: &Output| {
        let Output::Send { peer, message } = output else { return None };
        (*peer == to).then(|| message.clone())
    };
    outputs.iter().filter_map(said).collect()
}

fn closes(outputs: &[Output]) -> Vec<(PeerKey, DisconnectReason)> {
    let closed = |output: &Output| {
        let Output::Disconnect { peer, reason } = output else { return None };
        Some((*peer, *reason))
    };
    outputs.iter().filter_map(closed).collect()
}

fn dials(outputs: &[Output]) -> Vec<SocketAddr> {
    let dialled = |output: &Output| if let Output::Connect { addr } = output { Some(*addr) } else { None };
    outputs.iter().filter_map(dialled).collect()
}
