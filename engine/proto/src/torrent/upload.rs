//! Serving requests: a bounded queue for each peer, and no reading further ahead than its socket needs.
//!
//! ```text
//! request ──▶ queued ──Read──▶ reading ──BlockRead──▶ Send(piece) ──▶ unsent ──Sent──▶ gone
//!             cancel and choke drop it here or there
//! ```
//!
//! A read cannot be called back: it counts until it ends, or a peer that asks and cancels on and on would heap
//! reads up at a slow disk.

use std::collections::VecDeque;

use bytes::Bytes;

use super::limits::{
    CHOKER_SPAN, HAVE_DELAY, MAX_HAVES, MAX_QUEUED_REQUESTS, MAX_REFUSED_REQUESTS, MAX_SEND_WATERMARK,
    MIN_SEND_WATERMARK, SEND_SPAN,
};
use crate::piece::{BLOCK_LEN, Block};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::meter::Meter;
use crate::torrent::peers::Peer;
use crate::torrent::pipeline;
use crate::torrent::{DisconnectReason, Output, PeerKey};
use crate::wire::{Message, RawBlock};

/// One peer as a taker of blocks.
#[derive(Debug)]
pub(super) struct Uplink {
    queue: VecDeque<Block>,
    reading: Vec<Block>,
    /// Reads under way whose blocks nobody wants any more; they keep the disk busy all the same.
    abandoned: Vec<Block>,
    /// Wire bytes handed over and not yet sent.
    pub(super) unsent: u64,
    /// Payload bytes sent, ranked by the choker.
    pub(super) meter: Meter,
    /// Payload bytes sent.
    pub(super) sent: u64,
    /// When it was last unchoked or asked for a block.
    pub(super) asked_at: Instant,
    /// It left a slot unused: until then others come first.
    pub(super) idle_until: Instant,
    /// Payload bytes sent since it was last unchoked.
    pub(super) since_unchoked: u64,
    /// Requests refused since then.
    pub(super) refused: u32,
}

impl Uplink {
    /// Nothing asked for yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            reading: Vec::new(),
            abandoned: Vec::new(),
            unsent: 0,
            meter: Meter::new(CHOKER_SPAN, now),
            sent: 0,
            since_unchoked: 0,
            refused: 0,
            asked_at: now,
            idle_until: now,
        }
    }

    /// Requests not yet served.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.reading.len()
    }

    /// Drops every request that is not served yet and of which `stays` does not hold, oldest first.
    pub(super) fn drop_unless(&mut self, stays: impl Fn(&Block) -> bool) -> Vec<Block> {
        let mut dropped: Vec<Block> = self.reading.extract_if(.., |block| !stays(block)).collect();
        self.abandoned.extend(&dropped);
        let (kept, rest): (Vec<_>, Vec<_>) = self.queue.drain(..).partition(&stays);
        self.queue = kept.into();
        dropped.extend(rest);
        dropped
    }

    fn next(&mut self, now: Instant) -> Option<Block> {
        let span = SEND_SPAN.as_millis() as u64;
        let watermark = (self.meter.rate(now) * span / 1000).clamp(MIN_SEND_WATERMARK, MAX_SEND_WATERMARK);
        // Each counts as a whole block, or one-byte requests could have any number of reads under way.
        let reading = (self.reading.len() + self.abandoned.len()) as u64 * u64::from(BLOCK_LEN);
        if self.unsent + reading >= watermark {
            return None;
        }
        let block = self.queue.pop_front()?;
        self.reading.push(block);
        Some(block)
    }

    fn holds(&self, block: Block) -> bool {
        self.queue.contains(&block) || self.reading.contains(&block)
    }

    /// Drops a request; returns whether there was one.
    fn drop_request(&mut self, block: Block) -> bool {
        if let Some(position) = self.queue.iter().position(|&queued| queued == block) {
            return self.queue.remove(position).is_some();
        }
        let reading = take(&mut self.reading, block);
        if reading {
            self.abandoned.push(block);
        }
        reading
    }

    /// A read has ended; returns whether its block is wanted.
    fn read(&mut self, block: Block) -> bool {
        let wanted = take(&mut self.reading, block);
        if !wanted {
            take(&mut self.abandoned, block);
        }
        wanted
    }
}

fn take(blocks: &mut Vec<Block>, block: Block) -> bool {
    let position = blocks.iter().position(|&other| other == block);
    position.map(|position| blocks.swap_remove(position)).is_some()
}

