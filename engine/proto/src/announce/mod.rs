//! The tracker client: announces over BEP 15 with retries, and over HTTP (BEP 3), as a pure machine.
//!
//! One [`Announcer`] speaks for one torrent to the trackers of its tiers (BEP 12), one tracker at a time or, as
//! [`Reach`] says, to several at once; and over each family that we listen in (BEP 7, BEP 15): to a tracker the two
//! are two members of the swarm, each with its own connection id, retries and interval, under one key and one peer id.
//! The driver owns the socket and the resolver; it passes [`Input`]s in, each with the present
//! [`Progress`](crate::torrent::Progress), drains [`Announcer::poll_output`] after every call and calls
//! [`Announcer::handle_timeout`] when [`Announcer::poll_timeout`] says so.
//!
//! ```text
//!          started            address known        id known          answered
//!   Idle ───────────▶ Resolving ─────────▶ Connecting ─────▶ Announcing ─────▶ Waiting(interval)
//!                        │ no address          │ no answer      │ no answer        │ interval over,
//!                        └──────────┬──────────┴────────────────┘                  │ event, more peers
//!                                   ▼                                              ▼
//!                 the next tracker, or Waiting(retry) after the last     back to the first tracker
//! ```
//!
//! What ties the families together: a tracker *answers* if it does so over either, so nobody goes on to the
//! next one while a family can hope for this one (`Failed` waits for the other's outcome); a family without a
//! route keeps its 15·2ⁿ seconds and is no failure of the tracker; `started` and `stopped` are said over each,
//! `completed` over one (the other then says at once, without an event, that nothing is left): a tracker counts
//! its completed downloads, and this is one.
//!
//! A private torrent (BEP 27) has one tracker at a time, whatever `Reach` says, and stays with it until it fails;
//! its other trackers are not tried first again, as BEP 12 has it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::id::{InfoHash, PeerId};
use crate::torrent::AnnounceEvent;
use crate::tracker::{Family, TrackerUrl, TransactionId, UrlError};

mod announcer;
mod asks;
mod course;
mod replies;
mod step;
mod tiers;

#[cfg(test)]
mod tests;

pub use announcer::Announcer;

/// Trackers of one torrent that are used; a torrent file is hostile and may list thousands.
pub const MAX_TRACKERS: usize = 64;

/// Addresses of one tracker that are tried, in each family.
pub const MAX_ADDRS: usize = 4;

/// Peers of one reply that are passed on; BEP 15 says that 200 is what fits a datagram anyway.
pub const MAX_PEERS: usize = 200;

/// How long a client may use a connection id (BEP 15).
pub const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// The first wait for an answer; each round of retries doubles it (BEP 15: 15·2ⁿ seconds).
pub const FIRST_WAIT: Duration = Duration::from_secs(15);

/// The largest n of 15·2ⁿ (BEP 15).
pub const MAX_RETRY: u32 = 8;

/// How long an HTTP tracker may take, from the first packet to the last byte.
pub const HTTP_WAIT: Duration = Duration::from_secs(30);

/// How long `stopped` may take; users wait for it.
pub const STOP_WAIT: Duration = Duration::from_secs(5);

/// `stopped` is sent again after this long, for there is no time for 15 seconds.
pub const STOP_RETRY: Duration = Duration::from_secs(2);

/// The longest interval that a tracker is believed: a day.
pub const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Which trackers hear of us. A torrent's trackers may be strangers to each other, with other peers each: who
/// announces to more of them finds more peers, and is more of a burden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The first that answers; the others are its reserve (BEP 12).
    #[default]
    OneTracker,
    /// The first of each tier that answers.
    EachTier,
    /// Every one.
    EachTracker,
}

/// What an [`Announcer`] needs to know for good.
#[derive(Clone, Debug)]
pub struct AnnounceConfig {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Our name on the wire.
    pub peer_id: PeerId,
    /// The families that we listen in, each with its port.
    pub ports: Vec<(Family, u16)>,
    /// URLs in tiers (BEP 12).
    pub tiers: Vec<Vec<String>>,
    /// How many of them are announced to.
    pub reach: Reach,
    /// The torrent is private (BEP 27).
    pub private: bool,
    /// Peers to ask for.
    pub num_want: u32,
    /// The shortest interval that a tracker may order.
    pub min_interval: Duration,
    /// The shortest time between two announces without an event, however many peers are wanted.
    pub min_gap: Duration,
}

