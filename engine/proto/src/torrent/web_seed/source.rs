//! One URL as a source of blocks: its state, its back-off, and blocks out of its bytes.
//!
//! ```text
//!            a gap                     all of it
//!   Idle ───────────▶ Fetching ─────────────────────▶ Idle
//!     ▲                  │ failed     │ not this file: Idle, without the file
//!     └── Waiting ◀──────┘            │ never: GivenUp
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{FetchKey, Verdict, WebError, WebSeedState, WebSeedStats};
use crate::bitfield::Bitfield;
use crate::metainfo::{Metainfo, web_seed};
use crate::piece::{BLOCK_LEN, Block, Geometry};
use crate::time::{Duration, Instant};
use crate::torrent::limits::{
    FETCH_PATIENCE, FETCH_SPAN, MAX_FETCH, MAX_WEB_BACKOFF, MIN_FETCH, UNPROVEN_RATE, WEB_BACKOFF, WEB_METER,
};
use crate::torrent::meter::Meter;
use crate::torrent::{Giver, PeerKey};
use crate::tracker::TrackerUrl;

/// All web seeds of a torrent.
#[derive(Debug)]
pub(in crate::torrent) struct WebSeeds {
    pub(super) seeds: Vec<WebSeed>,
    /// Each file's path below a root.
    paths: Vec<String>,
    is_single: bool,
    /// Something may have become free that an idle one could fetch.
    pub(in crate::torrent) hungry: bool,
    next_key: u64,
}

/// One URL.
#[derive(Debug)]
pub(super) struct WebSeed {
    url: String,
    root: TrackerUrl,
    /// Pieces all of whose files it may have.
    pub(super) has: Bitfield,
    pub(super) state: State,
    /// In a row.
    failures: u32,
    pub(super) error: Option<WebError>,
    /// It sends the ranges that it is asked for.
    pub(super) ranged: bool,
    meter: Meter,
    received: u64,
}

#[derive(Debug)]
pub(super) enum State {
    Idle,
    Waiting(Instant),
    Fetching(Job),
    GivenUp,
}

/// A run of blocks that is being fetched, file by file.
#[derive(Debug)]
pub(super) struct Job {
    /// The request under way.
    pub(super) key: FetchKey,
    /// What is still to come: the next byte, in the content, and where the request under way ends.
    pub(super) due: Range<u64>,
    /// Blocks to come, in order; false if somebody else has brought it.
    pub(super) owed: VecDeque<(Block, bool)>,
    /// The beginning of the first of them.
    part: BytesMut,
    /// When something came last.
    pub(super) progress: Instant,
    /// Credit that waits for the storage, in bytes.
    pub(super) debt: usize,
}

impl WebSeeds {
    /// Those of a torrent; none if `wanted` is false.
    pub(in crate::torrent) fn new(metainfo: &Metainfo, wanted: bool, now: Instant) -> Self {
        let urls = if wanted { metainfo.web_seeds() } else { &[] };
        let pieces = metainfo.geometry().pieces();
        let seeds: Vec<_> = urls.iter().filter_map(|url| WebSeed::new(url, pieces, now)).collect();
        let paths = if seeds.is_empty() { Vec::new() } else { metainfo.web_paths() };
        let hungry = !seeds.is_empty();
        Self { seeds, paths, is_single: metainfo.is_single(), hungry, next_key: 0 }
    }

    pub(super) fn position(&self, key: FetchKey) -> Option<usize> {
        self.seeds.iter().position(|seed| seed.job().is_some_and(|job| job.key == key))
    }

    pub(super) fn fetching(&self) -> usize {
        self.seeds.iter().filter(|seed| seed.job().is_some()).count()
    }

    pub(super) fn new_key(&mut self) -> FetchKey {
        self.next_key += 1;
        FetchKey(self.next_key)
    }

