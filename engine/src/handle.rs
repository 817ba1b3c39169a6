//! What a user holds of a running torrent: events, snapshots, and the wish to stop. Plain types only.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use proto::metainfo::Priority;
use proto::rate::TorrentKey;
use proto::torrent::{Banned, Stats};
use proto::tracker::Family;
use tokio::sync::oneshot;

use crate::events::Listener;
use crate::queue::{Happening, Queue};
use crate::snapshot::TorrentSnapshot;
use crate::throttle::{Throttle, TorrentLimits};

/// What happens in a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// Peers are accepted here; said for each address.
    Listening(SocketAddr),
    /// The storage was looked through.
    Checked {
        /// Pieces that are there and sound.
        have: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// A piece came in and is sound.
    PieceVerified(u32),
    /// A piece came in and is not; it is fetched again.
    PieceFailed(u32),
    /// Somebody is refused from now on, on proof.
    Banned(Banned),
    /// Every piece is in. Not said if they were all there at the start.
    Completed,
    /// Every wanted piece is in, but not every piece there is. Also said if that was so when files were chosen.
    SelectionCompleted,
    /// The storage refuses; it is tried again later.
    StorageFailed {
        /// What kind of failure.
        kind: ErrorKind,
        /// The storage's own words.
        error: String,
    },
    /// A file is gone, or is not the one that it was: what it held is hashed again, and peers are not told any
    /// more that we have it.
    FileLost {
        /// The file.
        path: PathBuf,
        /// What happened to it: `is gone`, `is shorter than it was`, …
        what: &'static str,
    },
    /// A tracker answered.
    Announced {
        /// Which tracker.
        url: String,
        /// The family over which it was asked. Whether it counts that one alone is its own affair; ours counts
        /// both, and who speaks both twice.
        family: Family,
        /// Peers that have everything.
        seeders: u32,
        /// Peers that still download.
        leechers: u32,
        /// Until the next regular announce.
        interval: Duration,
    },
    /// A tracker cannot be used at present.
    TrackerFailed {
        /// Which tracker.
        url: String,
        /// Why.
        error: String,
        /// Nothing came back, which may be no more than a lost datagram; it is asked again.
        silent: bool,
    },
    /// A web seed is of no use, at least at present (BEP 19).
    WebSeedFailed {
        /// As the torrent has it.
        url: String,
        /// Why.
        error: String,
    },
    /// The torrent has ended in order; nothing follows.
    Stopped,
    /// The listener was too slow and did not hear this many events; [`TorrentHandle::stats`] has the sums.
    Missed(u64),
}

/// A running torrent. Clones hear the events that come after the cloning.
#[derive(Clone, Debug)]
pub struct TorrentHandle {
    torrent: TorrentKey,
    queue: Queue,
    events: Listener,
    throttle: Throttle,
}

impl TorrentHandle {
    pub(crate) fn new(torrent: TorrentKey, queue: Queue, events: Listener, throttle: Throttle) -> Self {
        Self { torrent, queue, events, throttle }
    }

    /// Gives this torrent rate limits of its own, or those of all torrents again; at once and for every
    /// connection. The upload slots follow.
    pub fn set_limits(&self, limits: Option<TorrentLimits>) {
        self.throttle.set_own_limits(self.torrent, limits);
        // A torrent that is gone sends nothing.
        let _ = self.queue.send(Happening::LimitsChanged);
    }

    /// Chooses files anew: how much each is wanted, by its number; a file that this does not reach is normal.
    pub fn set_priorities(&self, of_files: Vec<Priority>) {
        // A torrent that is gone wants nothing.
        let _ = self.queue.send(Happening::Priorities(of_files));
    }

    /// The next event, in order; nothing once the torrent is gone.
    pub async fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.next().await
    }

    /// A snapshot of the torrent and its peers; nothing once the torrent is gone.
    pub async fn stats(&self) -> Option<Stats> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Happening::Stats(reply)).ok()?;
        answer.await.ok()
    }

    /// The same with its name and its trackers: all that can be shown.
    pub async fn snapshot(&self) -> Option<TorrentSnapshot> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Happening::Snapshot(reply)).ok()?;
        answer.await.ok()
    }

    /// Asks the torrent to leave: it tells its trackers (for five seconds at the most), closes its connections,
    /// saves, and ends. The other torrents of the process go on.
    pub fn stop(&self) {
        // A torrent that is gone has stopped already.
        let _ = self.queue.send(Happening::Stop);
    }
}
