//! A simulated packet as the bytes that a real one would have: IP and TCP or UDP headers with lengths and checksums.
//!
//! The simulated network counts the bytes of a selective acknowledgement without having one; such an option area is
//! filled with the mark of the end of options, so that lengths are those that the links carried.

use std::io;
use std::net::IpAddr;

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader};
use turmoil_net::{Packet, TcpSegment, Transport};

/// Bytes of an IP packet.
pub(super) fn bytes(packet: &Packet, on_the_line: u32) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(on_the_line as usize);
    match &packet.payload {
        Transport::Udp(datagram) => {
            let len = UdpHeader::LEN + datagram.payload.len();
            let ip = ip(packet, IpNumber::UDP, len)?;
            let (from, to) = (datagram.src_port, datagram.dst_port);
            let header = match &ip {
                IpHeaders::Ipv4(ip, _) => UdpHeader::with_ipv4_checksum(from, to, ip, &datagram.payload),
                IpHeaders::Ipv6(ip, _) => UdpHeader::with_ipv6_checksum(from, to, ip, &datagram.payload),
            };
            ip.write(&mut out).map_err(io::Error::other)?;
            header.map_err(io::Error::other)?.write(&mut out)?;
            out.extend_from_slice(&datagram.payload);
        }
        Transport::Tcp(segment) => {
            let spare = on_the_line.saturating_sub(packet.size()) as usize;
            let mut header = tcp(segment, spare)?;
            let ip = ip(packet, IpNumber::TCP, header.header_len() + segment.payload.len())?;
            let checksum = match &ip {
                IpHeaders::Ipv4(ip, _) => header.calc_checksum_ipv4(ip, &segment.payload),
                IpHeaders::Ipv6(ip, _) => header.calc_checksum_ipv6(ip, &segment.payload),
            };
            header.checksum = checksum.map_err(io::Error::other)?;
            ip.write(&mut out).map_err(io::Error::other)?;
            header.write(&mut out)?;
            out.extend_from_slice(&segment.payload);
        }
    }
    Ok(out)
}

fn tcp(segment: &TcpSegment, spare: usize) -> io::Result<TcpHeader> {
    let flags = segment.flags;
    let mut header = TcpHeader::new(segment.src_port, segment.dst_port, segment.seq, segment.window);
    (header.syn, header.fin, header.rst, header.ack) = (flags.syn, flags.fin, flags.rst, flags.ack);
    header.psh = !segment.payload.is_empty();
    header.acknowledgment_number = if flags.ack { segment.ack } else { 0 };
    header.set_options_raw(&vec![0; spare]).map_err(io::Error::other)?;
    Ok(header)
}

/// The IP header of a packet that carries so many bytes.
fn ip(packet: &Packet, protocol: IpNumber, len: usize) -> io::Result<IpHeaders> {
    let len = u16::try_from(len).map_err(io::Error::other)?;
    match (packet.src, packet.dst) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header::new(len, packet.ttl, protocol, from.octets(), to.octets());
            let mut header = header.map_err(io::Error::other)?;
            header.header_checksum = header.calc_header_checksum();
            Ok(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: len,
                next_header: protocol,
                hop_limit: packet.ttl,
                source: from.octets(),
                destination: to.octets(),
            };
            Ok(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()))
        }
        _ => Err(io::Error::other("a packet between two families")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use bytes::Bytes;
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
    use turmoil_net::{TcpFlags, UdpDatagram};

    use super::*;

    fn packet(is_v6: bool, payload: Transport) -> Packet {
        let (src, dst) = if is_v6 {
            (Ipv6Addr::from_bits(0xfd00 << 112 | 1).into(), Ipv6Addr::from_bits(0xfd00 << 112 | 2).into())
        } else {
            (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into())
        };
        Packet { src, dst, ttl: 64, payload }
    }

    #[test]
    fn a_parser_of_others_reads_what_was_written() {
        for is_v6 in [false, true] {
            let flags = TcpFlags { ack: true, ..TcpFlags::default() };
            let payload = Bytes::from_static(b"some bytes");
            let segment =
                TcpSegment { src_port: 6881, dst_port: 50_000, seq: 7, ack: 9, flags, window: 11, payload };
            let packet = packet(is_v6, Transport::Tcp(segment));
            let whole = bytes(&packet, packet.size() + 12).expect("written");
            assert_eq!(whole.len(), packet.size() as usize + 12, "options fill what the line carried");
            let read = PacketHeaders::from_ip_slice(&whole).expect("valid");
            assert_eq!(read.payload.slice(), b"some bytes");
            let Some(TransportHeader::Tcp(tcp)) = read.transport else { panic!("TCP") };
            assert_eq!((tcp.sequence_number, tcp.acknowledgment_number, tcp.window_size), (7, 9, 11));
            let checksum = match read.net {
                Some(NetHeaders::Ipv4(ip, _)) => tcp.calc_checksum_ipv4(&ip, b"some bytes"),
                Some(NetHeaders::Ipv6(ip, _)) => tcp.calc_checksum_ipv6(&ip, b"some bytes"),
                Some(NetHeaders::Arp(_)) | None => panic!("IP"),
            };
            assert_eq!(Ok(tcp.checksum), checksum);
        }
    }

    #[test]
    fn datagrams_have_no_options() {
        let datagram = UdpDatagram { src_port: 1, dst_port: 2, payload: Bytes::from_static(b"x") };
        let packet = packet(false, Transport::Udp(datagram));
        let whole = bytes(&packet, packet.size()).expect("written");
        let read = PacketHeaders::from_ip_slice(&whole).expect("valid");
        let Some(TransportHeader::Udp(udp)) = read.transport else { panic!("UDP") };
        assert_eq!((udp.source_port, udp.destination_port, udp.length), (1, 2, 9));
    }
}
