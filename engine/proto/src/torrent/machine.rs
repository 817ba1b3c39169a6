//! The machine itself: its parts, and where each input goes. Every decision is in the sibling files.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::candidates::Candidates;
use super::choker::Choker;
use super::doubt::Doubts;
use super::limits::{ASK_AGAIN, MAX_UNSENT};
use super::partials::Partials;
use super::peers::{Arrived, Peers};
use super::picker::Picker;
use super::policy::PickPieces;
use super::stats::{Totals, overhead};
use super::super_seed::SuperSeed;
use super::suspects::Suspects;
use super::verify::StorageQueue;
use super::wanted::Wanted;
use super::web_seed::WebSeeds;
use crate::bitfield::Bitfield;
use crate::id::PeerId;
use crate::metainfo::Metainfo;
use crate::piece::{Geometry, PieceIndex};
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, DisconnectReason, Input, Output, PeerKey, TorrentConfig};
use crate::wire::{Feature, Handshake, Message};

/// The child seed of the key that digests blocks: a stream of its own disturbs no other draw.
const SUSPECTS_STREAM: u64 = 1;

/// One torrent as this process works on it.
///
/// After each `handle_*`, drain [`Torrent::poll_output`] to `None` and re-read [`Torrent::poll_timeout`].
#[derive(Debug)]
pub struct Torrent {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) geometry: Geometry,
    pub(super) config: TorrentConfig,
    pub(super) id: PeerId,
    /// Where we listen.
    pub(super) ours: Vec<SocketAddr>,
    pub(super) random: Random,
    pub(super) have: Bitfield,
    /// Pieces in the order in which they were verified; peers remember how far they were told.
    pub(super) announced: Vec<PieceIndex>,
    pub(super) peers: Peers,
    pub(super) candidates: Candidates,
    /// Addresses that are not dialled as long as we want nothing.
    pub(super) resting: VecDeque<SocketAddr>,
    /// What may be gone from the storage.
    pub(super) doubts: Doubts,
    /// What the user wants of it.
    pub(super) wanted: Wanted,
    pub(super) picker: Picker,
    /// Which piece comes next.
    pub(super) picking: Box<dyn PickPieces>,
    pub(super) partials: Partials,
    pub(super) suspects: Suspects,
    pub(super) storage: StorageQueue,
    pub(super) choker: Choker,
    pub(super) super_seed: Option<SuperSeed>,
    pub(super) totals: Totals,
    pub(super) web_seeds: WebSeeds,
    pub(super) outputs: VecDeque<Output>,
    /// No peer has a deadline before this.
    pub(super) peers_due: Option<Instant>,
    pub(super) haves_due: Option<Instant>,
    /// No peer is to hear of others before this.
    pub(super) gossip_due: Option<Instant>,
    /// The tracker is not asked for peers before this.
    pub(super) ask_at: Instant,
    /// Blocks became free: somebody idle may want them.
    pub(super) refill: bool,
    /// An upload slot may have become free.
    pub(super) slots_changed: bool,
    /// Peers whose unsent bytes passed the limit.
    jammed: Vec<PeerKey>,
    pub(super) stopped: bool,
    /// Inputs and timeouts handled, for sampling.
    #[cfg(debug_assertions)]
    pub(super) handled: u32,
}

impl Torrent {
    /// A torrent of which `have` is in the storage, verified. Its first output announces `started`.
    pub fn new(
        metainfo: Arc<Metainfo>,
        have: Bitfield,
        config: TorrentConfig,
        seed: Seed,
        now: Instant,
    ) -> Self {
        let geometry = metainfo.geometry();
        let mut random = seed.rng();
        let mut tail = [0; 12];
        random.fill(&mut tail);
        let missing = geometry.all_pieces().filter(|&piece| !have.has(piece));
        let left = missing.map(|piece| u64::from(geometry.len_of(piece))).sum();
        Self {
            geometry,
            config,
            id: PeerId::with_tail(tail),
            ours: Vec::new(),
            random,
            announced: Vec::new(),
            peers: Peers::new(),
            candidates: Candidates::default(),
            resting: VecDeque::new(),
            doubts: Doubts::default(),
            wanted: Wanted::everything(&have),
            picker: Picker::new(geometry, &have),
            picking: (config.picker.make)(),
            partials: Partials::new(geometry),
            suspects: Suspects::new(&mut seed.child(SUSPECTS_STREAM).rng()),
            storage: StorageQueue::default(),
            choker: Choker::new(now, config),
            super_seed: SuperSeed::wanted(config, &have),
            web_seeds: WebSeeds::new(&metainfo, config.web_seeds, now),
            totals: Totals { left, ..Totals::default() },
            outputs: VecDeque::from([Output::Announce(Some(AnnounceEvent::Started))]),
            peers_due: None,
            haves_due: None,
            gossip_due: None,
            ask_at: now + ASK_AGAIN,
            refill: false,
            slots_changed: false,
            jammed: Vec::new(),
            stopped: false,
            #[cfg(debug_assertions)]
            handled: 0,
            metainfo,
            have,
        }
    }

