//! What a client says to a tracker (BEP 15): connect, announce, scrape.
//!
//! Requests borrow from the datagram, so that a busy tracker decodes without allocating.

use bytes::{Buf, BufMut};

use super::{
    ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_SCRAPE, ConnectionId, DecodeError, MAX_SCRAPE, PROTOCOL_ID,
    TransactionId, at_least,
};
use crate::id::{ID_LEN, InfoHash, PeerId};
use crate::torrent::{AnnounceEvent, Progress};

/// Bytes of every request's head, and the whole of a connect.
const HEAD_LEN: usize = 16;

/// Bytes of an announce without options: no padding to 104, whatever a C compiler says.
pub const ANNOUNCE_LEN: usize = 98;

/// A request, as decoded from a datagram or about to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Asks for a connection id.
    Connect {
        /// The client's choice.
        transaction: TransactionId,
    },
    /// Joins, stays in or leaves a swarm.
    Announce(AnnounceRequest<'a>),
    /// Asks for counts.
    Scrape(ScrapeRequest<'a>),
}

/// An announce. The packet's `ip` field is sent as zero and ignored on receipt: the source address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceRequest<'a> {
    /// From an earlier connect.
    pub connection: ConnectionId,
    /// The client's choice.
    pub transaction: TransactionId,
    /// The swarm.
    pub info_hash: InfoHash,
    /// The client's name on the wire.
    pub peer_id: PeerId,
    /// Bytes up, down and left.
    pub progress: Progress,
    /// Nothing for a regular announce. Numbers that BEP 15 does not define read as nothing, because
    /// clients in use send 4 for "paused" (BEP 21).
    pub event: Option<AnnounceEvent>,
    /// Names the client when its address changes.
    pub key: u32,
    /// Peers wanted; nothing (−1 on the wire) leaves it to the tracker.
    pub num_want: Option<u32>,
    /// Where the client listens.
    pub port: u16,
    /// The raw options of BEP 41; see [`super::options`].
    pub options: &'a [u8],
}

/// A scrape of up to [`MAX_SCRAPE`] swarms; the reply has their counts in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrapeRequest<'a> {
    /// From an earlier connect.
    pub connection: ConnectionId,
    /// The client's choice.
    pub transaction: TransactionId,
    /// Raw info hashes.
    pub hashes: &'a [[u8; ID_LEN]],
}

impl<'a> Request<'a> {
    /// Reads one datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        at_least(bytes, HEAD_LEN, "a request")?;
        let mut rest = bytes;
        let connection = rest.get_u64();
        let action = rest.get_u32();
        let transaction = TransactionId(rest.get_u32());
        match action {
            ACTION_CONNECT if connection == PROTOCOL_ID => Ok(Self::Connect { transaction }),
            ACTION_CONNECT => Err(DecodeError::Protocol(connection)),
            ACTION_ANNOUNCE => {
                at_least(bytes, ANNOUNCE_LEN, "an announce")?;
                Ok(Self::Announce(AnnounceRequest::decode(ConnectionId(connection), transaction, rest)))
            }
            ACTION_SCRAPE => {
                let (hashes, _tail) = rest.as_chunks::<ID_LEN>();
                let hashes = hashes.get(..MAX_SCRAPE).unwrap_or(hashes);
                Ok(Self::Scrape(ScrapeRequest { connection: ConnectionId(connection), transaction, hashes }))
            }
            other => Err(DecodeError::Action(other)),
        }
    }

    /// Appends the packet to `out`.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Connect { transaction } => put_head(out, PROTOCOL_ID, ACTION_CONNECT, *transaction),
            Self::Announce(announce) => announce.encode(out),
            Self::Scrape(scrape) => {
                put_head(out, scrape.connection.0, ACTION_SCRAPE, scrape.transaction);
                out.put_slice(scrape.hashes.as_flattened());
            }
        }
    }
}

impl<'a> AnnounceRequest<'a> {
    /// Reads what follows the head; the caller has checked the length.
    fn decode(connection: ConnectionId, transaction: TransactionId, mut rest: &'a [u8]) -> Self {
        let mut id = || {
            let mut id = [0; ID_LEN];
            rest.copy_to_slice(&mut id);
            id
        };
        let (info_hash, peer_id) = (InfoHash(id()), PeerId(id()));
        let (downloaded, left, uploaded) = (rest.get_u64(), rest.get_u64(), rest.get_u64());
        let event = event_from_wire(rest.get_u32());
        let _ip = rest.get_u32();
        Self {
            connection,
            transaction,
            info_hash,
            peer_id,
            progress: Progress { uploaded, downloaded, left },
            event,
            key: rest.get_u32(),
            num_want: u32::try_from(rest.get_i32()).ok(),
            port: rest.get_u16(),
            options: rest,
        }
    }

    fn encode(&self, out: &mut impl BufMut) {
        put_head(out, self.connection.0, ACTION_ANNOUNCE, self.transaction);
        out.put_slice(&self.info_hash.0);
        out.put_slice(&self.peer_id.0);
        out.put_u64(self.progress.downloaded);
        out.put_u64(self.progress.left);
        out.put_u64(self.progress.uploaded);
        out.put_u32(event_to_wire(self.event));
        out.put_u32(0);
        out.put_u32(self.key);
        out.put_i32(self.num_want.map_or(-1, |n| i32::try_from(n).unwrap_or(i32::MAX)));
        out.put_u16(self.port);
        out.put_slice(self.options);
    }
}

fn put_head(out: &mut impl BufMut, connection: u64, action: u32, transaction: TransactionId) {
    out.put_u64(connection);
    out.put_u32(action);
    out.put_u32(transaction.0);
}

const fn event_from_wire(event: u32) -> Option<AnnounceEvent> {
    match event {
        1 => Some(AnnounceEvent::Completed),
        2 => Some(AnnounceEvent::Started),
        3 => Some(AnnounceEvent::Stopped),
        _ => None,
    }
}

const fn event_to_wire(event: Option<AnnounceEvent>) -> u32 {
    match event {
        None => 0,
        Some(AnnounceEvent::Completed) => 1,
        Some(AnnounceEvent::Started) => 2,
        Some(AnnounceEvent::Stopped) => 3,
    }
}
