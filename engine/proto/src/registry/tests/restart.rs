//! Warm restart: what is packed comes back, when it is due, and what is damaged does no harm.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A tracker in which torrent n has n + 1 members over IPv4 and, if n is even, one over IPv6.
fn busy() -> Tracker {
    let mut tracker = Tracker::new(RegistryConfig::default());
    for torrent in 0..50u8 {
        for last in 0..=torrent {
            tracker.announce_with(peer(last), |request| {
                request.info_hash = InfoHash([torrent; 20]);
                request.progress.left = u64::from(last % 3);
            });
        }
        if torrent % 2 == 0 {
            tracker.announce_with(peer_v6(7), |request| request.info_hash = InfoHash([torrent; 20]));
        }
    }
    tracker
}

fn all_pages(tracker: &mut Tracker) -> Vec<SwarmPage> {
    let mut pages = Vec::new();
    loop {
        let taken = tracker.registry.take_all_pages(tracker.now, tracker.wall, 7);
        if taken.is_empty() {
            return pages;
        }
        assert!(taken.len() <= 7);
        pages.extend(taken);
    }
}

fn restored(pages: &[SwarmPage], secrets: Secrets, wall: Duration) -> (Tracker, usize) {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.registry = Registry::new(RegistryConfig::default(), secrets, Seed::from_u64(9), tracker.now);
    tracker.wall = wall;
    let members = pages.iter().map(|page| tracker.registry.restore_page(tracker.now, wall, page));
    let members = members.map(|members| members.expect("ours")).sum();
    (tracker, members)
}

fn membership(tracker: &mut Tracker) -> Vec<Option<ScrapeEntry>> {
    (0..50).map(|torrent| tracker.registry.scrape(InfoHash([torrent; 20]))).collect()
}

#[test]
fn members_outlive_a_restart_unless_they_grow_too_old() {
    let mut old = busy();
    let pages = all_pages(&mut old);
    let total = (1..=50).sum::<usize>() + 25;
    let secrets = Secret([1; 16]).into();
    let (mut next, members) = restored(&pages, secrets, WALL + SECOND * 60);
    assert_eq!(members, total);
    assert_eq!(membership(&mut next), membership(&mut old));
    assert_eq!(all_pages(&mut next), [], "nothing has changed since the store had it");
    assert_eq!(next.registry.restore_page(next.now, next.wall, &pages[0]), Ok(0), "they are here already");
    // They go when they would have gone.
    next.run_for(SECOND * 3500);
    assert_eq!(next.registry.stats().members, total as u64);
    next.run_for(SECOND * 180);
    assert_eq!(next.registry.stats().members, 0);
    let (_, members) = restored(&pages, secrets, WALL + SECOND * 3700);
    assert_eq!(members, 0);
}

#[test]
fn another_secret_files_them_elsewhere_and_cleans_up() {
    let mut old = busy();
    let mut pages = all_pages(&mut old);
    let secrets = Secrets { current: Secret([2; 16]), previous: Some(Secret([1; 16])) };
    let (mut next, _) = restored(&pages, secrets, WALL);
    assert_eq!(membership(&mut next), membership(&mut old));
    // What a store has after the first flush of everything is the whole again, without leftovers.
    for page in all_pages(&mut next) {
        pages.retain(|old| old.number != page.number);
        pages.push(page);
    }
    let (mut third, members) = restored(&pages, Secret([2; 16]).into(), WALL);
    assert_eq!(membership(&mut third), membership(&mut old));
    assert_eq!(members as u64, old.registry.stats().members, "each once");
}

#[test]
fn each_changed_page_is_due_once_a_minute() {
    let mut tracker = busy();
    let mut taken = Vec::new();
    let mut most = 0;
    for _ in 0..61 {
        tracker.now += SECOND;
        let pages = tracker.registry.take_pages(tracker.now, tracker.wall, PAGES);
        most = most.max(pages.len());
        taken.extend(pages.into_iter().map(|page| page.number));
    }
    let count = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), count, "no page twice");
    assert!((40..=50).contains(&count) && most < 10, "{count} pages, {most} in a second");
    for _ in 0..120 {
        tracker.now += SECOND;
        assert_eq!(tracker.registry.take_pages(tracker.now, tracker.wall, PAGES), [], "nothing changed");
    }
    // A torrent whose members left leaves a page to delete.
    let number = tracker.registry.torrents.spot(&InfoHash([0; 20])).page;
    for from in [peer(0), peer_v6(7)] {
        tracker.announce_with(from, |request| {
            (request.info_hash, request.event) = (InfoHash([0; 20]), STOPPED);
        });
    }
    let pages = all_pages(&mut tracker);
    assert_eq!(pages, [SwarmPage { number, bytes: Vec::new() }]);
}

#[test]
fn what_could_not_be_stored_comes_again_at_once() {
    let mut tracker = busy();
    tracker.now += SECOND * 3;
    let pages = tracker.registry.take_pages(tracker.now, tracker.wall, 2);
    assert_eq!(pages.len(), 2);
    tracker.registry.keep_pages(&[pages[0].number, pages[1].number, u16::MAX]);
    let mut again = tracker.registry.take_pages(tracker.now, tracker.wall, 2);
    again.sort_by_key(|page| pages.iter().position(|first| first.number == page.number));
    assert_eq!(again, pages);
}

#[test]
fn who_was_counted_before_a_crash_is_not_counted_again() {
    let mut old = Tracker::new(RegistryConfig::default());
    old.announce(peer(1), None, 9);
    all_pages(&mut old);
    let completes = |tracker: &mut Tracker| tracker.announce(peer(1), Some(AnnounceEvent::Completed), 0);
    completes(&mut old);
    let counts = old.registry.take_completed(10);
    let pages = old.registry.take_pages(old.now, old.wall, PAGES);
    assert_eq!((counts.len(), pages.len()), (1, 1), "count and page come together");
    // A crash. The reply was lost as well, so the client says it again.
    let (mut next, _) = restored(&pages, Secret([1; 16]).into(), WALL);
    let (info_hash, count) = counts[0];
    next.registry.restore(info_hash, count);
    completes(&mut next);
    assert_eq!(next.registry.scrape(info_hash).map(|counts| counts.completed), Some(1));
}

#[test]
fn a_damaged_page_puts_nothing_back() {
    let mut old = busy();
    let pages = all_pages(&mut old);
    let mut tracker = Tracker::new(RegistryConfig::default());
    for page in &pages {
        let mut cut = page.clone();
        cut.bytes.pop();
        assert_eq!(tracker.registry.restore_page(tracker.now, WALL, &cut), Err(PageError::Cut));
    }
    let strange = SwarmPage { number: PAGES as u16, bytes: Vec::new() };
    assert_eq!(tracker.registry.restore_page(tracker.now, WALL, &strange), Err(PageError::Number(4096)));
    assert_eq!(tracker.registry.stats().torrents, 0);
}

#[test]
fn caps_hold_for_what_comes_back() {
    let mut old = busy();
    let pages = all_pages(&mut old);
    let config = RegistryConfig { max_members_in_total: 100, max_members: 10, ..RegistryConfig::default() };
    let mut tracker = Tracker::new(config);
    let members = pages.iter().map(|page| tracker.registry.restore_page(tracker.now, WALL, page));
    assert_eq!(members.map(|members| members.expect("ours")).sum::<usize>(), 100);
    assert!(membership(&mut tracker).iter().flatten().all(|entry| entry.seeders + entry.leechers <= 11));
}
