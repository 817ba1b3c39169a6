//! Rough paths and faults, packet by packet: what is lost, late, doubled or spoilt, and that nothing vanishes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proto::time::Instant;
use turmoil_net::{Packet, Transport, UdpDatagram};

use super::super::packet;
use super::super::{Bursts, LinkProfile, Network, Reorder, Roughness, Spread};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// Datagrams from one host to others, each with its number inside.
struct Bench {
    network: Network,
    now: Instant,
    sent: u32,
    /// Number, when, and to whom.
    received: Vec<(Option<u32>, Instant, IpAddr)>,
}

impl Bench {
    fn new(hosts: u8, roughness: Roughness) -> Self {
        let mut network = Network::new(5, 1_500);
        for number in 1..=hosts {
            network.add_host(&[host(number)], LinkProfile { latency: MS(10), ..LinkProfile::UNLIMITED });
        }
        network.roughen(0, roughness);
        Self { network, now: Instant::ZERO, sent: 0, received: Vec::new() }
    }

    /// From the first host to the one so numbered.
    fn send(&mut self, to: u8) {
        let mut content = vec![0; 100];
        content[..4].copy_from_slice(&self.sent.to_be_bytes());
        self.sent += 1;
        let datagram = UdpDatagram { src_port: 1, dst_port: 2, payload: Bytes::from(content) };
        let packet = Packet { src: host(1), dst: host(to), ttl: 64, payload: Transport::Udp(datagram) };
        self.network.send(self.now, packet);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.network.next_event().filter(|&at| at <= end) {
            self.network.advance(at);
            while let Some((_, packet)) = self.network.poll_delivery(at) {
                let (content, rest) = packet::payload(&packet).split_at(4);
                let number = rest
                    .iter()
                    .all(|&byte| byte == 0)
                    .then(|| u32::from_be_bytes(content.try_into().expect("four bytes")));
                self.received.push((number, at, packet.dst));
            }
        }
        self.now = end;
        let totals = self.network.totals();
        assert_eq!(totals.sent, totals.delivered + totals.dropped + self.network.under_way() as u64);
    }

    /// So many to the second host, one every `gap`.
    fn stream(&mut self, count: u32, gap: Duration) {
        for _ in 0..count {
            self.send(2);
            self.pass(gap);
        }
        self.pass(Duration::from_secs(10));
    }

    fn numbers(&self) -> Vec<u32> {
        self.received.iter().filter_map(|(number, _, _)| *number).collect()
    }
}

#[test]
fn bursts_lose_what_the_chain_says_and_in_a_row() {
    let bursts = Bursts { gap: MS(900), length: MS(100), loss: 0.5 };
    let mut bench = Bench::new(2, Roughness { bursts: Some(bursts), ..Roughness::default() });
    bench.stream(40_000, MS(5));
    let lost = 1.0 - bench.received.len() as f64 / 40_000.0;
    assert!((lost / 0.05 - 1.0).abs() < 0.15, "half of a tenth of the time: {lost}");
    // Were losses independent, one in twenty would follow another; in a burst it is nearly one in two.
    let numbers = bench.numbers();
    let gaps = numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0);
    let gaps: Vec<_> = gaps.collect();
    let mean = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
    // Stays bad and is lost again with 0.95 * 0.5: a geometric run.
    assert!((1.7..2.1).contains(&mean), "{mean} lost in a row");
}

#[test]
fn jitter_lets_datagrams_overtake_and_has_its_mean() {
    let jitter = Some(Spread::Uniform(Duration::ZERO, MS(40)));
    let mut bench = Bench::new(2, Roughness { jitter, ..Roughness::default() });
    bench.stream(5_000, MS(10));
    assert_eq!(bench.received.len(), 5_000);
    assert!(bench.numbers().windows(2).any(|pair| pair[1] < pair[0]), "some overtake");
    let late = |&(number, at, _): &(Option<u32>, Instant, IpAddr)| {
        let sent = MS(10) * number.expect("whole");
        at.since(Instant::ZERO + sent).as_secs_f64() * 1e3
    };
    let mean = bench.received.iter().map(late).sum::<f64>() / 5_000.0;
    assert!((39.0..41.0).contains(&mean), "20 ms of both links and 20 of jitter: {mean}");
}

#[test]
fn datagrams_are_doubled_held_back_and_spoilt_as_often_as_said() {
    let rough = Roughness { duplicate: 0.1, ..Roughness::default() };
    let mut bench = Bench::new(2, rough);
    bench.stream(5_000, MS(1));
    assert!((5_400..5_600).contains(&bench.received.len()), "{}", bench.received.len());

    let reorder = Some(Reorder { share: 0.1, hold: MS(20) });
    let mut bench = Bench::new(2, Roughness { reorder, ..Roughness::default() });
    bench.stream(5_000, MS(15));
    let overtaken = bench.numbers().windows(2).filter(|pair| pair[1] < pair[0]).count();
    // It is, by the next one, unless that is held back too.
    assert!((400..500).contains(&overtaken), "{overtaken}");

    let mut bench = Bench::new(2, Roughness { corrupt: 0.1, ..Roughness::default() });
    bench.stream(5_000, MS(1));
    let numbers = bench.numbers();
    let spoilt = 5_000 - numbers.len() + numbers.iter().filter(|&&number| number >= 5_000).count();
    assert!((400..600).contains(&spoilt), "{spoilt}");
    assert_eq!(bench.received.len(), 5_000, "they come all the same");
}

