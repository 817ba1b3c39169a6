//! What the segments of a flow carry, and what is said of them.
//!
//! Stacks open connections and close them. What programs write between goes past the stacks, straight into the flow, so
//! a stack's own sequence numbers stand still; on the wire they count the bytes, as they should.

use std::net::SocketAddr;

use bytes::Bytes;
use turmoil_net::{Packet, TcpFlags, Transport};

use super::packet;

/// A connection's receive buffer, in bytes: without window scaling (RFC 7323) no more can be announced.
pub const WINDOW: u32 = u16::MAX as u32;

/// What a segment carries.
#[derive(Clone, Debug)]
pub enum Load {
    /// A stack's own segment, which opens or closes the connection.
    Control {
        /// As it is on the wire.
        packet: Box<Packet>,
        /// Bytes of the stream before it, of which the stack knows nothing.
        passed: u32,
    },
    /// A part of what the program wrote.
    Content {
        /// The sequence number of its first byte.
        seq: u32,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What the receiving end of a flow says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Sequence numbers that arrived in order, the SYN's included; zero: nothing has.
    pub next: u64,
    /// How many more may come.
    pub window: u32,
    /// The SYN's own.
    pub first: u32,
}

impl Load {
    /// What a stack sends, after so many bytes of its program.
    pub fn control(mut packet: Packet, passed: u32) -> Self {
        if let Transport::Tcp(segment) = &mut packet.payload {
            segment.seq = segment.seq.wrapping_add(passed);
        }
        Self::Control { packet: Box::new(packet), passed }
    }

    /// Sequence numbers that it takes.
    pub fn takes(&self) -> u32 {
        match self {
            Self::Content { bytes, .. } => bytes.len() as u32,
            Self::Control { packet, .. } => match &packet.payload {
                Transport::Tcp(segment) => packet::takes(segment),
                Transport::Udp(_) => 0,
            },
        }
    }

    /// The payload above TCP.
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Content { bytes, .. } => bytes,
            Self::Control { packet, .. } => packet::payload(packet),
        }
    }

    /// Is it the program's?
    pub const fn is_content(&self) -> bool {
        matches!(self, Self::Content { .. })
    }

    /// The packet on the wire, between these two ends, which says this of the other direction.
    pub fn packet(&self, from: SocketAddr, to: SocketAddr, told: Told) -> Packet {
        let mut packet = match self {
            Self::Control { packet, .. } => Packet::clone(packet),
            Self::Content { seq, bytes } => {
                let flags = TcpFlags { ack: true, psh: true, ..TcpFlags::default() };
                let mut packet = packet::tcp(from, to, flags, 0, 0);
                if let Transport::Tcp(segment) = &mut packet.payload {
                    (segment.seq, segment.payload) = (*seq, bytes.clone());
                }
                packet
            }
        };
        if let Transport::Tcp(segment) = &mut packet.payload
            && segment.flags.ack
        {
            (segment.ack, segment.window) = told.fields();
        }
        packet
    }

    /// Fills content that has not been sent up to `segment_len` from the front of what is written next, as an operating
    /// system appends to the last segment of its queue; returns how many bytes moved.
    pub fn fill(&mut self, next: &mut Bytes, segment_len: u32) -> u32 {
        let Self::Content { bytes, .. } = self else { return 0 };
        let room = (segment_len as usize).saturating_sub(bytes.len());
        let moved = next.split_to(room.min(next.len()));
        if !moved.is_empty() {
            *bytes = [bytes.as_ref(), moved.as_ref()].concat().into();
        }
        moved.len() as u32
    }
}

/// Cuts what was written into segments of `segment_len` at the most; `seq` is the first byte's number.
pub fn cut(seq: u32, mut bytes: Bytes, segment_len: u32) -> impl Iterator<Item = Load> {
    let mut seq = seq;
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(segment_len as usize));
        let first = seq;
        seq = seq.wrapping_add(piece.len() as u32);
        (!piece.is_empty()).then_some(Load::Content { seq: first, bytes: piece })
    })
}

impl Told {
    /// Up to where the sender may go, counted as [`Self::next`] is.
    pub const fn edge(self) -> u64 {
        self.next + self.window as u64
    }

    /// The acknowledgement number, and the window, as a packet has them.
    pub fn fields(self) -> (u32, u16) {
        (self.first.wrapping_add(self.next as u32), u16::try_from(self.window).unwrap_or(u16::MAX))
    }

    /// A pure acknowledgement that says this.
    pub fn packet(self, from: SocketAddr, to: SocketAddr) -> Packet {
        let (ack, window) = self.fields();
        packet::tcp(from, to, TcpFlags { ack: true, ..TcpFlags::default() }, ack, window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(load: &Load) -> (u32, String) {
        let Load::Content { seq, bytes } = load else { panic!("it is content") };
        (*seq, String::from_utf8_lossy(bytes).into_owned())
    }

    #[test]
    fn what_is_written_is_cut_to_the_size_of_the_wire() {
        let of = |segment_len| {
            let pieces = cut(u32::MAX, Bytes::from_static(b"abcdefgh"), segment_len);
            pieces.map(|load| text(&load)).collect::<Vec<_>>()
        };
        assert_eq!(of(8), [(u32::MAX, "abcdefgh".to_owned())]);
        assert_eq!(of(3), [(u32::MAX, "abc".to_owned()), (2, "def".to_owned()), (5, "gh".to_owned())]);
    }

    #[test]
    fn a_segment_that_waits_is_filled_from_the_next() {
        let mut next = Bytes::from_static(b"cdef");
        let mut tail = Load::Content { seq: 7, bytes: Bytes::from_static(b"ab") };
        assert_eq!((tail.fill(&mut next, 5), text(&tail)), (3, (7, "abcde".to_owned())));
        assert_eq!((tail.fill(&mut next, 5), next.as_ref()), (0, b"f".as_ref()), "it is full");
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let fin = packet::tcp(a, b, TcpFlags { fin: true, ..TcpFlags::default() }, 0, 0);
        assert_eq!(Load::control(fin, 0).fill(&mut next, 5), 0, "a FIN goes by itself");
    }

    #[test]
    fn on_the_wire_a_stack_has_sent_what_its_program_wrote() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let mut fin = packet::tcp(a, b, TcpFlags { fin: true, ack: true, ..TcpFlags::default() }, 1, 2);
        let Transport::Tcp(segment) = &mut fin.payload else { panic!("it is TCP") };
        segment.seq = u32::MAX;
        let load = Load::control(fin, 1_000);
        let told = Told { next: 5_000, window: 70_000, first: 7 };
        let Transport::Tcp(segment) = load.packet(a, b, told).payload else { panic!("it is TCP") };
        assert_eq!((segment.seq, segment.ack, segment.window), (999, 5_007, u16::MAX));
        assert_eq!((load.takes(), told.edge()), (1, 75_000));
    }
}
