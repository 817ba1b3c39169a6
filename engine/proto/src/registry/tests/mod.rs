//! Tests of the registry as a whole: here conversations over UDP, and what the other files talk through.

use std::net::SocketAddr;

use super::announce::SEEDERS_FOR_A_SEEDER;
use super::udp::CONNECTION_REFUSED;
use super::*;
use crate::id::PeerId;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};

mod hostile;
mod limits;
mod model;
mod restart;

const WALL: Duration = Duration::from_secs(1_800_000_000);
const HASH: InfoHash = InfoHash([7; 20]);

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 6881))
}

fn peer_v6(last: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 6881))
}

struct Tracker {
    registry: Registry,
    now: Instant,
    wall: Duration,
}

impl Tracker {
    fn new(config: RegistryConfig) -> Self {
        let now = Instant::from_micros(5_000_000);
        Self { registry: Registry::new(config, Secret([1; 16]), Seed::from_u64(1), now), now, wall: WALL }
    }

    fn send(&mut self, from: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
        let mut out = Datagrams::default();
        self.registry.handle(self.now, self.wall, [Datagram { from, payload }], &mut out);
        assert!(out.len() <= 1 && out.iter().all(|(to, _)| to == from));
        out.iter().next().map(|(_, payload)| payload.to_vec())
    }

    fn request(&mut self, from: SocketAddr, request: &Request<'_>) -> Option<Reply> {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        let reply = self.send(from, &payload)?;
        Some(Reply::decode(&reply, Family::of(from)).expect("a reply of ours"))
    }

    fn connect(&mut self, from: SocketAddr) -> ConnectionId {
        match self.request(from, &Request::Connect { transaction: TransactionId(1) }) {
            Some(Reply::Connect { transaction: TransactionId(1), connection }) => connection,
            other => panic!("{other:?}"),
        }
    }

    fn announce_with(&mut self, from: SocketAddr, change: impl FnOnce(&mut AnnounceRequest<'_>)) -> Reply {
        let mut request = AnnounceRequest {
            connection: self.connect(from),
            transaction: TransactionId(2),
            info_hash: HASH,
            peer_id: PeerId([2; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left: 1 },
            event: None,
            key: 0,
            num_want: None,
            port: from.port(),
            options: &[],
        };
        change(&mut request);
        self.request(from, &Request::Announce(request)).expect("an answer")
    }

    /// Seeders, leechers and peers of the reply to an announce.
    fn announce(
        &mut self,
        from: SocketAddr,
        event: Option<AnnounceEvent>,
        left: u64,
    ) -> (u32, u32, Vec<SocketAddr>) {
        let reply = self.announce_with(from, |request| {
            request.event = event;
            request.progress.left = left;
        });
        let Reply::Announce { head, peers } = reply else { panic!("{reply:?}") };
        (head.seeders, head.leechers, peers)
    }

    fn scrape(&mut self, hashes: &[[u8; 20]]) -> Vec<ScrapeEntry> {
        let connection = self.connect(peer(99));
        let request = ScrapeRequest { connection, transaction: TransactionId(3), hashes };
        match self.request(peer(99), &Request::Scrape(request)) {
            Some(Reply::Scrape { swarms, .. }) => swarms,
            other => panic!("{other:?}"),
        }
    }

    /// Seeders and leechers of [`HASH`].
    fn counts(&mut self) -> (u32, u32) {
        let entry = self.registry.scrape(HASH).unwrap_or_default();
        (entry.seeders, entry.leechers)
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.registry.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.registry.handle_timeout(self.now);
        }
        self.now = end;
        self.wall += time;
    }
}

const STARTED: Option<AnnounceEvent> = Some(AnnounceEvent::Started);
const COMPLETED: Option<AnnounceEvent> = Some(AnnounceEvent::Completed);
const STOPPED: Option<AnnounceEvent> = Some(AnnounceEvent::Stopped);

#[test]
fn members_come_meet_complete_and_go() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    assert_eq!(tracker.announce(peer(1), STARTED, 0), (1, 0, vec![]));
    assert_eq!(tracker.announce(peer(2), STARTED, 9), (1, 1, vec![peer(1)]));
    assert_eq!(tracker.announce(peer(1), None, 0), (1, 1, vec![peer(2)]));
    assert_eq!(tracker.announce(peer(2), COMPLETED, 0), (2, 0, vec![]), "seeders see leechers only");
    assert_eq!(tracker.scrape(&[HASH.0]), [ScrapeEntry { seeders: 2, completed: 1, leechers: 0 }]);
    assert_eq!(tracker.announce(peer(1), STOPPED, 0), (1, 0, vec![]));
    assert_eq!(tracker.announce(peer(3), STARTED, 9), (1, 1, vec![peer(2)]));
}

