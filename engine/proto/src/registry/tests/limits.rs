//! Caps: on torrents, members, sources, bytes and counts; and who is let in at all.

use super::*;
use crate::tracker::options;

fn refused(refusal: Refusal) -> Reply {
    Reply::Error { transaction: TransactionId(2), message: refusal.to_string() }
}

fn hash(number: u32) -> InfoHash {
    let mut hash = InfoHash([1; 20]);
    hash.0[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

/// A started announce as HTTP would hand it over.
fn join(tracker: &mut Tracker, number: u32, addr: SocketAddr) -> Result<Announced, Refusal> {
    let request =
        Announce { info_hash: hash(number), addr, left: 1, event: STARTED, num_want: None, passkey: None };
    tracker.registry.announce(tracker.now, &request, &mut Vec::new())
}

#[test]
fn torrents_and_members_have_caps() {
    let config = RegistryConfig {
        max_torrents: 40,
        max_members: 20,
        max_members_in_total: 100,
        ..RegistryConfig::default()
    };
    let mut tracker = Tracker::new(config);
    for number in 0..60 {
        let due = if number < 40 { Ok(()) } else { Err(Refusal::TorrentsFull) };
        assert_eq!(join(&mut tracker, number, peer(1)).map(drop), due);
    }
    for last in 2..40 {
        let due = if last <= 20 { Ok(()) } else { Err(Refusal::PeersFull) };
        assert_eq!(join(&mut tracker, 0, peer(last)).map(drop), due, "{last}");
    }
    // IPv6 has places of its own in a torrent, but not in all.
    assert_eq!(join(&mut tracker, 0, peer_v6(1)).map(drop), Ok(()));
    for number in 1..40 {
        join(&mut tracker, number, peer(2)).expect("a place");
    }
    assert_eq!(tracker.registry.stats().members, 99);
    join(&mut tracker, 1, peer(3)).expect("the last place");
    assert_eq!(join(&mut tracker, 1, peer(4)).map(drop), Err(Refusal::PeersFull));
    assert_eq!(join(&mut tracker, 1, peer(3)).map(|reply| reply.counts.leechers), Ok(3), "members stay");
    let refused = tracker.registry.stats().refused;
    assert_eq!((refused.torrents_full, refused.peers_full, refused.total()), (20, 20, 40));
}

#[test]
fn a_source_has_so_many_places_and_gets_them_back() {
    let config = RegistryConfig { max_members_per_source: 10, ..RegistryConfig::default() };
    let mut tracker = Tracker::new(config);
    for number in 0..10 {
        join(&mut tracker, number, SocketAddr::from(([10, 0, 0, 1], 1000 + number as u16))).expect("a place");
    }
    assert_eq!(join(&mut tracker, 99, peer(1)).map(drop), Err(Refusal::SourceFull));
    assert_eq!(join(&mut tracker, 99, peer(2)).map(drop), Ok(()), "another source");
    tracker.run_for(Duration::from_secs(2 * 3600));
    assert_eq!(join(&mut tracker, 99, peer(1)).map(drop), Ok(()), "its members have expired");
    let stop = Announce {
        info_hash: hash(99),
        addr: peer(1),
        left: 1,
        event: STOPPED,
        num_want: None,
        passkey: None,
    };
    for number in 0..30 {
        join(&mut tracker, 99, peer(1)).expect("a place");
        let stop = Announce { info_hash: hash(99), ..stop };
        tracker.registry.announce(tracker.now, &stop, &mut Vec::new()).expect("it was a member");
        assert_eq!(tracker.registry.sources.count(&[10, 0, 0, 1, 0, 1]), 0, "{number}");
    }
}

#[test]
fn floods_of_random_hashes_stay_within_the_bytes() {
    let max_bytes = 2 << 20;
    let mut tracker = Tracker::new(RegistryConfig { max_bytes, ..RegistryConfig::default() });
    let mut refused = 0;
    for number in 0..50_000u32 {
        let addr = SocketAddr::from((std::net::Ipv4Addr::from_bits(number / 7), 6881));
        let answer = join(&mut tracker, number.reverse_bits(), addr);
        assert!(matches!(answer, Ok(_) | Err(Refusal::PeersFull | Refusal::TorrentsFull)));
        refused += usize::from(answer.is_err());
        // One page more than the cap, and the sketch of the sources beside it.
        let memory = tracker.registry.stats().memory_bytes as usize;
        assert!(memory <= max_bytes + Sources::BYTES + 64 * 1024, "{memory}");
    }
    assert!(refused > 20_000, "{refused}");
    tracker.run_for(Duration::from_secs(2 * 3600));
    let stats = tracker.registry.stats();
    assert_eq!((stats.torrents, stats.members), (0, 0));
    assert_eq!(stats.memory_bytes, Tracker::new(RegistryConfig::default()).registry.stats().memory_bytes);
}

#[test]
fn the_smallest_counts_give_way_and_their_rows_go() {
    let config = RegistryConfig { max_torrents: 10, ..RegistryConfig::default() };
    let mut tracker = Tracker::new(config);
    for number in 0..10 {
        assert!(tracker.registry.restore(hash(number), 5));
    }
    assert!(!tracker.registry.restore(hash(10), 5));
    assert!(tracker.registry.restore(hash(3), 6), "known already");
    tracker.run_for(Duration::from_secs(120));
    let stats = tracker.registry.stats();
    assert_eq!((stats.torrents, stats.remembered, stats.forgotten), (5, 5, 5));
    let rows = tracker.registry.take_completed(100);
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|(_, count)| *count == 0), "rows to delete: {rows:?}");

    // In one page the choice is exact: a flood of ones does not push out what many have finished.
    let mut tracker = Tracker::new(RegistryConfig { max_remembered: 4096, ..RegistryConfig::default() });
    let page = |tracker: &Tracker, number: u32| tracker.registry.torrents.spot(&hash(number)).page;
    let together: Vec<u32> = (0..400_000).filter(|number| page(&tracker, *number) == 7).collect();
    for (count, number) in (1..).zip(&together) {
        assert!(tracker.registry.restore(hash(*number), count));
    }
    for number in 1_000_000..1_005_000 {
        assert!(tracker.registry.restore(hash(number), 1));
    }
    tracker.run_for(Duration::from_secs(120));
    assert_eq!(tracker.registry.stats().remembered, 4096);
    let most = together.last().expect("some");
    assert!(tracker.registry.scrape(hash(*most)).is_some(), "the largest count of its page stays");
    assert_eq!(tracker.registry.scrape(hash(together[0])), None);
}

