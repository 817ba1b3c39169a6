//! The blocks of a pcapng file that a capture has, as bytes (draft-ietf-opsawg-pcapng): little endian, padded to four.

use std::net::IpAddr;

use crate::scenario::Link;

/// Every block's type.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;

/// Packets begin with their IP header.
const LINKTYPE_RAW: u16 = 101;

/// Options of every block.
const END: u16 = 0;
const COMMENT: u16 = 1;
/// `shb_userappl`: who wrote the file.
const PROGRAM: u16 = 4;
/// `if_name`, `if_description`, `if_txspeed` and `if_rxspeed` (bits per second).
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;
const SEND_SPEED: u16 = 16;
const RECEIVE_SPEED: u16 = 17;
/// `epb_flags`, whose lowest two bits are the direction.
const FLAGS: u16 = 2;

/// The longest option; what is longer is cut.
const MAX_OPTION: usize = 4_096;

/// Which way a packet went at the host that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In = 1,
    Out = 2,
}

/// What opens a file, and what it says of itself.
pub(super) fn section(comment: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend([1, 0, 0, 0]);
    // The section's length is not known.
    body.extend([0xff; 8]);
    option(&mut body, COMMENT, comment.as_bytes());
    option(&mut body, PROGRAM, b"OurTorrent's simulator");
    option(&mut body, END, &[]);
    block(SECTION, &body)
}

/// A host's access link; times are in microseconds, as they are if nothing else is said.
pub(super) fn interface(name: &str, description: &str, link: &Link) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(u32::from(LINKTYPE_RAW).to_le_bytes());
    body.extend([0; 4]);
    option(&mut body, NAME, name.as_bytes());
    option(&mut body, DESCRIPTION, description.as_bytes());
    option(&mut body, SEND_SPEED, &(link.up * 8).to_le_bytes());
    option(&mut body, RECEIVE_SPEED, &(link.down * 8).to_le_bytes());
    option(&mut body, END, &[]);
    block(INTERFACE, &body)
}

/// Who has which address.
pub(super) fn names<'a>(records: impl Iterator<Item = (IpAddr, &'a str)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (addr, name) in records {
        let mut value = match addr {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        value.extend(name.bytes().take(MAX_OPTION));
        value.push(0);
        option(&mut body, if addr.is_ipv4() { 1 } else { 2 }, &value);
    }
    option(&mut body, END, &[]);
    block(NAMES, &body)
}

/// A packet of the first interface.
pub(super) fn packet(micros: u64, direction: Direction, content: &[u8], comment: Option<&str>) -> Vec<u8> {
    let mut body = Vec::with_capacity(content.len() + 64);
    body.extend([0; 4]);
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    for _captured_and_original in 0..2 {
        body.extend((content.len() as u32).to_le_bytes());
    }
    body.extend(content);
    pad(&mut body);
    if let Some(comment) = comment {
        option(&mut body, COMMENT, comment.as_bytes());
    }
    option(&mut body, FLAGS, &(direction as u32).to_le_bytes());
    option(&mut body, END, &[]);
    block(PACKET, &body)
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..MAX_OPTION).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_padded_and_say_their_length_twice() {
        let packet = packet(1 << 33 | 5, Direction::Out, b"12345", Some("lost"));
        assert_eq!(packet.len() % 4, 0);
        let (len, last) = (&packet[4..8], &packet[packet.len() - 4..]);
        assert_eq!((len, last), (&(packet.len() as u32).to_le_bytes()[..], len));
        assert_eq!(packet[12..20], [2, 0, 0, 0, 5, 0, 0, 0], "the upper half of the time comes first");
        assert_eq!(packet[20..28], [5, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(packet[28..36], *b"12345\0\0\0");
        assert_eq!(packet[36..44], *b"\x01\0\x04\0lost");
    }
}
