//! Requests under way: how many to keep at a peer, which block is next, when to give up, endgame.
//!
//! A pipeline holds bandwidth × delay: the measured rate times the fastest answer seen plus [`PIPELINE_SPAN`].
//! Since a fuller pipe measures faster, it grows by itself until the peer's rate is reached.

use std::collections::VecDeque;

use bytes::Bytes;

use super::limits::{
    CHOKER_SPAN, ENDGAME_GAIN, ENDGAME_LOOK, MAX_EXCUSED, MAX_PIPELINE, MAX_REQUESTERS, MAX_STRAY_REJECTS,
    MAX_UNSOLICITED, MAX_WRITING, MIN_PIPELINE, PIPELINE_METER, PIPELINE_SPAN, REQUEST_TIMEOUT, SNUB_AFTER,
    UNPROVEN_RATE,
};
use super::partials::Arrival;
use crate::piece::{BLOCK_LEN, Block, PieceIndex};
use crate::time::{Duration, Instant};
use crate::torrent::machine::Torrent;
use crate::torrent::meter::Meter;
use crate::torrent::{DisconnectReason, PeerKey};
use crate::wire::{Message, RawBlock};

/// A request that a peer has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    block: Block,
    at: Instant,
    /// Others may fetch it as well, because this peer snubs us.
    released: bool,
}

/// One peer as a source of blocks.
#[derive(Debug)]
pub(super) struct Pipeline {
    asked: VecDeque<Asked>,
    /// Sizes the pipeline.
    meter: Meter,
    /// Ranks the peer.
    pub(super) ranking: Meter,
    /// The fastest answer so far.
    latency: Duration,
    /// When the last block came, or when it began to owe us blocks.
    progress: Instant,
    pub(super) snubbed: bool,
    /// Requests that we took back, oldest first: a block may come for each, or a reject.
    excused: VecDeque<Block>,
    unsolicited: u64,
    stray_rejects: u32,
    /// Requests that the peer keeps queued, by its own word.
    allowed: usize,
    /// It refused a request: it is not asked before this.
    pub(super) resumes_at: Option<Instant>,
    /// Payload bytes received.
    pub(super) received: u64,
}

impl Pipeline {
    /// An empty pipeline.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            asked: VecDeque::new(),
            meter: Meter::new(PIPELINE_METER, now),
            ranking: Meter::new(CHOKER_SPAN, now),
            latency: Duration::MAX,
            progress: now,
            snubbed: false,
            excused: VecDeque::new(),
            unsolicited: 0,
            stray_rejects: 0,
            allowed: MAX_PIPELINE,
            resumes_at: None,
            received: 0,
        }
    }

    /// Requests under way.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Bytes a second that it sends us.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        self.meter.rate(now)
    }

    /// When it will have snubbed us, and when we take back what it owes then, unless a block comes first.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let patience = if self.snubbed { REQUEST_TIMEOUT } else { SNUB_AFTER };
        (!self.asked.is_empty()).then(|| self.progress + patience)
    }

    /// Requests to keep under way, for blocks of `block_len` bytes.
    fn target(&self, now: Instant, block_len: u32) -> usize {
        if self.resumes_at.is_some() {
            return 0;
        }
        if self.snubbed {
            return 1;
        }
        let span = self.latency.min(PIPELINE_SPAN * 4) + PIPELINE_SPAN;
        let bytes = u128::from(self.rate(now)) * span.as_micros() / 1_000_000;
        ((bytes / u128::from(block_len)) as usize).clamp(MIN_PIPELINE, MAX_PIPELINE).min(self.allowed)
    }

    /// How long until its `position`th answer, at its present rate; a peer that stalls is taken to need as long
    /// again for each block as it has been silent.
    fn wait(&self, now: Instant, position: usize, unproven: u64) -> Duration {
        let rate = if self.received == 0 { unproven } else { self.rate(now).max(1) };
        let block = Duration::from_micros(u64::from(BLOCK_LEN) * 1_000_000 / rate);
        let silent = if self.asked.is_empty() { Duration::ZERO } else { now.since(self.progress) };
        block.max(silent) * (position as u32 + 1)
    }

    //= BEP 10: `reqq` is how many requests the peer keeps before it drops any.
    pub(super) fn allow(&mut self, reqq: usize) {
        self.allowed = reqq.max(1);
    }

    /// Whatever answers this request that we took back is no crime.
    fn excuse(&mut self, block: Block) {
        if self.excused.len() >= MAX_EXCUSED {
            self.excused.pop_front();
        }
        self.excused.push_back(block);
    }

    /// An answer to a request that we took back.
    pub(super) fn settle_excused(&mut self, block: Block) -> bool {
        let position = self.excused.iter().position(|&excused| excused == block);
        position.and_then(|position| self.excused.remove(position)).is_some()
    }

    /// A reject came for what was never asked: a race, or confusion if it goes on.
    pub(super) fn stray_reject(&mut self) -> Result<(), DisconnectReason> {
        self.stray_rejects += 1;
        if self.stray_rejects > MAX_STRAY_REJECTS { Err(DisconnectReason::StrayRejects) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, block: Block) -> Option<Asked> {
        let position = self.asked.iter().position(|asked| asked.block == block)?;
        self.asked.remove(position)
    }
}