#[test]
fn lists_say_which_torrents_are_tracked() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    let access = |mode| Access { mode, torrents: vec![HASH], passkeys: None };
    tracker.registry.set_access(access(AccessMode::Deny));
    assert_eq!(tracker.announce_with(peer(2), |_| ()), refused(Refusal::TorrentNotAllowed));
    assert_eq!(tracker.scrape(&[HASH.0]), [ScrapeEntry::default()], "positional: zeros, not left out");
    assert_eq!(tracker.registry.scrape(HASH), None);
    tracker.registry.set_access(access(AccessMode::Allow));
    assert_eq!(tracker.announce(peer(2), STARTED, 9).2, [peer(1)]);
    assert_eq!(
        tracker.announce_with(peer(2), |request| request.info_hash = InfoHash([1; 20])),
        refused(Refusal::TorrentNotAllowed)
    );
    assert_eq!(tracker.registry.stats().refused.torrent_not_allowed, 2);
}

#[test]
fn a_private_tracker_reads_the_passkey_from_the_url() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let keys = [Passkey([1; 16]), Passkey([2; 16])];
    tracker.registry.set_access(Access { passkeys: Some(keys.to_vec()), ..Access::default() });
    let mut with = |options: &[u8]| {
        let mut payload = Vec::new();
        let connection = tracker.connect(peer(1));
        Request::Announce(AnnounceRequest {
            connection,
            transaction: TransactionId(2),
            info_hash: HASH,
            peer_id: PeerId([2; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left: 1 },
            event: None,
            key: 0,
            num_want: None,
            port: 6881,
            options,
        })
        .encode(&mut payload);
        let reply = tracker.send(peer(1), &payload).expect("an answer");
        Reply::decode(&reply, Family::V4).expect("ours")
    };
    let url = |key: u8| format!("/{}/announce", Passkey([key; 16]));
    assert_eq!(with(&[]), refused(Refusal::PasskeyMissing));
    assert_eq!(with(&options::with_url_data("/announce")), refused(Refusal::PasskeyMissing));
    assert_eq!(with(&options::with_url_data(&url(3))), refused(Refusal::PasskeyUnknown));
    assert!(matches!(with(&options::with_url_data(&url(2))), Reply::Announce { .. }));
    // In two parts, with padding and an unknown option between: BEP 41 joins them.
    let url = url(1);
    let (first, second) = url.as_bytes().split_at(9);
    let mut parts = vec![2, first.len() as u8];
    parts.extend(first);
    parts.extend([1, 1, 77, 2, 0, 0, 2, second.len() as u8]);
    parts.extend(second);
    assert!(matches!(with(&parts), Reply::Announce { .. }));
    parts.truncate(parts.len() - 1);
    assert_eq!(with(&parts), refused(Refusal::PasskeyMissing), "a cut option is none");
}

