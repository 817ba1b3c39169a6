//! From an arrived block to a verified piece: writing, hashing, and a storage that refuses; who is banned when a
//! piece is judged.
//!
//! The data of a block stays here until it is written, so a full disk loses nothing: downloading pauses, and
//! after [`STORAGE_RETRY`] one block probes whether the storage takes data again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::limits::{HAVE_DELAY, MAX_WRITING, STORAGE_RETRY};
use crate::id::PieceHash;
use crate::piece::{Block, PieceIndex};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::torrent::{AnnounceEvent, BanReason, Banned, DisconnectReason, Event, Giver, Output};

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
        self.suspects.hold(block, &data);
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
        if self.doubt_settled(now, piece, hash) || !self.partials.is_written(piece) {
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
        let guilty = self.suspects.verified(piece, &self.partials.given(piece));
        self.partials.finish(piece);
        for (giver, reason) in guilty {
            self.ban(now, giver, reason);
        }
        self.regained(now, piece);
    }

    /// A piece is here, newly or again.
    pub(super) fn regained(&mut self, now: Instant, piece: PieceIndex) {
        self.have.set(piece);
        self.totals.left -= u64::from(self.geometry.len_of(piece));
        self.announced.push(piece);
        self.outputs.push_back(Output::Event(Event::PieceVerified(piece)));
        self.announce_piece(now, piece);
        if self.have.is_full() {
            //= BEP 3: `completed` is sent once, and never by who was complete at the start.
            if !self.doubts.was_complete {
                self.outputs.push_back(Output::Announce(Some(AnnounceEvent::Completed)));
            }
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
        let given = self.partials.given(piece);
        let expected = (self.geometry.len_of(piece), self.metainfo.hash_of(piece));
        let guilty = self.suspects.failed(piece, &given, expected);
        self.partials.restart(piece);
        self.totals.hash_failures += 1;
        self.totals.failed += u64::from(self.geometry.len_of(piece));
        self.outputs.push_back(Output::Event(Event::PieceFailed(piece)));
        self.partials.park(piece, !self.wanted.wants(piece));
        self.refill = true;
        if let Some((giver, reason)) = guilty {
            self.ban(now, giver, reason);
        }
    }

    /// Finds an owner for each suspect piece that has none, or one that does not serve us any more: whoever had
    /// the least part in attempts that failed, then the fastest.
    pub(super) fn assign_suspects(&mut self, now: Instant) {
        for (piece, owner) in self.partials.suspects() {
            let serves = |peer: &Peer| !peer.them.choking && peer.has.has(piece);
            if owner.and_then(|owner| self.peers.get(&owner)).is_some_and(serves) {
                continue;
            }
            let blame = |peer: &Peer| self.suspects.attempts(piece, Giver::peer(peer.addr.ip()));
            let able = self.peers.iter().filter(|(_, peer)| serves(peer));
            let best = able.min_by_key(|(_, peer)| {
                (blame(peer), peer.pipeline.snubbed, Reverse(peer.pipeline.rate(now)))
            });
            if let Some((&key, peer)) = best {
                let giver = Giver::peer(peer.addr.ip());
                let others = self.partials.given(piece).into_iter().map(|(_, gift)| gift.giver);
                self.suspects.left_by(piece, others.filter(|&other| other != giver));
                self.partials.assign(piece, key);
            }
        }
    }

    /// Refuses somebody from now on, on proof.
    pub(super) fn ban(&mut self, now: Instant, who: Giver, reason: BanReason) {
        let banned = Banned { who, reason, at: now };
        if !self.candidates.ban(banned) {
            return;
        }
        self.outputs.push_back(Output::Event(Event::Banned(banned)));
        self.ban_web_seed(now, who);
        let guilty =
            self.peers.iter().filter(|(_, peer)| Giver::peer(peer.addr.ip()) == who).map(|(&key, _)| key);
        for key in guilty.collect::<Vec<_>>() {
            self.disconnect(now, key, DisconnectReason::Poisoner);
        }
    }
}
