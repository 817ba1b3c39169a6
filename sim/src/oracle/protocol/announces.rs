//! What peers tell the tracker (BEP 3, 15), judged after the run by the datagrams at its door.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto::time::Instant;
use proto::torrent::AnnounceEvent;
use proto::tracker::{AnnounceRequest, Family, Reply, Request};

use super::{Conduct, Rule};
use crate::network::{Seen, Way};
use crate::oracle::Account;
use crate::record::{PeerRecord, Record};
use crate::scenario::{NetFaultKind, NetFaultPlan, PeerPlan, Role, Start, Target};

/// A client that wants more peers may ask again after this long, whatever it was told.
const MIN_GAP: Duration = Duration::from_secs(60);

/// Without a reply an announce is repeated after this long (BEP 15).
const RETRY: Duration = Duration::from_secs(15);

/// A part of the interval that a clock may gain.
const CLOCK_GAIN: f64 = 0.9;

/// A drift beyond that part, in parts of a million.
const MAX_DRIFT: u32 = 50_000;

/// How old what an announce says may be when it arrives, beside its wait in the uplink: it is written anew for each
/// try.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How long a completion may take to be told.
const COMPLETED_WITHIN: Duration = Duration::from_secs(60);

/// How long whoever leaves takes for its `stopped`.
const STOPPED_WITHIN: Duration = Duration::from_secs(6);

/// One member in one life over one family.
#[derive(Debug, Default)]
struct Member {
    announces: u64,
    /// What was left by its last announce.
    left: u64,
    /// The last answer, and the interval that it asked for.
    answered: Option<(Duration, Duration)>,
    stopped: bool,
    /// Announces without an answer yet.
    open: BTreeMap<u32, Option<AnnounceEvent>>,
}

struct Audit<'a> {
    record: &'a Record,
    by_addr: BTreeMap<SocketAddr, usize>,
    /// Who announces, by its socket's address: replies go there.
    asked: BTreeMap<SocketAddr, (usize, usize, bool)>,
    members: BTreeMap<(usize, usize, bool), Member>,
    /// Whose `completed` was said, and whose was answered.
    completed: BTreeMap<usize, bool>,
    conduct: Conduct,
}

/// Goes through all announces of judged peers.
pub(super) fn audit(record: &Record) -> Conduct {
    let judged = record.plan.peers.iter().zip(&record.peers).enumerate();
    let judged = judged.filter(|(index, (plan, _))| plan.role.is_honest() && record.plan.is_plain(*index));
    let by_addr = judged.flat_map(|(index, (_, peer))| peer.addrs.iter().map(move |&addr| (addr, index)));
    let mut audit = Audit {
        record,
        by_addr: by_addr.collect(),
        asked: BTreeMap::new(),
        members: BTreeMap::new(),
        completed: BTreeMap::new(),
        conduct: Conduct::default(),
    };
    if record.tracker.missed > 0 {
        return audit.conduct;
    }
    for seen in &record.tracker.seen {
        match seen.way {
            Way::In | Way::Refused => audit.request(seen),
            Way::Out => audit.reply(seen),
        }
    }
    if record.packets.dropped == 0 {
        audit.missing();
    }
    audit.conduct
}