    /// The URL of a file at a web seed.
    pub(super) fn url(&self, seed: usize, file: usize) -> Option<TrackerUrl> {
        let (seed, path) = (self.seeds.get(seed)?, self.paths.get(file)?);
        Some(web_seed::file_url(&seed.root, path, self.is_single))
    }

    /// When something is due: a new try, or the end of patience.
    pub(in crate::torrent) fn due(&self) -> Option<Instant> {
        self.seeds.iter().filter_map(WebSeed::due).min()
    }

    /// Somebody else has brought `block`.
    pub(in crate::torrent) fn unclaim(&mut self, block: Block) -> bool {
        let jobs = self.seeds.iter_mut().filter_map(WebSeed::job_mut);
        let mut claims = jobs.flat_map(|job| &mut job.owed);
        claims.find(|(owed, claimed)| *claimed && *owed == block).is_some_and(|(_, claimed)| {
            *claimed = false;
            true
        })
    }

    /// The blocks that would come last, with how long they take: others may be faster (endgame).
    pub(in crate::torrent) fn late(
        &self,
        now: Instant,
        useful: impl Fn(Block) -> bool,
    ) -> Option<(Duration, Block)> {
        let last = |seed: &WebSeed| {
            let mut late = seed.job()?.owed.iter().enumerate().rev();
            let (position, &(block, _)) = late.find(|(_, (block, claimed))| *claimed && useful(*block))?;
            let bytes = (position as u64 + 1) * u64::from(BLOCK_LEN);
            Some((Duration::from_micros(bytes.saturating_mul(1_000_000) / seed.rate(now)), block))
        };
        self.seeds.iter().filter_map(last).max_by_key(|&(wait, _)| wait)
    }

    /// Bytes a second that they send us.
    pub(in crate::torrent) fn stats(&self, now: Instant) -> Vec<WebSeedStats> {
        self.seeds.iter().map(|seed| seed.stats(now)).collect()
    }

    /// Requests under way, in blocks.
    #[cfg(debug_assertions)]
    pub(in crate::torrent) fn on_order(&self) -> usize {
        let jobs = self.seeds.iter().filter_map(WebSeed::job);
        jobs.flat_map(|job| &job.owed).filter(|(_, claimed)| *claimed).count()
    }
}

/// What the started pieces know a web seed by: a number that no connection comes to.
pub(super) const fn requester(seed: usize) -> PeerKey {
    PeerKey(u64::MAX - seed as u64)
}

/// What blame knows a web seed by.
pub(super) const fn giver(seed: usize) -> Giver {
    Giver::WebSeed(seed as u32)
}

impl WebSeed {
    fn new(url: &str, pieces: u32, now: Instant) -> Option<Self> {
        Some(Self {
            url: url.to_owned(),
            root: web_seed::root(url)?,
            has: Bitfield::full(pieces),
            state: State::Idle,
            failures: 0,
            error: None,
            ranged: true,
            meter: Meter::new(WEB_METER, now),
            received: 0,
        })
    }

    pub(super) const fn job(&self) -> Option<&Job> {
        if let State::Fetching(job) = &self.state { Some(job) } else { None }
    }

