//! Why we close a connection: one variant for each reason, grouped by blame, readable in a log.

use thiserror::Error;

/// Why we close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum DisconnectReason {
    // Nobody's fault.
    /// The torrent stops.
    #[error("the torrent stops")]
    Stopping,
    /// Both sides have everything.
    #[error("both sides are complete")]
    BothComplete,
    /// Neither side wants anything of the other, unless it chooses more (BEP 21).
    #[error("neither side wants to download")]
    BothUploadOnly,
    /// We lost pieces that it was told of, and it does not speak the extension in which to say so.
    #[error("pieces that it was told of are lost")]
    LostPieces,
    /// Every connection slot is taken.
    #[error("no free connection slot")]
    TooManyPeers,
    /// Its slot went to a peer of higher priority (BEP 40).
    #[error("made room for a peer of higher priority")]
    Outranked,
    /// Its place went to another torrent, which had fewer.
    #[error("made room for another torrent")]
    Shared,
    /// The other end is this very torrent.
    #[error("connected to itself")]
    SelfConnection,
    /// A connection with the same peer id exists.
    #[error("already connected to this peer id")]
    DuplicatePeer,
    /// Its address came from another tracker of a private torrent (BEP 27).
    #[error("known from the tracker that was used before")]
    TrackerSwitched,
    /// It does not hand out metadata, at least not now.
    #[error("has no metadata to give")]
    NoMetadata,
    /// Nothing was received for too long.
    #[error("silent for too long")]
    Idle,
    /// Neither side wants anything of the other for long, and others wait for a connection.
    #[error("of no use to either side while others wait")]
    Useless,
    /// Too many connections come from its address.
    #[error("too many connections from its address")]
    TooManyFromAddress,
    /// The other side does not read what we send.
    #[error("does not read what we send")]
    NotReading,

    // The peer's bytes.
    /// A bitfield of the wrong length or with spare bits set.
    #[error("malformed bitfield")]
    BadBitfield,
    /// `have` for a piece that does not exist.
    #[error("`have` for a piece that does not exist")]
    BadHave,
    /// A request out of range or longer than a block.
    #[error("request out of range")]
    BadRequest,
    /// A block out of range.
    #[error("block out of range")]
    BadBlock,
    /// A message of the fast extension, which was not agreed on.
    #[error("fast extension message without the extension")]
    FastNotAgreed,

    /// A suggestion or permission for a piece that does not exist.
    #[error("fast extension message for a piece that does not exist")]
    BadFastPiece,
    /// An extended message that cannot be read.
    #[error("malformed extended message")]
    BadExtension,

    // The peer's behaviour.
    /// `have all` or `have none` after the first message.
    #[error("`have all` or `have none` after the first message")]
    LateSummary,
    /// Metadata that is wrong, or that was not asked for; its address is refused if it was wrong.
    #[error("sent bad metadata")]
    BadMetadata,
    /// It rejects requests that were never made.
    #[error("rejects of requests that were never made")]
    StrayRejects,
    /// Peer exchange far more often than once a minute.
    #[error("peer exchange far too often")]
    GossipFlood,
    /// A request for a piece that we never announced.
    #[error("request for a piece we do not have")]
    RequestedMissing,
    /// More requests queued than any client needs.
    #[error("too many requests queued")]
    RequestFlood,
    /// Blocks that were never requested, beyond any race.
    #[error("blocks that were never requested")]
    Unsolicited,
    /// It sent pieces that fail their hash check; its address is refused from now on.
    #[error("sent bad pieces")]
    Poisoner,
}