impl Torrent {
    /// A peer asks for a block.
    pub(super) fn requested(
        &mut self,
        now: Instant,
        key: PeerKey,
        raw: RawBlock,
    ) -> Result<(), DisconnectReason> {
        let located = self.geometry.locate(raw.piece, raw.offset, raw.len);
        let block = located.map_err(|_| DisconnectReason::BadRequest)?;
        let there = self.have.has(block.piece());
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        //= BEP 6: every request gets exactly one piece or reject.
        let granted = match &peer.fast {
            None if !there => return Err(DisconnectReason::RequestedMissing),
            None => false,
            Some(fast) => fast.grants(block.piece()) && peer.has.count() < self.config.allowed_fast,
        };
        let (full, repeated) = (peer.uplink.queue.len() >= MAX_QUEUED_REQUESTS, peer.uplink.holds(block));
        // Without the fast extension, a request that crossed our choke, perhaps to be repeated after our
        // unchoke, is passed over in silence.
        if !there || repeated || (peer.us.choking && !granted) || (full && peer.fast.is_some()) {
            peer.uplink.refused += 1;
            if peer.uplink.refused > MAX_REFUSED_REQUESTS {
                return Err(DisconnectReason::RequestFlood);
            }
            self.reject(now, key, raw);
            return Ok(());
        }
        (peer.uplink.asked_at, peer.uplink.idle_until) = (now, now);
        if full {
            return Err(DisconnectReason::RequestFlood);
        }
        peer.uplink.queue.push_back(block);
        self.serve(now, key);
        Ok(())
    }

    /// A peer takes a request back.
    pub(super) fn cancelled(&mut self, now: Instant, key: PeerKey, raw: RawBlock) {
        let (Ok(block), Some(peer)) =
            (self.geometry.locate(raw.piece, raw.offset, raw.len), self.peers.get_mut(&key))
        else {
            return;
        };
        // What has left already was the answer.
        if peer.uplink.drop_request(block) {
            self.reject(now, key, raw);
        }
    }

    /// A block was read; it goes out unless the peer lost its right to it meanwhile.
    pub(super) fn block_read(&mut self, now: Instant, key: PeerKey, block: Block, data: Option<Bytes>) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.uplink.read(block) {
            // It lost its right to it, and was told so.
        } else if let Some(data) = data {
            let len = u64::from(block.len());
            peer.uplink.sent += len;
            peer.uplink.since_unchoked += len;
            peer.uplink.meter.add(now, len);
            self.totals.uploaded += len;
            self.tell_haves(now, key);
            self.send(now, key, Message::Piece { piece: block.piece().get(), offset: block.offset(), data });
            self.pass_on_slot(now, key);
        } else {
            self.reject(now, key, pipeline::raw(block));
            self.doubt(now, vec![block.piece()]);
        }
        self.serve(now, key);
    }

    /// The socket took bytes.
    pub(super) fn sent(&mut self, now: Instant, key: PeerKey, bytes: usize) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.uplink.unsent = peer.uplink.unsent.saturating_sub(bytes as u64);
        self.serve(now, key);
    }

    fn serve(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        while let Some(block) = peer.uplink.next(now) {
            self.outputs.push_back(Output::Read { peer: key, block });
        }
    }

    /// Peers that lack a piece of which they have not been told.
    pub(super) fn lacking_news(&self) -> Vec<PeerKey> {
        let is_news = |peer: &Peer, piece| self.have.has(piece) && !peer.has.has(piece);
        let lacks = |peer: &Peer| {
            self.announced.get(peer.told..).unwrap_or_default().iter().any(|&piece| is_news(peer, piece))
        };
        self.peers.iter().filter(|(_, peer)| lacks(peer)).map(|(&key, _)| key).collect()
    }

    /// Announces what we gained since the peer was last told. What it has itself is no reason to speak, but goes
    /// along, so that it knows how far we are; what we have lost since does not.
    pub(super) fn tell_haves(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let news = self.announced.iter().skip(peer.told).take(MAX_HAVES);
        peer.told += news.len();
        if peer.told < self.announced.len() {
            self.haves_due.get_or_insert(now + HAVE_DELAY);
        }
        for piece in news.copied().filter(|&piece| self.have.has(piece)).collect::<Vec<_>>() {
            self.send(now, key, Message::Have { piece: piece.get() });
        }
    }
}
