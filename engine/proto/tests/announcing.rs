//! Announcers and a registry in one process on a virtual clock, over a network that loses packets.
//!
//! Both machines are driven as a driver drives them; nothing waits, so hours pass in milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proto::announce::{AnnounceConfig, AnnounceError, Announcer, Input, Output};
use proto::id::{InfoHash, PeerId};
use proto::registry::{Datagram, Datagrams, Registry, RegistryConfig, Secret};
use proto::seed::{Random, Seed};
use proto::time::Instant;
use proto::torrent::{AnnounceEvent, Progress};

const TRACKER: &str = "udp://tracker:6969/announce";
const LATENCY: Duration = Duration::from_millis(40);
const WALL: Duration = Duration::from_secs(1_800_000_000);

fn tracker_addr() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 6969))
}

/// The IPv6 address of the host that has this one.
fn v6_of(addr: SocketAddr) -> SocketAddr {
    let IpAddr::V4(ip) = addr.ip() else { return addr };
    let [.., net, last] = ip.octets().map(u16::from);
    SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, net, last], addr.port()))
}

/// The IPv4 address of the host that has this one.
fn v4_of(addr: SocketAddr) -> SocketAddr {
    let IpAddr::V6(ip) = addr.ip() else { return addr };
    let [.., net, last] = ip.segments().map(|segment| segment as u8);
    SocketAddr::from(([10, 0, net, last], addr.port()))
}

struct Client {
    announcer: Announcer,
    progress: Progress,
    peers: BTreeSet<SocketAddr>,
    answers: usize,
    failures: Vec<AnnounceError>,
    is_done: bool,
}

/// The clients by their IPv4 address, even if they do not use it, the tracker, and the packets in flight by arrival.
struct Network {
    clients: BTreeMap<SocketAddr, Client>,
    registry: Registry,
    flying: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Bytes)>,
    sent: u64,
    random: Random,
    /// Packets lost out of a hundred.
    loss: u64,
    now: Instant,
}

impl Network {
    fn new(clients: u8, loss: u64, seed: u64) -> Self {
        Self::speaking(clients, |addr| vec![addr], loss, seed)
    }

    /// Clients that listen at what `listen` makes of their IPv4 address.
    fn speaking(clients: u8, listen: impl Fn(SocketAddr) -> Vec<SocketAddr>, loss: u64, seed: u64) -> Self {
        let seed = Seed::from_u64(seed);
        let client = |last: u8| {
            let addr = SocketAddr::from(([10, 0, 1, last], 6881));
            let id = PeerId::with_tail([last; 12]);
            let tiers = vec![vec![TRACKER.to_owned()]];
            let config = AnnounceConfig::new(InfoHash([9; 20]), id, &listen(addr), tiers);
            let announcer = Announcer::new(config, seed.child(u64::from(last)));
            let progress = Progress { uploaded: 0, downloaded: 0, left: u64::from(last > 0) * 1000 };
            let client = Client {
                announcer,
                progress,
                peers: BTreeSet::new(),
                answers: 0,
                failures: Vec::new(),
                is_done: false,
            };
            (addr, client)
        };
        Self {
            clients: (0..clients).map(client).collect(),
            registry: Registry::new(
                RegistryConfig::default(),
                Secret([4; 16]),
                seed.child(1000),
                Instant::ZERO,
            ),
            flying: BTreeMap::new(),
            sent: 0,
            random: seed.child(1001).rng(),
            loss,
            now: Instant::ZERO,
        }
    }

    fn say(&mut self, addr: SocketAddr, event: AnnounceEvent) {
        self.tell(addr, Input::Announce(Some(event)));
    }

    fn say_all(&mut self, event: AnnounceEvent) {
        for addr in self.clients.keys().copied().collect::<Vec<_>>() {
            self.say(addr, event);
        }
    }

    fn tell(&mut self, addr: SocketAddr, input: Input) {
        let Some(client) = self.clients.get_mut(&addr) else { return };
        client.announcer.handle_input(self.now, &client.progress, input);
        self.drain(addr);
    }

