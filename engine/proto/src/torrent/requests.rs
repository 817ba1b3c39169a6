//! What is asked of whom: which block is next, what a choke, a snub or a departure frees, what an arrival means.

use bytes::Bytes;

use super::limits::{ENDGAME_LOOK, MAX_WRITING, MIN_PIPELINE, SNUB_AFTER};
use super::partials::Arrival;
use super::pipeline::{Asked, raw};
use crate::bitfield::Bitfield;
use crate::piece::{BLOCK_LEN, Block, PieceIndex};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::policy::PieceView;
use crate::torrent::{DisconnectReason, Giver, PeerKey};
use crate::wire::Message;

impl Torrent {
    /// Tops a peer's pipeline up.
    pub(super) fn fill(&mut self, now: Instant, key: PeerKey) {
        self.assign_suspects(now);
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
            let owed = peer.pipeline.len();
            peer.may_serve()
                && owed < peer.pipeline.target(now, block_len)
                && self.storage_has_room()
                && (owed < MIN_PIPELINE || self.waiting_blocks() < MAX_WRITING)
        })
    }

    /// Will the storage take more? Whoever is refused for this is asked again once it does.
    pub(super) fn storage_has_room(&self) -> bool {
        !self.storage.paused() && self.storage.writing() < MAX_WRITING
    }

    /// Blocks that wait to be written, with those that will come. Who is refused for their number owes us blocks,
    /// and is asked again when one comes.
    fn waiting_blocks(&self) -> usize {
        self.storage.writing() + self.peers.values().map(|peer| peer.pipeline.len()).sum::<usize>()
    }

    /// What to ask a peer for next: the most urgent first, and in the end what others owe us.
    fn next_block(&mut self, now: Instant, key: PeerKey) -> Option<Block> {
        let peer = self.peers.get(&key)?;
        if peer.them.choking {
            return self.offered_block(key);
        }
        let block = match self.wanted.by_urgency(&peer.has) {
            None => self.block_within(now, key, None),
            Some(levels) => levels.iter().find_map(|level| self.block_within(now, key, Some(level))),
        };
        block.or_else(|| self.endgame_block(now, key))
    }

    /// The piece the peer works on, then as the policy likes it, then whatever helps; of what it has, or of a
    /// part of that.
    fn block_within(&mut self, now: Instant, key: PeerKey, part: Option<&Bitfield>) -> Option<Block> {
        let peer = self.peers.get(&key)?;
        let has = part.unwrap_or(&peer.has);
        if let Some(block) = peer.works_on().and_then(|piece| self.partials.free_block_of(piece, key, has)) {
            return Some(block);
        }
        let view = PieceView {
            geometry: self.geometry,
            have: &self.have,
            wanted: &self.wanted,
            picker: &self.picker,
            partials: &self.partials,
            peer: key,
            has,
            startable: peer.startable,
            suggested: self.suggested(key, has),
            spared: self.left_to_others(now, key),
        };
        let picked = self.picking.pick(&view, &mut self.random);
        // No policy can stall a torrent: what is left undecided is helped along or started all the same.
        let picked = picked.filter(|&piece| view.may_start(piece) || view.may_help(piece));
        let piece = picked
            .or_else(|| view.nearest_done())
            .or_else(|| view.rarest(&mut self.random))
            .or_else(|| view.any_nearest_done())?;
        if view.may_start(piece) { self.start(piece) } else { self.partials.free_block_of(piece, key, has) }
    }

    pub(super) fn start(&mut self, piece: PieceIndex) -> Option<Block> {
        self.picker.take(piece);
        self.partials.start(piece);
        self.startable_changed(piece);
        self.geometry.block(piece, 0)
    }

    fn request(&mut self, now: Instant, key: PeerKey, block: Block) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.pipeline.asked.is_empty() {
            peer.pipeline.progress = now;
        }
        // Who snubs us is tried, and nobody waits for it: two of them would hold a block for ever.
        let released = peer.pipeline.snubbed;
        peer.pipeline.asked.push_back(Asked { block, at: now, released });
        self.partials.ask(block);
        if released {
            self.partials.release(block);
        }
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
        self.give_back(asked.block, asked.released);
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
        // What it owes is expected of it again, or it would be asked for the same a second time.
        for owed in pipeline.revive() {
            self.partials.expect(owed);
        }
        let gift = self.suspects.gift(Giver::peer(peer.addr.ip()), &data);
        self.partials.forget(block, asked.released);
        match self.partials.arrived(block, gift) {
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
}
