//! What the network model needs to know of a packet of the simulated stack.

use std::net::SocketAddr;

use super::nat::Protocol;
use bytes::Bytes;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport};

/// How the model treats a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A UDP datagram: may be lost.
    Datagram,
    /// The first segment of a connection.
    Open,
    /// A segment that takes sequence space (SYN-ACK, data, FIN): delivered reliably by its flow.
    Segment {
        /// Sequence numbers it takes.
        bytes: u32,
        /// Plain data, whose acknowledgement may wait for the next segment's.
        plain: bool,
    },
    /// An acknowledgement and nothing else.
    Ack,
    /// Ends a connection at once.
    Reset,
}

/// The last acknowledgement and window that one side's stack gave out; `stamp` orders them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latest {
    /// Counts the packets of this direction; zero: none yet.
    pub stamp: u64,
    ack: u32,
    window: u16,
}

/// Sorts a packet.
pub fn kind(packet: &Packet) -> Kind {
    match &packet.payload {
        Transport::Udp(_) => Kind::Datagram,
        Transport::Tcp(segment) => {
            let flags = segment.flags;
            let control = u32::from(flags.syn) + u32::from(flags.fin);
            let bytes = segment.payload.len() as u32 + control;
            match (flags.rst, flags.syn && !flags.ack, bytes) {
                (true, _, _) => Kind::Reset,
                (_, true, _) => Kind::Open,
                (_, _, 0) => Kind::Ack,
                _ => Kind::Segment { bytes, plain: control == 0 },
            }
        }
    }
}

/// Source and destination.
pub fn endpoints(packet: &Packet) -> (SocketAddr, SocketAddr) {
    let (from, to) = match &packet.payload {
        Transport::Udp(datagram) => (datagram.src_port, datagram.dst_port),
        Transport::Tcp(segment) => (segment.src_port, segment.dst_port),
    };
    (SocketAddr::new(packet.src, from), SocketAddr::new(packet.dst, to))
}

/// What carries it.
pub const fn protocol(packet: &Packet) -> Protocol {
    match &packet.payload {
        Transport::Udp(_) => Protocol::Udp,
        Transport::Tcp(_) => Protocol::Tcp,
    }
}

/// Cuts a segment of `bytes` of sequence space into pieces that carry `segment_len` at the most, in order. A stack hands
/// out what its window allows in one packet, which costs it a fraction of the work.
pub fn cut(packet: Packet, bytes: u32, segment_len: u32, mut each: impl FnMut(Packet, u32)) {
    let whole = match &packet.payload {
        Transport::Tcp(segment) if segment.payload.len() > segment_len as usize => segment.clone(),
        Transport::Tcp(_) | Transport::Udp(_) => return each(packet, bytes),
    };
    let len = whole.payload.len() as u32;
    for start in (0..len).step_by(segment_len.max(1) as usize) {
        let end = len.min(start + segment_len);
        let payload = whole.payload.slice(start as usize..end as usize);
        let seq = whole.seq.wrapping_add(start);
        // What follows the payload (a FIN) goes with the last piece.
        let bytes = if end == len { bytes - start } else { end - start };
        let flags = TcpFlags { fin: whole.flags.fin && end == len, ..whole.flags };
        let payload = Transport::Tcp(TcpSegment { seq, payload, flags, ..whole });
        each(Packet { payload, ..packet }, bytes);
    }
}

/// Fills a segment that has not been sent up to `segment_len` from the front of the next one, as an operating system
/// appends what is written to the last segment of its queue; returns the bytes that moved.
pub fn fill(tail: &mut Packet, next: &mut Packet, segment_len: u32) -> u32 {
    let plain = |packet: &Packet| matches!(kind(packet), Kind::Segment { plain: true, .. });
    if !plain(tail) || !plain(next) {
        return 0;
    }
    let (Transport::Tcp(tail), Transport::Tcp(next)) = (&mut tail.payload, &mut next.payload) else {
        return 0;
    };
    let room = (segment_len as usize).saturating_sub(tail.payload.len());
    let moved = next.payload.split_to(room.min(next.payload.len()));
    if !moved.is_empty() {
        tail.payload = [tail.payload.as_ref(), moved.as_ref()].concat().into();
        next.seq = next.seq.wrapping_add(moved.len() as u32);
    }
    moved.len() as u32
}