/// A block as the wire names it.
pub(super) fn raw(block: Block) -> RawBlock {
    RawBlock { piece: block.piece().get(), offset: block.offset(), len: block.len() }
}

impl Torrent {
    /// Tops a peer's pipeline up.
    pub(super) fn fill(&mut self, now: Instant, key: PeerKey) {
        while self.may_request(now, key) {
            let Some(block) = self.next_block(now, key) else { break };
            self.request(now, key, block);
        }
    }

    /// Tops everybody's pipeline up: blocks became free.
    pub(super) fn fill_all(&mut self, now: Instant) {
        let ready = |(&key, peer): (&PeerKey, &super::peers::Peer)| {
            peer.may_serve().then_some((peer.pipeline.snubbed, key))
        };
        let mut keys: Vec<_> = self.peers.iter().filter_map(ready).collect();
        // Who snubs us comes last, or it could hold a piece that only one may fetch for ever.
        keys.sort_unstable();
        for (_, key) in keys {
            self.fill(now, key);
        }
    }

    fn may_request(&self, now: Instant, key: PeerKey) -> bool {
        let block_len = self.geometry.piece_len().min(BLOCK_LEN);
        self.peers.get(&key).is_some_and(|peer| {
            peer.may_serve() && peer.pipeline.len() < peer.pipeline.target(now, block_len)
        }) && !self.storage.paused()
            && self.storage.writing() < MAX_WRITING
    }

    /// The piece the peer works on, then one that nobody else has, for it may leave; then any started piece,
    /// then the rarest, then endgame.
    fn next_block(&mut self, now: Instant, key: PeerKey) -> Option<Block> {
        let peer = self.peers.get(&key)?;
        if peer.them.choking {
            return self.offered_block(key);
        }
        let works_on = peer.pipeline.asked.back().map(|asked| asked.block.piece());
        if let Some(block) = works_on.and_then(|piece| self.partials.free_block_of(piece, key, &peer.has)) {
            return Some(block);
        }
        let may_start = peer.startable > 0;
        let rarest = may_start.then(|| self.picker.rarest(&peer.has, &mut self.random)).flatten();
        if let Some(piece) = rarest.filter(|&piece| self.picker.availability(piece) == 1) {
            return self.start(piece);
        }
        if let Some(block) = self.partials.free_block(key, &peer.has) {
            return Some(block);
        }
        match self.suggested(key).or(rarest) {
            Some(piece) => self.start(piece),
            None => self.endgame_block(now, key),
        }
    }

    pub(super) fn start(&mut self, piece: PieceIndex) -> Option<Block> {
        self.picker.take(piece);
        self.partials.start(piece);
        self.startable_changed(piece);
        self.geometry.block(piece, 0)
    }

    /// Everything that is missing is on order.
    pub(super) fn endgame(&self) -> bool {
        self.partials.len() > 0 && self.partials.all_on_order() && self.picker.is_empty()
    }

    /// Once everything is on order: the block that would come last, if this peer can clearly beat that.
    fn endgame_block(&self, now: Instant, key: PeerKey) -> Option<Block> {
        if !self.endgame() {
            return None;
        }
        let second = self.peers.get(&key)?;
        let useful = |block: Block| {
            second.has.has(block.piece())
                && self.partials.requesters(block).is_some_and(|count| count < MAX_REQUESTERS)
                && second.pipeline.asked.iter().all(|asked| asked.block != block)
        };
        let others = self.peers.iter().filter(|&(&other, _)| other != key);
        let slowest = others.filter_map(|(_, peer)| {
            let mut late = peer.pipeline.asked.iter().enumerate().rev();
            let (position, asked) = late.find(|(_, asked)| useful(asked.block))?;
            Some((peer.pipeline.wait(now, position, UNPROVEN_RATE), asked.block))
        });
        let (wait, block) = slowest.max_by_key(|&(wait, _)| wait)?;
        let ours = second.pipeline.wait(now, second.pipeline.len(), UNPROVEN_RATE / 2);
        (wait > ours + ENDGAME_GAIN).then_some(block)
    }

