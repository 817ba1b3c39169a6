//! What a tracker's answers do to an [`Announcer`].

use std::net::SocketAddr;
use std::time::Duration;

use super::machine::Announcer;
use super::step::{Completion, Step};
use super::tiers::Connection;
use super::{AnnounceError, MAX_INTERVAL, Output, Timer, dialable};
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::{AnnounceHead, Family, Reply};

impl Announcer {
    pub(super) fn datagram(&mut self, now: Instant, progress: &Progress, from: SocketAddr, payload: &[u8]) {
        let family = Family::of(from);
        let Some(index) = self.talks.iter().position(|talk| talk.family == family) else { return };
        let Some(talk) = self.talks.get(index) else { return };
        let (step, number) = (talk.step, talk.at);
        let (Step::Connecting { addr, transaction, .. } | Step::Announcing { addr, transaction, .. }) = step
        else {
            return;
        };
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
                self.answered(now, progress, index, event, head, peers);
            }
            (_, Reply::Error { message, .. }) => self.refused(now, progress, index, message),
            (_, Reply::Connect { .. } | Reply::Announce { .. } | Reply::Scrape { .. }) => {}
        }
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
        head: AnnounceHead,
        peers: Vec<SocketAddr>,
    ) {
        let ordered = Duration::from_secs(u64::from(head.interval));
        let interval = ordered.clamp(self.config.min_interval, MAX_INTERVAL);
        let Some(talk) = self.talks.get_mut(index) else { return };
        let Some(number) = talk.at else { return };
        talk.round = 0;
        talk.answered_at = now;
        talk.answered_by = Some(number);
        talk.step = Step::Waiting { until: now + interval, timer: Timer::Interval };
        let family = talk.family;
        self.tiers.promote(number);
        let Some(tracker) = self.tiers.tracker(number) else { return };
        tracker.reported = None;
        if let Some(connection) = &mut tracker.way(family).connection {
            connection.proven = true;
        }
        let url = tracker.text.clone();
        let AnnounceHead { seeders, leechers, .. } = head;
        self.outputs.push_back(Output::Announced { url, family, seeders, leechers, interval });
        match event {
            Some(AnnounceEvent::Stopped) => return self.finish(index),
            Some(AnnounceEvent::Started) => talk.started = true,
            Some(AnnounceEvent::Completed) => self.completion = Completion::Said,
            None => {}
        }
        let has_news = self.completion != Completion::Incomplete && !talk.told_complete;
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
