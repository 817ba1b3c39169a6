//! When resume data are written: never before what they claim is safe.
//!
//! ```text
//!            due                     flushed                   kept
//!   Idle ───────────▶ Flushing ───────────────▶ Keeping ───────────────▶ Idle
//!     ▲                  │ failed: these pieces are not claimed in this run
//!     └──────────────────┘
//! ```
//!
//! What is verified while a flush is under way belongs to the next one. Everything here is asked of the driver
//! as a [`Step`] and answered later, so nothing waits for a disk.
//!
//! *Invariant:* a piece is claimed only if a flush that was asked for after it was verified has succeeded.

use std::time::Duration;

use crate::bitfield::Bitfield;
use crate::piece::PieceIndex;
use crate::resume::Stamp;
use crate::time::Instant;

/// What the driver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look at the files' stamps, then make everything written so far safe; answer with [`Keeper::flushed`].
    Flush,
    /// Write a record of [`Keeper::claimed`] and [`Keeper::files`]; answer with [`Keeper::kept`].
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Flushing,
    Keeping,
}

/// The state of one torrent's resume data.
#[derive(Clone, Debug)]
pub struct Keeper {
    claimed: Bitfield,
    /// Verified since the last flush was asked for.
    fresh: Vec<PieceIndex>,
    /// Verified before the flush that is under way.
    flushing: Vec<PieceIndex>,
    files: Vec<Option<Stamp>>,
    /// A flush has failed. What it should have saved may look written and not be, so the files prove nothing.
    in_doubt: bool,
    state: State,
    step: Option<Step>,
    due: Option<Instant>,
    every: Duration,
    leaving: bool,
    left: bool,
}

impl Keeper {
    /// For a torrent of which `have` is stored. It was not necessarily this process that wrote it, so nothing
    /// is claimed before a first flush, which is due at once.
    pub fn new(
        now: Instant,
        have: &Bitfield,
        pieces: impl Iterator<Item = PieceIndex>,
        every: Duration,
    ) -> Self {
        Self {
            claimed: Bitfield::empty(have.pieces()),
            fresh: pieces.filter(|&piece| have.has(piece)).collect(),
            flushing: Vec::new(),
            files: Vec::new(),
            in_doubt: false,
            state: State::Idle,
            step: None,
            due: Some(now),
            every,
            leaving: false,
            left: false,
        }
    }

    /// A piece is stored and its hash is right. A power cut costs no more than what came in since the last
    /// flush: `every` and what two flushes take.
    pub fn verified(&mut self, now: Instant, piece: PieceIndex) {
        self.fresh.push(piece);
        self.due.get_or_insert(now + self.every);
    }

    /// A piece may be gone. A record that claims it is replaced at once: whoever starts with that hands out what is spoilt,
    /// and is refused for it.
    pub fn lost(&mut self, now: Instant, piece: PieceIndex) {
        if self.claimed.clear(piece) {
            self.due = Some(now);
        }
        self.fresh.retain(|&fresh| fresh != piece);
        self.flushing.retain(|&flushing| flushing != piece);
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| self.state == State::Idle)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// The last record of this run is wanted, whatever stands in the one before.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) && self.state == State::Idle {
            self.flush();
        }
    }

    /// The last record is written, or cannot be.
    pub const fn has_left(&self) -> bool {
        self.left
    }

    /// What to do next.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    /// The flush has ended: the files as they looked when it was begun, or nothing if it failed.
    pub fn flushed(&mut self, now: Instant, files: Option<Vec<Option<Stamp>>>) {
        if self.state != State::Flushing {
            return;
        }
        let Some(files) = files else {
            self.flushing.clear();
            self.in_doubt = true;
            return self.ended(now, false);
        };
        for piece in std::mem::take(&mut self.flushing) {
            self.claimed.set(piece);
        }
        self.files = files;
        if self.in_doubt {
            self.files.fill(None);
        }
        self.state = State::Keeping;
        self.step = Some(Step::Keep);
    }

    /// The record was written, or not; then the one before still stands.
    pub fn kept(&mut self, now: Instant, ok: bool) {
        if self.state == State::Keeping {
            self.ended(now, ok);
        }
    }

    /// The pieces that a record may claim now.
    pub const fn claimed(&self) -> &Bitfield {
        &self.claimed
    }

    /// Pieces that are verified, and that no flush has made safe yet.
    pub fn unclaimed(&self) -> impl Iterator<Item = PieceIndex> {
        self.fresh.iter().chain(&self.flushing).copied()
    }

    /// The files as they were when these pieces were flushed.
    pub fn files(&self) -> &[Option<Stamp>] {
        &self.files
    }

    fn flush(&mut self) {
        self.due = None;
        self.flushing.append(&mut self.fresh);
        self.state = State::Flushing;
        self.step = Some(Step::Flush);
    }

    fn ended(&mut self, now: Instant, ok: bool) {
        self.state = State::Idle;
        if !self.leaving {
            if !ok {
                self.due = Some(now + self.every);
            }
        } else if self.fresh.is_empty() && self.due.is_none() {
            self.left = true;
        } else {
            self.flush();
        }
    }
}
