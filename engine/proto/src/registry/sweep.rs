//! Forgetting: members that fell silent, torrents without members, counts beyond their cap.
//!
//! A round visits every page within a 64th of a member's life, a slice at a time, so a member is let go
//! between its life and that, [`QUANTUM`](super::QUANTUM) and [`MAX_ROUND`] longer at the most. Nobody is *named* any more once the
//! life is over. A torrent without members is kept for its count, up to `max_remembered` of these.

use std::time::Duration;

use super::page::PAGES;
use super::{Registry, RegistryConfig};
use crate::id::InfoHash;
use crate::time::Instant;

/// Rounds in a member's life.
const ROUNDS_OF_LIFE: u32 = 64;

/// A round takes so long at the most, unless there is too much to do.
const MAX_ROUND: Duration = Duration::from_secs(60);

/// And so long at the least.
const MIN_ROUND: Duration = Duration::from_secs(1);

/// Pages of a slice at the most.
const SLICE_PAGES: usize = 64;

/// Records and members that a slice looks at before it ends: half a millisecond of work.
const SLICE_WORK: usize = 32 * 1024;

/// The pause after a slice that was cut short, in which requests are served.
const SLICE_PAUSE: Duration = Duration::from_millis(10);

/// Where the sweep is.
#[derive(Debug)]
pub(super) struct Sweep {
    at: Instant,
    page: usize,
}

impl Sweep {
    pub(super) const fn new(now: Instant) -> Self {
        Self { at: now, page: 0 }
    }

    /// Goes on at once: settings have changed.
    pub(super) fn hasten(&mut self) {
        self.at = Instant::ZERO;
    }
}

/// The time between two slices.
fn pause(config: &RegistryConfig) -> Duration {
    (config.member_life() / ROUNDS_OF_LIFE).clamp(MIN_ROUND, MAX_ROUND) / (PAGES / SLICE_PAGES) as u32
}

impl Registry {
    /// Lets members go that have not announced for two intervals: one slice of the work, below a millisecond.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.sweep.at {
            return;
        }
        let (mut pages, mut work) = (0, 0);
        while pages < SLICE_PAGES && work < SLICE_WORK {
            work += self.sweep_page(now, self.sweep.page as u16);
            self.sweep.page = (self.sweep.page + 1) % PAGES;
            pages += 1;
        }
        self.sweep.at = now + if pages < SLICE_PAGES { SLICE_PAUSE } else { pause(&self.config) };
    }

    /// When [`Self::handle_timeout`] is due; never while there is no torrent.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.torrents.totals.torrents > 0).then_some(self.sweep.at)
    }

    /// Sweeps one page; how much was looked at.
    fn sweep_page(&mut self, now: Instant, number: u16) -> usize {
        let clock = self.clock(now);
        let before = self.torrents.totals.members();
        let (key, sources) = (&self.key, &mut self.sources);
        let work = self.torrents.change_page(number, |torrent| torrent.expire(key, clock, sources));
        self.stats.expired += (before - self.torrents.totals.members()) as u64;
        self.forget_in(number);
        work
    }

    /// Forgets torrents without members: those without a count, and the smallest counts beyond the cap.
    ///
    /// The smallest and not the oldest, because anybody can make up torrents and complete them once: such a
    /// flood pushes out its own counts and not those of torrents that many have finished. A page gives away
    /// no more than its surplus over an equal share, which is as good as the whole for keyed pages.
    fn forget_in(&mut self, number: u16) {
        let idle = self.torrents.page(number).iter().filter(|torrent| torrent.size().members() == 0);
        let idle = idle.filter(|torrent| !self.counted.contains(&torrent.info_hash));
        let mut idle: Vec<(u32, InfoHash)> =
            idle.map(|torrent| (torrent.completed, torrent.info_hash)).collect();
        idle.sort_unstable();
        let max = self.config.max_remembered.min(self.config.max_torrents / 2);
        let nothing = idle.iter().take_while(|(completed, _)| *completed == 0).count();
        let counts = idle.len() - nothing;
        let beyond = self.torrents.totals.remembered.saturating_sub(nothing).saturating_sub(max);
        let surplus = counts.saturating_sub(max / PAGES).min(beyond);
        for (completed, info_hash) in idle.into_iter().take(nothing + surplus) {
            self.torrents.remove(self.torrents.spot(&info_hash), &info_hash);
            // The row goes as well. What a store that fails has not taken is bounded like the torrents.
            if completed > 0 && self.counted.len() < self.config.max_torrents {
                self.counted.insert(info_hash);
            }
            self.stats.forgotten += u64::from(completed > 0);
        }
    }
}
