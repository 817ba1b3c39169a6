//! One thing that happened, as JSON or as a line for people.

use std::fmt;

use proto::time::Instant;
use proto::wire::{Message, RawBlock};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::names::Names;
use crate::network::{Drop, Passage};
use crate::wiretap::{Event, What};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Simulated time in microseconds.
    pub micros: u64,
    /// To whom, or by whom.
    pub host: String,
    /// Who was at the other end, if somebody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Kind {
    /// A fault or a completion.
    Noted {
        /// In words.
        what: String,
    },
    /// The host's program wrote a message to the peer.
    Said(MessageBody),
    /// The host's program read a message of the peer's.
    Heard(MessageBody),
    /// The host's program closed its end, in one direction.
    Closed,
    /// A packet for the host came out of its line.
    Delivered {
        /// Of the IP packet.
        bytes: u32,
        /// Of what it carries, as 16 hexadecimal digits.
        hash: String,
    },
    /// A packet for the host was lost.
    Dropped {
        /// Of the IP packet.
        bytes: u32,
        /// Where.
        why: String,
    },
}

/// A message between peers; of a bitfield and of extensions the length is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBody {
    /// Its name.
    pub message: String,
    /// The piece that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<u32>,
    /// Bytes from the start of the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// Bytes of a block, or of what else it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u32>,
}

impl MessageBody {
    fn plain(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }

    fn piece(message: &str, piece: u32) -> Self {
        Self { piece: Some(piece), ..Self::plain(message) }
    }

    fn bytes(message: &str, bytes: usize) -> Self {
        Self { bytes: Some(bytes as u32), ..Self::plain(message) }
    }

    fn block(message: &str, block: RawBlock) -> Self {
        let RawBlock { piece, offset, len } = block;
        Self { offset: Some(offset), bytes: Some(len), ..Self::piece(message, piece) }
    }

    /// Of what crossed a stream; nothing is said of its end.
    pub(crate) fn of_event(what: &What) -> Self {
        match what {
            What::Handshake(_) => Self::plain("handshake"),
            What::Message(message) => Self::of(message),
            What::Block(block) => Self::block("block", *block),
            What::Garbage => Self::plain("garbage"),
            What::Closed => Self::default(),
        }
    }

    fn of(message: &Message) -> Self {
        match message {
            Message::KeepAlive => Self::plain("keep-alive"),
            Message::Choke => Self::plain("choke"),
            Message::Unchoke => Self::plain("unchoke"),
            Message::Interested => Self::plain("interested"),
            Message::NotInterested => Self::plain("not interested"),
            Message::Have { piece } => Self::piece("have", *piece),
            Message::Bitfield(bits) => Self::bytes("bitfield", bits.len()),
            Message::Request(block) => Self::block("request", *block),
            Message::Piece { piece, offset, data } => {
                Self::block("block", RawBlock { piece: *piece, offset: *offset, len: data.len() as u32 })
            }
            Message::Cancel(block) => Self::block("cancel", *block),
            Message::Port(port) => Self::plain(&format!("port {port}")),
            Message::Suggest { piece } => Self::piece("suggest", *piece),
            Message::HaveAll => Self::plain("have all"),
            Message::HaveNone => Self::plain("have none"),
            Message::Reject(block) => Self::block("reject", *block),
            Message::AllowedFast { piece } => Self::piece("allowed fast", *piece),
            Message::Extended { id: 0, payload } => Self::bytes("extension handshake", payload.len()),
            Message::Extended { id, payload } => Self::bytes(&format!("extension {id}"), payload.len()),
            Message::Unknown { id } => Self::plain(&format!("unknown message {id}")),
        }
    }
}

impl Entry {
    pub(super) fn note(at: Instant, names: &Names, what: &str) -> Self {
        // A completion begins with whose it is; a fault ends with the place of whom it befalls.
        let peer = what.split_once(" Peer(").and_then(|(fault, place)| {
            let place: usize = place.strip_suffix(')')?.parse().ok()?;
            Some((names.host(place + 1), fault))
        });
        let first = || what.split(' ').next().filter(|name| names.knows(name)).unwrap_or("tracker");
        let (host, what) = peer.unwrap_or_else(|| (first().to_owned(), what));
        let what = what.strip_prefix(&format!("{host} ")).unwrap_or(what).to_owned();
        Self { micros: at.as_micros(), host, peer: None, kind: Kind::Noted { what } }
    }

    pub(super) fn packet(at: Instant, names: &Names, passage: Passage<'_>, why: Option<Drop>) -> Self {
        let Passage { from, to, bytes, .. } = passage;
        let kind = why.map_or_else(
            || Kind::Delivered { bytes, hash: format!("{:016x}", xxh3_64(passage.content())) },
            |why| Kind::Dropped { bytes, why: why.to_string() },
        );
        Self { micros: at.as_micros(), host: names.at(to), peer: Some(names.at(from)), kind }
    }

    /// Nothing for the end of one direction that the other direction tells as well.
    pub(super) fn message(names: &Names, event: &Event, is_said: bool) -> Option<Self> {
        let kind = match (&event.what, is_said) {
            (What::Closed, false) => return None,
            (What::Closed, true) => Kind::Closed,
            (what, true) => Kind::Said(MessageBody::of_event(what)),
            (what, false) => Kind::Heard(MessageBody::of_event(what)),
        };
        let (host, peer) = (names.host(event.line.host), Some(names.at(event.line.peer)));
        Some(Self { micros: event.at.as_micros(), host, peer, kind })
    }

    /// The piece that it is about.
    pub const fn piece(&self) -> Option<u32> {
        match &self.kind {
            Kind::Said(body) | Kind::Heard(body) => body.piece,
            Kind::Noted { .. } | Kind::Closed | Kind::Delivered { .. } | Kind::Dropped { .. } => None,
        }
    }
}

impl fmt::Display for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.piece.map_or(Ok(()), |piece| write!(f, " {piece}"))?;
        self.offset.map_or(Ok(()), |offset| write!(f, " at {offset}"))?;
        self.bytes.map_or(Ok(()), |bytes| write!(f, " ({bytes} bytes)"))
    }
}

/// Columns for the time and for each of the two names.
const NAME: usize = 12;

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let (host, peer) = (&self.host, self.peer.as_deref().unwrap_or_default());
        let line = |f: &mut fmt::Formatter<'_>, arrow: &str, what: &dyn fmt::Display| {
            write!(f, "{seconds:>6}.{micros:06}  {host:<NAME$} {arrow} {peer:<NAME$} {what}")
        };
        match &self.kind {
            Kind::Noted { what } => line(f, "●", what),
            Kind::Said(body) => line(f, "→", body),
            Kind::Heard(body) => line(f, "←", body),
            Kind::Closed => line(f, "╳", &"closed"),
            Kind::Delivered { bytes, hash } => line(f, "⇐", &format!("packet ({bytes} bytes, {hash})")),
            Kind::Dropped { bytes, why } => line(f, "⇍", &format!("packet ({bytes} bytes) lost: {why}")),
        }
    }
}
