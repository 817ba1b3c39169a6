//! One connection between two hosts: what goes past the stacks, and what the stacks still hear.

use std::time::Duration;

use bytes::Bytes;
use proto::time::Instant;
use turmoil_net::{Packet, TcpFlags, Transport};

use super::super::load::WINDOW;
use super::super::tests::{ACK, FIN, SEGMENT, SYN, SYN_ACK, control, host};
use super::super::{LinkProfile, Network, packet};
use super::*;

/// The first sequence numbers of both ends, as their stacks have chosen them.
const FIRST: [u32; 2] = [1_000, u32::MAX];

struct Pair {
    network: Network,
    now: Instant,
    ends: [SocketAddr; 2],
}

/// What one end got at a tick: bytes of the other end, and its own that are known to have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    bytes: usize,
    freed: u64,
    closed: Option<u32>,
}

impl Pair {
    /// An open connection between two hosts ten milliseconds from each other.
    fn new() -> Self {
        let mut network = Network::new(1, SEGMENT + 40);
        let link = LinkProfile { latency: Duration::from_millis(5), ..LinkProfile::UNLIMITED };
        network.add_host(&[host(1)], link);
        network.add_host(&[host(2)], link);
        let ends = [SocketAddr::new(host(1), 1), SocketAddr::new(host(2), 2)];
        let mut pair = Self { network, now: Instant::ZERO, ends };
        let [first, second] = FIRST;
        pair.say(0, first, 0, SYN);
        assert_eq!(flags(&pair.pass(50).1), [SYN]);
        pair.say(1, second, first + 1, SYN_ACK);
        assert_eq!(flags(&pair.pass(50).1), [SYN_ACK]);
        pair.say(0, first + 1, second.wrapping_add(1), ACK);
        let opened = Heard { freed: 1, ..Heard::default() };
        assert_eq!(pair.pass(50).0, [Heard::default(), opened]);
        pair
    }

    /// A stack speaks.
    fn say(&mut self, side: Side, seq: u32, ack: u32, flags: TcpFlags) {
        self.network.send(self.now, control(self.ends[side], self.ends[1 - side], seq, ack, flags));
    }

    fn stream(&mut self, side: Side) -> StreamId {
        let ends = [self.ends[side], self.ends[1 - side]];
        self.network.stream(self.now, ends).expect("it is open")
    }

    fn write(&mut self, side: Side, bytes: usize) {
        let stream = self.stream(side);
        assert!(self.network.write(self.now, stream, [Bytes::from(vec![7; bytes])]));
    }

    fn read(&mut self, side: Side, bytes: u32) {
        let stream = self.stream(side);
        self.network.read(self.now, stream, bytes);
    }

    /// Lets so many milliseconds pass, a tick each: what both ends heard in all, and the packets for stacks.
    fn pass(&mut self, millis: u64) -> ([Heard; 2], Vec<Packet>) {
        let (mut heard, mut packets) = ([Heard::default(); 2], Vec::new());
        let mut content = Vec::new();
        for _ in 0..millis {
            self.network.flush(self.now);
            self.now += Duration::from_millis(1);
            self.network.advance(self.now);
            while let Some(news) = self.network.poll_news(&mut content) {
                let heard = &mut heard[news.host as usize];
                heard.bytes += content.drain(..).map(|bytes| bytes.len()).sum::<usize>();
                heard.freed += news.freed;
                heard.closed = heard.closed.or(news.closed);
            }
            packets.extend(std::iter::from_fn(|| self.network.poll_delivery(self.now)).map(|(_, it)| it));
        }
        (heard, packets)
    }
}

fn flags(packets: &[Packet]) -> Vec<TcpFlags> {
    let each = packets.iter().map(|packet| match &packet.payload {
        Transport::Tcp(segment) => segment.flags,
        Transport::Udp(_) => panic!("it is TCP"),
    });
    each.collect()
}

#[test]
fn what_is_written_is_heard_and_then_known_to_be_heard() {
    let mut pair = Pair::new();
    pair.write(0, 5_000);
    let ([writer, reader], packets) = pair.pass(15);
    assert_eq!((writer.freed, reader.bytes, packets.len()), (0, 5_000, 0), "no stack hears of it");
    assert_eq!(pair.pass(15).0[0].freed, 5_000);
}

