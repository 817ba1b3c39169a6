//! The [`Announcer`]: which tracker is asked what, and when. The module's documentation draws its steps.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::step::{Completion, Step};
use super::tiers::{Connection, Tiers};
use super::{
    AnnounceConfig, AnnounceError, FIRST_WAIT, Input, MAX_ADDRS, MAX_INTERVAL, MAX_RETRY, Output, STOP_RETRY,
    STOP_WAIT, Timer, dialable,
};
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::request::ANNOUNCE_LEN;
use crate::tracker::{
    AnnounceHead, AnnounceRequest, ConnectionId, Family, Reply, Request, TransactionId, options,
};

/// Announces one torrent to its trackers.
#[derive(Debug)]
pub struct Announcer {
    config: AnnounceConfig,
    tiers: Tiers,
    random: Random,
    /// One for all trackers and both families, so that a tracker recognises us.
    key: u32,
    step: Step,
    /// n of 15·2ⁿ: rounds over all trackers since one answered.
    round: u32,
    round_began: Instant,
    started: bool,
    completion: Completion,
    stop_by: Option<Instant>,
    /// The tracker that may hold us as a member.
    member_of: Option<usize>,
    answered_at: Instant,
    outputs: VecDeque<Output>,
}

impl Announcer {
    /// A machine that is silent until `Started`.
    pub fn new(config: AnnounceConfig, seed: Seed) -> Self {
        let mut random = seed.rng();
        let (tiers, wrong) = Tiers::new(&config.tiers, &mut random);
        let outputs = wrong.into_iter().map(|(url, error)| Output::Failed { url, error }).collect();
        Self {
            key: random.next_u32(),
            config,
            tiers,
            random,
            step: Step::Idle,
            round: 0,
            round_began: Instant::ZERO,
            started: false,
            completion: Completion::Incomplete,
            stop_by: None,
            member_of: None,
            answered_at: Instant::ZERO,
            outputs,
        }
    }

