//! The [`Announcer`]: one [`Course`] through the tiers (BEP 12), or one for each tier or tracker at once.
//!
//! Courses know nothing of each other: each has intervals, retries, events and transactions of its own, so that a
//! dead tracker delays nobody else's. What they share is the key by which trackers recognise us (BEP 15).

use std::collections::VecDeque;
use std::sync::Arc;

use super::course::Course;
use super::tiers::Tiers;
use super::{AnnounceConfig, Input, Output, Reach, Timer};
use crate::seed::Seed;
use crate::time::Instant;
use crate::torrent::Progress;

/// Announces one torrent to its trackers.
#[derive(Debug)]
pub struct Announcer {
    /// URLs that cannot be used, to be said first.
    wrong: VecDeque<Output>,
    courses: Vec<Course>,
    /// Courses that have not stopped.
    running: usize,
}

impl Announcer {
    /// A machine that is silent until `Started`.
    pub fn new(config: AnnounceConfig, seed: Seed) -> Self {
        let mut random = seed.rng();
        let (tiers, wrong) = Tiers::new(&config.tiers, &mut random);
        let wrong = wrong.into_iter().map(|(url, error)| Output::Failed { url, error }).collect();
        let key = random.next_u32();
        //= BEP 27: each peer MUST use only one tracker at a time.
        let reach = if config.private { Reach::OneTracker } else { config.reach };
        let config = Arc::new(config);
        let randoms = std::iter::once(random).chain((0..).map(|stream| seed.child(stream).rng()));
        let courses: Vec<_> = tiers
            .split(reach)
            .into_iter()
            .zip(randoms)
            .map(|(tiers, random)| Course::new(Arc::clone(&config), tiers, key, random))
            .collect();
        Self { wrong, running: courses.len(), courses }
    }

    /// How many trackers may be asked at a time.
    pub const fn courses(&self) -> usize {
        self.courses.len()
    }

    /// From now on we are a partial seed, or are none. HTTP trackers hear it with each regular announce.
    //= BEP 21: it "MUST send an event=paused parameter in every announce while it is a partial seed".
    pub fn set_partial_seed(&mut self, is_partial_seed: bool) {
        for course in &mut self.courses {
            course.is_partial_seed = is_partial_seed;
        }
    }

    /// Takes one input in; `progress` goes into the announces that it may cause.
    pub fn handle_input(&mut self, now: Instant, progress: &Progress, input: Input) {
        // An answer names what it answers: only the course that asked takes it.
        let Some((last, others)) = self.courses.split_last_mut() else { return };
        for course in others {
            course.handle_input(now, progress, input.clone());
        }
        last.handle_input(now, progress, input);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, progress: &Progress) {
        for course in &mut self.courses {
            course.handle_timeout(now, progress);
        }
    }

    /// The next thing to carry out or to know; drain it to `None` after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(wrong) = self.wrong.pop_front() {
            return Some(wrong);
        }
        while let Some(output) = self.courses.iter_mut().find_map(Course::poll_output) {
            if output != Output::Done {
                return Some(output);
            }
            self.running -= 1;
            if self.running == 0 {
                return Some(Output::Done);
            }
        }
        None
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.courses.iter().filter_map(Course::poll_timeout).min_by_key(|(at, _)| *at)
    }
}