impl<'a> Audit<'a> {
    fn request(&mut self, seen: &Seen) {
        let Ok(Request::Announce(announce)) = Request::decode(&seen.payload) else { return };
        let (at, addr) = (seen.at.since(Instant::ZERO), SocketAddr::new(seen.peer.ip(), announce.port));
        let Some(&index) = self.by_addr.get(&addr) else { return };
        let Some((plan, peer)) = self.peer(index) else { return };
        let life = peer.lives.iter().take_while(|life| life.from <= at).count();
        let key = (index, life, addr.is_ipv4());
        self.asked.insert(seen.peer, key);
        let member = self.members.entry(key).or_default();
        let again = member.open.insert(announce.transaction.0, announce.event).is_some();
        let first = member.announces == 0;
        member.announces += 1;
        let (after, answered) = (member.stopped, member.answered);
        // Of two families one says `completed`, and the other at once that nothing is left.
        let is_done = announce.progress.left == 0 && member.left > 0;
        member.left = announce.progress.left;
        member.stopped |= announce.event == Some(AnnounceEvent::Stopped);
        let name = &plan.name;
        let said = |what: &str| format!("at {:.1} s {name} {what}", at.as_secs_f64());
        let event = announce.event;
        if first {
            let kept = matches!(event, Some(AnnounceEvent::Started | AnnounceEvent::Stopped));
            self.conduct.check(Rule::Started, kept, || said(&format!("began with {event:?}")));
        }
        if after {
            let kept = event == Some(AnnounceEvent::Stopped);
            self.conduct.check(Rule::Stopped, kept, || said("announced after it had left"));
        }
        if event == Some(AnnounceEvent::Completed) {
            let from = peer.lives.get(life.wrapping_sub(1)).map_or(Duration::ZERO, |life| life.from);
            // An answer that was lost on its way is one that its client never had.
            let repeats = *self.completed.entry(index).or_insert(false);
            let once = !repeats || self.record.packets.dropped > 0;
            let did = peer.completed.is_some_and(|done| (from..=at).contains(&done));
            self.conduct.check(Rule::CompletedOnce, once && did, || said("said that it has completed"));
        }
        let excused = again || is_done || self.may_repeat(plan);
        if let (None, Some((before, interval)), false) = (event, answered, excused) {
            let gap = at.saturating_sub(before);
            // Where packets are lost, the reply may be, too.
            let retry = if self.record.packets.dropped > 0 { RETRY } else { Duration::MAX };
            let kept = gap >= interval.min(MIN_GAP).min(retry).mul_f64(CLOCK_GAIN);
            let gap = gap.as_secs_f64();
            self.conduct.check(Rule::Interval, kept, || {
                said(&format!("announced {gap:.1} s after a reply that asked for {interval:?}"))
            });
        }
        self.left(index, at, &announce);
        self.counters(index, at, &announce);
    }

    fn peer(&self, index: usize) -> Option<(&'a PeerPlan, &'a PeerRecord)> {
        let record = self.record;
        record.plan.peers.get(index).zip(record.peers.get(index))
    }

    /// May its announces be repeated or early for reasons of its world?
    fn may_repeat(&self, plan: &PeerPlan) -> bool {
        let here = &self.record.plan;
        // A tracker that stands still answers late, and a client whose answers are lost asks again: which of its
        // questions an answer was for cannot be told apart at the door.
        let confused = self.record.packets.dropped > 0
            && here.faults.iter().any(|fault| fault.target == Target::Tracker);
        here.tracker.service_time.is_some() || plan.clock.drift.unsigned_abs() > MAX_DRIFT || confused
    }

    /// The earliest time at which what arrives at `at` may have been written.
    fn since(&self, index: usize, plan: &PeerPlan, at: Duration) -> Duration {
        let stalls = |fault: &NetFaultPlan| {
            let slows = matches!(fault.kind, NetFaultKind::Stall | NetFaultKind::Degrade(_));
            slows && fault.targets.contains(&Target::Peer(index))
        };
        // A tracker that takes its time looks at what waited in its socket.
        let waits = self.record.plan.tracker.service_time.is_some();
        if waits || self.record.plan.net_faults.iter().any(stalls) {
            return Duration::ZERO;
        }
        let link = self.record.plan.link_of(plan);
        let waits = Duration::from_secs_f64(link.queue as f64 / link.up as f64);
        at.saturating_sub(MAX_AGE + waits)
    }

