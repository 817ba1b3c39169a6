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
    /// A segment that takes sequence space (SYN-ACK, FIN): delivered reliably by its flow.
    Segment,
    /// An acknowledgement and nothing else.
    Ack,
    /// Ends a connection at once.
    Reset,
}

/// Sorts a packet.
pub fn kind(packet: &Packet) -> Kind {
    match &packet.payload {
        Transport::Udp(_) => Kind::Datagram,
        Transport::Tcp(segment) => {
            let flags = segment.flags;
            match (flags.rst, flags.syn && !flags.ack, takes(segment)) {
                (true, _, _) => Kind::Reset,
                (_, true, _) => Kind::Open,
                (_, _, 0) => Kind::Ack,
                _ => Kind::Segment,
            }
        }
    }
}

/// Sequence numbers that a segment takes.
pub fn takes(segment: &TcpSegment) -> u32 {
    segment.payload.len() as u32 + u32::from(segment.flags.syn) + u32::from(segment.flags.fin)
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

/// A pure acknowledgement as `from` would send it.
pub fn acknowledgement(from: SocketAddr, to: SocketAddr, ack: u32) -> Packet {
    let flags = TcpFlags { ack: true, ..TcpFlags::default() };
    tcp(from, to, flags, ack, u16::MAX)
}

/// A reset as `from` would send it.
pub fn reset(from: SocketAddr, to: SocketAddr) -> Packet {
    tcp(from, to, TcpFlags { rst: true, ..TcpFlags::default() }, 0, 0)
}

/// A TCP packet with nothing in it.
pub fn tcp(from: SocketAddr, to: SocketAddr, flags: TcpFlags, ack: u32, window: u16) -> Packet {
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
        assert_eq!(of(TcpFlags { syn: true, ack: true, ..none }), Kind::Segment);
        assert_eq!(of(TcpFlags { fin: true, ack: true, ..none }), Kind::Segment);
        assert_eq!(of(TcpFlags { ack: true, ..none }), Kind::Ack);
        assert_eq!(kind(&reset(a, b)), Kind::Reset);
    }
}
