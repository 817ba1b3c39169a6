//! The flow machine against the figures that the bare stack fails on: links stay full, random loss costs
//! what the Mathis formula says, competing flows share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proto::time::Instant;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport, UdpDatagram};

use super::load::WINDOW;
use super::receiver::Acknowledged;
use super::sender::{Expiry, Sender};
use super::{LinkProfile, Network};

const MTU: u32 = 1_500;
pub(super) const SEGMENT: u32 = MTU - 40;

/// A bulk transfer by a program that keeps a send buffer of 64 KiB full, to one that reads at once.
struct Bulk {
    from: SocketAddr,
    to: SocketAddr,
    unacknowledged: u32,
    received: u32,
    reset: bool,
}

pub(super) struct Bench {
    network: Network,
    flows: Vec<Bulk>,
    by_end: BTreeMap<(SocketAddr, SocketAddr), usize>,
    now: Instant,
}

pub(super) fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// What a stack sends to open, to confirm and to close.
pub(super) fn control(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, flags: TcpFlags) -> Packet {
    let segment = TcpSegment {
        src_port: from.port(),
        dst_port: to.port(),
        seq,
        ack,
        flags,
        window: WINDOW as u16,
        payload: Bytes::new(),
    };
    Packet { src: from.ip(), dst: to.ip(), ttl: 64, payload: Transport::Tcp(segment) }
}

pub(super) const SYN: TcpFlags =
    TcpFlags { syn: true, ack: false, fin: false, rst: false, psh: false, urg: false };
pub(super) const SYN_ACK: TcpFlags = TcpFlags { ack: true, ..SYN };
pub(super) const ACK: TcpFlags = TcpFlags { syn: false, ..SYN_ACK };
pub(super) const FIN: TcpFlags = TcpFlags { fin: true, ..ACK };

impl Bench {
    /// `flows` transfers from one host behind `uplink` to as many hosts with unlimited links.
    pub(super) fn new(uplink: LinkProfile, far: LinkProfile, flows: usize, seed: u64) -> Self {
        let mut network = Network::new(seed, MTU);
        network.add_host(&[host(1)], uplink);
        let mut bench = Self { network, flows: Vec::new(), by_end: BTreeMap::new(), now: Instant::ZERO };
        for number in 0..flows {
            let to = host(number as u8 + 2);
            bench.network.add_host(&[to], far);
            let from = SocketAddr::new(host(1), 50_000 + number as u16);
            let to = SocketAddr::new(to, 1);
            bench.by_end.insert((from, to), number);
            bench.flows.push(Bulk { from, to, unacknowledged: 0, received: 0, reset: false });
            bench.network.send(Instant::ZERO, control(from, to, 0, 0, SYN));
            bench.network.send(Instant::ZERO, control(to, from, 0, 1, SYN_ACK));
        }
        bench
    }

    pub(super) fn run(&mut self, time: Duration) {
        let payload = Bytes::from(vec![7; SEGMENT as usize]);
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.network.advance(self.now);
            self.hear();
            for flow in self.flows.iter_mut().filter(|flow| !flow.reset) {
                let Some(stream) = self.network.stream(self.now, [flow.from, flow.to]) else { continue };
                while flow.unacknowledged + SEGMENT <= WINDOW {
                    assert!(self.network.write(self.now, stream, [payload.clone()]));
                    flow.unacknowledged += SEGMENT;
                }
            }
            self.network.flush(self.now);
        }
    }

    fn hear(&mut self) {
        let mut content = Vec::new();
        while let Some(news) = self.network.poll_news(&mut content) {
            let bytes: u32 = content.drain(..).map(|content| content.len() as u32).sum();
            if let Some(&flow) = self.by_end.get(&(news.local, news.peer)) {
                let flow = &mut self.flows[flow];
                flow.unacknowledged = flow.unacknowledged.saturating_sub(news.freed as u32);
            } else if let Some(&flow) = self.by_end.get(&(news.peer, news.local)) {
                self.flows[flow].received += bytes;
                let stream = self.network.stream(self.now, [news.local, news.peer]).expect("it is open");
                self.network.read(self.now, stream, bytes);
            }
        }
        while let Some((_, packet)) = self.network.poll_delivery(self.now) {
            let (from, to) = super::packet::endpoints(&packet);
            if let (Some(&flow), Transport::Tcp(tcp)) = (self.by_end.get(&(to, from)), &packet.payload) {
                self.flows[flow].reset |= tcp.flags.rst;
            }
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.flows.iter().map(|flow| u64::from(flow.received)).sum()
    }

    pub(super) fn jain(&self) -> f64 {
        let shares: Vec<f64> = self.flows.iter().map(|flow| f64::from(flow.received)).collect();
        let sum: f64 = shares.iter().sum();
        sum * sum / (shares.len() as f64 * shares.iter().map(|share| share * share).sum::<f64>())
    }
}

