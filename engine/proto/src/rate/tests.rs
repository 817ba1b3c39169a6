//! Rates over virtual seconds: exact, shared, and never a standstill.

use proptest::prelude::*;

use super::*;

const ONE: TorrentKey = TorrentKey(1);

fn rate(bytes: u64) -> Rate {
    NonZeroU64::new(bytes)
}

fn global(bytes: u64) -> Limits {
    Limits { global: rate(bytes), ..Limits::default() }
}

/// Peers that always want more, for so many seconds; bytes for each.
fn greedy(shaper: &mut Shaper, peers: &[(u64, TorrentKey)], from: u64, to: u64) -> BTreeMap<u64, u64> {
    let mut moved = BTreeMap::new();
    let mut now = Instant::from_micros(from * 1_000_000);
    let end = Instant::from_micros(to * 1_000_000);
    for &(peer, torrent) in peers {
        shaper.claim(PeerKey(peer), torrent, 1 << 20);
    }
    while now < end {
        while let Some((peer, bytes)) = shaper.poll_grant(now) {
            *moved.entry(peer.0).or_default() += bytes;
            let torrent = peers.iter().find(|(key, _)| *key == peer.0).map_or(ONE, |found| found.1);
            shaper.claim(peer, torrent, 1 << 20);
        }
        let due = shaper.poll_timeout(now).expect("somebody waits");
        assert!(due > now, "no grant, and yet nothing to wait for");
        // A runtime's timers are late by up to a millisecond.
        now = due + Duration::from_micros(900);
    }
    moved
}

fn within_two_percent(bytes: u64, expected: u64) -> bool {
    bytes.abs_diff(expected) * 50 <= expected
}

#[test]
fn a_limit_is_exact_and_shared_equally_among_one_ten_and_a_hundred() {
    for peers in [1, 10, 100] {
        for bytes in [30_000, 125_000, 1_000_000, 12_500_000] {
            let mut shaper = Shaper::new(global(bytes));
            let keys: Vec<_> = (0..peers).map(|peer| (peer, ONE)).collect();
            let moved = greedy(&mut shaper, &keys, 0, 10);
            let total: u64 = moved.values().sum();
            assert!(within_two_percent(total, bytes * 10), "{total} of {} for {peers}", bytes * 10);
            assert_eq!(moved.len() as u64, peers);
            let (least, most) = (moved.values().min(), moved.values().max());
            let apart = most.zip(least).map(|(most, least)| most - least);
            assert!(apart <= Some((bytes / GRANTS_A_SECOND).clamp(MIN_GRANT, MAX_GRANT)), "{moved:?}");
        }
    }
}

proptest! {
    #[test]
    fn headers_are_added_and_taken_off(payload in 1u64..1 << 40, six: bool) {
        let addr: SocketAddr = if six { "[::1]:1" } else { "1.1.1.1:1" }.parse().expect("an address");
        let headers = Headers::to(&addr);
        prop_assert_eq!(headers.without(headers.with(payload)), payload);
        prop_assert!(headers.with(headers.without(payload)) <= payload);
        prop_assert!(headers.without(payload) >= payload / 2);
    }

    #[test]
    fn whatever_is_asked_nobody_waits_without_an_end(
        limits in prop::array::uniform3(prop::option::of(1u64..1 << 40)),
        wants in prop::collection::vec((0u64..5, 0u32..2, 1u64..1 << 20), 1..20),
    ) {
        let [all, torrent, peer] = limits.map(|limit| limit.and_then(rate));
        let mut shaper = Shaper::new(Limits { global: all, torrent, peer });
        for &(peer, torrent, want) in &wants {
            shaper.claim(PeerKey(peer), TorrentKey(torrent), want);
        }
        let (mut now, mut granted) = (Instant::ZERO, 0);
        while let Some(due) = shaper.poll_timeout(now) {
            now = due.max(now);
            let (_, bytes) = shaper.poll_grant(now).expect("it is time");
            prop_assert!(bytes > 0 && bytes <= MAX_GRANT);
            granted += 1;
        }
        let askers: std::collections::BTreeSet<_> = wants.iter().map(|want| want.0).collect();
        prop_assert_eq!(granted, askers.len());
    }
}

#[test]
fn a_full_segment_has_forty_bytes_of_headers_or_sixty() {
    let [four, six] = ["192.0.2.1:6881", "[2001:db8::1]:6881"].map(|addr| addr.parse().expect("valid"));
    assert_eq!((Headers::to(&four).with(1460), Headers::to(&six).with(1460)), (1500, 1520));
    assert_eq!((Headers::to(&four).without(1500), Headers::to(&four).with(0)), (1460, 0));
}

