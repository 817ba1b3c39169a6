//! The receiving side of one direction of a TCP connection: puts segments back into order before the
//! program or its stack sees them, and says what has arrived.

use std::collections::VecDeque;

use proto::time::Instant;

/// Segments of one flow that may be out at once; a window of 64 KiB is 45 full ones.
pub const WINDOW_SLOTS: usize = 128;

/// What has arrived: everything below `next`, and of what is beyond it the slots whose bits are set
/// (bit 0 is `next + 1`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The first slot that is missing.
    pub next: u64,
    /// Slots beyond it that are here.
    pub beyond: u128,
    /// When the segment that is answered was sent (RFC 7323's echo): nothing if none came since the last answer.
    pub echo: Option<Instant>,
}

/// What an arriving segment meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The one that was missing; it and what waited behind it can be taken.
    InOrder,
    /// A later one: something before it is missing.
    Early,
    /// Had it already.
    Duplicate,
}

/// The receiving side; `P` is what a segment carries.
#[derive(Clone, Debug)]
pub struct Receiver<P> {
    next: u64,
    held: VecDeque<Option<P>>,
    ready: VecDeque<P>,
    echo: Option<Instant>,
}

impl<P> Receiver<P> {
    /// Nothing has arrived.
    pub const fn new() -> Self {
        Self { next: 0, held: VecDeque::new(), ready: VecDeque::new(), echo: None }
    }

    /// Takes a segment from the network, which was sent at `sent_at`. The first one since the last answer is
    /// echoed, so that a delayed answer counts its delay (RFC 7323, 4.2).
    pub fn handle(&mut self, slot: u64, sent_at: Instant, cargo: P) -> Arrival {
        self.echo.get_or_insert(sent_at);
        let Some(ahead) = slot.checked_sub(self.next) else { return Arrival::Duplicate };
        if ahead == 0 {
            self.ready.push_back(cargo);
            self.advance();
            return Arrival::InOrder;
        }
        let index = ahead as usize - 1;
        debug_assert!(index < WINDOW_SLOTS, "the sender keeps to its window");
        if self.held.len() <= index {
            self.held.resize_with(index + 1, || None);
        }
        match self.held.get_mut(index) {
            Some(place @ None) => {
                *place = Some(cargo);
                Arrival::Early
            }
            Some(Some(_)) | None => Arrival::Duplicate,
        }
    }

    /// Has anything arrived?
    pub const fn has_begun(&self) -> bool {
        self.next > 0
    }

    /// The next segment in order.
    pub fn poll_ready(&mut self) -> Option<P> {
        self.ready.pop_front()
    }

    /// What to tell the sender; it is being told now.
    pub fn acknowledge(&mut self) -> Acknowledged {
        let held = self.held.iter().enumerate().filter(|(_, cargo)| cargo.is_some());
        let beyond = held.fold(0, |bits, (index, _)| bits | 1 << index);
        Acknowledged { next: self.next, beyond, echo: self.echo.take() }
    }

    fn advance(&mut self) {
        self.next += 1;
        while let Some(front) = self.held.pop_front() {
            match front {
                Some(cargo) => self.ready.push_back(cargo),
                None => return,
            }
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn segments_come_out_in_order() {
        let mut receiver = Receiver::new();
        assert_eq!(receiver.handle(2, at(1), 'c'), Arrival::Early);
        assert_eq!(receiver.acknowledge(), Acknowledged { next: 0, beyond: 0b10, echo: Some(at(1)) });
        assert_eq!(receiver.handle(2, at(2), 'c'), Arrival::Duplicate);
        assert_eq!(receiver.handle(0, at(3), 'a'), Arrival::InOrder);
        assert_eq!(receiver.acknowledge(), Acknowledged { next: 1, beyond: 0b1, echo: Some(at(2)) });
        assert_eq!(receiver.handle(1, at(4), 'b'), Arrival::InOrder);
        assert_eq!(receiver.acknowledge(), Acknowledged { next: 3, beyond: 0, echo: Some(at(4)) });
        assert_eq!(receiver.acknowledge().echo, None, "nothing new came");
        let out: String = std::iter::from_fn(|| receiver.poll_ready()).collect();
        assert_eq!(out, "abc");
        assert_eq!(receiver.handle(1, at(5), 'b'), Arrival::Duplicate);
    }
}
