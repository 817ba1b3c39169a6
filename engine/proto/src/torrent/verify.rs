//! From an arrived block to a verified piece: writing, hashing, blame, and a storage that refuses.
//!
//! The data of a block stays here until it is written, so a full disk loses nothing: downloading pauses, and
//! after [`STORAGE_RETRY`] one block probes whether the storage takes data again.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;

use super::limits::{HAVE_DELAY, MAX_BAD_PIECES, MAX_WRITING, STORAGE_RETRY};
use crate::id::PieceHash;
use crate::piece::{Block, PieceIndex};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{AnnounceEvent, DisconnectReason, Event, Output};

/// What the storage owes us.
#[derive(Debug, Default)]
pub(super) struct StorageQueue {
    /// Blocks not written yet.
    writing: BTreeMap<Block, Bytes>,
    /// Those of them that were refused.
    refused: VecDeque<Block>,
    /// Complete pieces that could not be read back.
    unread: Vec<PieceIndex>,
    /// The storage refused; try again then.
    retry_at: Option<Instant>,
}

impl StorageQueue {
    /// Blocks not written yet.
    pub(super) fn writing(&self) -> usize {
        self.writing.len()
    }

    /// The storage refuses.
    pub(super) fn paused(&self) -> bool {
        self.retry_at.is_some()
    }

    /// When to try again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Torrent {
    /// Hands a block to the storage.
    pub(super) fn write(&mut self, block: Block, data: Bytes) {
        self.storage.writing.insert(block, data.clone());
        self.outputs.push_back(Output::Write { block, data });
    }

    /// The storage took a block, or refused.
    pub(super) fn written(&mut self, now: Instant, block: Block, ok: bool) {
        if !ok {
            self.storage.refused.push_back(block);
            self.storage_failed(now);
            return;
        }
        self.refill |= self.storage.writing() >= MAX_WRITING;
        self.storage.writing.remove(&block);
        if self.storage.paused() {
            self.resume();
        }
        if self.partials.written(block) {
            self.outputs.push_back(Output::Hash { piece: block.piece() });
        }
    }

    fn storage_failed(&mut self, now: Instant) {
        if !self.storage.paused() {
            self.outputs.push_back(Output::Event(Event::StorageFailed));
        }
        self.storage.retry_at = Some(now + STORAGE_RETRY);
    }

    /// The storage works again: everything that it refused goes out at once.
    fn resume(&mut self) {
        self.storage.retry_at = None;
        self.refill = true;
        for block in std::mem::take(&mut self.storage.refused) {
            self.rewrite(block);
        }
        for piece in std::mem::take(&mut self.storage.unread) {
            self.outputs.push_back(Output::Hash { piece });
        }
    }

    /// Tries the storage with one block, or with reading if nothing waits to be written.
    pub(super) fn retry_storage(&mut self, now: Instant) {
        match self.storage.refused.pop_front() {
            Some(block) => {
                self.storage.retry_at = Some(now + STORAGE_RETRY);
                self.rewrite(block);
            }
            None => self.resume(),
        }
    }

    fn rewrite(&mut self, block: Block) {
        if let Some(data) = self.storage.writing.get(&block).cloned() {
            self.outputs.push_back(Output::Write { block, data });
        }
    }

    /// A complete piece was hashed.
    pub(super) fn hashed(&mut self, now: Instant, piece: PieceIndex, hash: Option<PieceHash>) {
        if !self.partials.is_written(piece) {
            return;
        }
        match hash {
            None => {
                self.storage.unread.push(piece);
                self.storage_failed(now);
            }
            Some(hash) if hash == self.metainfo.hash_of(piece) => self.verified(now, piece),
            Some(_) => self.failed(now, piece),
        }
    }

    fn verified(&mut self, now: Instant, piece: PieceIndex) {
        self.partials.finish(piece, true);
        self.have.set(piece);
        self.totals.left -= u64::from(self.geometry.len_of(piece));
        self.announced.push(piece);
        self.outputs.push_back(Output::Event(Event::PieceVerified(piece)));
        self.announce_piece(now, piece);
        if self.have.is_full() {
            self.outputs.push_back(Output::Announce(Some(AnnounceEvent::Completed)));
            self.outputs.push_back(Output::Event(Event::Completed));
        }
        self.note_gain(now, piece);
        self.gained(now, piece);
    }

    /// Tells peers at once where it opens a transfer, and the others within [`HAVE_DELAY`], with company.
    fn announce_piece(&mut self, now: Instant, piece: PieceIndex) {
        let (mut urgent, mut lacking) = (Vec::new(), false);
        for (&key, peer) in self.peers.iter().filter(|(_, peer)| !peer.has.has(piece)) {
            lacking = true;
            if !peer.them.interested || !peer.us.choking {
                urgent.push(key);
            }
        }
        for key in urgent {
            self.tell_haves(now, key);
        }
        if lacking && self.haves_due.is_none() {
            self.haves_due = Some(now + HAVE_DELAY);
        }
    }

    fn failed(&mut self, now: Instant, piece: PieceIndex) {
        let givers = self.partials.finish(piece, false);
        self.totals.hash_failures += 1;
        self.totals.failed += u64::from(self.geometry.len_of(piece));
        self.outputs.push_back(Output::Event(Event::PieceFailed(piece)));
        self.reopen(piece);
        self.refill = true;
        // Of several givers nobody is blamed; the piece is then fetched from one peer alone.
        if let &[lone] = givers.as_slice() {
            self.blame(now, lone);
        }
    }

    fn blame(&mut self, now: Instant, addr: IpAddr) {
        if self.candidates.blame(addr) < MAX_BAD_PIECES {
            return;
        }
        let guilty = self.peers.iter().filter(|(_, peer)| peer.addr.ip() == addr).map(|(&key, _)| key);
        for key in guilty.collect::<Vec<_>>() {
            self.disconnect(now, key, DisconnectReason::Poisoner);
        }
    }
}