    fn drain(&mut self, addr: SocketAddr) {
        while let Some(client) = self.clients.get_mut(&addr) {
            match client.announcer.poll_output() {
                None => return,
                Some(Output::Resolve { host, port }) => {
                    self.tell(
                        addr,
                        Input::Resolved { host, port, addrs: vec![tracker_addr(), v6_of(tracker_addr())] },
                    );
                }
                Some(Output::SendTo { addr: to, payload }) => {
                    self.send(if to.is_ipv4() { addr } else { v6_of(addr) }, to, payload);
                }
                Some(Output::Peers(peers)) => client.peers.extend(peers),
                Some(Output::Announced { .. }) => client.answers += 1,
                Some(Output::Failed { error, .. }) => client.failures.push(error),
                Some(Output::Done) => client.is_done = true,
                Some(other @ (Output::Get { .. } | Output::Warned { .. } | Output::Switched)) => {
                    panic!("over UDP: {other:?}")
                }
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, payload: Bytes) {
        if self.random.below(100) >= self.loss {
            self.sent += 1;
            self.flying.insert((self.now + LATENCY, self.sent), (from, to, payload));
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, payload: Bytes) {
        if v4_of(to) != tracker_addr() {
            return self.tell(v4_of(to), Input::Datagram { from, payload });
        }
        let mut replies = Datagrams::default();
        let wall = WALL + self.now.since(Instant::ZERO);
        self.registry.handle(self.now, wall, [Datagram { from, payload: &payload }], &mut replies);
        let tracker = to;
        for (to, reply) in replies.iter() {
            self.send(tracker, to, Bytes::copy_from_slice(reply));
        }
    }

    fn run_until(&mut self, end: Duration) {
        let end = Instant::ZERO + end;
        loop {
            let timers = self.clients.values().filter_map(|client| client.announcer.poll_timeout());
            let timers = timers.map(|(at, _)| at).chain(self.registry.poll_timeout());
            let arrivals = self.flying.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(arrivals).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, to, payload) = entry.remove();
                self.deliver(from, to, payload);
            }
            self.registry.handle_timeout(self.now);
            for addr in self.clients.keys().copied().collect::<Vec<_>>() {
                if let Some(client) = self.clients.get_mut(&addr) {
                    client.announcer.handle_timeout(self.now, &client.progress);
                }
                self.drain(addr);
            }
        }
        self.now = end;
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn thirty_peers_meet_over_a_network_that_loses_a_tenth() {
    for seed in 0..20 {
        let mut network = Network::new(30, 10, seed);
        network.say_all(AnnounceEvent::Started);
        network.run_until(HOUR);
        let leechers: Vec<SocketAddr> = network.clients.keys().copied().skip(1).collect();
        assert_eq!(network.registry.stats().members, 30, "seed {seed}");
        for (addr, client) in &network.clients {
            assert!(client.answers > 0 && !client.peers.contains(addr), "seed {seed} {addr}");
        }
        for addr in leechers {
            let client = network.clients.get_mut(&addr).expect("a client");
            client.progress = Progress { uploaded: 0, downloaded: 1000, left: 0 };
            network.say(addr, AnnounceEvent::Completed);
        }
        network.run_until(3 * HOUR);
        assert_eq!(network.registry.take_completed(9), [(InfoHash([9; 20]), 29)], "seed {seed}");
        network.say_all(AnnounceEvent::Stopped);
        network.run_until(3 * HOUR + Duration::from_secs(5));
        assert!(network.clients.values().all(|client| client.is_done), "seed {seed}");
        network.run_until(6 * HOUR);
        assert_eq!(network.registry.stats().members, 0, "seed {seed}: expired, if not stopped");
    }
}

#[test]
fn without_loss_everybody_is_known_at_once_and_gone_at_once() {
    let mut network = Network::new(20, 0, 1);
    network.say_all(AnnounceEvent::Started);
    network.run_until(Duration::from_secs(1));
    assert_eq!(network.registry.stats().members, 20);
    network.run_until(24 * HOUR);
    assert_eq!(network.registry.stats().expired, 0, "regular announces keep members alive");
    let everybody = network.clients.values().all(|client| client.peers.len() >= 19);
    assert!(everybody, "a day of announces shows every peer to every leecher");
    network.say_all(AnnounceEvent::Stopped);
    network.run_until(24 * HOUR + Duration::from_secs(1));
    assert_eq!(network.registry.stats().members, 0);
}

#[test]
fn each_family_is_counted_and_each_completion_once() {
    for seed in 0..20 {
        // A third speak IPv4, a third IPv6, a third both.
        let listen = |addr: SocketAddr| {
            let both = [addr, v6_of(addr)];
            let IpAddr::V6(ip) = both[1].ip() else { return Vec::new() };
            [&both[..1], &both[1..], &both[..]][usize::from(ip.segments()[7] % 3)].to_vec()
        };
        let mut network = Network::speaking(30, listen, 10, seed);
        network.say_all(AnnounceEvent::Started);
        network.run_until(HOUR);
        assert_eq!(network.registry.stats().members, 40, "seed {seed}: twenty in each family");
        let leechers: Vec<SocketAddr> = network.clients.keys().copied().skip(1).collect();
        for addr in leechers {
            let client = network.clients.get_mut(&addr).expect("a client");
            client.progress = Progress { uploaded: 0, downloaded: 1000, left: 0 };
            network.say(addr, AnnounceEvent::Completed);
        }
        network.run_until(3 * HOUR);
        assert_eq!(network.registry.take_completed(9), [(InfoHash([9; 20]), 29)], "seed {seed}");
        let counts = network.registry.scrape(InfoHash([9; 20])).expect("known");
        assert_eq!((counts.seeders, counts.leechers), (40, 0), "seed {seed}: both families know");
        network.say_all(AnnounceEvent::Stopped);
        network.run_until(3 * HOUR + Duration::from_secs(5));
        assert!(network.clients.values().all(|client| client.is_done), "seed {seed}");
    }
}

#[test]
fn a_tracker_behind_a_dead_line_is_one_clear_error() {
    let mut network = Network::new(1, 100, 1);
    network.say_all(AnnounceEvent::Started);
    network.run_until(6 * HOUR);
    let client = network.clients.values().next().expect("one client");
    assert_eq!(client.failures, [AnnounceError::NoAnswer]);
}

/// Carries out every output; the datagrams sent, of which the last one's transaction id is kept.
fn drain(announcer: &mut Announcer, now: Instant, progress: &Progress, transaction: &mut [u8]) -> usize {
    let mut sent = 0;
    while let Some(output) = announcer.poll_output() {
        match output {
            Output::Resolve { host, port } => {
                let input = Input::Resolved { host, port, addrs: vec![tracker_addr()] };
                announcer.handle_input(now, progress, input);
            }
            Output::SendTo { payload, .. } => {
                sent += 1;
                transaction.copy_from_slice(&payload[12..16]);
            }
            Output::Peers(_) | Output::Announced { .. } | Output::Failed { .. } | Output::Done => {}
            Output::Get { .. } | Output::Warned { .. } | Output::Switched => panic!("over UDP: {output:?}"),
        }
    }
    sent
}

proptest! {
    /// A tracker that says anything at any time, with the right transaction id or not: the announcer never
    /// panics, never answers one packet with more than one, and stops within five seconds.
    #[test]
    fn a_hostile_tracker_gets_nothing_but_patience(
        packets in vec((vec(any::<u8>(), 8..80), 0u8..4, any::<bool>(), 0u64..40), 0..60)
    ) {
        let mut network = Network::new(2, 100, 1);
        let Some(Client { mut announcer, progress, .. }) = network.clients.pop_last().map(|last| last.1) else {
            panic!("no client");
        };
        let (mut now, mut transaction) = (Instant::ZERO, [0; 4]);
        announcer.handle_input(now, &progress, Input::Announce(Some(AnnounceEvent::Started)));
        drain(&mut announcer, now, &progress, &mut transaction);
        for (mut payload, action, is_ours, seconds) in packets {
            now += Duration::from_secs(seconds);
            announcer.handle_timeout(now, &progress);
            prop_assert!(drain(&mut announcer, now, &progress, &mut transaction) <= 1);
            if is_ours {
                payload[..4].copy_from_slice(&[0, 0, 0, action]);
                payload[4..8].copy_from_slice(&transaction);
            }
            announcer.handle_input(now, &progress, Input::Datagram { from: tracker_addr(), payload: payload.into() });
            prop_assert!(drain(&mut announcer, now, &progress, &mut transaction) <= 1);
        }
        announcer.handle_input(now, &progress, Input::Announce(Some(AnnounceEvent::Stopped)));
        let end = now + Duration::from_secs(5);
        while let Some((at, _)) = announcer.poll_timeout() {
            prop_assert!(at <= end);
            announcer.handle_timeout(at.max(now), &progress);
            drain(&mut announcer, at.max(now), &progress, &mut transaction);
        }
    }
}
