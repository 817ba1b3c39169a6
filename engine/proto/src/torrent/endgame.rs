//! Endgame (BEP 3): once everything that is missing is on order, who is clearly faster is asked for what would come
//! last, and what then comes twice is cancelled.

use std::collections::BTreeSet;

use super::limits::{ENDGAME_GAIN, MAX_REQUESTERS, UNPROVEN_RATE};
use super::pipeline::raw;
use crate::piece::Block;
use crate::time::Instant;
use crate::torrent::PeerKey;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::wire::Message;

impl Torrent {
    /// Everything that is missing is on order.
    pub(super) fn endgame(&self) -> bool {
        self.partials.all_on_order() && self.picker.is_empty()
    }

    /// Once everything is on order: the block that would come last, if this peer can clearly beat that.
    pub(super) fn endgame_block(&self, now: Instant, key: PeerKey) -> Option<Block> {
        if !self.endgame() {
            return None;
        }
        let second = self.peers.get(&key)?;
        let promised = self.promised(second);
        let useful = |block: Block| {
            // Two strangers who never gave anything must not keep a block from who did.
            let most = MAX_REQUESTERS
                + u8::from(promised.as_ref().is_some_and(|promised| !promised.contains(&block)));
            second.has.has(block.piece())
                && self.partials.requesters(block).is_some_and(|count| count < most)
                && second.pipeline.asked.iter().all(|asked| asked.block != block)
        };
        let others = self.peers.iter().filter(|&(&other, _)| other != key);
        let slowest = others.filter_map(|(_, peer)| {
            let mut late = peer.pipeline.asked.iter().enumerate().rev();
            let (position, asked) = late.find(|(_, asked)| useful(asked.block))?;
            Some((peer.pipeline.wait(now, position, UNPROVEN_RATE), asked.block))
        });
        let slowest = slowest.chain(self.web_seeds.late(now, useful));
        let (wait, block) = slowest.max_by_key(|&(wait, _)| wait)?;
        let ours = second.pipeline.wait(now, second.pipeline.len(), UNPROVEN_RATE / 2);
        (wait > ours + ENDGAME_GAIN).then_some(block)
    }

    /// What is on order at peers that have given us something, if this is such a peer.
    fn promised(&self, peer: &Peer) -> Option<BTreeSet<Block>> {
        let is_proven = |peer: &&Peer| peer.pipeline.received > 0;
        is_proven(&peer).then(|| {
            let proven = self.peers.values().filter(is_proven);
            proven.flat_map(|peer| &peer.pipeline.asked).map(|asked| asked.block).collect()
        })
    }

    /// Takes back the other requests for a block that has come.
    pub(super) fn cancel_elsewhere(&mut self, now: Instant, block: Block) {
        self.unclaim(block);
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
