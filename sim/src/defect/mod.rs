//! Defects: environments that make a sound engine behave like a broken one, to prove that the bench would notice.
//!
//! A defect never touches the engine. It stands between the engine and what the runner gives it: the streams to
//! its peers, its datagrams, its disk, its settings. A [`Defect`] says what it changes on the way and leaves the
//! rest as it is; [`Tampered`] says who has which. Only tests use them.
//!
//! ```text
//! engine ──says──▶ Defect ──▶ (wiretap) ──▶ network        disk ──reads, hashes──▶ Defect ──▶ engine
//!        ◀─hears──        ◀──           ◀──
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use engine::EngineConfig;
use proto::id::{PeerId, PieceHash};
use proto::piece::{Block, PieceIndex};
use proto::time::Instant;
use proto::wire::Message;

pub mod catalogue;
pub mod choice;
pub mod company;
mod disk;
mod stream;
mod wire;

pub(crate) use disk::TamperedStorage;
pub(crate) use wire::TamperedTransport;

/// A stream of the tampered host, and when something crosses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// True time.
    pub now: Instant,
    /// The stream, as numbered by this host.
    pub line: u64,
    /// The address at the other end.
    pub peer: SocketAddr,
}

/// What is wrong with a host. Every method is honest unless it is overridden; one value serves all lives of a host.
pub trait Defect: Send {
    /// Settings of the engine.
    fn configures(&mut self, config: &mut EngineConfig) {
        let _ = config;
    }

    /// Whoever is at the other end says what it is called; the engine hears this name instead.
    fn meets(&mut self, at: At, name: PeerId) -> PeerId {
        let _ = at;
        name
    }

    /// The engine says a message; these are sent instead. To delay one is to return it later.
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let _ = at;
        vec![message]
    }

    /// A message comes in; the engine hears these instead.
    fn hears(&mut self, at: At, message: Message) -> Vec<Message> {
        let _ = at;
        vec![message]
    }

    /// The engine reads from a stream; does it find it ended?
    fn cuts(&mut self, at: At) -> bool {
        let _ = at;
        false
    }

    /// The host sends a datagram (its peers talk over streams, so that is to or from a tracker).
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        vec![datagram]
    }

    /// A datagram comes in.
    fn receives(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        vec![datagram]
    }

    /// The disk is asked for a block, and would give `data`.
    fn reads(&mut self, block: Block, data: Bytes) -> Bytes {
        let _ = block;
        data
    }

    /// The disk is asked to make safe what was written; does it, or does it only say so?
    fn flushes(&mut self) -> bool {
        true
    }

    /// The disk is asked for the hash of what is stored; `right` is the one that the torrent file has.
    fn hashes(&mut self, piece: PieceIndex, stored: PieceHash, right: PieceHash) -> PieceHash {
        let _ = (piece, right);
        stored
    }
}

/// A host's defect, shared by all its streams and its disk.
#[derive(Clone)]
pub(crate) struct SharedDefect(Arc<Mutex<dyn Defect>>);

impl SharedDefect {
    /// One for one host.
    pub(crate) fn new(defect: impl Defect + 'static) -> Self {
        Self(Arc::new(Mutex::new(defect)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, dyn Defect + 'static> {
        // A defect that panicked fails its test anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedDefect")
    }
}

type Make = Box<dyn Fn() -> SharedDefect>;

/// Who has which defect.
#[derive(Default)]
pub struct Tampered(Vec<(String, Make)>);

impl Tampered {
    /// Nobody has any.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// `who`, and nobody else: a peer, a group of peers or `"tracker"`. Each host gets a defect of its own.
    pub fn only<D: Defect + 'static>(who: &str, defect: impl Fn() -> D + 'static) -> Self {
        Self::nobody().and(who, defect)
    }

    /// `who` as well.
    #[must_use]
    pub fn and<D: Defect + 'static>(mut self, who: &str, defect: impl Fn() -> D + 'static) -> Self {
        let make = move || SharedDefect::new(defect());
        self.0.push((who.to_owned(), Box::new(make)));
        self
    }

    /// The defect of the host called `name`.
    pub(crate) fn of(&self, name: &str) -> Option<SharedDefect> {
        let is_of = |who: &str| {
            let number = name.strip_prefix(who).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        self.0.iter().find(|(who, _)| is_of(who)).map(|(_, make)| make())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;
    impl Defect for Nothing {}

    #[test]
    fn a_group_is_named_by_its_name_and_a_peer_by_its_own() {
        let has = |who: &str, name: &str| Tampered::only(who, || Nothing).of(name).is_some();
        assert!(has("leecher", "leecher-12") && has("leecher-12", "leecher-12") && has("seeder", "seeder"));
        assert!(
            !has("leecher-1", "leecher-2") && !has("leecher", "leecher-late") && !has("seeder", "tracker")
        );
    }
}
