//! What a disk has made safe, and what becomes of the rest when the power goes.
//!
//! Until a flush, each written cell remembers what it held at the last one. A power cut decides for each such
//! cell alone: it reached the platter, it did not, or its first sectors did. Whether the file's time survives
//! is decided apart, as in a file system that keeps its own journal and not its users' data.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proto::piece::{BLOCK_LEN, Geometry, PieceIndex};
use proto::resume::Stamp;
use proto::seed::Seed;

use super::{Content, Disk, Part, SharedStorage};
use crate::world::SimClock;

/// Bytes that a disk writes all or not at all.
const SECTOR: usize = 512;

/// What a cell held.
#[derive(Clone, Debug)]
enum Before {
    Hole,
    Canonical,
    Differing(Box<[u8]>),
}

/// What is not safe yet, and what is.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    /// Cells written since the last flush, and what they held then.
    unflushed: BTreeMap<usize, Before>,
    /// Writes so far: the file's time.
    writes: u64,
    /// The same at the last flush.
    flushed_writes: u64,
    /// The resume record; it is replaced as a whole and safe at once.
    record: Option<Bytes>,
}

/// What goes wrong with a disk at present.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) failing: bool,
    pub(super) full: bool,
    pub(super) latency: Option<(SimClock, Duration)>,
}

/// What a disk has lost, as pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Those that were whole and are not any more.
    pub gone: Vec<u32>,
    /// Those of which something was not flushed: whether they are still there is luck.
    pub unsafe_ones: Vec<u32>,
}

/// A flush that has begun: what it will have made safe.
#[derive(Debug)]
pub(super) struct Flush {
    cells: Vec<usize>,
    writes: u64,
}

impl Disk {
    /// A cell is about to be written.
    pub(super) fn note_write(&mut self, cell: usize) {
        self.durable.writes += 1;
        if self.durable.unflushed.contains_key(&cell) {
            return;
        }
        let before = match self.differing.get(&cell) {
            Some(bytes) => Before::Differing(bytes.clone()),
            None if self.is_canonical(cell) => Before::Canonical,
            None => Before::Hole,
        };
        self.durable.unflushed.insert(cell, before);
    }

    pub(super) fn begin_flush(&self) -> Flush {
        let cells = self.durable.unflushed.keys().copied().collect();
        Flush { cells, writes: self.durable.writes }
    }

    pub(super) fn end_flush(&mut self, flush: &Flush) {
        for cell in &flush.cells {
            self.durable.unflushed.remove(cell);
        }
        self.durable.flushed_writes = flush.writes;
    }

    /// The one file's length and time; nothing before its first byte.
    pub(super) fn stamp(&self, geometry: Geometry) -> Option<Stamp> {
        let is_empty = self.differing.is_empty() && self.canonical.iter().all(|word| *word == 0);
        let modified = i64::try_from(self.durable.writes).unwrap_or(i64::MAX);
        (!is_empty).then_some(Stamp { len: geometry.len(), modified })
    }

    pub(super) fn record(&self) -> Option<Bytes> {
        self.durable.record.clone()
    }

    pub(super) fn set_record(&mut self, record: Bytes) {
        self.durable.record = Some(record);
    }

    fn restore(&mut self, cell: usize, before: Before) {
        self.differing.remove(&cell);
        self.set_canonical(cell, matches!(before, Before::Canonical));
        if let Before::Differing(bytes) = before {
            self.differing.insert(cell, bytes);
        }
    }
}

impl SharedStorage {
    /// From now on everything fails, or works again.
    pub fn set_failing(&self, failing: bool) {
        self.disk().faults.failing = failing;
    }

    /// From now on there is no room, or there is again.
    pub fn set_full(&self, full: bool) {
        self.disk().faults.full = full;
    }

    /// From now on everything takes so much longer, by this clock.
    pub fn set_latency(&self, latency: Option<(SimClock, Duration)>) {
        self.disk().faults.latency = latency;
    }

    /// The power goes. For when nobody uses the disk.
    pub fn cut_power(&self, seed: Seed) -> Loss {
        let content = &self.content;
        let piece_of = |cell: &usize| (cell / content.cells_per_piece()) as u32;
        let mut unsafe_ones: Vec<_> = self.disk().durable.unflushed.keys().map(piece_of).collect();
        unsafe_ones.dedup();
        let gone = self.changing(|content, disk| {
            let mut random = seed.rng();
            for (cell, before) in std::mem::take(&mut disk.durable.unflushed) {
                match random.below(3) {
                    0 => {}
                    1 => disk.restore(cell, before),
                    _ => {
                        let part = content.whole(cell);
                        let new = content.cell(disk, &part);
                        disk.restore(cell, before);
                        let mut torn = content.cell(disk, &part).to_vec();
                        let written = SECTOR * random.index(part.len.div_ceil(SECTOR));
                        if let (Some(place), Some(new)) = (torn.get_mut(..written), new.get(..written)) {
                            place.copy_from_slice(new);
                        }
                        content.put(disk, &part, torn);
                    }
                }
            }
            if random.below(2) == 0 {
                disk.durable.writes = disk.durable.flushed_writes;
            }
        });
        Loss { gone, unsafe_ones }
    }

    /// A bit flips in each of `count` whole pieces, and the file's time stays: returns which.
    pub fn rot(&self, count: u32, seed: Seed) -> Vec<u32> {
        self.changing(|content, disk| {
            let mut random = seed.rng();
            let geometry = content.geometry;
            let mut whole: Vec<_> =
                geometry.all_pieces().filter(|&piece| content.is_canonical(disk, piece)).collect();
            for _ in 0..(count as usize).min(whole.len()) {
                let piece = whole.swap_remove(random.index(whole.len()));
                let cells = content.cells_of(piece);
                let part = content.whole(cells.start + random.index(cells.len()));
                let mut bytes = content.cell(disk, &part).to_vec();
                let at = random.index(bytes.len());
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8));
                content.put(disk, &part, bytes);
            }
        })
    }

    /// Runs `change` and returns the pieces that are no longer whole.
    fn changing(&self, change: impl FnOnce(&Content, &mut Disk)) -> Vec<u32> {
        let before = self.canonical_pieces();
        change(&self.content, &mut self.disk());
        let after = self.canonical_pieces();
        let gone = |piece: &_| before.has(*piece) && !after.has(*piece);
        self.content.geometry.all_pieces().filter(gone).map(PieceIndex::get).collect()
    }
}

impl Content {
    /// All of a cell.
    fn whole(&self, cell: usize) -> Part {
        let (piece, number) = (cell / self.cells_per_piece(), cell % self.cells_per_piece());
        let piece_start = piece as u64 * u64::from(self.geometry.piece_len());
        let start = number as u64 * u64::from(BLOCK_LEN);
        let piece_end = (piece_start + u64::from(self.geometry.piece_len())).min(self.geometry.len());
        let len = (piece_end - piece_start - start).min(u64::from(BLOCK_LEN)) as usize;
        Part { cell, start: piece_start + start, len, from: 0, to: len }
    }
}