/// The sequence number behind a segment's last byte.
pub fn end(packet: &Packet) -> Option<u32> {
    match &packet.payload {
        Transport::Tcp(segment) => Some(segment.seq.wrapping_add(segment.payload.len() as u32)),
        Transport::Udp(_) => None,
    }
}

/// Rewrites the source, as a NAT box does.
pub const fn set_source(packet: &mut Packet, addr: SocketAddr) {
    packet.src = addr.ip();
    match &mut packet.payload {
        Transport::Udp(datagram) => datagram.src_port = addr.port(),
        Transport::Tcp(segment) => segment.src_port = addr.port(),
    }
}

/// Rewrites the destination, as a NAT box does.
pub const fn set_destination(packet: &mut Packet, addr: SocketAddr) {
    packet.dst = addr.ip();
    match &mut packet.payload {
        Transport::Udp(datagram) => datagram.dst_port = addr.port(),
        Transport::Tcp(segment) => segment.dst_port = addr.port(),
    }
}

/// The payload above TCP or UDP.
pub fn payload(packet: &Packet) -> &Bytes {
    match &packet.payload {
        Transport::Udp(datagram) => &datagram.payload,
        Transport::Tcp(segment) => &segment.payload,
    }
}

impl Latest {
    /// Notes what a newly emitted TCP packet acknowledges.
    pub fn note(&mut self, packet: &Packet) {
        if let Transport::Tcp(segment) = &packet.payload
            && segment.flags.ack
        {
            *self = Self { stamp: self.stamp + 1, ack: segment.ack, window: segment.window };
        }
    }

    /// Keeps the later of two.
    pub fn merge(&mut self, other: Self) {
        if other.stamp > self.stamp {
            *self = other;
        }
    }

    /// Brings a packet that was held up or sent again up to date, as TCP does with a repeated segment.
    pub fn refresh(self, packet: &mut Packet) {
        if let Transport::Tcp(segment) = &mut packet.payload
            && segment.flags.ack
            && self.stamp > 0
        {
            segment.ack = self.ack;
            segment.window = self.window;
        }
    }

    /// The same for a stack of whose bytes all before `taken` count as acknowledged: no more may follow than before.
    pub fn past(self, taken: Option<u32>) -> Self {
        let Some(ahead) = taken.map(|taken| taken.wrapping_sub(self.ack)) else { return self };
        if ahead > i32::MAX as u32 {
            return self;
        }
        let window = u32::from(self.window).saturating_sub(ahead) as u16;
        Self { ack: self.ack.wrapping_add(ahead), window, ..self }
    }

    /// Sequence numbers that this acknowledges and `before` did not.
    pub const fn beyond(self, before: Self) -> u32 {
        if before.stamp == 0 { 0 } else { self.ack.wrapping_sub(before.ack) }
    }

    /// A pure acknowledgement that says this.
    pub fn packet(self, from: SocketAddr, to: SocketAddr) -> Packet {
        let flags = TcpFlags { ack: true, ..TcpFlags::default() };
        tcp(from, to, flags, self.ack, self.window)
    }
}

/// A pure acknowledgement as `from` would send it.
pub fn acknowledgement(from: SocketAddr, to: SocketAddr, ack: u32) -> Packet {
    Latest { stamp: 1, ack, window: u16::MAX }.packet(from, to)
}

/// A reset as `from` would send it.
pub fn reset(from: SocketAddr, to: SocketAddr) -> Packet {
    tcp(from, to, TcpFlags { rst: true, ..TcpFlags::default() }, 0, 0)
}