    /// Our name in this swarm, drawn from the seed: for handshakes and the tracker.
    pub const fn peer_id(&self) -> PeerId {
        self.id
    }

    /// What the torrent is.
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }

    /// What to say first on every connection.
    pub fn handshake(&self) -> Handshake {
        let reserved = Feature::FAST.add_to(Feature::EXTENSION_PROTOCOL.add_to([0; 8]));
        Handshake { reserved, info_hash: self.metainfo.info_hash(), peer_id: self.id }
    }

    /// The pieces that are here and verified.
    pub const fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Takes note of one thing that happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if self.stopped {
            // Only a connection that was on its way still needs a word.
            if let Input::Connected { peer, .. } = input {
                self.outputs.push_back(Output::Disconnect { peer, reason: DisconnectReason::Stopping });
            }
            return;
        }
        match input {
            Input::Connected { peer, addr, id, direction, reserved } => {
                self.connected(now, Arrived { peer, addr, id, direction, reserved });
            }
            Input::ConnectFailed { addr } => self.candidates.failed(now, addr),
            Input::Disconnected { peer } => self.remove_peer(now, peer),
            Input::Message { peer, message } => self.message(now, peer, message),
            Input::Sent { peer, bytes } => self.sent(now, peer, bytes),
            Input::Written { block, ok } => self.written(now, block, ok),
            Input::Hashed { piece, hash } => self.hashed(now, piece, hash),
            Input::BlockRead { peer, block, data } => self.block_read(now, peer, block, data),
            Input::Web(key, news) => self.web_news(now, key, news),
            Input::Candidates(source, addrs) => self.candidates_named(source, addrs),
            Input::TrackerSwitched => self.tracker_switched(now),
            Input::Ours(addrs) => self.listens_at(addrs),
            Input::Doubt(pieces) => self.doubt(now, pieces),
            Input::Wanted(priorities) => self.choose(now, priorities),
            Input::UploadLimit(limit) => self.upload_limited(limit),
            Input::UploadSlots(most) => {
                self.slots_allowed(most);
                if !self.slots_changed {
                    return;
                }
            }
            Input::Part => self.part_with_one(now),
            Input::Stop => self.stop(now),
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Draws the consequences that concern more than the peer at hand.
    pub(super) fn settle(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.jammed) {
            self.disconnect(now, key, DisconnectReason::NotReading);
        }
        if std::mem::take(&mut self.refill) {
            self.fill_all(now);
            self.web_seeds.hungry = true;
        }
        if std::mem::take(&mut self.web_seeds.hungry) {
            self.feed_web_seeds(now);
        }
        if std::mem::take(&mut self.slots_changed) {
            self.use_free_slots(now);
        }
        if !self.stopped {
            self.dial(now);
        }
        #[cfg(debug_assertions)]
        self.sample_invariants();
    }

    /// Sends a message and keeps account of its bytes until the socket took them.
    pub(super) fn send(&mut self, now: Instant, key: PeerKey, message: Message) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.last_sent = now;
        peer.uplink.unsent += message.wire_len() as u64;
        self.totals.overhead_up += overhead(&message);
        if peer.uplink.unsent > MAX_UNSENT {
            self.jammed.push(key);
        }
        self.outputs.push_back(Output::Send { peer: key, message });
    }

    fn stop(&mut self, now: Instant) {
        if self.stopped {
            return;
        }
        self.outputs.push_back(Output::Announce(Some(AnnounceEvent::Stopped)));
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            self.disconnect(now, key, DisconnectReason::Stopping);
        }
        self.stop_web_seeds();
        self.stopped = true;
    }
}
