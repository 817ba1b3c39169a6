//! The tracker, judged from outside: from the datagrams at its door and from who was really there.
//!
//! What the tracker says is held against two things. The *model* is what a tracker that heard the same
//! announces must know; what contradicts it is a violation. The *truth* is who was there, as the runner knows
//! it: a tracker cannot know of a silent crash, so distance from the truth is a figure that scenarios may
//! expect something of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::time::Instant;
use proto::torrent::AnnounceEvent;
use proto::tracker::{AnnounceRequest, ConnectionId, Family, Reply, Request};

use super::{Oracle, Violation};
use crate::network::{Seen, Way};
use crate::record::Record;

mod census;
mod figures;
mod swarm;
mod truth;

#[cfg(test)]
mod tests;

pub use figures::Figures;
use swarm::{Asked, Swarms};
use truth::Truth;

/// Violations that are told: a tracker that does one thing wrong does it in every reply.
const MAX_TOLD: usize = 8;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    Audit::of(record).violations
}

/// The figures of a run.
pub fn figures(record: &Record) -> Figures {
    Audit::of(record).figures
}

/// What goes through all datagrams, once.
struct Audit<'a> {
    record: &'a Record,
    truth: Truth<'a>,
    swarms: Swarms,
    /// Connection ids by the address that they were issued to.
    issued: BTreeMap<IpAddr, BTreeSet<u64>>,
    /// Bytes from and to addresses that have not shown an id of theirs.
    strangers: BTreeMap<IpAddr, (u64, u64)>,
    proven: BTreeSet<IpAddr>,
    /// Requests without a reply yet, by client and transaction.
    open: BTreeMap<(SocketAddr, u32), Vec<Option<Asked>>>,
    /// When it was last asked for the counts that it told to an outsider: of what came later it need not tell, even if
    /// that was there before the answer.
    scraped_at: Option<Duration>,
    /// When it was asked for counts that it has not told.
    scrape_since: Option<Duration>,
    figures: Figures,
    violations: Vec<Violation>,
}

impl<'a> Audit<'a> {
    fn of(record: &'a Record) -> Self {
        let mut audit = Self {
            record,
            truth: Truth::of(record),
            swarms: Swarms::new(record),
            issued: BTreeMap::new(),
            strangers: BTreeMap::new(),
            proven: BTreeSet::new(),
            open: BTreeMap::new(),
            scraped_at: None,
            scrape_since: None,
            figures: Figures { refused: record.tracker.refused, ..Figures::default() },
            violations: Vec::new(),
        };
        // With a gap in what was seen, nothing could be said for sure.
        for seen in record.tracker.seen.iter().filter(|_| record.tracker.missed == 0) {
            match seen.way {
                Way::In => audit.request(seen),
                Way::Refused => audit.refused(seen),
                Way::Out => audit.reply(seen),
            }
        }
        if record.tracker.missed == 0 {
            audit.in_the_end();
        }
        audit
    }

    fn complain(&mut self, at: Duration, what: &str) {
        if self.violations.len() < MAX_TOLD {
            let message = format!("at {:.1} s it {what}", at.as_secs_f64());
            self.violations.push(Violation { oracle: Oracle::Tracker, message });
        }
    }

    fn was_issued(&self, peer: SocketAddr, id: ConnectionId) -> bool {
        self.issued.get(&peer.ip()).is_some_and(|ids| ids.contains(&id.0))
    }

    fn request(&mut self, seen: &Seen) {
        let ip = seen.peer.ip();
        let Ok(request) = Request::decode(&seen.payload) else {
            return self.strangers.entry(ip).or_default().0 += seen.payload.len() as u64;
        };
        let (transaction, shown, asked) = match &request {
            Request::Connect { transaction } => (transaction, None, None),
            Request::Scrape(scrape) => (&scrape.transaction, Some(scrape.connection), None),
            Request::Announce(announce) => {
                (&announce.transaction, Some(announce.connection), Some(asked(seen, announce)))
            }
        };
        if matches!(request, Request::Scrape(_)) {
            self.scrape_since.get_or_insert(seen.at.since(Instant::ZERO));
        }
        let is_known = shown.is_some_and(|id| self.was_issued(seen.peer, id));
        if is_known {
            self.proven.insert(ip);
        }
        if let Some(asked) = asked.filter(|_| is_known) {
            self.figures.announces += 1;
            self.swarms.arrived(&asked, &mut self.figures);
        }
        self.strangers.entry(ip).or_default().0 += seen.payload.len() as u64;
        self.open.entry((seen.peer, transaction.0)).or_default().push(asked);
    }