fn tcp(from: SocketAddr, to: SocketAddr, flags: TcpFlags, ack: u32, window: u16) -> Packet {
    let segment = TcpSegment {
        src_port: from.port(),
        dst_port: to.port(),
        seq: 0,
        ack,
        flags,
        window,
        payload: Bytes::new(),
    };
    Packet { src: from.ip(), dst: to.ip(), ttl: 64, payload: Transport::Tcp(segment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_sorted_by_what_they_ask_of_the_network() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let of = |flags| kind(&tcp(a, b, flags, 0, 0));
        let none = TcpFlags::default();
        assert_eq!(of(TcpFlags { syn: true, ..none }), Kind::Open);
        assert_eq!(of(TcpFlags { syn: true, ack: true, ..none }), Kind::Segment { bytes: 1, plain: false });
        assert_eq!(of(TcpFlags { fin: true, ack: true, ..none }), Kind::Segment { bytes: 1, plain: false });
        assert_eq!(of(TcpFlags { ack: true, ..none }), Kind::Ack);
        assert_eq!(kind(&reset(a, b)), Kind::Reset);
    }

    #[test]
    fn a_segment_is_cut_to_the_size_of_the_wire() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let mut whole = tcp(a, b, TcpFlags { fin: true, ..TcpFlags::default() }, 7, 9);
        let Transport::Tcp(segment) = &mut whole.payload else { panic!("it is TCP") };
        (segment.seq, segment.payload) = (u32::MAX, Bytes::from_static(b"abcdefgh"));
        let of = |segment_len| {
            let mut pieces = Vec::new();
            cut(whole.clone(), 9, segment_len, |piece, bytes| {
                let Transport::Tcp(segment) = &piece.payload else { panic!("it is TCP") };
                let text = String::from_utf8_lossy(&segment.payload).into_owned();
                pieces.push((segment.seq, text, segment.flags.fin, bytes));
                assert_eq!((segment.ack, segment.window), (7, 9));
            });
            pieces
        };
        assert_eq!(of(8), [(u32::MAX, "abcdefgh".to_owned(), true, 9)]);
        let piece = |seq, text: &str, fin, bytes| (seq, text.to_owned(), fin, bytes);
        let cut = [piece(u32::MAX, "abc", false, 3), piece(2, "def", false, 3), piece(5, "gh", true, 3)];
        assert_eq!(of(3), cut);
    }

    #[test]
    fn a_segment_that_waits_is_filled_from_the_next() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let data = |seq, text: &'static [u8]| {
            let mut packet = tcp(a, b, TcpFlags::default(), 7, 9);
            let Transport::Tcp(segment) = &mut packet.payload else { panic!("it is TCP") };
            (segment.seq, segment.payload) = (seq, Bytes::from_static(text));
            packet
        };
        let (mut tail, mut next) = (data(u32::MAX, b"ab"), data(1, b"cdef"));
        assert_eq!(fill(&mut tail, &mut next, 5), 3);
        assert_eq!((tail, &next), (data(u32::MAX, b"abcde"), &data(4, b"f")));
        let (mut full, mut fin) =
            (data(0, b"abcde"), tcp(a, b, TcpFlags { fin: true, ..TcpFlags::default() }, 7, 9));
        assert_eq!(fill(&mut full, &mut next, 5), 0);
        assert_eq!(fill(&mut next, &mut fin, 5), 0, "a FIN goes by itself");
    }

    #[test]
    fn an_old_packet_carries_the_newest_window() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let mut latest = Latest::default();
        let mut old = Latest { stamp: 1, ack: 5, window: 9 }.packet(a, b);
        latest.note(&old);
        latest.merge(Latest { stamp: 2, ack: 7, window: 1 });
        latest.merge(Latest { stamp: 1, ack: 6, window: 3 });
        latest.refresh(&mut old);
        assert_eq!(old, latest.packet(a, b));
    }
}
