//! What a tracker must know that heard these announces: the model that its replies are held against.
//!
//! An announce counts from its reply on. Without one nobody outside can say whether it was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use proto::id::InfoHash;
use proto::torrent::AnnounceEvent;
use proto::tracker::AnnounceHead;

use super::figures::Figures;
use crate::record::{Presence, Record};
use crate::scenario::{FaultKind, Target};

/// Members live for two intervals after an announce.
const LIFE: u32 = 2;

/// Announces are dated in units of 4 s, and lives are whole units: the shortest is so much shorter.
const DATING: Duration = Duration::from_secs(8);

/// Intervals are told with up to 10 % more or less.
const JITTER: f64 = 1.1;

/// What a tracker may lose by a crash: what was not flushed yet, once a second.
const UNFLUSHED: Duration = Duration::from_millis(1_500);

/// What it may lose by a power cut: what was not made safe yet, ten seconds after it was flushed.
const UNSYNCED: Duration = Duration::from_millis(12_500);

/// A client that wants more peers may announce again after this long, whatever it was told.
const MIN_GAP: Duration = Duration::from_secs(60);

/// A lost datagram is repeated after 15 s; then it has to wait in the tracker's queue.
const LATE: Duration = Duration::from_secs(20);

/// Seeders that the tracker shows to a seeder that starts, at the most.
const SEEDERS_FOR_A_SEEDER: usize = 8;

/// An announce that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Duration,
    pub(super) info_hash: InfoHash,
    /// The member that it is about.
    pub(super) addr: SocketAddr,
    pub(super) is_complete: bool,
    pub(super) event: Option<AnnounceEvent>,
    pub(super) leaves: bool,
}

/// What the last announce of a member said.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// When it was answered.
    at: Duration,
    /// In which of the tracker's lives.
    life: usize,
    is_complete: bool,
    left: bool,
    /// The interval that the reply asked for.
    interval: Duration,
    /// The next announce was not seen yet.
    is_waiting: bool,
}

/// Every swarm that was announced.
#[derive(Debug)]
pub(super) struct Swarms {
    lives: Vec<Presence>,
    ends: Vec<FaultKind>,
    interval: Duration,
    /// The longest interval that was told.
    longest: Duration,
    /// A tracker without a service time never has to shed load.
    may_shed: bool,
    members: BTreeMap<InfoHash, BTreeMap<SocketAddr, Member>>,
    /// Announced, and not answered yet.
    pending: BTreeSet<(InfoHash, SocketAddr)>,
    /// Who said `completed`, whether or not it was answered.
    said: BTreeSet<SocketAddr>,
    /// When that was answered, by a tracker that had seen the same client download.
    heard: BTreeMap<SocketAddr, Duration>,
}

impl Swarms {
    pub(super) fn new(record: &Record) -> Self {
        let tracker = &record.tracker;
        Self {
            lives: tracker.lives.clone(),
            ends: tracker.ends.clone(),
            interval: tracker.interval,
            longest: tracker.interval,
            may_shed: record.plan.tracker.service_time.is_some(),
            members: BTreeMap::new(),
            pending: BTreeSet::new(),
            said: BTreeSet::new(),
            heard: BTreeMap::new(),
        }
    }

    /// Which of its lives the tracker leads.
    fn life(&self, at: Duration) -> usize {
        self.lives.iter().take_while(|life| life.from <= at).count()
    }

    /// What it knew in `life` is lost in `now`, as its database was lost between.
    fn is_forgotten(&self, life: usize, now: usize) -> bool {
        let between = self.ends.get(life.saturating_sub(1)..now.saturating_sub(1)).unwrap_or_default();
        between.iter().any(|end| matches!(end, FaultKind::LoseDatabase { .. }))
    }