    fn request(&mut self, now: Instant, key: PeerKey, block: Block) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.pipeline.asked.is_empty() {
            peer.pipeline.progress = now;
        }
        peer.pipeline.asked.push_back(Asked { block, at: now, released: false });
        self.partials.ask(block, key);
        self.wake_for_peers(now + if self.endgame() { ENDGAME_LOOK } else { SNUB_AFTER });
        self.tell_haves(now, key);
        self.send(now, key, Message::Request(raw(block)));
    }

    //= BEP 3: a choke drops queued requests. BEP 6: each of them is then rejected, or still served.
    pub(super) fn choked(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.them.choking = true;
        if peer.fast.is_none() {
            self.drop_requests(key);
        }
    }

    /// The peer serves us now.
    pub(super) fn unchoked(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.them.choking = false;
        self.fill(now, key);
    }

    /// Everything on order at this peer is free again.
    pub(super) fn drop_requests(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let dropped = std::mem::take(&mut peer.pipeline.asked);
        for asked in &dropped {
            peer.pipeline.excuse(asked.block);
        }
        self.refill |= !dropped.is_empty();
        for asked in dropped {
            self.free_again(asked);
        }
    }

    /// A request is off the table: its block may be asked for elsewhere.
    pub(super) fn free_again(&mut self, asked: Asked) {
        self.partials.forget(asked.block, asked.released);
        let piece = asked.block.piece();
        if self.partials.drop_untouched(piece) {
            self.picker.put_back(piece);
            self.startable_changed(piece);
        }
    }

    /// A peer that refused a request is asked again once its pause is over.
    pub(super) fn resume_asking(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.pipeline.resumes_at.is_some_and(|at| at <= now) {
            peer.pipeline.resumes_at = None;
            self.fill(now, key);
        }
    }

    /// The peer owes us blocks and sends none.
    pub(super) fn overdue(&mut self, now: Instant, key: PeerKey) {
        match self.peers.get(&key).map(|peer| peer.pipeline.snubbed) {
            Some(true) => self.take_back(now, key),
            Some(false) => self.snubbed(key),
            None => {}
        }
    }

    /// A snubbing peer may have forgotten what it owes: we do so too, and try it with one request.
    fn take_back(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get(&key) else { return };
        let owed: Vec<_> = peer.pipeline.asked.iter().map(|asked| raw(asked.block)).collect();
        for block in owed {
            self.send(now, key, Message::Cancel(block));
        }
        self.partials.disown(key);
        self.drop_requests(key);
    }

    /// The peer owes us blocks and sends none: others may fetch them, and it gets one request at a time.
    pub(super) fn snubbed(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.pipeline.snubbed = true;
        for asked in peer.pipeline.asked.iter_mut().filter(|asked| !asked.released) {
            asked.released = true;
            self.partials.release(asked.block);
        }
        self.partials.disown(key);
        self.refill = true;
    }

    /// A block arrived.
    pub(super) fn block_arrived(
        &mut self,
        now: Instant,
        key: PeerKey,
        (piece, offset): (u32, u32),
        data: Bytes,
    ) -> Result<(), DisconnectReason> {
        let len = u32::try_from(data.len()).map_err(|_| DisconnectReason::BadBlock)?;
        let block = self.geometry.locate(piece, offset, len).map_err(|_| DisconnectReason::BadBlock)?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let pipeline = &mut peer.pipeline;
        self.totals.downloaded += u64::from(len);
        pipeline.received += u64::from(len);
        pipeline.meter.add(now, u64::from(len));
        pipeline.ranking.add(now, u64::from(len));
        let Some(asked) = pipeline.take(block) else {
            self.totals.wasted += u64::from(len);
            return pipeline.unrequested(block);
        };
        pipeline.latency = pipeline.latency.min(now.since(asked.at));
        pipeline.progress = now;
        pipeline.snubbed = false;
        let giver = peer.addr.ip();
        self.partials.forget(block, asked.released);
        match self.partials.arrived(block, giver) {
            Arrival::Duplicate => self.totals.duplicate += u64::from(len),
            Arrival::Needed { others } => {
                self.write(block, data);
                if others {
                    self.cancel_elsewhere(now, block);
                }
            }
        }
        self.fill(now, key);
        Ok(())
    }

    /// Takes back the other requests for a block that has come.
    fn cancel_elsewhere(&mut self, now: Instant, block: Block) {
        let mut askers = Vec::new();
        for (&key, peer) in &mut self.peers {
            if let Some(asked) = peer.pipeline.take(block) {
                self.partials.forget(block, asked.released);
                peer.pipeline.excuse(block);
                askers.push(key);
            }
        }
        for key in askers {
            self.send(now, key, Message::Cancel(raw(block)));
            self.fill(now, key);
        }
    }
}

impl Pipeline {
    /// A block came that is not on order: a race with our cancel or its choke, or a crime if it goes on.
    fn unrequested(&mut self, block: Block) -> Result<(), DisconnectReason> {
        if self.settle_excused(block) {
            return Ok(());
        }
        self.unsolicited += u64::from(block.len());
        if self.unsolicited > MAX_UNSOLICITED { Err(DisconnectReason::Unsolicited) } else { Ok(()) }
    }
}