#[test]
fn a_private_tracker_tells_strangers_no_counts() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let key = Passkey([1; 16]);
    tracker.registry.set_access(Access { passkeys: Some(vec![key]), ..Access::default() });
    let connection = tracker.connect(peer(1));
    let scrape = ScrapeRequest { connection, transaction: TransactionId(2), hashes: &[HASH.0] };
    let reply = tracker.request(peer(1), &Request::Scrape(scrape)).expect("an answer");
    assert_eq!(reply, refused(Refusal::PasskeyMissing));
    assert_eq!(tracker.registry.admit_scrape(Some(Passkey([2; 16]))), Err(Refusal::PasskeyUnknown));
    assert_eq!(tracker.registry.admit_scrape(Some(key)), Ok(()));
}

#[test]
fn under_load_newcomers_are_answered_and_not_entered() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    let shed_after = [1, 2, 3, 1000].map(Duration::from_secs);
    tracker.registry.set_config(RegistryConfig { full_batch: 1, shed_after, ..RegistryConfig::default() });
    let mut levels = Vec::new();
    for _ in 0..40 {
        tracker.now += Duration::from_millis(100);
        let scrape =
            ScrapeRequest { connection: ConnectionId(0), transaction: TransactionId(3), hashes: &[HASH.0] };
        let is_answered = tracker.request(peer(9), &Request::Scrape(scrape)).is_some();
        let level = tracker.registry.stats().shed.level;
        assert_eq!(is_answered, level == 0);
        levels.push(level);
    }
    assert!(levels.is_sorted() && levels[39] == 3, "{levels:?}");
    let (seeders, leechers, peers) = tracker.announce(peer(2), STARTED, 9);
    assert_eq!((seeders, leechers, peers), (0, 1, vec![peer(1)]));
    let reply = tracker.announce_with(peer(1), |_| ());
    let Reply::Announce { head, .. } = reply else { panic!("{reply:?}") };
    assert!((2430..=2970).contains(&head.interval), "half as much again: {}", head.interval);
    let shed = tracker.registry.stats().shed;
    assert_eq!((shed.not_entered, shed.slowed, shed.dropped), (1, 2, 0));
    assert!(shed.unanswered > 20);
    // Calm again.
    tracker.registry.set_config(RegistryConfig::default());
    for _ in 0..80 {
        tracker.now += Duration::from_millis(100);
        tracker.connect(peer(3));
    }
    assert_eq!(tracker.registry.stats().shed.level, 0);
    assert_eq!(tracker.announce(peer(2), STARTED, 9).1, 2);
}
