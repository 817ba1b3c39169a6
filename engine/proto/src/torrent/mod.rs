//! The peer engine: one torrent as this process works on it, as a pure machine.
//!
//! The driver feeds [`Input`]s and carries out [`Output`]s; see the crate's documentation for the order.
//!
//! | file | decides |
//! |---|---|
//! | `machine` | what a `Torrent` is; where each input goes |
//! | `peers` | who may stay connected; `messages` what their messages do |
//! | `priority` | whom to keep when every connection is taken |
//! | `candidates` | whom to dial, and when; `dials` how many at once |
//! | `stats` | what a user may know of it all; `client` which program a peer is |
//! | `discovery` | where peers may come from: the private flag |
//! | `fast` | the fast extension: one answer to each request, pieces for the choked |
//! | `extended` | the extension protocol; `pex` and `metadata` are its extensions |
//! | `metadata_fetch` | a machine of its own: from a magnet link to a torrent; `transcript` one peer's copy |
//! | `super_seed` | which piece to show to whom, while nobody else has it all |
//! | `wanted` | which pieces the user wants, how urgently; partial seeds |
//! | `interest` | which peers have something for us, exactly |
//! | `policy` | which piece comes next, who is served first: traits, and what is shipped of them |
//! | `picker` | the pieces that may be started, by rarity; `partials` which block of a started one |
//! | `requests` | what is asked of whom, and what frees it again; `endgame` when all is on order |
//! | `pipeline` | how many requests to keep at a peer, when to give up |
//! | `doubt` | pieces that may be gone from the storage |
//! | `verify` | writing, hashing, storage failures |
//! | `suspects` | who spoiled a piece, by block; `bans` who is refused, and why |
//! | `upload` | which request to serve, and how far ahead of the socket |
//! | `choker` | whom to serve; `slots` how many at once |
//! | `web_seed` | HTTP servers as sources of blocks: which gap to ask of whom, when to give up |
//! | `timers` | when to wake up, and why |

mod affinity;
mod bans;
mod candidates;
mod choker;
mod client;
mod dials;
mod disconnect;
mod discovery;
mod doubt;
mod endgame;
mod extended;
mod fast;
mod interest;
#[cfg(debug_assertions)]
mod invariants;
mod limits;
mod machine;
mod messages;
mod metadata;
mod metadata_fetch;
mod meter;
mod partials;
mod peers;
mod pex;
mod picker;
mod pipeline;
pub mod policy;
mod priority;
mod requests;
mod slots;
mod stats;
mod super_seed;
mod suspects;
mod timers;
mod transcript;
mod upload;
mod verify;
mod wanted;
mod web_seed;

#[cfg(test)]
mod tests;

pub use bans::{BanReason, Banned};
pub use disconnect::DisconnectReason;
pub use discovery::Source;
pub use limits::TorrentConfig;
pub use machine::Torrent;
pub use metadata_fetch::MetadataFetch;
pub use stats::{PeerStats, Stats};
pub use suspects::Giver;
pub use timers::Timer;
pub use web_seed::{AnswerHead, Body, Fetch, FetchKey, WebError, WebNews, WebSeedState, WebSeedStats};

use std::net::SocketAddr;

use bytes::Bytes;

use crate::id::{PeerId, PieceHash};
use crate::metainfo::Priority;
use crate::piece::{Block, PieceIndex};
use crate::rate::Rate;
use crate::wire::Message;

/// A connection, as the driver numbers it; never used twice in one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They dialled us.
    Incoming,
    /// We dialled them.
    Outgoing,
}