#[test]
fn what_befalls_a_packet_does_not_depend_on_who_else_is_there() {
    let rough = Roughness {
        jitter: Some(Spread::Pareto { least: MS(1), shape: 2.0 }),
        bursts: Some(Bursts { gap: MS(500), length: MS(200), loss: 0.7 }),
        duplicate: 0.05,
        reorder: Some(Reorder { share: 0.05, hold: MS(7) }),
        corrupt: 0.05,
    };
    let arrivals = |others: bool| {
        let mut bench = Bench::new(3, rough);
        for number in 0..2_000 {
            bench.send(2);
            let own = bench.sent;
            if others && number % 3 == 0 {
                bench.send(3);
                bench.sent = own;
            }
            bench.pass(MS(3));
        }
        bench.pass(MS(5_000));
        bench.received.retain(|(_, _, to)| *to == host(2));
        bench.received
    };
    assert_eq!(arrivals(false), arrivals(true));
}

#[test]
fn regions_add_their_latency() {
    let mut bench = Bench::new(3, Roughness::default());
    bench.network.set_regions(vec![vec![MS(1), MS(80)], vec![MS(30), MS(2)]]);
    bench.network.place_in(0, 0);
    bench.network.place_in(1, 1);
    bench.send(2);
    bench.send(3);
    bench.pass(MS(1_000));
    let at: Vec<_> = bench.received.iter().map(|(_, at, to)| (*to, at.as_micros())).collect();
    assert_eq!(at, [(host(3), 20_000), (host(2), 100_000)], "who has no region is next door");
}

#[test]
fn a_cut_separates_those_it_names_in_the_ways_it_names() {
    let reached = |from: &[u32], to: Option<&[u32]>, one_way| {
        let mut bench = Bench::new(3, Roughness::default());
        let cut = bench.network.cut(from, to, one_way);
        bench.send(2);
        bench.send(3);
        bench.pass(MS(100));
        let reached: Vec<_> = bench.received.drain(..).map(|(_, _, to)| to).collect();
        bench.network.heal(cut);
        bench.send(2);
        bench.send(3);
        bench.pass(MS(100));
        assert_eq!(bench.received.len(), 2, "it is mended");
        reached
    };
    assert!(reached(&[0], None, false).is_empty());
    assert!(reached(&[1, 2], None, false).is_empty());
    assert_eq!(reached(&[1, 2], None, true), [host(2), host(3)], "what they send would be lost");
    assert_eq!(reached(&[0], Some(&[1]), true), [host(3)]);
    assert_eq!(reached(&[0, 1], None, false), [host(2)], "those within hear each other");
}

#[test]
fn a_stall_keeps_everything_and_lets_it_go_at_once() {
    for stalled in [0, 1] {
        let mut bench = Bench::new(2, Roughness::default());
        bench.network.stall(stalled, Instant::ZERO + MS(500));
        bench.stream(100, MS(4));
        assert_eq!(bench.numbers(), (0..100).collect::<Vec<_>>(), "in order");
        let last = Instant::ZERO + MS(520);
        assert!(bench.received.iter().all(|(_, at, _)| *at >= Instant::ZERO + MS(500) && *at <= last));
    }
}

#[test]
fn another_link_counts_from_then_on() {
    let mut bench = Bench::new(2, Roughness::default());
    let slow = LinkProfile { up: 1_280, latency: MS(50), ..LinkProfile::UNLIMITED };
    bench.network.relink(Instant::ZERO, 0, slow, Roughness::default());
    bench.send(2);
    bench.pass(MS(1_000));
    assert_eq!(bench.received[0].1, Instant::ZERO + MS(160), "128 bytes take a tenth of a second");
}

proptest! {
    #[test]
    fn nothing_vanishes(
        jitter in 0_u64..50,
        shares in prop::array::uniform4(0.0_f64..0.5),
        sends in prop::collection::vec((2_u8..=4, 0_u64..30), 1..80),
        cut in 1_u32..4,
    ) {
        let rough = Roughness {
            jitter: Some(Spread::Uniform(Duration::ZERO, MS(jitter))),
            bursts: Some(Bursts { gap: MS(100), length: MS(50), loss: shares[0] }),
            duplicate: shares[1],
            reorder: Some(Reorder { share: shares[2], hold: MS(25) }),
            corrupt: shares[3],
        };
        let mut bench = Bench::new(4, rough);
        bench.network.roughen(2, rough);
        bench.network.stall(1, Instant::ZERO + MS(300));
        let half = sends.len() / 2;
        for (number, (to, gap)) in sends.into_iter().enumerate() {
            if number == half {
                bench.network.cut(&[cut], None, false);
            }
            bench.send(to);
            bench.pass(MS(gap));
        }
        bench.pass(Duration::from_secs(20));
        prop_assert_eq!(bench.network.under_way(), 0);
    }
}
