//! What stacks are given at a tick.
//!
//! What comes on one connection within a tick is put together, as network cards do (generic receive offload): it costs
//! the stack one look-up, one acknowledgement and one wake-up instead of one for each segment.

use std::collections::VecDeque;

use bytes::Bytes;
use turmoil_net::{Packet, Transport};

use super::packet::{Kind, kind};

/// A packet that reaches a stack.
#[derive(Debug)]
pub struct Delivery {
    /// The packet.
    pub packet: Packet,
    /// Whose stack.
    pub host: u32,
    /// Bytes of the stack's own that it shows to have arrived, which the stack was told before; all of them if the
    /// network does not keep this connection (any more).
    pub freed: u32,
    /// It acknowledges and does nothing else.
    pub bare: bool,
    /// Content that follows the packet's own.
    more: Vec<Bytes>,
}

impl Delivery {
    /// A packet of which the network knows no connection.
    pub const fn raw(packet: Packet, host: u32) -> Self {
        Self { packet, host, freed: u32::MAX, bare: false, more: Vec::new() }
    }

    /// A packet of a connection.
    pub const fn new(packet: Packet, host: u32, freed: u32, bare: bool) -> Self {
        Self { packet, host, freed, bare, more: Vec::new() }
    }

    /// Takes in what comes next on the same connection; gives back what has to be heard by itself, such as a FIN.
    fn absorb(&mut self, next: Self) -> Option<Self> {
        let plain = |it: &Self| it.bare || matches!(kind(&it.packet), Kind::Segment { plain: true, .. });
        if !plain(self) || !plain(&next) {
            return Some(next);
        }
        self.freed = self.freed.saturating_add(next.freed);
        let (Transport::Tcp(segment), Transport::Tcp(newer)) =
            (&mut self.packet.payload, next.packet.payload)
        else {
            return None;
        };
        if self.bare {
            (*segment, self.bare) = (newer, next.bare);
        } else {
            (segment.ack, segment.window) = (newer.ack, newer.window);
            if !next.bare {
                self.more.push(newer.payload);
            }
        }
        None
    }

    /// Puts the content into one packet.
    fn joined(mut self) -> Self {
        if let (Transport::Tcp(segment), false) = (&mut self.packet.payload, self.more.is_empty()) {
            let parts = std::iter::once(&segment.payload).chain(&self.more);
            let mut content = Vec::with_capacity(parts.clone().map(Bytes::len).sum());
            parts.for_each(|part| content.extend_from_slice(part));
            segment.payload = content.into();
            self.more = Vec::new();
        }
        self
    }
}

/// Deliveries in the order in which their first packets arrived.
#[derive(Debug, Default)]
pub struct Deliveries {
    queue: VecDeque<Delivery>,
    /// How many were taken out.
    taken: u64,
}

/// Which delivery of all, from the first one on.
pub type Place = u64;

impl Deliveries {
    /// Adds what has nothing to do with any other.
    pub fn push(&mut self, delivery: Delivery) {
        self.queue.push_back(delivery);
    }

    /// Adds what follows the one at `before` on its connection; returns where it is.
    pub fn push_after(&mut self, before: Option<Place>, delivery: Delivery) -> Place {
        let index = before.and_then(|place| usize::try_from(place.checked_sub(self.taken)?).ok());
        let apart = match index.and_then(|index| self.queue.get_mut(index)) {
            Some(last) => last.absorb(delivery),
            None => Some(delivery),
        };
        match (apart, before) {
            (None, Some(before)) => before,
            (apart, _) => {
                self.queue.extend(apart);
                self.taken + self.queue.len() as u64 - 1
            }
        }
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop_front()?;
        self.taken += 1;
        Some(delivery.joined())
    }
}

#[cfg(test)]
mod tests {
    use turmoil_net::{TcpFlags, TcpSegment};

    use super::*;

    fn segment(content: &'static str, ack: u32, fin: bool) -> Delivery {
        let flags = TcpFlags { ack: true, fin, ..TcpFlags::default() };
        let payload = Bytes::from_static(content.as_bytes());
        let (src_port, dst_port, seq, window) = (1, 2, 7, 9);
        let tcp = TcpSegment { src_port, dst_port, seq, ack, flags, window, payload };
        let ip = |last| std::net::IpAddr::from([10, 0, 0, last]);
        let packet = Packet { src: ip(1), dst: ip(2), ttl: 64, payload: Transport::Tcp(tcp) };
        Delivery::new(packet, 0, 10, content.is_empty() && !fin)
    }

    fn popped(deliveries: &mut Deliveries) -> Vec<(String, u32, u32, bool)> {
        let each = std::iter::from_fn(|| deliveries.pop()).map(|delivery| {
            let Transport::Tcp(tcp) = &delivery.packet.payload else { panic!("it is TCP") };
            let content = String::from_utf8_lossy(&tcp.payload).into_owned();
            (content, tcp.ack, delivery.freed, delivery.bare)
        });
        each.collect()
    }

    #[test]
    fn what_comes_on_one_connection_is_put_together() {
        let mut deliveries = Deliveries::default();
        let first = deliveries.push_after(None, segment("", 1, false));
        let other = deliveries.push_after(None, segment("x", 1, false));
        assert_ne!(first, other);
        for (content, ack) in [("", 2), ("ab", 3), ("", 4), ("cd", 5), ("e", 6)] {
            assert_eq!(deliveries.push_after(Some(first), segment(content, ack, false)), first);
        }
        let all = [("abcde".to_owned(), 6, 60, false), ("x".to_owned(), 1, 10, false)];
        assert_eq!(popped(&mut deliveries), all);
        // What was given to the stack is past.
        let again = deliveries.push_after(Some(first), segment("f", 7, false));
        assert_eq!((again, popped(&mut deliveries).len()), (2, 1));
    }

    #[test]
    fn what_opens_or_closes_is_heard_by_itself() {
        let mut deliveries = Deliveries::default();
        let mut last = None;
        for (content, fin) in [("a", false), ("", true), ("", false)] {
            last = Some(deliveries.push_after(last, segment(content, 1, fin)));
        }
        assert_eq!(popped(&mut deliveries).len(), 3);
    }
}
