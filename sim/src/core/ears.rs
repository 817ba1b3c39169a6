//! What listens to a core swarm while it runs: the judge of the protocol's rules, the digest, and a trace of what
//! happened last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use proto::bitfield::Bitfield;
use proto::piece::PieceIndex;
use proto::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use super::event::number_at;
use crate::oracle::{Court, Holdings};
use crate::trace::{Entry, Kind, MessageBody};
use crate::wiretap::{Event, Listen as _, Way, What};

/// Since when a peer holds each piece, by its machine's word; what it lacks and does not want it may count as held.
#[derive(Clone, Debug)]
pub(super) struct Held(Arc<Mutex<Vec<Option<Duration>>>>);

impl Held {
    pub(super) fn nothing(pieces: u32) -> Self {
        Self(Arc::new(Mutex::new(vec![None; pieces as usize])))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Option<Duration>>) -> T) -> T {
        // Nothing is left half done in it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A process starts with these.
    pub(super) fn begin(&self, have: &Bitfield, pieces: impl Iterator<Item = PieceIndex>, now: Instant) {
        let since = now.since(Instant::ZERO);
        self.with(|held| *held = pieces.map(|piece| have.has(piece).then_some(since)).collect());
    }

    pub(super) fn set(&self, piece: PieceIndex, since: Option<Instant>) {
        let since = since.map(|now| now.since(Instant::ZERO));
        self.with(|held| held.get_mut(piece.as_usize()).into_iter().for_each(|place| *place = since));
    }

    pub(super) fn has(&self, piece: PieceIndex) -> bool {
        self.with(|held| held.get(piece.as_usize()).copied().flatten().is_some())
    }
}

impl Holdings for Held {
    fn look(&self, see: &mut dyn FnMut(&[Option<Duration>])) {
        self.with(|held| see(held));
    }
}

/// Everybody who listens.
pub(super) struct Ears {
    pub(super) court: Court,
    digest: Xxh3,
    scratch: BytesMut,
    trace: Option<Trace>,
    /// Messages that were said.
    pub(super) messages: u64,
}

/// The last events, by name.
struct Trace {
    names: Vec<String>,
    last: VecDeque<Entry>,
    most: usize,
}

impl Ears {
    /// Listens; of the trace it keeps the last `most` events of the hosts of these names.
    pub(super) fn new(court: Court, names: Vec<String>, most: usize) -> Self {
        let trace = (most > 0).then(|| Trace { names, last: VecDeque::new(), most });
        Self { court, digest: Xxh3::new(), scratch: BytesMut::new(), trace, messages: 0 }
    }

    /// Something crossed a stream.
    pub(super) fn hear(&mut self, event: &Event) {
        self.messages += u64::from(event.way == Way::Said);
        self.count(event);
        if let Some(trace) = &mut self.trace {
            trace.hear(event);
        }
        self.court.hear(event);
    }

    fn count(&mut self, event: &Event) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&event.at.as_micros().to_le_bytes());
        self.scratch.extend_from_slice(&event.line.number.to_le_bytes());
        self.scratch.extend_from_slice(&[event.way as u8]);
        match &event.what {
            What::Handshake(handshake) => self.scratch.extend_from_slice(&handshake.encode()),
            What::Message(message) => message.encode(&mut self.scratch),
            What::Block(block) => {
                for number in [block.piece, block.offset, block.len] {
                    self.scratch.extend_from_slice(&number.to_le_bytes());
                }
            }
            What::Garbage => self.scratch.extend_from_slice(b"?"),
            What::Closed => self.scratch.extend_from_slice(b"."),
        }
        self.digest.update(&self.scratch);
    }

    /// Something else happened to a host.
    pub(super) fn note(&mut self, now: Instant, host: usize, what: impl FnOnce() -> String) {
        let what = what();
        self.digest.update(&now.as_micros().to_le_bytes());
        self.digest.update(&[host as u8]);
        self.digest.update(what.as_bytes());
        if let Some(trace) = &mut self.trace {
            let host = trace.names.get(host).cloned().unwrap_or_else(|| "tracker".to_owned());
            trace.keep(Entry { micros: now.as_micros(), host, peer: None, kind: Kind::Noted { what } });
        }
    }

    /// The digest of all that was heard, as hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        format!("{:032x}", self.digest.digest128())
    }

    /// What happened last.
    pub(super) fn last(&mut self) -> Vec<Entry> {
        self.trace.take().map(|trace| trace.last.into()).unwrap_or_default()
    }
}

impl Trace {
    fn hear(&mut self, event: &Event) {
        let kind = match (&event.what, event.way) {
            (What::Closed, Way::Heard) => return,
            (What::Closed, Way::Said) => Kind::Closed,
            (what, Way::Said) => Kind::Said(MessageBody::of_event(what)),
            (what, Way::Heard) => Kind::Heard(MessageBody::of_event(what)),
        };
        let host = self.names.get(event.line.host).cloned().unwrap_or_default();
        let peer = Some(format!("peer-{}", number_at(event.line.peer)));
        self.keep(Entry { micros: event.at.as_micros(), host, peer, kind });
    }

    fn keep(&mut self, entry: Entry) {
        if self.last.len() == self.most {
            self.last.pop_front();
        }
        self.last.push_back(entry);
    }
}
