//! A peer of a core swarm: its disk and its line, and the machines of its present process.

use std::collections::VecDeque;

use bytes::Bytes;
use engine::EngineConfig;
use proto::announce::Announcer;
use proto::bitfield::Bitfield;
use proto::metainfo::Priority;
use proto::piece::{Geometry, PieceIndex};
use proto::resume::Keeper;
use proto::time::Instant;
use proto::torrent::{AnnounceEvent, PeerKey, Torrent, TorrentConfig};
use proto::tracker::Family;
use std::net::SocketAddr;

use super::disk::Disk;
use super::ears::Held;
use super::event::address;
use super::plan::PeerPlan;
use crate::defect::SharedDefect;

/// One peer, whether it runs or not.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a peer")]
pub(super) struct Host {
    pub(super) plan: PeerPlan,
    pub(super) config: TorrentConfig,
    pub(super) defect: Option<SharedDefect>,
    pub(super) life: Option<Life>,
    /// Processes so far.
    pub(super) lives: u32,
    /// It will not start again.
    pub(super) is_gone: bool,
    pub(super) disk: Disk,
    /// What the resume data of the process before say, if they are to be believed.
    pub(super) record: Bitfield,
    pub(super) believes: bool,
    /// Pieces of its disk may have rotted.
    pub(super) rots: bool,
    pub(super) skips: Vec<u32>,
    pub(super) held: Held,
    /// Packets that wait for the uplink.
    pub(super) uplink: VecDeque<(PeerKey, Bytes)>,
    pub(super) is_sending: bool,
    /// When the downlink has taken what is on its way.
    pub(super) down_free: Instant,
    pub(super) dark_until: Instant,
    pub(super) full_until: Instant,
    /// When it had all that it wanted.
    pub(super) finished: Option<Instant>,
    /// Draws so far, for keys of the next.
    pub(super) draws: u64,
}

/// One process.
pub(super) struct Life {
    pub(super) number: u32,
    pub(super) torrent: Torrent,
    pub(super) announcer: Announcer,
    pub(super) keeper: Keeper,
    /// The deadline for which the timer is set, and when it fires.
    pub(super) armed: Option<(Instant, Instant)>,
    /// Pieces that it started with.
    pub(super) began_with: u32,
    /// Payload that its machine was given, and that it gave.
    pub(super) heard: u64,
    pub(super) said: u64,
    /// What the tracker was told last, for each family.
    pub(super) told: [Told; 2],
}

/// What a process told the tracker over one family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) started: bool,
    pub(super) completed: bool,
    pub(super) stopped: bool,
}

impl Told {
    /// What is wrong with another announce, if anything is. The same may be sent again until it is answered.
    pub(super) fn announces(&mut self, event: Option<AnnounceEvent>) -> Option<&'static str> {
        let first = !self.started;
        match event {
            Some(AnnounceEvent::Started) => self.started = true,
            Some(AnnounceEvent::Completed) => self.completed = true,
            Some(AnnounceEvent::Stopped) => self.stopped = true,
            None => {}
        }
        if first && !matches!(event, Some(AnnounceEvent::Started | AnnounceEvent::Stopped)) {
            return Some("announced before it said `started`");
        }
        (self.stopped && event != Some(AnnounceEvent::Stopped)).then_some("announced after it said `stopped`")
    }
}

impl Host {
    pub(super) fn new(plan: &PeerPlan, geometry: Geometry, defect: Option<SharedDefect>) -> Self {
        let mut disk = Disk::new(geometry);
        let has = |index: u32| plan.complete || plan.has.contains(&index);
        geometry.all_pieces().filter(|piece| has(piece.get())).for_each(|piece| disk.fill(piece));
        // A plan was checked for its policies when it was read.
        let mut engine = EngineConfig::at(Vec::new());
        engine.torrent = plan.config().unwrap_or_default();
        if let Some(defect) = &defect {
            defect.lock().configures(&mut engine);
        }
        Self {
            plan: plan.clone(),
            config: engine.torrent,
            defect,
            life: None,
            lives: 0,
            is_gone: false,
            disk,
            record: Bitfield::empty(geometry.pieces()),
            believes: false,
            rots: false,
            skips: plan.skips.clone(),
            held: Held::nothing(geometry.pieces()),
            uplink: VecDeque::new(),
            is_sending: false,
            down_free: Instant::ZERO,
            dark_until: Instant::ZERO,
            full_until: Instant::ZERO,
            finished: None,
            draws: 0,
        }
    }

    /// Where it listens.
    pub(super) fn listens(&self) -> Vec<SocketAddr> {
        let families = if self.plan.v6 { &[Family::V4, Family::V6][..] } else { &[Family::V4] };
        families.iter().map(|&family| address(self.plan.number, family)).collect()
    }

    /// What its user wants, for each piece.
    pub(super) fn priorities(&self, pieces: u32) -> Vec<Priority> {
        let priority = |piece| if self.skips.contains(&piece) { Priority::Skip } else { Priority::Normal };
        (0..pieces).map(priority).collect()
    }

    /// Pieces that it wants and lacks.
    pub(super) fn misses(&self, geometry: Geometry) -> impl Iterator<Item = PieceIndex> {
        let wants = |index: u32| !self.skips.contains(&index);
        geometry.all_pieces().filter(move |&piece| wants(piece.get()) && !self.held.has(piece))
    }

    /// Does it claim `piece`, and is that there?
    pub(super) fn holds(&self, piece: PieceIndex) -> bool {
        self.held.has(piece) && (!self.rots || self.disk.is_right(piece))
    }

    /// Is it held to anything?
    pub(super) fn is_honest(&self) -> bool {
        self.plan.is_honest()
    }
}
