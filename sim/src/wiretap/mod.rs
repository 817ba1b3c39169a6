//! A wiretap: what crosses every stream between peers, as typed events in the order in which it happens.
//!
//! It sits at each host's socket, so it sees what the host has *said* and *heard* in the host's own order, which
//! is what its conduct is judged by: a request that crosses a choke on the way is no misdeed. Nothing is kept;
//! listeners consume the events while the run goes on. Payload is counted, not copied.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proto::time::Instant;
use proto::wire::{Handshake, Message, RawBlock};

mod asking;
mod scanner;
#[cfg(test)]
mod tests;

pub use asking::Asking;
pub use scanner::Scanner;

use crate::world::virtual_time;

/// One end of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// A number that no other end of a stream has.
    pub number: u64,
    /// The host whose end it is, by its place in the world.
    pub host: usize,
    /// The address at the other end; its port is ephemeral if the other end dialled.
    pub peer: SocketAddr,
}

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The host's program wrote it.
    Said,
    /// The host's program read it.
    Heard,
}

/// What crossed a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The 68 bytes that open a connection.
    Handshake(Handshake),
    /// A message other than a block.
    Message(Message),
    /// A block, all of it; its content was passed over.
    Block(RawBlock),
    /// Bytes that are no message: nothing more of this direction is understood.
    Garbage,
    /// The host's program closed this direction.
    Closed,
}

/// Something that crossed a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// True time.
    pub at: Instant,
    /// The earliest time at which the program can have decided to say this: what waits behind a full socket may be
    /// older than it looks. What was heard is never older than `at`.
    pub since: Instant,
    /// Where.
    pub line: Line,
    /// Said or heard.
    pub way: Way,
    /// What.
    pub what: What,
}

/// Consumes events as they happen.
pub trait Listen: Send {
    /// One more event; times never go back.
    fn hear(&mut self, event: &Event);
}

/// Who listens; shared with whoever wants to know the outcome.
pub type Listener = Arc<Mutex<dyn Listen>>;

/// Tells two listeners, the first one first.
pub fn both(first: Listener, second: Listener) -> Listener {
    struct Both([Listener; 2]);
    impl Listen for Both {
        fn hear(&mut self, event: &Event) {
            for listener in &self.0 {
                // A listener that panicked fails its run anyway.
                listener.lock().unwrap_or_else(PoisonError::into_inner).hear(event);
            }
        }
    }
    Arc::new(Mutex::new(Both([first, second])))
}

/// A tap on all streams of a world. Clones are the same tap.
#[derive(Clone)]
pub struct Wiretap(Arc<Tap>);

struct Tap {
    start: tokio::time::Instant,
    lines: AtomicU64,
    listener: Listener,
}

impl std::fmt::Debug for Wiretap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiretap").field("lines", &self.0.lines).finish_non_exhaustive()
    }
}

impl Wiretap {
    pub(crate) fn new(start: tokio::time::Instant, listener: Listener) -> Self {
        Self(Arc::new(Tap { start, lines: AtomicU64::new(0), listener }))
    }

    /// Ears at the two directions of a new stream's end: for what is said and what is heard.
    pub(crate) fn attach(&self, host: usize, peer: SocketAddr) -> [Ear; 2] {
        let number = self.0.lines.fetch_add(1, Ordering::Relaxed);
        let line = Line { number, host, peer };
        [Way::Said, Way::Heard].map(|way| Ear {
            tap: self.clone(),
            line,
            way,
            scanner: Scanner::default(),
            busy: Busy::default(),
        })
    }

    fn tell(&self, event: &Event) {
        // A listener that panicked fails its run anyway.
        self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).hear(event);
    }
}

/// Listens to one direction of one end.
#[derive(Debug)]
pub(crate) struct Ear {
    tap: Wiretap,
    line: Line,
    way: Way,
    scanner: Scanner,
    busy: Busy,
}

/// How long a writer has had more to say than the socket takes.
#[derive(Debug, Default)]
struct Busy {
    /// The start of the present spell; what is said in it may be as old.
    since: Instant,
    last: Instant,
    is_blocked: bool,
}

impl Busy {
    fn tried(&mut self, now: Instant, is_blocked: bool) {
        if !self.is_blocked && self.last < now {
            self.since = now;
        }
        (self.last, self.is_blocked) = (now, is_blocked);
    }
}

impl Ear {
    /// These bytes went by; if they were written, the socket took no more of what was there when `is_full`.
    pub(crate) fn bytes(&mut self, bytes: &[u8], is_full: bool) {
        let at = virtual_time(self.tap.0.start);
        self.busy.tried(at, is_full);
        let since = if self.way == Way::Said { self.busy.since } else { at };
        let (line, way, tap) = (self.line, self.way, &self.tap);
        self.scanner.feed(bytes, |what| tap.tell(&Event { at, since, line, way, what }));
    }

    /// A write had to wait.
    pub(crate) fn blocked(&mut self) {
        self.busy.tried(virtual_time(self.tap.0.start), true);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let at = virtual_time(self.tap.0.start);
        let event = Event { at, since: at, line: self.line, way: self.way, what: What::Closed };
        self.tap.tell(&event);
    }
}
