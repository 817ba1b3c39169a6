//! The receive buffer of a host's datagram sockets: bounded, as an operating system's is.
//!
//! The simulated stack queues datagrams without end, so an overloaded program would never lose one. Here a
//! host may get a limit; what finds the buffer full is dropped on arrival.

/// What a datagram costs beyond its payload: Linux charges an announce of 98 bytes with 768, for the packet's
/// descriptor and the rounding of its memory.
const OVERHEAD: u64 = 670;

/// The longest payload that a receiver takes; the rest of a datagram is cut off.
const LONGEST: usize = 2048;

/// What a datagram with so many bytes of payload takes of the buffer.
pub const fn charge(payload: usize) -> u64 {
    (if payload < LONGEST { payload } else { LONGEST }) as u64 + OVERHEAD
}

/// The receive buffer of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbox {
    limit: u64,
    queued: u64,
    refused: u64,
}

impl Inbox {
    /// An empty buffer of `limit` bytes, overhead included.
    pub const fn new(limit: u64) -> Self {
        Self { limit, queued: 0, refused: 0 }
    }

    /// Takes a datagram in, unless there is no room.
    pub const fn admit(&mut self, payload: usize) -> bool {
        let bytes = charge(payload);
        let fits = self.queued + bytes <= self.limit;
        if fits {
            self.queued += bytes;
        } else {
            self.refused += 1;
        }
        fits
    }

    /// The program has read so many bytes, as [`charge`] counts them.
    pub const fn taken(&mut self, bytes: u64) {
        self.queued = self.queued.saturating_sub(bytes);
    }

    /// The program and its sockets are gone.
    pub const fn clear(&mut self) {
        self.queued = 0;
    }

    /// Datagrams that found no room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_refuses_until_something_is_read() {
        let mut inbox = Inbox::new(charge(LONGEST) + charge(98));
        assert_eq!([5_000, 98, 0].map(|payload| inbox.admit(payload)), [true, true, false]);
        inbox.taken(charge(98));
        assert!(inbox.admit(16) && !inbox.admit(16));
        assert_eq!(inbox.refused(), 2);
        inbox.clear();
        assert!(inbox.admit(5_000) && inbox.admit(98), "a long datagram is cut");
    }
}