#[test]
fn every_level_limits_and_a_slow_one_keeps_nobody_else_waiting() {
    let limits = Limits { global: rate(1_000_000), torrent: rate(300_000), peer: rate(100_000) };
    let mut shaper = Shaper::new(limits);
    // Five peers of one torrent share what it may have; one of another is held by its own limit.
    let peers: Vec<_> = (0..5).map(|peer| (peer, ONE)).chain([(9, TorrentKey(2))]).collect();
    let moved = greedy(&mut shaper, &peers, 0, 10);
    let first: u64 = (0..5).map(|peer| moved[&peer]).sum();
    assert!(within_two_percent(first, 3_000_000), "{first}");
    assert!(within_two_percent(moved[&9], 1_000_000), "{moved:?}");
}

#[test]
fn a_new_limit_holds_at_once() {
    let mut shaper = Shaper::new(global(10_000));
    let peers: Vec<_> = (0..50).map(|peer| (peer, ONE)).collect();
    greedy(&mut shaper, &peers, 0, 10);
    for (second, bytes) in [(10, 5_000_000), (20, 30_000)] {
        shaper.set_limits(global(bytes));
        let total: u64 = greedy(&mut shaper, &peers, second, second + 10).values().sum();
        assert!(within_two_percent(total, bytes * 10), "{total} of {}", bytes * 10);
    }
    shaper.set_limits(Limits::default());
    assert_eq!(shaper.poll_timeout(Instant::ZERO), None, "who waited asks again");
    shaper.claim(PeerKey(1), ONE, 1 << 20);
    assert_eq!(shaper.poll_grant(Instant::from_micros(30_000_000)).map(|grant| grant.1), Some(MAX_GRANT));
}

#[test]
fn an_idle_minute_is_worth_a_tenth_of_a_second() {
    let mut shaper = Shaper::new(global(100_000));
    greedy(&mut shaper, &[(1, ONE)], 0, 1);
    let total: u64 = greedy(&mut shaper, &[(1, ONE)], 60, 70).values().sum();
    assert!(within_two_percent(total, 1_000_000), "{total}");
}

#[test]
fn what_was_not_moved_is_there_for_the_next() {
    let mut shaper = Shaper::new(global(1_000));
    let now = Instant::ZERO;
    shaper.claim(PeerKey(1), ONE, 10);
    assert_eq!(shaper.poll_grant(now), Some((PeerKey(1), 10)));
    shaper.claim(PeerKey(2), ONE, 10);
    assert_eq!(shaper.poll_grant(now), None);
    shaper.refund(PeerKey(1), ONE, 10);
    assert_eq!(shaper.poll_grant(now), Some((PeerKey(2), 10)));
    shaper.claim(PeerKey(3), ONE, 10);
    shaper.forget(PeerKey(3), ONE);
    assert_eq!(shaper.poll_timeout(now), None);
}

#[test]
fn a_torrent_may_have_limits_of_its_own() {
    let mut shaper = Shaper::new(Limits { torrent: rate(100_000), ..global(1_000_000) });
    let own = OwnLimits { torrent: rate(300_000), peer: rate(200_000) };
    shaper.set_own_limits(ONE, Some(own));
    assert_eq!(shaper.rate_of_torrent(ONE), rate(300_000));
    assert_eq!(shaper.rate_of_torrent(TorrentKey(2)), rate(100_000));
    let peers = [(1, ONE), (2, ONE), (3, TorrentKey(2))];
    let moved = greedy(&mut shaper, &peers, 0, 10);
    assert!(within_two_percent(moved[&1] + moved[&2], 3_000_000), "{moved:?}");
    assert!(within_two_percent(moved[&3], 1_000_000), "{moved:?}");
    shaper.set_own_limits(ONE, None);
    let moved = greedy(&mut shaper, &peers, 10, 20);
    assert!(within_two_percent(moved[&1] + moved[&2], 1_000_000), "{moved:?}");
    shaper.set_limits(Limits::default());
    assert!(!shaper.is_limited());
    shaper.set_own_limits(ONE, Some(own));
    assert!(shaper.is_limited());
    shaper.forget_torrent(ONE);
    assert!(!shaper.is_limited());
}

#[test]
fn one_limit_is_exact_over_many_torrents_and_shared_by_their_peers() {
    let mut shaper = Shaper::new(global(1_000_000));
    let peers: Vec<_> = (0..40).map(|peer| (peer, TorrentKey(peer as u32 % 8))).collect();
    let moved = greedy(&mut shaper, &peers, 0, 10);
    let total: u64 = moved.values().sum();
    assert!(within_two_percent(total, 10_000_000), "{total}");
    assert_eq!(moved.len(), 40);
}
