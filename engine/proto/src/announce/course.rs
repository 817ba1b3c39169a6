//! One [`Course`] through the tiers: which tracker is asked what, over which family, and when. The module's
//! documentation draws its steps; `asks` has the questions, `replies` what answers do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::step::{Completion, Step, Talk};
use super::tiers::Tiers;
use super::{AnnounceConfig, AnnounceError, Input, MAX_ADDRS, Output, STOP_RETRY, STOP_WAIT, Timer};
use crate::seed::Random;
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::Family;

/// Announces one torrent to one tracker at a time.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) config: Arc<AnnounceConfig>,
    pub(super) tiers: Tiers,
    pub(super) random: Random,
    //= BEP 15, IPv6: one key for both families, so that a tracker recognises us.
    pub(super) key: u32,
    /// One for each family that we listen in.
    pub(super) talks: Vec<Talk>,
    pub(super) completion: Completion,
    /// The family that said `completed` first and goes on saying it until it is answered. The other one must
    /// not: what was never answered may have been heard.
    pub(super) teller: Option<Family>,
    /// BEP 21; BEP 15 has no such event, so a UDP tracker is not told.
    pub(super) is_partial_seed: bool,
    /// The tracker whose peers we know.
    pub(super) swarm: Option<usize>,
    pub(super) stop_by: Option<Instant>,
    pub(super) outputs: VecDeque<Output>,
}

