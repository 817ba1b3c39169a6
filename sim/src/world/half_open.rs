//! Connections that a stack has answered the SYN of, and that are not open yet.
//!
//! The stack wants the acknowledgement that opens one by itself: with data it drops the data, and with a reset it keeps
//! the socket, which nobody can close, and with it the port for ever. So the acknowledgement is given first.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use turmoil_net::{Packet, Transport};

use crate::network::{acknowledgement, endpoints};

/// Local and far end of each, and what acknowledges the SYN that the stack sent.
#[derive(Debug, Default)]
pub(super) struct HalfOpen(BTreeMap<(SocketAddr, SocketAddr), u32>);

impl HalfOpen {
    /// A stack sends a packet.
    pub(super) fn sent(&mut self, packet: &Packet) {
        if let Transport::Tcp(segment) = &packet.payload
            && segment.flags.syn
            && segment.flags.ack
        {
            self.0.insert(endpoints(packet), segment.seq.wrapping_add(1));
        }
    }

    /// A packet comes to a stack: what the stack must hear before it.
    pub(super) fn before(&mut self, packet: &Packet) -> Option<Packet> {
        let Transport::Tcp(segment) = &packet.payload else { return None };
        if self.0.is_empty() || !(segment.flags.ack || segment.flags.rst) {
            return None;
        }
        let (peer, local) = endpoints(packet);
        let ack = self.0.remove(&(local, peer))?;
        let alone = !segment.flags.rst && !segment.flags.fin && segment.payload.is_empty();
        (!alone).then(|| acknowledgement(peer, local, ack))
    }

    /// A host with these addresses has lost its memory.
    pub(super) fn forget(&mut self, addrs: &[IpAddr]) {
        self.0.retain(|(local, _), _| !addrs.contains(&local.ip()));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use turmoil_net::TcpFlags;

    use super::*;
    use crate::network::reset;

    const HERE: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
    const THERE: ([u8; 4], u16) = ([10, 0, 0, 2], 2);

    fn answered() -> HalfOpen {
        let mut answer = reset(HERE.into(), THERE.into());
        let Transport::Tcp(segment) = &mut answer.payload else { panic!("it is TCP") };
        (segment.seq, segment.flags) = (u32::MAX, TcpFlags { syn: true, ack: true, ..TcpFlags::default() });
        let mut half_open = HalfOpen::default();
        half_open.sent(&answer);
        half_open
    }

    fn data(content: &'static [u8]) -> Packet {
        let mut packet = acknowledgement(THERE.into(), HERE.into(), 0);
        let Transport::Tcp(segment) = &mut packet.payload else { panic!("it is TCP") };
        segment.payload = Bytes::from_static(content);
        packet
    }

    #[test]
    fn what_opens_a_connection_comes_by_itself_and_once() {
        let opens = Some(acknowledgement(THERE.into(), HERE.into(), 0));
        for first in [data(b"early"), reset(THERE.into(), HERE.into())] {
            let mut half_open = answered();
            assert_eq!(half_open.before(&first), opens);
            assert_eq!(half_open.before(&first), None);
        }
        assert_eq!(answered().before(&data(b"")), None, "it does so itself");
        let mut crashed = answered();
        crashed.forget(&[IpAddr::from(HERE.0)]);
        assert_eq!(crashed.before(&data(b"early")), None);
    }
}