    /// An announce is at the door.
    pub(super) fn arrived(&mut self, asked: &Asked, figures: &mut Figures) {
        self.pending.insert((asked.info_hash, asked.addr));
        if asked.event == Some(AnnounceEvent::Completed) {
            self.said.insert(asked.addr);
        }
        let life = self.life(asked.at);
        let Some(member) =
            self.members.get_mut(&asked.info_hash).and_then(|swarm| swarm.get_mut(&asked.addr))
        else {
            return;
        };
        let first = std::mem::take(&mut member.is_waiting);
        if first && asked.event.is_none() && member.life == life {
            let gap = asked.at.saturating_sub(member.at);
            let (due, early) = (member.interval, member.interval.min(MIN_GAP));
            figures.regular += 1;
            figures.punctual += u64::from(gap >= early.mul_f64(0.95) && gap <= due.mul_f64(1.05) + LATE);
        }
    }

    /// An announce was answered; complaints about the counts of the reply.
    pub(super) fn apply(
        &mut self,
        at: Duration,
        asked: &Asked,
        head: &AnnounceHead,
        figures: &mut Figures,
    ) -> Vec<String> {
        let life = self.life(at);
        let interval = Duration::from_secs(head.interval.into());
        self.longest = self.longest.max(interval);
        figures.slowed += u64::from(interval > self.interval.mul_f64(JITTER));
        self.pending.remove(&(asked.info_hash, asked.addr));
        let member = Member {
            at,
            life,
            is_complete: asked.is_complete,
            left: asked.leaves,
            interval,
            is_waiting: true,
        };
        let before = self.members.entry(asked.info_hash).or_default().insert(asked.addr, member);
        let is_known = |before: &Member| before.life == life && !before.left && self.lives_on(at, before);
        let was_leecher = before.as_ref().is_some_and(|before| is_known(before) && !before.is_complete);
        if asked.event == Some(AnnounceEvent::Completed) && was_leecher {
            self.heard.entry(asked.addr).or_insert(at);
        }
        self.judge_counts(at, life, asked, head)
    }

    fn judge_counts(&self, at: Duration, life: usize, asked: &Asked, head: &AnnounceHead) -> Vec<String> {
        let told = (head.seeders + head.leechers) as usize;
        let swarm = self.members.get(&asked.info_hash).into_iter().flatten();
        let (mut least, mut most) = (0, 0);
        for (_, member) in swarm {
            let is_here = !member.left && member.life == life;
            least += usize::from(is_here && self.lives_on(at, member) && !self.may_shed);
            let is_gone = member.left && member.life == life;
            most += usize::from(
                !is_gone && !self.is_forgotten(member.life, life) && !self.is_expired(at, member),
            );
        }
        let unknown = |addr: &SocketAddr| {
            self.members.get(&asked.info_hash).is_none_or(|swarm| !swarm.contains_key(addr))
        };
        most += self.pending.iter().filter(|(hash, addr)| *hash == asked.info_hash && unknown(addr)).count();
        let mut complaints = Vec::new();
        if told < least {
            complaints.push(format!("told {} of {told} peers, and {least} had announced", asked.addr));
        }
        if told > most {
            complaints.push(format!("told {} of {told} peers, and it can know of {most}", asked.addr));
        }
        complaints
    }

    /// Is it too early to forget the member?
    fn lives_on(&self, at: Duration, member: &Member) -> bool {
        at <= member.at + (self.interval * LIFE).saturating_sub(DATING).mul_f64(0.95)
    }

    fn is_expired(&self, at: Duration, member: &Member) -> bool {
        at > member.at + (self.longest * LIFE).mul_f64(JITTER) + LATE
    }

