//! What a tracker's answers do to a [`Course`].

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::course::Course;
use super::step::{Completion, Step, Talk};
use super::tiers::{Connection, Tracker};
use super::{AnnounceError, GetError, MAX_INTERVAL, Output, Timer, dialable};
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::http::{self, HttpReply, HttpReplyError};
use crate::tracker::{AnnounceHead, Family, Reply, Scheme, TransactionId};

impl Course {
    pub(super) fn datagram(&mut self, now: Instant, progress: &Progress, from: SocketAddr, payload: &[u8]) {
        let family = Family::of(from);
        let Some(index) = self.talks.iter().position(|talk| talk.family == family) else { return };
        let Some(talk) = self.talks.get(index) else { return };
        let (step, number) = (talk.step, talk.at);
        let (Step::Connecting { addr, transaction, .. } | Step::Announcing { addr, transaction, .. }) = step
        else {
            return;
        };
        let over_udp = |tracker: &mut Tracker| tracker.url.scheme() == Scheme::Udp;
        if !number.and_then(|number| self.tiers.tracker(number)).is_some_and(over_udp) {
            return;
        }
        // Garbage may be anybody's; only silence and the tracker's own words count.
        let Ok(reply) = Reply::decode(payload, family) else { return };
        if from != addr || reply.transaction() != transaction {
            return;
        }
        match (step, reply) {
            (Step::Connecting { .. }, Reply::Connect { connection, .. }) => {
                if let Some(tracker) = number.and_then(|number| self.tiers.tracker(number)) {
                    let connection = Connection { id: connection, since: now, proven: false };
                    tracker.way(family).connection = Some(connection);
                }
                self.contact(now, progress, index);
            }
            (Step::Announcing { event, .. }, Reply::Announce { head, peers }) => {
                let AnnounceHead { interval, leechers, seeders, .. } = head;
                let answer = HttpReply { interval, seeders, leechers, peers, ..HttpReply::default() };
                self.answered(now, progress, index, event, answer);
            }
            (_, Reply::Error { message, .. }) => self.refused(now, progress, index, message),
            (_, Reply::Connect { .. } | Reply::Announce { .. } | Reply::Scrape { .. }) => {}
        }
    }

    /// An HTTP tracker's answer, or the lack of one.
    pub(super) fn got(
        &mut self,
        now: Instant,
        progress: &Progress,
        asked: TransactionId,
        outcome: Result<Bytes, GetError>,
    ) {
        let is_asking =
            |talk: &Talk| matches!(talk.step, Step::Announcing { transaction, .. } if transaction == asked);
        let Some(index) = self.talks.iter().position(is_asking) else { return };
        let Some(Step::Announcing { event, .. }) = self.talks.get(index).map(|talk| talk.step) else {
            return;
        };
        let error = match outcome.map(|body| http::parse_announce(&body)) {
            Ok(Ok(answer)) => return self.answered(now, progress, index, event, answer),
            Ok(Err(HttpReplyError::Failure(reason))) => AnnounceError::Refused(reason),
            Ok(Err(error @ HttpReplyError::Malformed(_))) => AnnounceError::Http(error.to_string()),
            Err(GetError::NoAnswer) => AnnounceError::NoAnswer,
            Err(GetError::Http(why)) => AnnounceError::Http(why),
        };
        self.fail(now, progress, index, Some(error));
    }

    /// A tracker that forgot our connection id gets a new connect at once; any other refusal is a failure.
    fn refused(&mut self, now: Instant, progress: &Progress, index: usize, message: String) {
        let Some(talk) = self.talks.get(index) else { return };
        let announcing = matches!(talk.step, Step::Announcing { .. });
        let tracker = talk.at.and_then(|number| self.tiers.tracker(number)).filter(|_| announcing);
        match tracker.and_then(|tracker| tracker.way(talk.family).connection.take()) {
            Some(Connection { proven: true, .. }) => self.contact(now, progress, index),
            Some(_) | None => self.fail(now, progress, index, Some(AnnounceError::Refused(message))),
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        progress: &Progress,
        index: usize,
        event: Option<AnnounceEvent>,
        answer: HttpReply,
    ) {
        let bounded = |seconds: u32| Duration::from_secs(u64::from(seconds)).min(MAX_INTERVAL);
        let interval = bounded(answer.interval).max(self.config.min_interval);
        let Some(talk) = self.talks.get_mut(index) else { return };
        let Some(number) = talk.at else { return };
        talk.round = 0;
        talk.answered_at = now;
        talk.answered_by = Some(number);
        talk.min_interval = answer.min_interval.map_or(Duration::ZERO, bounded);
        talk.step = Step::Waiting { until: now + interval, timer: Timer::Interval };
        let family = talk.family;
        self.tiers.promote(number);
        let before = self.swarm.replace(number);
        if self.config.private && before.is_some_and(|before| before != number) {
            self.outputs.push_back(Output::Switched);
        }
        let Some(tracker) = self.tiers.tracker(number) else { return };
        tracker.reported = None;
        let way = tracker.way(family);
        if let Some(connection) = &mut way.connection {
            connection.proven = true;
        }
        //= BEP 3: a tracker id that is absent does not discard the one that came before.
        way.tracker_id = answer.tracker_id.or_else(|| way.tracker_id.take());
        let url = tracker.text.clone();
        if let Some(text) = answer.warning {
            self.outputs.push_back(Output::Warned { url: url.clone(), text });
        }
        let HttpReply { seeders, leechers, peers, .. } = answer;
        self.outputs.push_back(Output::Announced { url, family, seeders, leechers, interval });
        match event {
            Some(AnnounceEvent::Stopped) => return self.finish(index),
            Some(AnnounceEvent::Started) => talk.started = true,
            Some(AnnounceEvent::Completed) => self.completion = Completion::Said,
            None => {}
        }
        // Whoever has lost pieces since has no such news: it would be told again with every answer.
        let is_complete = progress.left == 0 && self.completion != Completion::Incomplete;
        let has_news = is_complete && !talk.told_complete;
        let peers = dialable(peers);
        if !peers.is_empty() {
            self.outputs.push_back(Output::Peers(peers));
        }
        if has_news || self.event_due(index, progress).is_some() {
            self.contact(now, progress, index);
        }
        self.settle(now, progress, number);
    }
}
