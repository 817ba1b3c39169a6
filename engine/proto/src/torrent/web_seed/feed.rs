//! Which gap is asked of which web seed, and what its news do to the torrent.

use std::ops::Range;

use bytes::Bytes;

use super::source::{Job, State, WebSeed, giver, requester};
use super::{Fetch, FetchKey, WebError, WebNews};
use crate::bitfield::Bitfield;
use crate::piece::{Block, PieceIndex};
use crate::time::Instant;
use crate::torrent::limits::{ENDGAME_LOOK, FETCH_CREDIT, FETCH_PATIENCE, MAX_FETCHES, SNUB_AFTER};
use crate::torrent::machine::Torrent;
use crate::torrent::partials::Arrival;
use crate::torrent::{Event, Giver, Output};

/// What a padding file consists of (BEP 47), a run at a time.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

impl Torrent {
    /// Blocks may be free for web seeds that do nothing; the storage may take more again.
    pub(in crate::torrent) fn feed_web_seeds(&mut self, now: Instant) {
        self.pay_debts(now);
        for seed in 0..self.web_seeds.seeds.len() {
            if self.web_seeds.fetching() >= MAX_FETCHES || !self.storage_has_room() {
                return;
            }
            let idle = self.web_seeds.seeds.get(seed).filter(|seed| matches!(seed.state, State::Idle));
            if idle.is_none() {
                continue;
            }
            let blocks = self.claim(now, seed);
            let Some(start) = blocks.first().map(|&block| self.geometry.start_of_block(block)) else {
                continue;
            };
            let key = self.web_seeds.new_key();
            if let Some(seed) = self.web_seeds.seeds.get_mut(seed) {
                seed.state = State::Fetching(Job::new(key, start, blocks, now));
            }
            self.ask_for_file(now, seed);
            self.wake_for_peers(now + if self.endgame() { ENDGAME_LOOK } else { SNUB_AFTER });
        }
    }

    /// Takes blocks for a web seed to fetch: they follow each other, and nobody else is asked for them.
    fn claim(&mut self, now: Instant, number: usize) -> Vec<Block> {
        let Some(seed) = self.web_seeds.seeds.get(number) else { return Vec::new() };
        let gap = self.widest_gap(&seed.has, seed.wish(now));
        let requester = requester(number);
        let mut blocks = Vec::new();
        if gap.is_empty() {
            // Nothing is untouched: the rest of a piece that somebody began.
            let has = seed.has.clone();
            self.adopt_suspects(number, &has);
            let begun = self.partials.nearest_done(requester, &has, &[]);
            let free = |piece| self.partials.free_block_of(piece, requester, &has);
            let mut next = begun.and_then(free);
            while let Some(block) = next {
                blocks.push(block);
                self.partials.ask(block);
                let after = self.partials.free_block_of(block.piece(), requester, &has);
                next = after.filter(|next| next.offset() == block.offset() + block.len());
            }
            return blocks;
        }
        let geometry = self.geometry;
        for piece in gap.filter_map(|index| geometry.piece(index)) {
            self.start(piece);
            for block in geometry.blocks(piece) {
                self.partials.ask(block);
                blocks.push(block);
            }
        }
        blocks
    }

    /// Pieces that failed are fetched from one giver alone: from this web seed, where no peer has taken them on, unless
    /// another had a smaller part in what failed.
    fn adopt_suspects(&mut self, number: usize, has: &Bitfield) {
        for (piece, owner) in self.partials.suspects() {
            let blame = |number| self.suspects.attempts(piece, giver(number));
            let usable = |seed: &WebSeed| matches!(seed.state, State::Idle) && seed.has.has(piece);
            let able = self.web_seeds.seeds.iter().enumerate().filter(|(_, seed)| usable(seed));
            let least = able.map(|(number, _)| blame(number)).min();
            let is_taken = owner.is_some_and(|owner| self.peers.contains_key(&owner));
            let is_mine = owner == Some(requester(number));
            if has.has(piece) && !is_taken && !is_mine && least == Some(blame(number)) {
                let others = self.partials.given(piece).into_iter().map(|(_, gift)| gift.giver);
                self.suspects.left_by(piece, others.filter(|&other| other != giver(number)));
                self.partials.assign(piece, requester(number));
            }
        }
    }

    /// The longest run of pieces that are neither here nor begun and that `has` names; its beginning, of about `wish`
    /// bytes and a piece at the least.
    //= BEP 19: "This allows a HTTP/FTP connection to start at the beginning of a large gap".
    fn widest_gap(&self, has: &Bitfield, wish: u64) -> Range<u32> {
        let (mut widest, mut run) = (0..0, 0..0);
        for piece in self.geometry.all_pieces() {
            if !(has.has(piece) && self.picker.holds(piece)) {
                continue;
            }
            let index = piece.get();
            run = if run.end == index { run.start..index + 1 } else { index..index + 1 };
            if run.len() > widest.len() {
                widest = run.clone();
            }
        }
        let most = (wish / u64::from(self.geometry.piece_len())).max(1);
        widest.start..widest.end.min(widest.start.saturating_add(u32::try_from(most).unwrap_or(u32::MAX)))
    }

