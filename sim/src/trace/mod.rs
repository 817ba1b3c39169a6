//! The trace of a run: what happened, as typed values in the order in which it happened.
//!
//! A [`Recorder`] sees packets, messages, faults and completions while the run goes on, and keeps those that its
//! [`Filter`] lets through. An [`Entry`] is one line, as JSON for programs or as text for people.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::time::Instant;

use crate::defect::Tampered;
use crate::network::{Sight, Watch};
use crate::record::Record;
use crate::run::{RunError, Watching, run_watched};
use crate::scenario::Plan;
use crate::wiretap::{Event, Listen, Way};

mod entry;
mod names;

pub use entry::{Entry, Kind, MessageBody};
pub use names::Names;

/// Entries that are kept at the most: a gigabyte of them.
pub const MAX_ENTRIES: usize = 5_000_000;

/// What is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// From this simulated time on.
    pub from: Duration,
    /// Up to, but not including, this one.
    pub until: Duration,
    /// Only what one of these peers did or got; nothing for all.
    pub peers: BTreeSet<String>,
    /// Only what is about one of these pieces, and faults and completions; nothing for all.
    pub pieces: BTreeSet<u32>,
    /// Packets as well.
    pub packets: bool,
}

impl Default for Filter {
    fn default() -> Self {
        let (peers, pieces) = (BTreeSet::new(), BTreeSet::new());
        Self { from: Duration::ZERO, until: Duration::MAX, peers, pieces, packets: false }
    }
}

impl Filter {
    fn is_timely(&self, at: Instant) -> bool {
        (self.from..self.until).contains(&at.since(Instant::ZERO))
    }

    fn lets_through(&self, entry: &Entry) -> bool {
        let named = |name: &String| entry.host == *name || entry.peer.as_ref() == Some(name);
        let peers = self.peers.is_empty() || self.peers.iter().any(named);
        let is_note = matches!(entry.kind, Kind::Noted { .. });
        let about = entry.piece().is_some_and(|piece| self.pieces.contains(&piece));
        peers && (self.pieces.is_empty() || about || is_note)
    }
}

/// Keeps what a filter lets through.
#[derive(Debug)]
pub struct Recorder {
    names: Names,
    filter: Filter,
    entries: Vec<Entry>,
    /// Entries for which there was no room.
    missed: u64,
}

impl Recorder {
    /// A recorder for one run of `plan`.
    pub fn new(plan: &Plan, filter: Filter) -> Self {
        Self { names: Names::of(plan), filter, entries: Vec::new(), missed: 0 }
    }

    /// What was kept, and how much there was no room for.
    pub fn take(&mut self) -> (Vec<Entry>, u64) {
        (std::mem::take(&mut self.entries), std::mem::take(&mut self.missed))
    }

    fn keep(&mut self, entry: Entry) {
        if !self.filter.lets_through(&entry) {
            return;
        }
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        } else {
            self.missed += 1;
        }
    }
}

impl Watch for Recorder {
    fn see(&mut self, at: Instant, sight: Sight<'_>) {
        if !self.filter.is_timely(at) {
            return;
        }
        let entry = match sight {
            // What was sent is seen again when it arrives or is lost.
            Sight::Sent(_) => return,
            Sight::Noted(what) => Entry::note(at, &self.names, what),
            Sight::Delivered(_) | Sight::Dropped(..) if !self.filter.packets => return,
            Sight::Delivered(passage) => Entry::packet(at, &self.names, passage, None),
            Sight::Dropped(passage, why) => Entry::packet(at, &self.names, passage, Some(why)),
        };
        self.keep(entry);
    }
}

impl Listen for Recorder {
    fn hear(&mut self, event: &Event) {
        if self.filter.is_timely(event.at)
            && let Some(entry) = Entry::message(&self.names, event, event.way == Way::Said)
        {
            self.keep(entry);
        }
    }
}

/// Runs `plan` and keeps what `filter` lets through: the entries, how many there was no room for, and the record.
///
/// # Errors
/// As [`crate::run::run`].
pub fn trace(
    plan: &Plan,
    tampered: &Tampered,
    filter: Filter,
) -> Result<(Vec<Entry>, u64, Record), RunError> {
    let recorder = Arc::new(Mutex::new(Recorder::new(plan, filter)));
    let (network, messages) = (Some(recorder.clone() as _), Some(recorder.clone() as _));
    let watching = Watching { network, messages, hosts: None };
    let record = run_watched(plan, tampered, &watching, &mut |_| ())?;
    let (entries, missed) = recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok((entries, missed, record))
}
