//! Any sequence of announces against a tracker that is a map: counts, members, peers and completed downloads.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A life of 3810 s is a whole number of the units in which pages tell ages. Time passes in steps of ten minutes,
/// so that nobody's age is ever between a life and a life with the sweep's slack.
const INTERVAL: Duration = Duration::from_secs(1905);

#[derive(Clone, Copy, Debug)]
struct Member {
    is_seeder: bool,
    at: Instant,
}

/// The simplest tracker.
#[derive(Debug, Default)]
struct Model {
    members: BTreeMap<(u8, SocketAddr), Member>,
    completed: BTreeMap<u8, u32>,
}

impl Model {
    fn announce(
        &mut self,
        now: Instant,
        torrent: u8,
        from: SocketAddr,
        event: Option<AnnounceEvent>,
        left: u64,
    ) {
        if event == STOPPED {
            self.members.remove(&(torrent, from));
            return;
        }
        let member = Member { is_seeder: left == 0, at: now };
        let was = self.members.insert((torrent, from), member);
        if event == COMPLETED && left == 0 && was.is_some_and(|was| !was.is_seeder) {
            *self.completed.entry(torrent).or_default() += 1;
        }
    }

    fn pass(&mut self, now: Instant) {
        self.members.retain(|_, member| now.since(member.at) <= INTERVAL * 2);
    }

    fn entry(&self, torrent: u8) -> ScrapeEntry {
        let of = |is_seeder: bool| {
            let members = self.members.iter().filter(|((of, _), _)| *of == torrent);
            members.filter(|(_, member)| member.is_seeder == is_seeder).count() as u32
        };
        let completed = self.completed.get(&torrent).copied().unwrap_or_default();
        ScrapeEntry { seeders: of(true), leechers: of(false), completed }
    }

    /// Whom `asker` may be shown.
    fn candidates(&self, torrent: u8, asker: SocketAddr, is_seeder: bool) -> BTreeSet<SocketAddr> {
        let fits = |(of, addr): &(u8, SocketAddr), member: &Member| {
            *of == torrent
                && *addr != asker
                && addr.is_ipv4() == asker.is_ipv4()
                && !(is_seeder && member.is_seeder)
        };
        self.members.iter().filter(|(key, member)| fits(key, member)).map(|((_, addr), _)| *addr).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Announce { torrent: u8, peer: u8, is_v6: bool, event: u8, left: u64, num_want: u32 },
    Pass { steps: u32 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let announce = (0u8..4, 0u8..14, any::<bool>(), 0u8..5, 0u64..2, 0u32..12).prop_map(
        |(torrent, peer, is_v6, event, left, num_want)| Step::Announce {
            torrent,
            peer,
            is_v6,
            event,
            left,
            num_want,
        },
    );
    prop_oneof![20 => announce, 2 => (1u32..5).prop_map(|steps| Step::Pass { steps }), 1 => Just(Step::Restart)]
}

/// Ends the tracker in order and starts another one with what a store would have kept.
fn restarted(old: &mut Tracker, rows: &mut BTreeMap<InfoHash, u32>) -> Tracker {
    let mut next = Tracker::new(old.registry.config.clone());
    next.wall = old.wall;
    next.now = old.now;
    for (info_hash, count) in old.registry.take_completed(100) {
        if count > 0 {
            rows.insert(info_hash, count)
        } else {
            rows.remove(&info_hash)
        };
    }
    for (info_hash, count) in rows {
        assert!(next.registry.restore(*info_hash, *count));
    }
    // Everything has changed for a store that has nothing.
    let numbers: Vec<u16> = (0..PAGES as u16).collect();
    old.registry.keep_pages(&numbers);
    for page in old.registry.take_all_pages(old.now, old.wall, PAGES) {
        next.registry.restore_page(next.now, next.wall, &page).expect("ours");
    }
    assert_eq!(next.registry.take_all_pages(next.now, next.wall, PAGES), [], "what is stored is not due");
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_what_a_map_would_be(steps in vec(step(), 1..200)) {
        let mut tracker = Tracker::new(RegistryConfig { interval: INTERVAL, ..RegistryConfig::default() });
        let mut model = Model::default();
        let mut rows = BTreeMap::new();
        for step in steps {
            match step {
                Step::Announce { torrent, peer: last, is_v6, event, left, num_want } => {
                    let from = if is_v6 { peer_v6(last.into()) } else { peer(last) };
                    let event = [None, STARTED, COMPLETED, STOPPED, None][usize::from(event)];
                    let reply = tracker.announce_with(from, |request| {
                        request.info_hash = InfoHash([torrent; 20]);
                        request.event = event;
                        request.progress.left = left;
                        request.num_want = Some(num_want);
                    });
                    model.announce(tracker.now, torrent, from, event, left);
                    let Reply::Announce { head, peers } = reply else { panic!("{reply:?}") };
                    let entry = model.entry(torrent);
                    prop_assert_eq!((head.seeders, head.leechers), (entry.seeders, entry.leechers));
                    let mut candidates = model.candidates(torrent, from, left == 0);
                    let mut wanted = num_want as usize;
                    if event == STARTED && candidates.is_empty() {
                        candidates = model.candidates(torrent, from, false);
                        wanted = wanted.min(SEEDERS_FOR_A_SEEDER);
                    }
                    let due = if event == STOPPED { 0 } else { candidates.len().min(wanted) };
                    let named: BTreeSet<SocketAddr> = peers.iter().copied().collect();
                    prop_assert_eq!(peers.len(), due);
                    prop_assert_eq!(named.len(), due, "nobody twice");
                    prop_assert!(named.is_subset(&candidates));
                }
                Step::Pass { steps } => {
                    tracker.run_for(Duration::from_secs(600) * steps);
                    model.pass(tracker.now);
                }
                Step::Restart => tracker = restarted(&mut tracker, &mut rows),
            }
            for torrent in 0..4 {
                let entry = tracker.registry.scrape(InfoHash([torrent; 20])).unwrap_or_default();
                prop_assert_eq!(entry, model.entry(torrent));
            }
            prop_assert_eq!(tracker.registry.stats().members, model.members.len() as u64);
        }
    }
}
