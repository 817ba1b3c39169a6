//! The one queue through which everything reaches a torrent's loop, in the order in which it happened.
//!
//! One queue means that nothing starves and that the order is the runtime's alone. It has no length of its
//! own because each kind of entry is limited where it arises: a connection has at most one entry, disk jobs
//! are capped, datagrams and handshakes under way hold a permit, and each waiting user has one question or wish.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::metainfo::Priority;
use proto::piece::{Block, PieceIndex};
use proto::resume::Stamp;
use proto::torrent::{FetchKey, PeerKey, Source, Stats, WebNews};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::peer::Link;
use crate::snapshot::TorrentSnapshot;
use crate::storage::Loss;

/// Where happenings go in.
pub(crate) type Queue = UnboundedSender<Happening>;

/// Where the loop takes them out.
pub(crate) type Happenings = UnboundedReceiver<Happening>;

/// Something that the loop must hear of.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A connection has something in its mailbox.
    Ready(PeerKey),
    /// Somebody dialled us; the handshake is under way.
    Knock {
        /// The new connection.
        key: PeerKey,
        /// Where they dialled from.
        addr: SocketAddr,
        /// The loop's end of its mailbox.
        link: Link,
    },
    /// A dial has its place among the process's connections.
    Place(PeerKey),
    /// Other torrents need a connection of ours.
    Part,
    /// A disk job has ended.
    Disk(Done),
    /// For the announcer; the permit limits how many wait here.
    Announce(proto::announce::Input, Option<OwnedSemaphorePermit>),
    /// Somebody other than a tracker or a peer names a peer. How many wait here is limited by who finds them.
    Named(Source, SocketAddr),
    /// A user chooses files: a priority for each.
    Priorities(Vec<Priority>),
    /// A web seed has news. How many bytes wait here is limited by the core's credit.
    Web(FetchKey, WebNews),
    /// The rate limits changed.
    LimitsChanged,
    /// A user asks.
    Stats(oneshot::Sender<Stats>),
    /// A user asks for all that can be shown.
    Snapshot(oneshot::Sender<TorrentSnapshot>),
    /// A user wants to stop.
    Stop,
}

/// A disk job's result.
#[derive(Debug)]
pub(crate) enum Done {
    /// A block was written, or not.
    Written(Block, io::Result<()>),
    /// A piece was hashed, or could not be.
    Hashed(PieceIndex, io::Result<PieceHash>),
    /// A block was read for a peer, or could not be.
    Read(PeerKey, Block, io::Result<Bytes>),
    /// What was lost of the files, and whether what was written is safe: the files as they looked when the flush
    /// began.
    Flushed(Vec<Loss>, io::Result<Vec<Option<Stamp>>>),
    /// The resume record was written, or not.
    Kept(io::Result<()>),
    /// The files that are not what they were.
    Audited(Vec<Loss>),
    /// The storage knows which files are wanted, or could not do its part.
    Selected(io::Result<()>),
}
