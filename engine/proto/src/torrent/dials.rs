//! Dials under way, and how many more there may be.
//!
//! Most homes stand behind a NAT box and never answer, and a connection that was not refused is given up after many
//! seconds only. A dial without an answer soon counts little, then, or the dead would keep the living waiting:
//! in a swarm where seven of ten cannot be dialled, the last download took 1.5 times as long.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::limits::{DIAL_HOPE, MAX_UNANSWERED, TorrentConfig};
use crate::time::Instant;

/// Dials that have not ended.
#[derive(Debug, Default)]
pub(super) struct Dials {
    /// Those that may well be answered, oldest first, each with the time when hope ends.
    hopeful: VecDeque<(Instant, SocketAddr)>,
    all: usize,
}

impl Dials {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all
    }

    /// Those that are likely to become connections.
    pub(super) fn hopeful(&self) -> usize {
        self.hopeful.len()
    }

    /// May another one begin, besides `open` connections?
    pub(super) fn have_room(&self, open: usize, config: &TorrentConfig) -> bool {
        open + self.hopeful() < config.dial_below
            && self.hopeful() < config.max_dialling
            && self.all < MAX_UNANSWERED
    }

    /// One begins.
    pub(super) fn begin(&mut self, now: Instant, addr: SocketAddr) {
        self.all += 1;
        self.hopeful.push_back((now + DIAL_HOPE, addr));
    }

    /// One has ended.
    pub(super) fn end(&mut self, addr: SocketAddr) {
        self.all = self.all.saturating_sub(1);
        self.hopeful.retain(|(_, other)| *other != addr);
    }

    /// When the next one loses hope.
    pub(super) fn due(&self) -> Option<Instant> {
        self.hopeful.front().map(|&(until, _)| until)
    }

    /// Lets go of hope that is over.
    pub(super) fn give_up(&mut self, now: Instant) {
        while self.due().is_some_and(|until| until <= now) {
            self.hopeful.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port as u16))
    }

    #[test]
    fn who_does_not_answer_keeps_nobody_waiting_for_long() {
        let config = TorrentConfig { max_dialling: 2, ..TorrentConfig::default() };
        let (mut dials, mut now) = (Dials::default(), Instant::ZERO);
        let mut begun = 0;
        while begun < MAX_UNANSWERED {
            while dials.have_room(0, &config) {
                begun += 1;
                dials.begin(now, addr(begun));
            }
            assert!(dials.hopeful() <= 2);
            now = dials.due().expect("hope ends");
            dials.give_up(now);
        }
        assert!(!dials.have_room(0, &config), "home routers lose track of too many");
        dials.end(addr(1));
        assert!(dials.have_room(0, &config));
        assert_eq!((dials.count(), dials.hopeful()), (MAX_UNANSWERED - 1, 0));
    }

    #[test]
    fn answers_make_room_and_connections_take_it() {
        let config = TorrentConfig { dial_below: 3, max_dialling: 2, ..TorrentConfig::default() };
        let mut dials = Dials::default();
        dials.begin(Instant::ZERO, addr(1));
        dials.begin(Instant::ZERO, addr(2));
        assert!(!dials.have_room(0, &config));
        dials.end(addr(1));
        assert!(dials.have_room(1, &config) && !dials.have_room(2, &config));
    }
}