    /// Takes one input in; `progress` goes into the announce that it may cause.
    pub fn handle_input(&mut self, now: Instant, progress: &Progress, input: Input) {
        if self.step == Step::Done {
            return;
        }
        match input {
            Input::Announce(Some(AnnounceEvent::Started)) => self.start(now, progress),
            Input::Announce(Some(AnnounceEvent::Completed)) => self.complete(now, progress),
            Input::Announce(Some(AnnounceEvent::Stopped)) => self.stop(now, progress),
            Input::Announce(None) => self.want_peers(),
            Input::Resolved { host, port, addrs } => self.resolved(now, progress, &host, port, addrs),
            Input::Datagram { from, payload } => self.datagram(now, progress, from, &payload),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, progress: &Progress) {
        if self.stop_by.is_some_and(|by| now >= by) {
            return self.finish();
        }
        match self.step {
            Step::Waiting { until, .. } if now >= until => {
                self.round_began = now;
                self.tiers.rewind();
                self.contact(now, progress);
            }
            Step::Resolving { until } | Step::Connecting { until, .. } | Step::Announcing { until, .. }
                if now >= until =>
            {
                self.fail(now, progress, AnnounceError::NoAnswer);
            }
            Step::Idle
            | Step::Done
            | Step::Waiting { .. }
            | Step::Resolving { .. }
            | Step::Connecting { .. }
            | Step::Announcing { .. } => {}
        }
    }

    /// The next thing to carry out or to know; drain it to `None` after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let step = match self.step {
            Step::Idle | Step::Done => None,
            Step::Resolving { until } | Step::Connecting { until, .. } | Step::Announcing { until, .. } => {
                Some((until, Timer::Answer))
            }
            Step::Waiting { until, timer } => Some((until, timer)),
        };
        let stop = self.stop_by.map(|by| (by, Timer::Stop));
        step.into_iter().chain(stop).min_by_key(|(at, _)| *at)
    }

    fn start(&mut self, now: Instant, progress: &Progress) {
        if self.step != Step::Idle {
            return;
        }
        if progress.left == 0 {
            self.completion = Completion::Said;
        }
        if self.tiers.current().is_some() {
            self.round_began = now;
            self.contact(now, progress);
        }
    }

    fn complete(&mut self, now: Instant, progress: &Progress) {
        if self.completion == Completion::Incomplete {
            self.completion = Completion::Owed;
            if matches!(self.step, Step::Waiting { timer: Timer::Interval, .. }) {
                self.round_began = now;
                self.contact(now, progress);
            }
        }
    }

    /// Moves the next announce forward, as far as politeness allows.
    fn want_peers(&mut self) {
        if let Step::Waiting { until, timer: Timer::Interval } = &mut self.step {
            *until = (*until).min(self.answered_at + self.config.min_gap);
        }
    }

    fn stop(&mut self, now: Instant, progress: &Progress) {
        if self.stop_by.is_some() {
            return;
        }
        let Some(number) = self.member_of else { return self.finish() };
        self.stop_by = Some(now + STOP_WAIT);
        if let Step::Announcing { event: Some(AnnounceEvent::Completed), until, .. } = &mut self.step {
            *until = (*until).min(now + STOP_RETRY);
            return;
        }
        self.tiers.select(number);
        self.contact(now, progress);
    }

    fn finish(&mut self) {
        self.stop_by = None;
        self.step = Step::Done;
        self.outputs.push_back(Output::Done);
    }

    /// Says the next thing to the present tracker: resolve, connect or announce, whichever is missing.
    fn contact(&mut self, now: Instant, progress: &Progress) {
        let until = now + self.patience();
        let Some(tracker) = self.tiers.current() else { return self.end_round(now) };
        let Some(&addr) = tracker.addrs.first() else {
            let (host, port) = (tracker.url.host().to_owned(), tracker.url.port());
            self.outputs.push_back(Output::Resolve { host, port });
            self.step = Step::Resolving { until };
            return;
        };
        let transaction = TransactionId(self.random.next_u32());
        if let Some(connection) = tracker.connection_at(now) {
            let event = self.event_due(progress);
            let payload = self.announce(connection, transaction, event, progress);
            self.outputs.push_back(Output::SendTo { addr, payload });
            self.member_of = self.tiers.current_number();
            self.step = Step::Announcing { until, addr, transaction, event };
        } else {
            let mut payload = BytesMut::new();
            Request::Connect { transaction }.encode(&mut payload);
            self.outputs.push_back(Output::SendTo { addr, payload: payload.freeze() });
            self.step = Step::Connecting { until, addr, transaction };
        }
    }

    //= BEP 15: if no response to a request is received within 15·2ⁿ seconds, resend the request; n is
    //= increased up to 8 after every retransmission.
    fn patience(&self) -> Duration {
        if self.stop_by.is_some() { STOP_RETRY } else { FIRST_WAIT * (1 << self.round.min(MAX_RETRY)) }
    }

    fn event_due(&self, progress: &Progress) -> Option<AnnounceEvent> {
        let complete = match self.completion {
            Completion::Incomplete => progress.left == 0,
            Completion::Owed => true,
            Completion::Said => false,
        };
        let stopping = self.stop_by.map(|_| AnnounceEvent::Stopped);
        if self.started {
            complete.then_some(AnnounceEvent::Completed).or(stopping)
        } else {
            stopping.or(Some(AnnounceEvent::Started))
        }
    }

    fn announce(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionId,
        event: Option<AnnounceEvent>,
        progress: &Progress,
    ) -> Bytes {
        let path = self.tiers.current().map(|tracker| tracker.url.path()).unwrap_or_default();
        let options = options::with_url_data(path);
        let num_want = if event == Some(AnnounceEvent::Stopped) { 0 } else { self.config.num_want };
        let mut payload = BytesMut::with_capacity(ANNOUNCE_LEN + options.len());
        Request::Announce(AnnounceRequest {
            connection,
            transaction,
            info_hash: self.config.info_hash,
            peer_id: self.config.peer_id,
            progress: *progress,
            event,
            key: self.key,
            num_want: Some(num_want),
            port: self.config.port,
            options: &options,
        })
        .encode(&mut payload);
        payload.freeze()
    }

    fn resolved(
        &mut self,
        now: Instant,
        progress: &Progress,
        host: &str,
        port: u16,
        mut addrs: Vec<SocketAddr>,
    ) {
        let Step::Resolving { .. } = self.step else { return };
        let Some(tracker) = self.tiers.current() else { return };
        if (tracker.url.host(), tracker.url.port()) != (host, port) {
            return;
        }
        addrs.truncate(MAX_ADDRS);
        tracker.addrs = addrs;
        if tracker.addrs.is_empty() {
            self.fail(now, progress, AnnounceError::Unresolved { host: host.to_owned() });
        } else {
            self.contact(now, progress);
        }
    }

    fn datagram(&mut self, now: Instant, progress: &Progress, from: SocketAddr, payload: &[u8]) {
        let (Step::Connecting { addr, transaction, .. } | Step::Announcing { addr, transaction, .. }) =
            self.step
        else {
            return;
        };
        // Garbage may be anybody's; only silence and the tracker's own words count.
        let Ok(reply) = Reply::decode(payload, Family::of(from)) else { return };
        if from != addr || reply.transaction() != transaction {
            return;
        }
        match (self.step, reply) {
            (Step::Connecting { .. }, Reply::Connect { connection, .. }) => {
                if let Some(tracker) = self.tiers.current() {
                    tracker.connection = Some(Connection { id: connection, since: now, proven: false });
                }
                self.contact(now, progress);
            }
            (Step::Announcing { event, .. }, Reply::Announce { head, peers }) => {
                self.answered(now, progress, event, head, peers);
            }
            (_, Reply::Error { message, .. }) => self.refused(now, progress, message),
            (_, Reply::Connect { .. } | Reply::Announce { .. } | Reply::Scrape { .. }) => {}
        }
    }

    /// A tracker that forgot our connection id gets a new connect at once; any other refusal is a failure.
    fn refused(&mut self, now: Instant, progress: &Progress, message: String) {
        let announcing = matches!(self.step, Step::Announcing { .. });
        let tracker = self.tiers.current().filter(|_| announcing);
        match tracker.and_then(|tracker| tracker.connection.take()) {
            Some(Connection { proven: true, .. }) => self.contact(now, progress),
            Some(_) | None => self.fail(now, progress, AnnounceError::Refused(message)),
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        progress: &Progress,
        event: Option<AnnounceEvent>,
        head: AnnounceHead,
        peers: Vec<SocketAddr>,
    ) {
        let ordered = Duration::from_secs(u64::from(head.interval));
        let interval = ordered.clamp(self.config.min_interval, MAX_INTERVAL);
        self.round = 0;
        self.answered_at = now;
        self.tiers.promote();
        let Some(tracker) = self.tiers.current() else { return };
        tracker.reported = None;
        if let Some(connection) = &mut tracker.connection {
            connection.proven = true;
        }
        let url = tracker.text.clone();
        let AnnounceHead { seeders, leechers, .. } = head;
        self.outputs.push_back(Output::Announced { url, seeders, leechers, interval });
        match event {
            Some(AnnounceEvent::Stopped) => return self.finish(),
            Some(AnnounceEvent::Started) => self.started = true,
            Some(AnnounceEvent::Completed) => self.completion = Completion::Said,
            None => {}
        }
        let peers = dialable(peers);
        if !peers.is_empty() {
            self.outputs.push_back(Output::Peers(peers));
        }
        if self.event_due(progress).is_some() {
            self.contact(now, progress);
        } else {
            self.step = Step::Waiting { until: now + interval, timer: Timer::Interval };
        }
    }

    /// The present tracker failed: its next address, or the next tracker.
    fn fail(&mut self, now: Instant, progress: &Progress, error: AnnounceError) {
        if self.stop_by.is_some() {
            // There is one tracker to leave and not much time: ask it again.
            return self.retry_stop(now, progress, &error);
        }
        let Some(tracker) = self.tiers.current() else { return };
        tracker.connection = None;
        if error == AnnounceError::NoAnswer && tracker.addrs.len() > 1 {
            tracker.addrs.remove(0);
            return self.contact(now, progress);
        }
        tracker.addrs.clear();
        if tracker.reported.as_ref() != Some(&error) {
            tracker.reported = Some(error.clone());
            self.outputs.push_back(Output::Failed { url: tracker.text.clone(), error });
        }
        self.tiers.advance();
        self.contact(now, progress);
    }

    fn retry_stop(&mut self, now: Instant, progress: &Progress, error: &AnnounceError) {
        if let Step::Announcing { event: Some(AnnounceEvent::Completed), .. } = self.step {
            self.completion = Completion::Said;
        }
        if *error == AnnounceError::NoAnswer { self.contact(now, progress) } else { self.finish() }
    }

    /// All trackers failed. A round lasts 15·2ⁿ seconds even if they failed at once.
    fn end_round(&mut self, now: Instant) {
        let until = now.max(self.round_began + self.patience());
        self.round = (self.round + 1).min(MAX_RETRY);
        self.step = Step::Waiting { until, timer: Timer::Retry };
    }
}