    /// Asks for the part of a job that lies in one file; padding is not fetched but known.
    fn ask_for_file(&mut self, now: Instant, number: usize) {
        while let Some(job) = self.web_seeds.seeds.get_mut(number).and_then(WebSeed::job_mut) {
            let Some(&(last, _)) = job.owed.back() else { return self.job_done(number) };
            let end = self.geometry.start_of_block(last) + u64::from(last.len());
            let start = job.due.start;
            let Some(span) = self.metainfo.spans(start, end - start).next() else {
                return self.job_done(number);
            };
            job.due.end = start + span.len;
            let Some(file) = self.metainfo.files().get(span.file) else { return self.job_done(number) };
            if file.is_padding() {
                self.take_zeros(now, number);
                continue;
            }
            let key = self.web_seeds.new_key();
            if let Some(job) = self.web_seeds.seeds.get_mut(number).and_then(WebSeed::job_mut) {
                (job.key, job.progress, job.debt) = (key, now, 0);
            }
            if let Some(url) = self.web_seeds.url(number, span.file) {
                let range = span.offset..span.offset + span.len;
                let fetch = Fetch { key, seed: number, url, range, len: file.len, credit: FETCH_CREDIT };
                self.outputs.push_back(Output::Fetch(fetch));
            }
            return;
        }
    }

    /// The whole of what is due is padding.
    fn take_zeros(&mut self, now: Instant, number: usize) {
        while let Some(job) = self.web_seeds.seeds.get_mut(number).and_then(WebSeed::job_mut)
            && !job.due.is_empty()
        {
            let whole = job.take(Bytes::from_static(&ZEROS));
            self.blocks_came(now, number, whole);
        }
    }

    /// A web seed's request has news.
    pub(in crate::torrent) fn web_news(&mut self, now: Instant, key: FetchKey, news: WebNews) {
        // Of a request that was taken back, nothing counts any more.
        let Some(number) = self.web_seeds.position(key) else { return };
        let Some(seed) = self.web_seeds.seeds.get_mut(number) else { return };
        match news {
            WebNews::Began { ranged } => {
                seed.ranged = ranged;
                if let Some(job) = seed.job_mut() {
                    job.progress = now;
                }
            }
            WebNews::Data(data) => self.web_data(now, number, data),
            WebNews::Ended(Ok(())) if seed.job().is_some_and(|job| job.due.is_empty()) => {
                seed.succeeded();
                self.ask_for_file(now, number);
            }
            WebNews::Ended(Ok(())) => self.web_failed(now, number, WebError::Truncated),
            WebNews::Ended(Err(error)) => self.web_failed(now, number, error),
        }
    }

    fn web_data(&mut self, now: Instant, number: usize, data: Bytes) {
        let room = self.storage_has_room();
        let Some(seed) = self.web_seeds.seeds.get_mut(number) else { return };
        let len = data.len();
        seed.received(now, len as u64);
        self.totals.downloaded += len as u64;
        let Some(job) = seed.job_mut() else { return };
        job.progress = now;
        let key = job.key;
        let before = job.due.start;
        let whole = job.take(data);
        self.totals.wasted += len as u64 - (job.due.start - before);
        if room {
            self.outputs.push_back(Output::FetchMore { key, bytes: len });
        } else {
            job.debt += len;
        }
        self.blocks_came(now, number, whole);
        let job = self.web_seeds.seeds.get(number).and_then(WebSeed::job);
        if job.is_some_and(|job| !job.owed.is_empty() && job.is_idle()) {
            self.take_back_fetch(number);
            self.abandon(number);
            self.web_seeds.hungry = true;
        }
    }

    fn blocks_came(&mut self, now: Instant, number: usize, whole: Vec<(Block, Bytes, bool)>) {
        for (block, data, claimed) in whole {
            let gift = self.suspects.gift(giver(number), &data);
            if claimed {
                self.partials.forget(block, false);
            }
            match self.partials.arrived(block, gift) {
                Arrival::Duplicate => self.totals.duplicate += u64::from(block.len()),
                Arrival::Needed { others } => {
                    self.write(block, data);
                    if others {
                        self.cancel_elsewhere(now, block);
                    }
                }
            }
        }
    }