    /// Why `peer` should not have been named, if it should not.
    pub(super) fn why_not(&self, at: Duration, asked: &Asked, peer: SocketAddr) -> Option<String> {
        let life = self.life(at);
        if peer == asked.addr {
            return Some("which is itself".to_owned());
        }
        if asked.leaves {
            return Some("which was leaving".to_owned());
        }
        let member = self.members.get(&asked.info_hash).and_then(|swarm| swarm.get(&peer));
        let Some(member) = member else {
            let is_pending = self.pending.contains(&(asked.info_hash, peer));
            return (!is_pending).then(|| "and it has never announced".to_owned());
        };
        let since = member.at.as_secs_f64();
        if self.is_forgotten(member.life, life) {
            return Some("and it had lost all that it knew of it".to_owned());
        }
        if member.life == life && member.left {
            return Some(format!("and it had left at {since:.1} s"));
        }
        // Of who starts, [`Self::why_not_all`] judges.
        let knows_all = asked.is_complete && asked.event != Some(AnnounceEvent::Started);
        if member.life == life && member.is_complete && knows_all {
            return Some("and both are complete".to_owned());
        }
        self.is_expired(at, member).then(|| format!("and it was last heard of at {since:.1} s"))
    }

    /// Why `peers` should not have been named together, if they should not. Who starts may say that nothing is left
    /// because it does not know yet what there is (aria2 with a magnet link): where there are no leechers, it may
    /// hear of a few seeders.
    pub(super) fn why_not_all(&self, at: Duration, asked: &Asked, peers: &[SocketAddr]) -> Option<String> {
        let swarm = self.members.get(&asked.info_hash).filter(|_| asked.is_complete)?;
        let here = peers.iter().filter_map(|peer| swarm.get(peer)).filter(|peer| peer.life == self.life(at));
        let (seeders, leechers): (Vec<&Member>, Vec<&Member>) = here.partition(|peer| peer.is_complete);
        if seeders.len() > SEEDERS_FOR_A_SEEDER {
            return Some(format!("{} of them as complete as it is", seeders.len()));
        }
        let mixed = !seeders.is_empty() && !leechers.is_empty();
        mixed.then(|| "seeders among leechers, and it is complete".to_owned())
    }

    /// Who said `completed` to the tracker.
    pub(super) fn completions(&self) -> BTreeSet<SocketAddr> {
        self.said.clone()
    }

    /// Completed downloads that no crash and no power cut excuses from being counted when it was asked.
    pub(super) fn kept_completions(&self, record: &Record, asked: Option<Duration>) -> usize {
        let in_time = |at: Duration| asked.is_none_or(|asked| at <= asked);
        self.heard.values().filter(|&&at| in_time(at) && self.is_kept(record, at)).count()
    }

    fn is_kept(&self, record: &Record, at: Duration) -> bool {
        let ends = || self.lives.iter().filter_map(|life| life.until).zip(&self.ends);
        let flushed = mended(record, at) + UNFLUSHED;
        let Some((crash, _)) = ends().find(|(until, _)| *until >= at) else { return true };
        let is_lost = |(until, end): (Duration, &FaultKind)| match end {
            FaultKind::LoseDatabase { .. } => until >= at,
            FaultKind::PowerCut { .. } => until >= at && until <= self.synced(record, at),
            FaultKind::Crash { .. }
            | FaultKind::Leave
            | FaultKind::Pause(_)
            | FaultKind::ClockJump(_)
            | FaultKind::StoreFails(_)
            | FaultKind::Disk(_) => false,
        };
        crash > flushed && !ends().any(is_lost)
    }

    /// When a change of this time is safe from a power cut at the latest. A life that ends before leaves that
    /// to the next.
    fn synced(&self, record: &Record, at: Duration) -> Duration {
        let due = mended(record, at) + UNSYNCED;
        let ended =
            self.lives.iter().position(|life| life.until.is_some_and(|until| until >= at && until <= due));
        match ended.and_then(|life| self.lives.get(life + 1)) {
            Some(next) => self.synced(record, next.from),
            None => due,
        }
    }
}

/// The first time from `at` on at which the tracker's store works and its host is not paused, with room for a
/// whole sync before the next failure.
fn mended(record: &Record, at: Duration) -> Duration {
    let faults = record.plan.faults.iter().filter(|fault| fault.target == Target::Tracker);
    faults.fold(at, |at, fault| match fault.kind.lasts() {
        Some(time) if fault.at < at + UNSYNCED && at < fault.at + time => fault.at + time,
        Some(_) | None => at,
    })
}