pub(super) fn link(rate: u64, latency_ms: u64, queue: u64, loss: f64) -> LinkProfile {
    LinkProfile { up: rate, down: rate, latency: Duration::from_millis(latency_ms), queue, loss }
}

#[test]
fn a_congested_link_stays_full() {
    // The rows of the bare stack's collapse: 1 Mbit/s, 25 ms each way, 60 s; it reached 0.12 to 0.75.
    for (flows, queue) in [(1, 50_000), (8, 50_000), (8, 200_000), (16, 200_000), (16, 50_000)] {
        let far = LinkProfile { latency: Duration::ZERO, ..LinkProfile::UNLIMITED };
        let mut bench = Bench::new(link(125_000, 25, queue, 0.0), far, flows, 1);
        bench.run(Duration::from_secs(60));
        let goodput = bench.received() as f64 / 60.0 / 125_000.0;
        let totals = bench.network.totals();
        println!("{flows} flows, {queue} B queue: goodput {goodput:.3}, Jain {:.3}", bench.jain());
        println!("  {} sent again, {} dropped", totals.repeated, totals.dropped);
        assert!(totals.repeated <= totals.dropped * 11 / 10 + 20, "only what was lost is sent again");
        assert!(goodput >= 0.90, "{flows} flows in a queue of {queue} bytes reach {goodput:.3}");
        assert!(bench.flows.iter().all(|flow| !flow.reset), "no connection dies");
        assert!(bench.jain() >= 0.9, "{flows} flows in {queue} bytes share with {:.3}", bench.jain());
    }
}

#[test]
fn random_loss_costs_what_mathis_says() {
    for loss in [0.001, 0.01, 0.05] {
        for rtt_ms in [20_u64, 50, 100, 200, 300] {
            let far = LinkProfile { latency: Duration::ZERO, ..LinkProfile::UNLIMITED };
            let near = LinkProfile { loss, ..link(100_000_000, rtt_ms / 2, u64::MAX, loss) };
            let mut bench = Bench::new(near, far, 1, 3);
            let seconds = 120;
            bench.run(Duration::from_secs(seconds));
            let rate = bench.received() as f64 / seconds as f64;
            let rtt = rtt_ms as f64 / 1e3;
            let mathis = (f64::from(SEGMENT) / rtt * 1.22 / loss.sqrt()).min(f64::from(WINDOW) / rtt);
            println!("loss {loss} rtt {rtt_ms} ms: {:.2} of Mathis", rate / mathis);
            assert!((0.66..1.5).contains(&(rate / mathis)), "{rate} B/s where the formula says {mathis}");
            assert!(!bench.flows[0].reset, "no connection dies at {loss}");
        }
    }
}

#[test]
fn a_host_that_is_gone_resets_its_peer_in_the_end() {
    let mut bench = Bench::new(link(125_000, 25, 50_000, 0.0), LinkProfile::UNLIMITED, 1, 1);
    bench.run(Duration::from_secs(5));
    bench.network.set_down(1, true);
    bench.run(Duration::from_secs(900));
    assert!(bench.flows[0].reset);
}