impl AnnounceConfig {
    /// The production settings; `listen` has an address for each family.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, listen: &[SocketAddr], tiers: Vec<Vec<String>>) -> Self {
        Self {
            info_hash,
            peer_id,
            ports: listen.iter().map(|&addr| (Family::of(addr), addr.port())).collect(),
            tiers,
            reach: Reach::default(),
            private: false,
            num_want: 50,
            min_interval: Duration::from_secs(10),
            min_gap: Duration::from_secs(60),
        }
    }
}

/// What the driver tells the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The torrent has news, or nothing but the wish for more peers. The first is `Started`, the last
    /// `Stopped`; a second `Completed` and one of a torrent that was complete at the start are ignored.
    Announce(Option<AnnounceEvent>),
    /// An [`Output::Resolve`] was carried out. `addrs` holds only families that the driver can send to and
    /// is empty if there is none; each family takes its own.
    Resolved {
        /// As asked for.
        host: String,
        /// As asked for.
        port: u16,
        /// In the order of preference.
        addrs: Vec<SocketAddr>,
    },
    /// A datagram arrived; strangers' are ignored.
    Datagram {
        /// Its source.
        from: SocketAddr,
        /// Its content.
        payload: Bytes,
    },
    /// An [`Output::Get`] was carried out.
    Got {
        /// As asked for.
        transaction: TransactionId,
        /// The body, or why there is none.
        outcome: Result<Bytes, GetError>,
    },
}

/// Why an HTTP tracker gave nothing to read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GetError {
    /// Nothing answered.
    #[error("the tracker does not answer")]
    NoAnswer,
    /// It answered, but not with the body of a good response; in words for a person.
    #[error("{0}")]
    Http(String),
}

/// What the machine asks of the driver, or tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Look up a name.
    Resolve {
        /// A name or an address literal.
        host: String,
        /// The port that belongs to it.
        port: u16,
    },
    /// Send a datagram.
    SendTo {
        /// Where.
        addr: SocketAddr,
        /// What.
        payload: Bytes,
    },
    /// Ask an HTTP tracker; [`Input::Got`] is the answer.
    Get {
        /// Names the answer.
        transaction: TransactionId,
        /// An address of the tracker.
        addr: SocketAddr,
        /// What to ask for.
        url: TrackerUrl,
        /// After this long nobody waits for the answer.
        patience: Duration,
    },
    /// A tracker has something to say to the user.
    Warned {
        /// Which tracker.
        url: String,
        /// Its words, safe to print.
        text: String,
    },
    /// Another tracker than before answers for a private torrent: all that is known of peers was the old one's
    /// word and is void (BEP 27).
    Switched,
    /// Peers of the swarm: at most [`MAX_PEERS`], dialable in form, perhaps ourselves among them.
    Peers(Vec<SocketAddr>),
    /// A tracker answered an announce.
    Announced {
        /// Which tracker.
        url: String,
        /// The family over which it was asked; trackers may count the members of that one or of both.
        family: Family,
        /// Peers that have everything.
        seeders: u32,
        /// Peers that still download.
        leechers: u32,
        /// Until the next regular announce.
        interval: Duration,
    },
    /// A tracker cannot be used at present. Said once until it answers or fails in another way; it is
    /// tried again all the same, unless its URL is wrong.
    Failed {
        /// Which tracker.
        url: String,
        /// Why.
        error: AnnounceError,
    },
    /// The machine has stopped: `stopped` was answered, or need not be, or took too long.
    Done,
}

/// Why a tracker cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnnounceError {
    /// The URL is none of ours.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The name has no address that we can reach.
    #[error("no address is known for {host}")]
    Unresolved {
        /// The name.
        host: String,
    },
    /// Nothing came back.
    #[error("the tracker does not answer")]
    NoAnswer,
    /// The tracker said no.
    #[error("the tracker refuses: {0}")]
    Refused(String),
    /// An HTTP tracker answered with something that is no tracker's answer.
    #[error("{0}")]
    Http(String),
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// An answer, of the resolver or the tracker.
    Answer,
    /// The next regular announce.
    Interval,
    /// The next try after every tracker failed.
    Retry,
    /// The end of patience with `stopped`.
    Stop,
}

/// Addresses that can be dialled: no port 0, no multicast; v4-mapped ones as IPv4 (BEP 7).
fn dialable(peers: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let usable =
        |addr: &SocketAddr| addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast();
    peers.into_iter().map(canonical).filter(usable).take(MAX_PEERS).collect()
}