#[test]
fn who_starts_without_knowing_what_there_is_finds_seeders() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    for number in 1..=20 {
        tracker.announce(peer(number), STARTED, 9);
        tracker.announce(peer(number), COMPLETED, 0);
    }
    // aria2 1.36 with a magnet link: `event=started`, `left=0`.
    assert_eq!(tracker.announce(peer(21), STARTED, 0).2.len(), SEEDERS_FOR_A_SEEDER);
    assert_eq!(tracker.announce(peer(21), None, 0).2, [], "by then it would know");
    tracker.announce(peer(22), STARTED, 9);
    assert_eq!(tracker.announce(peer(23), STARTED, 0).2, [peer(22)], "a leecher has the metadata, too");
}

#[test]
fn each_family_sees_its_own_and_counts_are_for_both() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    assert_eq!(tracker.announce(peer_v6(1), STARTED, 9), (0, 2, vec![]));
    assert_eq!(tracker.announce(peer_v6(2), STARTED, 9), (0, 3, vec![peer_v6(1)]));
    // What a dual-stack socket shows for an IPv4 client.
    let mapped: SocketAddr = "[::ffff:10.0.0.9]:6881".parse().expect("valid");
    let mut request = Vec::new();
    Request::Connect { transaction: TransactionId(0) }.encode(&mut request);
    assert!(tracker.send(mapped, &request).is_some());
    let connection = tracker.connect(mapped);
    assert_eq!(connection, tracker.connect(peer(9)), "one client, whatever the socket");
}

#[test]
fn completed_counts_only_for_who_was_seen_downloading() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), COMPLETED, 0);
    tracker.announce(peer(2), STARTED, 0);
    tracker.announce(peer(2), COMPLETED, 0);
    assert_eq!(tracker.registry.take_completed(10), []);
    tracker.announce(peer(3), STARTED, 9);
    tracker.announce(peer(3), COMPLETED, 0);
    tracker.announce(peer(3), COMPLETED, 0);
    let taken = tracker.registry.take_completed(10);
    assert_eq!(taken, [(HASH, 1)]);
    assert_eq!(tracker.registry.take_completed(10), []);
    tracker.registry.keep_completed(&taken);
    assert_eq!(tracker.registry.take_completed(10), taken);
}

#[test]
fn counts_outlive_the_swarm_and_come_back_from_the_store() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    assert!(tracker.registry.restore(HASH, 41));
    tracker.announce(peer(3), STARTED, 9);
    tracker.announce(peer(3), COMPLETED, 0);
    tracker.run_for(Duration::from_secs(3 * 3600));
    let entry = ScrapeEntry { seeders: 0, completed: 42, leechers: 0 };
    assert_eq!(tracker.scrape(&[[0; 20], HASH.0]), [ScrapeEntry::default(), entry]);
    assert_eq!(tracker.registry.take_completed(10), [(HASH, 42)]);
}

#[test]
fn who_falls_silent_is_forgotten_after_two_intervals() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    tracker.run_for(Duration::from_secs(1800));
    tracker.announce(peer(2), STARTED, 9);
    tracker.run_for(Duration::from_secs(1800));
    assert_eq!(tracker.scrape(&[HASH.0])[0].leechers, 2);
    tracker.run_for(Duration::from_secs(120));
    assert_eq!(tracker.scrape(&[HASH.0])[0].leechers, 1);
    tracker.run_for(Duration::from_secs(3600));
    let stats = tracker.registry.stats();
    assert_eq!((stats.torrents, stats.members, stats.expired), (0, 0, 2));
    assert_eq!(tracker.registry.poll_timeout(), None, "an empty registry sleeps");
}

#[test]
fn an_announce_never_names_the_stale() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    tracker.now += Duration::from_secs(2 * 3600);
    // The count is the sweep's business, which has not had its turn.
    assert_eq!(tracker.announce(peer(2), STARTED, 9), (0, 2, vec![]));
}

#[test]
fn intervals_differ_by_ten_percent() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let intervals = (0..100).map(|_| {
        let reply = tracker.announce_with(peer(1), |_| ());
        let Reply::Announce { head, .. } = reply else { panic!("{reply:?}") };
        head.interval
    });
    let intervals: Vec<u32> = intervals.collect();
    assert!(intervals.iter().all(|interval| (1620..=1980).contains(interval)));
    assert!(intervals.iter().any(|&i| i < 1700) && intervals.iter().any(|&i| i > 1900));
}