#[test]
fn bytes_on_every_link_are_conserved() {
    let far = LinkProfile { up: 200_000, down: 60_000, ..LinkProfile::UNLIMITED };
    let mut bench = Bench::new(link(125_000, 25, 20_000, 0.01), far, 4, 9);
    bench.run(Duration::from_secs(20));
    for number in 0..5 {
        let (up, down) = bench.network.link_counts(number).expect("a host");
        assert_eq!(up.offered, up.carried + up.dropped);
        assert_eq!(down.offered, down.carried + down.dropped);
    }
    let totals = bench.network.totals();
    assert!(totals.dropped > 0 && totals.delivered + totals.dropped <= totals.sent);
}

#[test]
fn the_same_seed_gives_the_same_digest_and_another_does_not() {
    let digest = |seed| {
        let mut bench = Bench::new(link(125_000, 25, 50_000, 0.01), LinkProfile::UNLIMITED, 4, seed);
        bench.run(Duration::from_secs(10));
        bench.network.digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

/// Sends all that may go; returns the slots.
fn drain(sender: &mut Sender<()>, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| sender.poll_transmit(now)).map(|transmit| transmit.slot).collect()
}

#[test]
fn a_late_answer_takes_a_timeout_back() {
    let at = |millis: u64| Instant::from_micros(millis * 1_000);
    let answer = |next, echo| Acknowledged { next, beyond: 0, echo: Some(echo) };
    let mut sender = Sender::new(1_000, 1 << 20);
    sender.push(at(0), (), 1_000);
    assert_eq!(drain(&mut sender, at(0)), [0]);
    sender.handle_ack(at(50), answer(1, at(0)));
    (0..4).for_each(|_| sender.push(at(100), (), 1_000));
    assert_eq!(drain(&mut sender, at(100)), [1, 2, 3, 4]);
    // A queue has filled: first the tail is probed, then all is taken for lost.
    for expected in [4, 1] {
        let deadline = sender.deadline().expect("armed");
        assert_eq!(sender.handle_timeout(deadline), Ok(Expiry::Loss));
        assert_eq!(drain(&mut sender, deadline), [expected]);
    }
    sender.handle_ack(at(1_600), answer(2, at(100)));
    assert_eq!(drain(&mut sender, at(1_600)), Vec::<u64>::new(), "the others are on their way, only late");
    sender.handle_ack(at(1_650), answer(5, at(100)));
    assert!(sender.is_idle());
}

#[test]
fn both_families_of_a_host_share_its_link_and_no_packet_goes_between_them() {
    let v6 = |number: u16| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number));
    let mut network = Network::new(1, MTU);
    network.add_host(&[host(1), v6(1)], LinkProfile { up: 1_000, ..LinkProfile::UNLIMITED });
    network.add_host(&[host(2), v6(2)], LinkProfile::UNLIMITED);
    // A thousand bytes each, with their headers: a second on the line.
    let mut send = |src: IpAddr, dst: IpAddr, len: usize| {
        let payload = Bytes::from(vec![0; len]);
        let datagram = UdpDatagram { src_port: 1, dst_port: 2, payload };
        network.send(Instant::ZERO, Packet { src, dst, ttl: 64, payload: Transport::Udp(datagram) });
    };
    send(host(1), host(2), 972);
    send(v6(1), v6(2), 952);
    send(host(1), v6(2), 100);
    let mut arrivals = Vec::new();
    while let Some(now) = network.next_event() {
        network.advance(now);
        arrivals
            .extend(std::iter::from_fn(|| network.poll_delivery(now)).map(|(_, packet)| (now, packet.dst)));
    }
    let second = |number: u64| Instant::from_micros(number * 1_000_000);
    assert_eq!(arrivals, [(second(1), host(2)), (second(2), v6(2))]);
}
