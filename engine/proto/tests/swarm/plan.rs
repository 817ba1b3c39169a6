//! What happens in a swarm, and how it went.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use proto::time::{Duration, Instant};
use proto::torrent::{DisconnectReason, TorrentConfig};
use proto::tracker::Family;

/// What a node is.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent traits of a test's node")]
pub(crate) struct Node {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) seeder: bool,
    /// The families that it speaks.
    pub(crate) families: &'static [Family],
    /// Sends garbage for every block.
    pub(crate) poisoner: bool,
    /// Its disk refuses writes in this span.
    pub(crate) disk_full: Option<(Instant, Instant)>,
    /// It leaves then, without a word.
    pub(crate) leaves: Option<Instant>,
    /// It speaks no extension.
    pub(crate) plain: bool,
    /// It shows one piece at a time.
    pub(crate) super_seeding: bool,
}

impl Node {
    pub(crate) fn seeder(up: u64) -> Self {
        Self { seeder: true, ..Self::leecher(up, u64::MAX) }
    }

    pub(crate) fn leecher(up: u64, down: u64) -> Self {
        Self {
            up,
            down,
            seeder: false,
            families: &[Family::V4],
            poisoner: false,
            disk_full: None,
            leaves: None,
            plain: false,
            super_seeding: false,
        }
    }
}

/// What happens in a swarm; a seed makes a run of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) nodes: Vec<Node>,
    /// Leechers come uniformly over this span; seeders at once.
    pub(crate) arrivals: Duration,
    pub(crate) config: TorrentConfig,
    /// Peers in one reply of the tracker.
    pub(crate) num_want: usize,
}

impl Plan {
    pub(crate) fn new(len: u64, piece_len: u32) -> Self {
        let draft = Draft::new("content", Content::Single(len), Some(piece_len)).unwrap();
        let hashes: Vec<_> =
            draft.geometry().all_pieces().map(|piece| PieceHash([piece.get() as u8; 20])).collect();
        let metainfo = Arc::new(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap());
        let config = TorrentConfig::default();
        Self { metainfo, nodes: Vec::new(), arrivals: Duration::ZERO, config, num_want: 50 }
    }

    /// The same for a private torrent (BEP 27).
    pub(crate) fn private(len: u64, piece_len: u32) -> Self {
        let public = Self::new(len, piece_len);
        let mut draft = Draft::new("content", Content::Single(len), Some(piece_len)).unwrap();
        draft.private = true;
        let hashes: Vec<_> =
            draft.geometry().all_pieces().map(|piece| public.metainfo.hash_of(piece)).collect();
        let metainfo = Arc::new(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap());
        Self { metainfo, ..public }
    }

    /// When each node comes.
    pub(crate) fn arrival_times(&self, seed: u64) -> Vec<Instant> {
        let mut random = Seed::from_u64(seed).child(1).rng();
        let span = self.arrivals.as_micros() as u64;
        let draw = |node: &Node| if node.seeder { 0 } else { random.below(span.max(1)) };
        self.nodes.iter().map(draw).map(Instant::from_micros).collect()
    }
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) completed: usize,
    /// Seconds until the last leecher that finished did.
    pub(crate) makespan: f64,
    /// Seconds at which each leecher finished, in order.
    pub(crate) finished: Vec<f64>,
    pub(crate) duplicate: u64,
    pub(crate) wasted: u64,
    pub(crate) payload: u64,
    /// Wire bytes that were no blocks.
    pub(crate) control: u64,
    pub(crate) messages: u64,
    /// Connections that were ever opened.
    pub(crate) links: usize,
    /// Requests answered with a block, and with a reject.
    pub(crate) answered: u64,
    pub(crate) rejected: u64,
    pub(crate) hash_failures: u64,
    pub(crate) storage_failures: u64,
    pub(crate) reasons: BTreeMap<DisconnectReason, u64>,
    /// When a second connection to one peer was closed for the last time.
    pub(crate) last_twin: Instant,
    /// Connections at the end, counted at both ends.
    pub(crate) connections: usize,
    /// Nodes that somebody closed a connection to as poisoners.
    pub(crate) banned: Vec<usize>,
    /// Payload bytes sent in each second.
    pub(crate) sent: Vec<u64>,
    /// The same, of seeders.
    pub(crate) seeded: Vec<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p50 = self.finished.get(self.finished.len() / 2).copied().unwrap_or_default();
        write!(
            f,
            "{} done, first {:.1} s, p50 {p50:.1} s, last {:.1} s, duplicate {:.2} %, wasted {:.2} %, control {:.2} %, {} messages, {:?}",
            self.completed,
            self.finished.first().copied().unwrap_or_default(),
            self.makespan,
            self.duplicate as f64 * 100.0 / self.payload as f64,
            self.wasted as f64 * 100.0 / self.payload as f64,
            self.control as f64 * 100.0 / self.payload as f64,
            self.messages,
            self.reasons,
        )
    }
}
