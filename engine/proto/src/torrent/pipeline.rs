//! Requests under way: how many to keep at a peer, how long to wait, what may still come.
//!
//! A pipeline holds bandwidth × delay: the measured rate times the fastest answer seen plus [`PIPELINE_SPAN`].
//! Since a fuller pipe measures faster, it grows by itself until the peer's rate is reached.

use std::collections::VecDeque;

use super::limits::{
    CHOKER_SPAN, MAX_EXCUSED, MAX_PIPELINE, MAX_STRAY_REJECTS, MAX_UNSOLICITED, MIN_PIPELINE, PIPELINE_METER,
    PIPELINE_SPAN, REQUEST_TIMEOUT, SNUB_AFTER,
};
use crate::piece::{BLOCK_LEN, Block};
use crate::time::{Duration, Instant};
use crate::torrent::DisconnectReason;
use crate::torrent::meter::Meter;
use crate::wire::RawBlock;

/// A request that a peer has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) block: Block,
    pub(super) at: Instant,
    /// Others may fetch it as well, because this peer snubs us.
    pub(super) released: bool,
}

/// One peer as a source of blocks.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) asked: VecDeque<Asked>,
    /// Sizes the pipeline.
    pub(super) meter: Meter,
    /// Ranks the peer.
    pub(super) ranking: Meter,
    /// The fastest answer so far.
    pub(super) latency: Duration,
    /// When the last block came, or when it began to owe us blocks.
    pub(super) progress: Instant,
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
    pub(super) fn target(&self, now: Instant, block_len: u32) -> usize {
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
    /// again for each block as it has been silent. Who has not been asked lately is not slow for that: it is as
    /// good as a stranger at least. A snub is not forgotten with the request.
    pub(super) fn wait(&self, now: Instant, position: usize, unproven: u64) -> Duration {
        let idle = self.asked.is_empty() || self.received == 0;
        let rate = self.rate(now).max(if idle { unproven } else { 1 });
        let block = Duration::from_micros(u64::from(BLOCK_LEN) * 1_000_000 / rate);
        let silent = if self.asked.is_empty() { Duration::ZERO } else { now.since(self.progress) };
        let snub = if self.snubbed { SNUB_AFTER } else { Duration::ZERO };
        block.max(silent).max(snub) * (position as u32 + 1)
    }

    //= BEP 10: `reqq` is how many requests the peer keeps before it drops any.
    pub(super) fn allow(&mut self, reqq: usize) {
        self.allowed = reqq.max(1);
    }

    /// Whatever answers this request that we took back is no crime.
    pub(super) fn excuse(&mut self, block: Block) {
        if self.excused.len() >= MAX_EXCUSED {
            self.excused.pop_front();
        }
        self.excused.push_back(block);
    }

    /// It does not snub us (any more): the requests that others might have fetched meanwhile.
    pub(super) fn revive(&mut self) -> Vec<Block> {
        if !std::mem::take(&mut self.snubbed) {
            return Vec::new();
        }
        let revived = |asked: &mut Asked| std::mem::take(&mut asked.released).then_some(asked.block);
        self.asked.iter_mut().filter_map(revived).collect()
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

    /// A block came that is not on order: a race with our cancel or its choke, or a crime if it goes on.
    pub(super) fn unrequested(&mut self, block: Block) -> Result<(), DisconnectReason> {
        if self.settle_excused(block) {
            return Ok(());
        }
        self.unsolicited += u64::from(block.len());
        if self.unsolicited > MAX_UNSOLICITED { Err(DisconnectReason::Unsolicited) } else { Ok(()) }
    }

    /// Takes back the requests that `unwanted` holds of.
    pub(super) fn withdraw(&mut self, unwanted: impl Fn(Block) -> bool) -> Vec<Asked> {
        let (gone, kept): (Vec<_>, Vec<_>) = self.asked.drain(..).partition(|asked| unwanted(asked.block));
        self.asked = kept.into();
        for asked in &gone {
            self.excuse(asked.block);
        }
        gone
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