    pub(super) const fn job_mut(&mut self) -> Option<&mut Job> {
        if let State::Fetching(job) = &mut self.state { Some(job) } else { None }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(until) => Some(*until),
            State::Fetching(job) if job.debt == 0 => Some(job.progress + FETCH_PATIENCE),
            State::Fetching(_) | State::Idle | State::GivenUp => None,
        }
    }

    fn rate(&self, now: Instant) -> u64 {
        if self.received == 0 { UNPROVEN_RATE } else { self.meter.rate(now).max(1) }
    }

    /// Bytes to ask for at once. Who cannot skip sends all that comes before, so it is asked once for everything.
    pub(super) fn wish(&self, now: Instant) -> u64 {
        if !self.ranged {
            return u64::MAX;
        }
        let span = u128::from(self.rate(now)) * FETCH_SPAN.as_micros() / 1_000_000;
        (span as u64).clamp(MIN_FETCH, MAX_FETCH)
    }

    pub(super) fn received(&mut self, now: Instant, bytes: u64) {
        self.received += bytes;
        self.meter.add(now, bytes);
    }

    /// A whole request was answered.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.error = None;
    }

    /// It failed: what now? `file` has the pieces of the file that was asked for. Is the reason news?
    pub(super) fn failed(
        &mut self,
        now: Instant,
        error: WebError,
        geometry: Geometry,
        file: Option<Range<u64>>,
    ) -> bool {
        let wait = WEB_BACKOFF * (1 << self.failures.min(16));
        self.failures += 1;
        self.state = match error.verdict() {
            Verdict::Never => State::GivenUp,
            Verdict::NotThisFile => {
                self.lose(geometry, file);
                if self.has.is_empty() { State::GivenUp } else { State::Idle }
            }
            Verdict::Later => {
                //= RFC 9110, 10.2.3: `Retry-After` is how long one ought to wait.
                let asked = if let WebError::Busy { retry_after, .. } = error { retry_after } else { None };
                State::Waiting(now + wait.max(asked.unwrap_or_default()).min(MAX_WEB_BACKOFF))
            }
        };
        let is_news = self.error.as_ref() != Some(&error);
        self.error = Some(error);
        is_news
    }

    /// The bytes of a file are not to be had here; nor then is any piece that has some of them.
    fn lose(&mut self, geometry: Geometry, file: Option<Range<u64>>) {
        let Some(file) = file else { return };
        let piece = |byte: u64| (byte / u64::from(geometry.piece_len())) as u32;
        for piece in
            (piece(file.start)..=piece(file.end.saturating_sub(1))).filter_map(|at| geometry.piece(at))
        {
            self.has.clear(piece);
        }
    }

    fn stats(&self, now: Instant) -> WebSeedStats {
        let state = match self.state {
            State::Idle => WebSeedState::Idle,
            State::Waiting(_) => WebSeedState::Waiting,
            State::Fetching(_) => WebSeedState::Fetching,
            State::GivenUp => WebSeedState::GivenUp,
        };
        WebSeedStats {
            url: self.url.clone(),
            state,
            download_rate: self.meter.rate(now),
            downloaded: self.received,
            error: self.error.clone(),
        }
    }
}

impl Job {
    /// For blocks that follow each other, from `start` in the content.
    pub(super) fn new(key: FetchKey, start: u64, blocks: Vec<Block>, now: Instant) -> Self {
        let owed = blocks.into_iter().map(|block| (block, true)).collect();
        Self { key, due: start..start, owed, part: BytesMut::new(), progress: now, debt: 0 }
    }

    /// Takes bytes in, as many as are due; gives out what is whole, and whether it was still claimed.
    pub(super) fn take(&mut self, mut data: Bytes) -> Vec<(Block, Bytes, bool)> {
        data.truncate(usize::try_from(self.due.end - self.due.start).unwrap_or(usize::MAX));
        self.due.start += data.len() as u64;
        let mut whole = Vec::new();
        while !data.is_empty()
            && let Some(&(block, claimed)) = self.owed.front()
        {
            let missing = block.len() as usize - self.part.len();
            let some = data.split_to(missing.min(data.len()));
            if some.len() < missing {
                self.part.extend_from_slice(&some);
                break;
            }
            // A block in one run is passed on as it is.
            let content = if self.part.is_empty() {
                some
            } else {
                self.part.extend_from_slice(&some);
                std::mem::take(&mut self.part).freeze()
            };
            self.owed.pop_front();
            whole.push((block, content, claimed));
        }
        whole
    }

    /// Bytes of a block that will not become whole.
    pub(super) fn leftover(&self) -> u64 {
        self.part.len() as u64
    }

    /// Somebody else has brought all that is still to come.
    pub(super) fn is_idle(&self) -> bool {
        self.owed.iter().all(|(_, claimed)| !claimed)
    }
}