    /// `left` must be what it was at some time shortly before.
    fn left(&mut self, index: usize, at: Duration, announce: &AnnounceRequest<'_>) {
        let Some((plan, peer)) = self.peer(index) else { return };
        let torrent = self.record.plan.torrent;
        let len = |piece: usize| {
            let start = piece as u64 * u64::from(torrent.piece_length);
            torrent.size.saturating_sub(start).min(u64::from(torrent.piece_length))
        };
        // Whoever has not found the torrent yet does not know.
        if plan.start == Start::Magnet && peer.pieces.iter().flatten().all(|&held| held > at) {
            return;
        }
        let held = || peer.pieces.iter().enumerate().filter_map(|(piece, &held)| Some((held?, len(piece))));
        let by = |then: Duration| held().filter(|(held, _)| *held <= then).map(|(_, len)| len).sum::<u64>();
        let (most, least) = (by(at), by(self.since(index, plan, at)));
        let done = torrent.size.saturating_sub(announce.progress.left);
        let (name, left) = (plan.name.clone(), announce.progress.left);
        self.conduct.check(Rule::Left, (least..=most).contains(&done), || {
            let due = torrent.size - most;
            format!("at {:.1} s {name} said that {left} bytes are left of {due}", at.as_secs_f64())
        });
    }

    /// `uploaded` and `downloaded` must be what the ledger said of this life shortly before.
    fn counters(&mut self, index: usize, at: Duration, announce: &AnnounceRequest<'_>) {
        let Some((plan, peer)) = self.peer(index) else { return };
        let from = peer.lives.iter().map(|life| life.from).take_while(|from| *from <= at).last();
        let from = from.unwrap_or_default();
        let (before, statement) = (self.since(index, plan, at), &peer.statement);
        let (now, first) = (statement.most(at), statement.least(from));
        let least =
            |of: fn(Account) -> u64| of(statement.least(before)).saturating_sub(of(statement.most(from)));
        let due = [
            (announce.progress.uploaded, least(|account| account.said), now.sent_at_most() - first.said),
            (announce.progress.downloaded, least(|account| account.heard), now.heard - first.heard),
        ];
        for (said, (count, least, most)) in ["uploaded", "downloaded"].into_iter().zip(due) {
            let name = plan.name.clone();
            self.conduct.check(Rule::Counters, (least..=most).contains(&count), || {
                let at = at.as_secs_f64();
                format!("at {at:.1} s {name} said that it has {said} {count} bytes; it is {least} to {most}")
            });
        }
    }

    fn reply(&mut self, seen: &Seen) {
        let family = if seen.peer.is_ipv6() { Family::V6 } else { Family::V4 };
        let Ok(Reply::Announce { head, .. }) = Reply::decode(&seen.payload, family) else { return };
        let Some(key) = self.asked.get(&seen.peer) else { return };
        let Some(member) = self.members.get_mut(key) else { return };
        let Some(event) = member.open.remove(&head.transaction.0) else { return };
        let interval = Duration::from_secs(head.interval.into());
        member.answered = Some((seen.at.since(Instant::ZERO), interval));
        if event == Some(AnnounceEvent::Completed) {
            self.completed.insert(key.0, true);
        }
    }

    /// What was due and never came, in a world that loses nothing.
    fn missing(&mut self) {
        let record = self.record;
        let there = |from: Duration, span: Duration| {
            let until = from + span;
            let mut lives = record.tracker.lives.iter();
            until < record.end && lives.any(|life| life.covers(from) && life.covers(until))
        };
        for (index, (plan, peer)) in record.plan.peers.iter().zip(&record.peers).enumerate() {
            let announced = self.members.range((index, 0, false)..(index + 1, 0, false)).next().is_some();
            let stopped = self.members.iter().any(|(key, member)| key.0 == index && member.stopped);
            if let Some(gone) = &peer.gone
                && gone.how == "left"
                && announced
                && there(gone.at, STOPPED_WITHIN)
            {
                let name = &plan.name;
                self.conduct.check(Rule::Stopped, stopped, || format!("{name} left without a word"));
            }
            let stays = peer.completed.is_some_and(|done| {
                let until = done + COMPLETED_WITHIN;
                peer.lives.iter().any(|life| life.from < done && life.covers(done) && life.covers(until))
                    && there(done, COMPLETED_WITHIN)
            });
            if stays && announced && plan.role == Role::Leecher {
                let said = self.completed.contains_key(&index);
                let name = &plan.name;
                self.conduct
                    .check(Rule::CompletedOnce, said, || format!("{name} completed and never said so"));
            }
        }
    }
}