#[test]
fn of_all_that_comes_within_a_tick_one_packet_goes_back() {
    let mut pair = Pair::new();
    pair.write(0, 4 * SEGMENT as usize);
    let sent = |pair: &Pair| pair.network.totals().sent;
    let before = sent(&pair);
    assert_eq!(pair.pass(100).0[0].freed, u64::from(4 * SEGMENT));
    assert_eq!(sent(&pair), before + 1);
    // What data carries needs no packet of its own.
    pair.write(0, SEGMENT as usize);
    pair.pass(11);
    let before = sent(&pair);
    pair.write(1, 100);
    assert_eq!(pair.pass(11).0[0], Heard { bytes: 100, freed: u64::from(SEGMENT), closed: None });
    assert_eq!(sent(&pair), before + 1, "but the reader's own answer to that waits");
}

#[test]
fn a_stack_opens_and_closes_and_knows_nothing_of_what_lies_between() {
    let mut pair = Pair::new();
    pair.write(0, 3_000);
    let [first, second] = FIRST;
    pair.say(0, first + 1, second.wrapping_add(1), FIN);
    let ([_, reader], packets) = pair.pass(15);
    assert_eq!((reader.bytes, flags(&packets)), (3_000, vec![FIN]));
    let Transport::Tcp(fin) = &packets[0].payload else { panic!("it is TCP") };
    assert_eq!((fin.seq, fin.ack), (first + 1, second.wrapping_add(1)), "as if nothing had been sent");
    // The other stack confirms it, and closes as well.
    pair.say(1, second.wrapping_add(1), first + 2, ACK);
    let writer = pair.pass(15).0[0];
    assert_eq!((writer.freed, writer.closed), (3_001, Some(first + 2)));
    pair.say(1, second.wrapping_add(1), first + 2, FIN);
    assert_eq!(flags(&pair.pass(15).1), [FIN]);
    pair.say(0, first + 2, second.wrapping_add(2), ACK);
    assert_eq!(pair.pass(15).0[1].closed, Some(second.wrapping_add(2)));
    assert_eq!(pair.network.stream(pair.now, pair.ends), None, "nothing is left of it");
}

#[test]
fn who_reads_nothing_shuts_the_writer_out_until_there_is_room() {
    let mut pair = Pair::new();
    let whole = WINDOW / SEGMENT * SEGMENT;
    pair.write(0, 2 * WINDOW as usize);
    assert_eq!(pair.pass(500).0[1].bytes, whole as usize);
    // So little is not worth telling.
    pair.read(1, SEGMENT);
    assert_eq!(pair.pass(100).0[1].bytes, 0);
    pair.read(1, WINDOW / 2);
    let room = WINDOW - whole + SEGMENT + WINDOW / 2;
    assert_eq!(pair.pass(100).0[1].bytes, (room / SEGMENT * SEGMENT) as usize);
}

#[test]
fn who_is_shut_out_asks_and_so_survives_that_the_answer_was_lost() {
    let mut pair = Pair::new();
    pair.write(0, 2 * WINDOW as usize);
    pair.pass(500);
    let cut = pair.network.cut(&[1], None, true);
    pair.read(1, WINDOW);
    assert_eq!(pair.pass(2_000).0[1].bytes, 0, "the writer has not heard of it");
    pair.network.heal(cut);
    assert!(pair.pass(8_000).0[1].bytes > 0);
    // It asks as long as it is answered, however long that takes, and gives up when nobody answers.
    pair.pass(2_000);
    let (_, packets) = pair.pass(3_600_000);
    assert_eq!(packets, []);
    pair.network.cut(&[1], None, true);
    assert_eq!(flags(&pair.pass(3_600_000).1), [packet_flags(&packet::reset(pair.ends[1], pair.ends[0]))]);
}

#[test]
fn what_nobody_will_read_is_answered_with_a_reset() {
    // Something was left unread.
    let mut pair = Pair::new();
    pair.write(0, 100);
    pair.pass(15);
    let stream = pair.stream(1);
    assert!(pair.network.abandon(pair.now, stream, true), "its own stack has to forget the connection");
    let reset = packet::reset(pair.ends[1], pair.ends[0]);
    assert_eq!(pair.pass(15).1, std::slice::from_ref(&reset));
    assert_eq!(pair.network.stream(pair.now, pair.ends), None);
    // It comes after everybody is gone.
    let mut pair = Pair::new();
    let stream = pair.stream(1);
    assert!(!pair.network.abandon(pair.now, stream, false));
    assert_eq!(pair.pass(15).1, [], "a silent end is no news");
    pair.write(0, 100);
    assert_eq!(pair.pass(30).1, [packet::reset(pair.ends[0], pair.ends[1]), reset]);
}

fn packet_flags(packet: &Packet) -> TcpFlags {
    flags(std::slice::from_ref(packet))[0]
}