    /// Nothing is on order at a web seed any more.
    fn job_done(&mut self, number: usize) {
        if let Some(seed) = self.web_seeds.seeds.get_mut(number) {
            seed.state = State::Idle;
        }
        self.partials.disown(requester(number));
        self.web_seeds.hungry = true;
    }

    /// The driver need not go on with a web seed's request.
    fn take_back_fetch(&mut self, number: usize) {
        if let Some(job) = self.web_seeds.seeds.get(number).and_then(WebSeed::job) {
            self.outputs.push_back(Output::FetchStop { key: job.key });
        }
    }

    /// A web seed failed: others may have what was on order there.
    fn web_failed(&mut self, now: Instant, number: usize, error: WebError) {
        let file = self.abandon(number);
        if let Some(seed) = self.web_seeds.seeds.get_mut(number)
            && seed.failed(now, error.clone(), self.geometry, file)
        {
            let url = seed.url().to_owned();
            self.outputs.push_back(Output::Event(Event::WebSeedFailed { url, error }));
        }
        self.refill = true;
    }

    /// Gives back what was on order at a web seed, which does nothing then; says which file was under way.
    fn abandon(&mut self, number: usize) -> Option<Range<u64>> {
        let seed = self.web_seeds.seeds.get_mut(number)?;
        let State::Fetching(job) = std::mem::replace(&mut seed.state, State::Idle) else { return None };
        self.totals.wasted += job.leftover();
        for (block, _) in job.owed.into_iter().filter(|(_, claimed)| *claimed) {
            self.give_back(block, false);
        }
        self.partials.disown(requester(number));
        // A request lies in one file; if it is over, its last byte does.
        let byte = job.due.start.min(job.due.end.saturating_sub(1));
        let span = self.metainfo.spans(byte, 1).next()?;
        self.metainfo.files().get(span.file).map(|file| file.offset..file.offset + file.len)
    }

    /// The user does not want some of what web seeds are fetching: they are asked anew.
    pub(in crate::torrent) fn withdraw_web_seeds(&mut self) {
        for number in 0..self.web_seeds.seeds.len() {
            let job = self.web_seeds.seeds.get(number).and_then(WebSeed::job);
            let mut claims = job.into_iter().flat_map(|job| &job.owed).filter(|(_, claimed)| *claimed);
            if claims.any(|(block, _)| !self.wanted.wants(block.piece())) {
                self.take_back_fetch(number);
                self.abandon(number);
            }
        }
    }

    /// Pieces from this giver are bad: if it is a web seed, it has had its chances.
    pub(in crate::torrent) fn ban_web_seed(&mut self, now: Instant, who: Giver) {
        if let Giver::WebSeed(number) = who {
            let number = number as usize;
            self.take_back_fetch(number);
            self.web_failed(now, number, WebError::WrongContent);
        }
    }

    /// New tries, and the end of patience with who is silent.
    pub(in crate::torrent) fn look_after_web_seeds(&mut self, now: Instant) {
        for number in 0..self.web_seeds.seeds.len() {
            let Some(seed) = self.web_seeds.seeds.get_mut(number) else { return };
            match &seed.state {
                State::Waiting(until) if *until <= now => {
                    seed.state = State::Idle;
                    self.web_seeds.hungry = true;
                }
                State::Fetching(job) if job.debt == 0 && job.progress + FETCH_PATIENCE <= now => {
                    self.take_back_fetch(number);
                    self.web_failed(now, number, WebError::Silent);
                }
                State::Waiting(_) | State::Fetching(_) | State::Idle | State::GivenUp => {}
            }
        }
    }

    /// The storage takes more: whoever waited for it may send on.
    fn pay_debts(&mut self, now: Instant) {
        if !self.storage_has_room() {
            return;
        }
        for job in self.web_seeds.seeds.iter_mut().filter_map(WebSeed::job_mut).filter(|job| job.debt > 0) {
            let bytes = std::mem::take(&mut job.debt);
            job.progress = now;
            self.outputs.push_back(Output::FetchMore { key: job.key, bytes });
        }
    }

    /// The torrent stops: so do its requests.
    pub(in crate::torrent) fn stop_web_seeds(&mut self) {
        for number in 0..self.web_seeds.seeds.len() {
            self.take_back_fetch(number);
        }
    }

    /// Somebody else has brought a block that a web seed was asked for.
    pub(in crate::torrent) fn unclaim(&mut self, block: Block) {
        if self.web_seeds.unclaim(block) {
            self.partials.forget(block, false);
        }
    }

    /// Everything that was on order for this piece is off the table.
    pub(in crate::torrent) fn give_back(&mut self, block: Block, released: bool) {
        self.partials.forget(block, released);
        let piece: PieceIndex = block.piece();
        if self.partials.drop_untouched(piece) {
            self.reopen(piece);
        }
    }
}