    /// A request that found no room counts as one that was not answered.
    fn refused(&mut self, seen: &Seen) {
        if let Ok(Request::Announce(announce)) = Request::decode(&seen.payload)
            && self.was_issued(seen.peer, announce.connection)
        {
            self.figures.announces += 1;
        }
    }

    fn reply(&mut self, seen: &Seen) {
        let (at, peer) = (seen.at.since(Instant::ZERO), seen.peer);
        self.weigh(at, seen);
        let family = if peer.is_ipv6() { Family::V6 } else { Family::V4 };
        let Ok(reply) = Reply::decode(&seen.payload, family) else {
            return self.complain(at, &format!("sent {peer} what is no reply"));
        };
        let open = self.open.get_mut(&(peer, reply.transaction().0)).filter(|open| !open.is_empty());
        let Some(asked) = open.map(|open| open.remove(0)) else {
            return self.complain(at, &format!("sent {peer} a reply that nobody had asked for"));
        };
        match (reply, asked) {
            (Reply::Connect { connection, .. }, None) => {
                self.issued.entry(peer.ip()).or_default().insert(connection.0);
            }
            (Reply::Announce { head, peers }, Some(asked)) => {
                self.figures.answered += 1;
                let complaints = self.swarms.apply(at, &asked, &head, &mut self.figures);
                for complaint in complaints {
                    self.complain(at, &complaint);
                }
                self.truth.compare(at, &asked, &head, &mut self.figures);
                self.named(at, &asked, &peers);
            }
            (Reply::Scrape { .. }, None) => self.scraped_at = self.scrape_since.take().or(Some(at)),
            (Reply::Error { .. }, _) => {}
            (Reply::Connect { .. } | Reply::Announce { .. } | Reply::Scrape { .. }, _) => {
                self.complain(at, &format!("answered {peer} what it had not asked"));
            }
        }
    }

    /// An address that has not shown that it receives what we send it gets no more bytes than it sent.
    fn weigh(&mut self, at: Duration, seen: &Seen) {
        let ip = seen.peer.ip();
        let (received, sent) = self.strangers.entry(ip).or_default();
        if self.proven.contains(&ip) {
            return;
        }
        *sent += seen.payload.len() as u64;
        if sent > received {
            let what = format!("had sent {ip}, which showed no connection id, {sent} bytes for {received}");
            self.complain(at, &what);
        }
    }

    /// Judges the peers of a reply.
    fn named(&mut self, at: Duration, asked: &Asked, peers: &[SocketAddr]) {
        if let Some(why) = self.swarms.why_not_all(at, asked, peers) {
            self.complain(at, &format!("named {} peers to {}, {why}", peers.len(), asked.addr));
        }
        for &peer in peers {
            self.figures.named += 1;
            self.figures.useful += u64::from(self.truth.is_useful(at, asked, peer));
            if let Some(why) = self.swarms.why_not(at, asked, peer) {
                self.complain(at, &format!("named {peer} to {}, {why}", asked.addr));
            }
        }
    }

    /// What it says after all is over: never more downloads than have ended, never fewer than it must know.
    fn in_the_end(&mut self) {
        let Some(counts) = self.record.tracker.in_the_end else { return };
        let told = self.swarms.completions();
        let truth = self.truth.completions(&told);
        let at_least = self.swarms.kept_completions(self.record, self.scraped_at);
        self.figures.counted = Some(counts.completed);
        self.figures.downloads = truth as u64;
        let end = self.record.end;
        if counts.completed as usize > truth {
            self.complain(end, &format!("counted {} downloads, and {truth} ended", counts.completed));
        }
        if (counts.completed as usize) < at_least {
            let what =
                format!("counted {} downloads, and {at_least} had been told to it in time", counts.completed);
            self.complain(end, &what);
        }
    }
}

fn asked(seen: &Seen, announce: &AnnounceRequest<'_>) -> Asked {
    Asked {
        at: seen.at.since(Instant::ZERO),
        info_hash: announce.info_hash,
        addr: SocketAddr::new(seen.peer.ip(), announce.port),
        is_complete: announce.progress.left == 0,
        event: announce.event,
        leaves: announce.event == Some(AnnounceEvent::Stopped),
    }
}
