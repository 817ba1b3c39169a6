//! Connections that a stack has answered the SYN of, and that are not open yet.
//!
//! What opens one may be any acknowledgement, with data or alone, and the stack hears of none but those of its own
//! segments. And with a reset it keeps the socket, which nobody can close, and with it the port for ever: so the
//! acknowledgement that opens comes first.

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

    /// `local` hears of `peer`: what its stack must hear first.
    pub(super) fn opens(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<Packet> {
        let ack = if self.0.is_empty() { None } else { self.0.remove(&(local, peer)) };
        ack.map(|ack| acknowledgement(peer, local, ack))
    }

    /// A packet comes to a stack: what the stack must hear before it.
    pub(super) fn before(&mut self, packet: &Packet) -> Option<Packet> {
        let Transport::Tcp(segment) = &packet.payload else { return None };
        let (peer, local) = endpoints(packet);
        if segment.flags.fin || segment.flags.rst { self.opens(local, peer) } else { None }
    }

    /// A host with these addresses has lost its memory.
    pub(super) fn forget(&mut self, addrs: &[IpAddr]) {
        self.0.retain(|(local, _), _| !addrs.contains(&local.ip()));
    }
}

#[cfg(test)]
mod tests {
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

    fn fin() -> Packet {
        let mut packet = acknowledgement(THERE.into(), HERE.into(), 0);
        let Transport::Tcp(segment) = &mut packet.payload else { panic!("it is TCP") };
        segment.flags.fin = true;
        packet
    }

    #[test]
    fn what_opens_a_connection_comes_by_itself_and_once() {
        let opens = Some(acknowledgement(THERE.into(), HERE.into(), 0));
        for first in [fin(), reset(THERE.into(), HERE.into())] {
            let mut half_open = answered();
            assert_eq!(half_open.before(&first), opens);
            assert_eq!(half_open.before(&first), None);
        }
        assert_eq!(answered().opens(HERE.into(), THERE.into()), opens, "with data or without");
        let mut crashed = answered();
        crashed.forget(&[IpAddr::from(HERE.0)]);
        assert_eq!(crashed.before(&fin()), None);
    }
}
