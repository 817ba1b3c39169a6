//! The flow machine against the figures that the bare stack fails on: links stay full, random loss costs
//! what the Mathis formula says, competing flows share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proto::time::Instant;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport, UdpDatagram};

use super::receiver::Acknowledged;
use super::sender::Sender;
use super::{Delivery, LinkProfile, Network};

const MTU: u32 = 1_500;
pub(super) const SEGMENT: u32 = MTU - 40;
pub(super) const WINDOW: u32 = 65_535;

/// A bulk transfer as the simulated stack would run it: a window of 64 KiB, one acknowledgement a segment.
struct Bulk {
    from: SocketAddr,
    to: SocketAddr,
    sent: u32,
    acknowledged: u32,
    received: u32,
    reset: bool,
}

pub(super) struct Bench {
    network: Network,
    flows: Vec<Bulk>,
    by_end: BTreeMap<(SocketAddr, SocketAddr), usize>,
    now: Instant,
}

fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

fn segment(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, syn: bool, payload: Bytes) -> Packet {
    let flags = TcpFlags { syn, ack: !syn || ack > 0, ..TcpFlags::default() };
    let segment = TcpSegment {
        src_port: from.port(),
        dst_port: to.port(),
        seq,
        ack,
        flags,
        window: WINDOW as u16,
        payload,
    };
    Packet { src: from.ip(), dst: to.ip(), ttl: 64, payload: Transport::Tcp(segment) }
}

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
            bench.flows.push(Bulk { from, to, sent: 0, acknowledged: 0, received: 0, reset: false });
            bench.network.send(Instant::ZERO, segment(from, to, 0, 0, true, Bytes::new()));
            bench.network.send(Instant::ZERO, segment(to, from, 0, 1, true, Bytes::new()));
        }
        bench
    }

    pub(super) fn run(&mut self, time: Duration) {
        let payload = Bytes::from(vec![7; SEGMENT as usize]);
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.network.advance(self.now);
            while let Some(delivery) = self.network.poll_delivery(self.now) {
                self.take(&delivery);
            }
            for flow in self.flows.iter_mut().filter(|flow| !flow.reset) {
                while flow.sent + SEGMENT - flow.acknowledged <= WINDOW {
                    let packet = segment(flow.from, flow.to, flow.sent, 1, false, payload.clone());
                    self.network.send(self.now, packet);
                    flow.sent += SEGMENT;
                }
            }
            self.network.flush(self.now);
        }
    }

    fn take(&mut self, Delivery { packet, freed, .. }: &Delivery) {
        let Transport::Tcp(tcp) = &packet.payload else { return };
        let (from, to) = super::packet::endpoints(packet);
        if let Some(&flow) = self.by_end.get(&(to, from)) {
            let flow = &mut self.flows[flow];
            flow.reset |= tcp.flags.rst;
            if tcp.flags.ack && !tcp.flags.syn {
                flow.acknowledged += freed;
            }
        } else if let Some(&flow) = self.by_end.get(&(from, to))
            && !tcp.payload.is_empty()
        {
            let flow = &mut self.flows[flow];
            assert_eq!(tcp.seq, flow.received, "the stack sees every segment once and in order");
            flow.received += tcp.payload.len() as u32;
            let ack = segment(flow.to, flow.from, 1, flow.received, false, Bytes::new());
            self.network.send(self.now, ack);
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
    let mut sender = Sender::new(1_000);
    sender.push(at(0), (), 1_000);
    assert_eq!(drain(&mut sender, at(0)), [0]);
    sender.handle_ack(at(50), answer(1, at(0)));
    (0..4).for_each(|_| sender.push(at(100), (), 1_000));
    assert_eq!(drain(&mut sender, at(100)), [1, 2, 3, 4]);
    // A queue has filled: first the tail is probed, then all is taken for lost.
    for expected in [4, 1] {
        let deadline = sender.deadline().expect("armed");
        assert_eq!(sender.handle_timeout(deadline), Ok(()));
        assert_eq!(drain(&mut sender, deadline), [expected]);
    }
    sender.handle_ack(at(1_600), answer(2, at(100)));
    assert_eq!(drain(&mut sender, at(1_600)), Vec::<u64>::new(), "the others are on their way, only late");
    sender.handle_ack(at(1_650), answer(5, at(100)));
    assert!(sender.is_idle());
}

/// A connection between two hosts, and what the second one has sent so far in packets.
fn pair() -> (Network, SocketAddr, SocketAddr) {
    let mut network = Network::new(1, MTU);
    let link = LinkProfile { latency: Duration::from_millis(10), ..LinkProfile::UNLIMITED };
    network.add_host(&[host(1)], link);
    network.add_host(&[host(2)], link);
    let (a, b) = (SocketAddr::new(host(1), 1), SocketAddr::new(host(2), 2));
    for (packet, millis) in [
        (segment(a, b, 0, 0, true, Bytes::new()), 0),
        (segment(b, a, 0, 1, true, Bytes::new()), 100),
        (segment(a, b, 1, 1, false, Bytes::new()), 200),
    ] {
        network.send(Instant::from_micros(millis * 1_000), packet);
        network.flush(Instant::from_micros(millis * 1_000));
        heard(&mut network, Instant::from_micros((millis + 90) * 1_000));
    }
    (network, a, b)
}

/// What the stacks get until then: who, the acknowledgement, the window, and what was freed.
fn heard(network: &mut Network, until: Instant) -> Vec<(u32, u32, u16, u32)> {
    network.advance(until);
    let deliveries = std::iter::from_fn(|| network.poll_delivery(until));
    let said = |delivery: Delivery| match delivery.packet.payload {
        Transport::Tcp(tcp) => (delivery.host, tcp.ack, tcp.window, delivery.freed),
        Transport::Udp(_) => panic!("it is TCP"),
    };
    deliveries.map(said).collect()
}

#[test]
fn a_stack_hears_at_once_that_its_bytes_arrived_and_whoever_wrote_them_when_they_did() {
    let (mut network, a, b) = pair();
    let start = Instant::from_micros(1_000_000);
    let told = network.send(start, segment(a, b, 1, 1, false, Bytes::from(vec![0; 1_000])));
    let Some(Delivery { host, packet, freed: 0, bare: true, .. }) = told else {
        panic!("the flow took it: {told:?}")
    };
    let Transport::Tcp(tcp) = &packet.payload else { panic!("it is TCP") };
    assert_eq!((host, packet.src, packet.dst), (0, b.ip(), a.ip()));
    assert_eq!((tcp.ack, tcp.window), (1_001, WINDOW as u16 - 1_000), "and no more may follow than before");
    let arrived = heard(&mut network, start + Duration::from_millis(50));
    assert_eq!(arrived, [(1, 1, WINDOW as u16, 0)]);
    // Its stack has room for less now, and says so.
    let mut ack = segment(b, a, 1, 1_001, false, Bytes::new());
    let Transport::Tcp(tcp) = &mut ack.payload else { panic!("it is TCP") };
    tcp.window = 30_000;
    let then = start + Duration::from_millis(50);
    assert!(network.send(then, ack).is_none());
    network.flush(then);
    assert_eq!(heard(&mut network, then + Duration::from_millis(200)), [(0, 1_001, 30_000, 1_000)]);
}

#[test]
fn of_all_that_a_stack_acknowledges_at_once_one_packet_goes() {
    let (mut network, a, b) = pair();
    let start = Instant::from_micros(1_000_000);
    for number in 0..4 {
        let data = segment(a, b, 1 + number * SEGMENT, 1, false, Bytes::from(vec![0; SEGMENT as usize]));
        network.send(start, data);
    }
    let then = start + Duration::from_millis(100);
    assert_eq!(heard(&mut network, then).len(), 1, "what comes within a tick is put together");
    let sent = network.totals().sent;
    for number in 1..=4 {
        network.send(then, segment(b, a, 1, 1 + number * SEGMENT, false, Bytes::new()));
    }
    network.flush(then);
    assert_eq!(network.totals().sent, sent + 1);
    assert_eq!(
        heard(&mut network, then + Duration::from_millis(100)).last().map(|said| said.3),
        Some(4 * SEGMENT)
    );
    // What data has carried already needs no packet of its own.
    network.send(then, segment(a, b, 1 + 4 * SEGMENT, 1, false, Bytes::from(vec![0; SEGMENT as usize])));
    let later = then + Duration::from_millis(100);
    heard(&mut network, later);
    let sent = network.totals().sent;
    network.send(later, segment(b, a, 1, 1 + 5 * SEGMENT, false, Bytes::new()));
    network.send(later, segment(b, a, 1, 1 + 5 * SEGMENT, false, Bytes::from_static(b"request")));
    network.flush(later);
    assert_eq!(network.totals().sent, sent + 1);
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
        arrivals.extend(
            std::iter::from_fn(|| network.poll_delivery(now)).map(|delivery| (now, delivery.packet.dst)),
        );
    }
    let second = |number: u64| Instant::from_micros(number * 1_000_000);
    assert_eq!(arrivals, [(second(1), host(2)), (second(2), v6(2))]);
}