/// What the driver tells the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection's handshake is done: info hash checked, peer id known.
    Connected {
        /// The connection.
        peer: PeerKey,
        /// The address at the other end (its port is ephemeral if they dialled).
        addr: SocketAddr,
        /// The other side's name.
        id: PeerId,
        /// The handshake's eight reserved bytes.
        reserved: [u8; 8],
        /// Who dialled.
        direction: Direction,
    },
    /// Dialling or the handshake failed.
    ConnectFailed {
        /// The address that was dialled.
        addr: SocketAddr,
    },
    /// A connection ended, whoever closed it.
    Disconnected {
        /// The connection.
        peer: PeerKey,
    },
    /// A message arrived.
    Message {
        /// The connection.
        peer: PeerKey,
        /// What it said.
        message: Message,
    },
    /// Bytes of sent messages left for the socket; returns send credit.
    Sent {
        /// The connection.
        peer: PeerKey,
        /// Wire bytes.
        bytes: usize,
    },
    /// A [`Output::Write`] was carried out.
    Written {
        /// The block.
        block: Block,
        /// Did it reach the storage?
        ok: bool,
    },
    /// A [`Output::Hash`] was carried out; nothing if the piece could not be read.
    Hashed {
        /// The piece.
        piece: PieceIndex,
        /// Its hash as stored.
        hash: Option<PieceHash>,
    },
    /// A [`Output::Read`] was carried out; nothing if the storage failed.
    BlockRead {
        /// Who asked for it.
        peer: PeerKey,
        /// The block.
        block: Block,
        /// Its content.
        data: Option<Bytes>,
    },
    /// A [`Output::Fetch`] has news.
    Web(FetchKey, WebNews),
    /// Addresses of peers, and who named them.
    Candidates(Source, Vec<SocketAddr>),
    /// Another tracker answers than the one that named the peers: of a private torrent, none of them is kept.
    TrackerSwitched,
    /// Addresses at which we listen ourselves, of either family: they are not dialled, and peers are told the
    /// port (BEP 10).
    Ours(Vec<SocketAddr>),
    /// These pieces may be gone from the storage, or be others: a file was moved, cut or changed. They are not
    /// claimed any more until they were hashed again.
    Doubt(Vec<PieceIndex>),
    /// What the user wants: a priority for each piece, of which a missing one is normal, as all are at the
    /// start.
    Wanted(Vec<Priority>),
    /// What the user lets this torrent send, in bytes a second; nothing for no limit, as at the start. The
    /// upload slots follow it; that it is kept is the driver's part.
    UploadLimit(Rate),
    /// How many peers may be served at the most, of those that all torrents may serve together; no limit at the
    /// start. Too many are choked at the next round.
    UploadSlots(usize),
    /// Other torrents need connections: part with the one that is of least use.
    Part,
    /// Leave: say `stopped`, close everything.
    Stop,
}

/// What the machine asks of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial this address and shake hands.
    Connect {
        /// Where.
        addr: SocketAddr,
    },
    /// Close this connection; `Disconnected` must follow.
    Disconnect {
        /// The connection.
        peer: PeerKey,
        /// Why.
        reason: DisconnectReason,
    },
    /// Send a message.
    Send {
        /// The connection.
        peer: PeerKey,
        /// What to say.
        message: Message,
    },
    /// Write a received block.
    Write {
        /// The block.
        block: Block,
        /// Its content, exactly as long.
        data: Bytes,
    },
    /// Hash a whole piece as it stands in the storage.
    Hash {
        /// The piece.
        piece: PieceIndex,
    },
    /// Read a block to send it.
    Read {
        /// For whom.
        peer: PeerKey,
        /// The block.
        block: Block,
    },
    /// Ask a web seed for a range of a file.
    Fetch(Fetch),
    /// A fetch may take in so many bytes more.
    FetchMore {
        /// Which.
        key: FetchKey,
        /// Bytes.
        bytes: usize,
    },
    /// A fetch is not wanted any more; nothing need be said of it.
    FetchStop {
        /// Which.
        key: FetchKey,
    },
    /// Tell the tracker. `None` asks for a regular announce because more peers are wanted.
    Announce(Option<AnnounceEvent>),
    /// Something that a user or an oracle wants to know.
    Event(Event),
}

/// The three announce events (BEP 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceEvent {
    /// First announce.
    Started,
    /// The last piece came in; never sent if complete at start.
    Completed,
    /// Leaving.
    Stopped,
}

/// What happened to a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece passed its hash check.
    PieceVerified(PieceIndex),
    /// A piece failed its hash check and is fetched again.
    PieceFailed(PieceIndex),
    /// Somebody is refused from now on.
    Banned(Banned),
    /// A piece that was here is in doubt; it is verified again or fetched anew.
    PieceLost(PieceIndex),
    /// Every piece is in.
    Completed,
    /// Every wanted piece is in, but not every piece there is; also said if that was so already when the user
    /// chose.
    SelectionCompleted,
    /// The storage refused; downloading pauses.
    StorageFailed,
    /// A web seed failed, in another way than before; it may be tried again.
    WebSeedFailed {
        /// As the torrent has it.
        url: String,
        /// Why.
        error: WebError,
    },
}

/// Counters for the tracker and the user, in bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Payload bytes sent to peers.
    pub uploaded: u64,
    /// Payload bytes received from peers.
    pub downloaded: u64,
    /// Bytes of content not verified yet.
    pub left: u64,
}