impl Course {
    /// A machine that is silent until `Started`.
    pub(super) fn new(config: Arc<AnnounceConfig>, tiers: Tiers, key: u32, random: Random) -> Self {
        let mut talks: Vec<Talk> = Vec::new();
        for &(family, port) in &config.ports {
            if !talks.iter().any(|talk| talk.family == family) {
                talks.push(Talk::new(family, port));
            }
        }
        Self {
            key,
            config,
            tiers,
            random,
            talks,
            completion: Completion::Incomplete,
            teller: None,
            is_partial_seed: false,
            swarm: None,
            stop_by: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input in; `progress` goes into the announce that it may cause.
    pub(super) fn handle_input(&mut self, now: Instant, progress: &Progress, input: Input) {
        match input {
            Input::Announce(Some(AnnounceEvent::Started)) => self.start(now, progress),
            Input::Announce(Some(AnnounceEvent::Completed)) => self.complete(now, progress),
            Input::Announce(Some(AnnounceEvent::Stopped)) => self.stop(now, progress),
            Input::Announce(None) => self.want_peers(),
            Input::Resolved { host, port, addrs } => self.resolved(now, progress, &host, port, &addrs),
            Input::Datagram { from, payload } => self.datagram(now, progress, from, &payload),
            Input::Got { transaction, outcome } => self.got(now, progress, transaction, outcome),
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant, progress: &Progress) {
        if self.stop_by.is_some_and(|by| now >= by) {
            for index in 0..self.talks.len() {
                self.finish(index);
            }
            return;
        }
        let first = self.first();
        for index in 0..self.talks.len() {
            let Some(talk) = self.talks.get_mut(index) else { continue };
            match talk.deadline() {
                Some((at, Timer::Answer)) if now >= at => {
                    self.fail(now, progress, index, Some(AnnounceError::NoAnswer));
                }
                Some((at, _)) if now >= at => {
                    talk.round_began = now;
                    talk.at = first;
                    self.contact(now, progress, index);
                }
                Some(_) | None => {}
            }
        }
    }

    /// The next thing to carry out or to know; drain it to `None` after each `handle_*`.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let stop = self.stop_by.map(|by| (by, Timer::Stop));
        self.talks.iter().filter_map(Talk::deadline).chain(stop).min_by_key(|(at, _)| *at)
    }

    /// Where a round begins.
    //= BEP 27: use only one tracker at a time and only switch between trackers when the current tracker fails.
    fn first(&self) -> Option<usize> {
        let answers = |&number: &usize| self.talks.iter().any(|talk| talk.answered_by == Some(number));
        let current = self.swarm.filter(|_| self.config.private).filter(answers);
        current.or_else(|| self.tiers.first())
    }

    fn start(&mut self, now: Instant, progress: &Progress) {
        if self.talks.iter().any(|talk| talk.step != Step::Idle) {
            return;
        }
        if progress.left == 0 {
            self.completion = Completion::Said;
        }
        let Some(first) = self.tiers.first() else { return };
        for index in 0..self.talks.len() {
            if let Some(talk) = self.talks.get_mut(index) {
                talk.round_began = now;
                talk.at = Some(first);
            }
            self.contact(now, progress, index);
        }
    }

    fn complete(&mut self, now: Instant, progress: &Progress) {
        if self.completion != Completion::Incomplete {
            return;
        }
        self.completion = Completion::Owed;
        for index in 0..self.talks.len() {
            if let Some(talk) = self.talks.get_mut(index)
                && matches!(talk.step, Step::Waiting { timer: Timer::Interval, .. })
            {
                talk.round_began = now;
                self.contact(now, progress, index);
            }
        }
    }

    /// Moves the next announces forward, as far as politeness allows.
    fn want_peers(&mut self) {
        for talk in &mut self.talks {
            if let Step::Waiting { until, timer: Timer::Interval } = &mut talk.step {
                *until = (*until).min(talk.answered_at + self.config.min_gap.max(talk.min_interval));
            }
        }
    }

    fn stop(&mut self, now: Instant, progress: &Progress) {
        if self.stop_by.is_some() || self.is_done() {
            return;
        }
        self.stop_by = Some(now + STOP_WAIT);
        if self.talks.is_empty() {
            self.end();
        }
        for index in 0..self.talks.len() {
            let Some(talk) = self.talks.get_mut(index) else { continue };
            match (talk.member_of, &mut talk.step) {
                (None, _) => self.finish(index),
                (_, Step::Announcing { event: Some(AnnounceEvent::Completed), until, .. }) => {
                    *until = (*until).min(now + STOP_RETRY);
                }
                (member_of, _) => {
                    talk.at = member_of;
                    self.contact(now, progress, index);
                }
            }
        }
    }

    /// One family has nothing more to say.
    pub(super) fn finish(&mut self, index: usize) {
        let Some(talk) = self.talks.get_mut(index).filter(|talk| talk.step != Step::Done) else { return };
        talk.step = Step::Done;
        if self.is_done() {
            self.end();
        }
    }

    fn is_done(&self) -> bool {
        !self.talks.is_empty() && self.talks.iter().all(|talk| talk.step == Step::Done)
    }

    fn end(&mut self) {
        self.stop_by = None;
        self.outputs.push_back(Output::Done);
    }

    /// The event that a family's next announce says.
    pub(super) fn event_due(&self, index: usize, progress: &Progress) -> Option<AnnounceEvent> {
        let talk = self.talks.get(index)?;
        let is_owed = match self.completion {
            Completion::Incomplete => progress.left == 0,
            Completion::Owed => true,
            Completion::Said => false,
        };
        let completes = is_owed && self.teller.is_none_or(|teller| teller == talk.family);
        let stopping = self.stop_by.map(|_| AnnounceEvent::Stopped);
        if talk.started {
            completes.then_some(AnnounceEvent::Completed).or(stopping)
        } else {
            stopping.or(Some(AnnounceEvent::Started))
        }
    }

    fn resolved(&mut self, now: Instant, progress: &Progress, host: &str, port: u16, addrs: &[SocketAddr]) {
        for index in 0..self.talks.len() {
            let Some(talk) = self.talks.get(index) else { continue };
            let (Step::Resolving { .. }, Some(number)) = (talk.step, talk.at) else { continue };
            let Some(tracker) = self.tiers.tracker(number) else { continue };
            if (tracker.url.host(), tracker.url.port()) != (host, port) {
                continue;
            }
            let ours = addrs.iter().filter(|&&addr| Family::of(addr) == talk.family);
            let way = tracker.way(talk.family);
            way.addrs = ours.take(MAX_ADDRS).copied().collect();
            if !way.addrs.is_empty() {
                self.contact(now, progress, index);
                continue;
            }
            // A tracker of one family only is nothing to complain about.
            let nowhere = addrs.is_empty();
            let error = nowhere.then(|| AnnounceError::Unresolved { host: host.to_owned() });
            self.fail(now, progress, index, error);
        }
    }

    /// The present tracker failed over one family: its next address, or the next tracker.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        progress: &Progress,
        index: usize,
        error: Option<AnnounceError>,
    ) {
        let Some(talk) = self.talks.get_mut(index) else { return };
        if self.stop_by.is_some() {
            // There is one tracker to leave and not much time: ask it again.
            let no_answer = error == Some(AnnounceError::NoAnswer);
            if let Step::Announcing { event: Some(AnnounceEvent::Completed), .. } = talk.step {
                self.completion = Completion::Said;
            }
            return if no_answer { self.contact(now, progress, index) } else { self.finish(index) };
        }
        let Some(number) = talk.at else { return };
        let Some(tracker) = self.tiers.tracker(number) else { return };
        let way = tracker.way(talk.family);
        way.connection = None;
        let elsewhere = matches!(error, Some(AnnounceError::NoAnswer | AnnounceError::Http(_)));
        if elsewhere && way.addrs.len() > 1 {
            way.addrs.remove(0);
            return self.contact(now, progress, index);
        }
        way.addrs.clear();
        talk.step = Step::Failed;
        talk.failure = error;
        talk.answered_by = None;
        self.settle(now, progress, number);
    }

    /// Those who failed at this tracker go on to the next once no family can hope for it. A tracker *answers*
    /// if it does so over either family (BEP 12); the other one tries it again, in silence.
    pub(super) fn settle(&mut self, now: Instant, progress: &Progress, number: usize) {
        let here = || self.talks.iter().filter(|talk| talk.at == Some(number));
        if here().any(Talk::is_asking) {
            return;
        }
        let answers = here().any(|talk| talk.answered_by == Some(number));
        if !answers {
            self.report(number);
        }
        for index in 0..self.talks.len() {
            let Some(talk) = self.talks.get_mut(index) else { continue };
            if talk.at != Some(number) || talk.step != Step::Failed {
                continue;
            }
            talk.failure = None;
            if answers {
                talk.end_round(now);
            } else {
                talk.at = self.tiers.after(number);
                self.contact(now, progress, index);
            }
        }
    }

    /// Says that a tracker failed, unless that is known. A refusal says more than silence over the other family.
    fn report(&mut self, number: usize) {
        let failed = self.talks.iter().filter(|talk| talk.at == Some(number));
        let errors = failed.filter_map(|talk| talk.failure.clone());
        let error = errors.max_by_key(|error| matches!(error, AnnounceError::Refused(_)));
        let (Some(error), Some(tracker)) = (error, self.tiers.tracker(number)) else { return };
        if tracker.reported.as_ref() != Some(&error) {
            tracker.reported = Some(error.clone());
            self.outputs.push_back(Output::Failed { url: tracker.text.clone(), error });
        }
    }
}
