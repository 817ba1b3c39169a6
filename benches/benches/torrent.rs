//! The peer engine's core: what a block costs, from its arrival to the next request, by picker and number of pieces.
//! A picker must not look at all pieces: a hundred times as many may not cost a hundred times as much.
//!
//! `cargo bench -p benches --bench torrent`

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use proto::bitfield::Bitfield;
use proto::id::{PeerId, PieceHash};
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::piece::BLOCK_LEN;
use proto::seed::Seed;
use proto::time::{Duration, Instant};
use proto::torrent::policy::{NamedPicker, Policies};
use proto::torrent::{Direction, Input, Output, PeerKey, Torrent, TorrentConfig};
use proto::wire::{Message, RawBlock};

/// Blocks of a piece: 64 KiB.
const BLOCKS: u32 = 4;
/// Peers that have everything and serve us.
const PEERS: u64 = 30;
/// Blocks in one run.
const ANSWERS: u64 = 256;

/// A leecher among seeders, its disk, and the requests that they have not answered.
struct Table {
    torrent: Torrent,
    metainfo: Arc<Metainfo>,
    now: Instant,
    asked: VecDeque<(PeerKey, RawBlock)>,
    data: Bytes,
}

impl Table {
    fn new(metainfo: &Arc<Metainfo>, picker: NamedPicker) -> Self {
        let (pieces, now) = (metainfo.geometry().pieces(), Instant::ZERO);
        let config = TorrentConfig { picker, ..TorrentConfig::default() };
        let have = Bitfield::empty(pieces);
        let torrent = Torrent::new(Arc::clone(metainfo), have, config, Seed::from_u64(1), now);
        let data = Bytes::from(vec![0; BLOCK_LEN as usize]);
        let mut table = Self { torrent, metainfo: Arc::clone(metainfo), now, asked: VecDeque::new(), data };
        for number in 1..=PEERS {
            let (peer, id) = (PeerKey(number), PeerId([number as u8; 20]));
            let addr = SocketAddr::from(([10, 0, 0, number as u8], 6881));
            table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction: Direction::Incoming });
            let everything = Message::Bitfield(Bitfield::full(pieces).to_wire());
            table.feed(Input::Message { peer, message: everything });
            table.feed(Input::Message { peer, message: Message::Unchoke });
        }
        table
    }

    fn feed(&mut self, input: Input) {
        self.torrent.handle_input(self.now, input);
        while let Some(output) = self.torrent.poll_output() {
            if let Output::Send { peer, message: Message::Request(block) } = output {
                self.asked.push_back((peer, block));
            } else if let Output::Write { block, .. } = output {
                self.torrent.handle_input(self.now, Input::Written { block, ok: true });
            } else if let Output::Hash { piece } = output {
                let hash = Some(self.metainfo.hash_of(piece));
                self.torrent.handle_input(self.now, Input::Hashed { piece, hash });
            }
        }
    }

    /// The oldest request is answered, at 3 MB/s in all.
    fn answer(&mut self) {
        let Some((peer, RawBlock { piece, offset, .. })) = self.asked.pop_front() else { return };
        self.now += Duration::from_millis(5);
        let message = Message::Piece { piece, offset, data: self.data.clone() };
        self.feed(Input::Message { peer, message });
    }
}

fn metainfo(pieces: u32) -> Option<Arc<Metainfo>> {
    let len = u64::from(pieces) * u64::from(BLOCKS * BLOCK_LEN);
    let draft = Draft::new("content", Content::Single(len), Some(BLOCKS * BLOCK_LEN)).ok()?;
    let hashes = vec![PieceHash([1; 20]); pieces as usize];
    Metainfo::parse(&draft.finish(&hashes).ok()?).ok().map(Arc::new)
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("torrent/blocks");
    group.throughput(Throughput::Elements(ANSWERS));
    group.sample_size(20);
    for picker in Policies::shipped().pickers() {
        for metainfo in [1_000, 100_000].into_iter().filter_map(metainfo) {
            let name = format!("{}, {} pieces", picker.name, metainfo.geometry().pieces());
            group.bench_function(name, |bencher| {
                bencher.iter_batched_ref(
                    || Table::new(&metainfo, *picker),
                    |table| (0..ANSWERS).for_each(|_| table.answer()),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, blocks);
criterion_main!(benches);