#[test]
fn a_foreign_or_old_connection_id_is_refused_in_few_bytes() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let connection = tracker.connect(peer(1));
    let request = ScrapeRequest { connection, transaction: TransactionId(3), hashes: &[HASH.0] };
    let refused =
        Some(Reply::Error { transaction: TransactionId(3), message: CONNECTION_REFUSED.to_owned() });
    assert_eq!(tracker.request(peer(2), &Request::Scrape(request)), refused);
    assert_ne!(tracker.request(peer(1), &Request::Scrape(request)), refused);
    tracker.run_for(Duration::from_secs(320));
    assert_eq!(tracker.request(peer(1), &Request::Scrape(request)), refused);
    let empty = ScrapeRequest { hashes: &[], ..request };
    assert_eq!(tracker.request(peer(1), &Request::Scrape(empty)), None, "an error would be longer");
}

#[test]
fn port_zero_is_refused() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let reply = tracker.announce_with(peer(1), |request| request.port = 0);
    assert_eq!(reply, Reply::Error { transaction: TransactionId(2), message: "port 0".into() });
    assert_eq!(tracker.registry.stats().members, 0);
}

#[test]
fn replies_stay_within_one_mtu() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    for last in 0..250 {
        tracker.announce(peer(last), STARTED, 9);
        tracker.announce(peer_v6(last.into()), STARTED, 9);
    }
    for (from, due) in [(peer(0), 196), (peer_v6(0), 65)] {
        let reply = tracker.announce_with(from, |request| request.num_want = Some(10_000));
        let Reply::Announce { peers, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(peers.len(), due);
    }
}

#[test]
fn who_has_one_left_of_the_members_of_a_record_is_found_again() {
    // A swarm grows out of its record, shrinks back into it, and nobody is lost on the way.
    let mut tracker = Tracker::new(RegistryConfig::default());
    for last in 1..=40 {
        tracker.announce(peer(last), STARTED, u64::from(last % 2));
    }
    assert_eq!(tracker.counts(), (20, 20));
    for last in 3..=40 {
        tracker.announce(peer(last), STOPPED, 0);
    }
    assert_eq!(tracker.counts(), (1, 1));
    tracker.run_for(Duration::from_secs(120));
    assert_eq!(tracker.announce(peer(1), None, 1), (1, 1, vec![peer(2)]));
    assert_eq!(tracker.announce(peer(2), None, 0), (1, 1, vec![peer(1)]));
    tracker.announce(peer(1), STOPPED, 0);
    tracker.announce(peer(2), STOPPED, 0);
    assert_eq!(tracker.registry.stats().torrents, 0, "nothing to remember it for");
}

#[test]
fn the_number_of_peers_is_the_clients_choice_within_limits() {
    let mut tracker = Tracker::new(RegistryConfig { max_peers_in_reply: 60, ..RegistryConfig::default() });
    (0..100).for_each(|last| drop(tracker.announce(peer(last), STARTED, 9)));
    for (wanted, due) in [(None, 50), (Some(0), 0), (Some(7), 7), (Some(61), 60), (Some(u32::MAX), 60)] {
        let reply = tracker.announce_with(peer(1), |request| request.num_want = wanted);
        let Reply::Announce { mut peers, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(peers.len(), due, "{wanted:?}");
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), due, "nobody is named twice");
    }
}

#[test]
fn a_member_is_its_address_and_neither_peer_id_nor_key() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    tracker.announce_with(peer(1), |request| (request.peer_id, request.key) = (PeerId([9; 20]), 77));
    assert_eq!(tracker.counts(), (0, 1));
    // Somebody else with the same id and key does not speak for it.
    tracker.announce_with(peer(2), |request| request.event = STOPPED);
    assert_eq!(tracker.counts(), (0, 1));
    tracker.announce_with(peer(1), |request| request.port = 7000);
    assert_eq!(tracker.counts(), (0, 2), "another port is another member");
}

#[test]
fn settings_change_while_it_runs() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(1), STARTED, 9);
    tracker.run_for(Duration::from_secs(600));
    let interval = Duration::from_secs(120);
    tracker.registry.set_config(RegistryConfig { interval, ..RegistryConfig::default() });
    let reply = tracker.announce_with(peer(2), |_| ());
    let Reply::Announce { head, .. } = reply else { panic!("{reply:?}") };
    assert!((108..=132).contains(&head.interval));
    tracker.run_for(Duration::from_secs(10));
    assert_eq!(tracker.counts(), (0, 1), "silent for longer than the new life");
}
