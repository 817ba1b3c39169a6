//! What happens when a sender's timer runs out: a probe, a timeout with back-off, or a question.

use proto::time::Instant;

use super::{DELAYED_ACK, RoundTrip, Sender, State};

/// Timeouts in a row after which the connection is given up; with back-off this takes some minutes, as it
/// does with an operating system's usual settings.
const MAX_BACKOFF: u32 = 10;

/// What a timeout changed, until it is known whether it was needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    at: Instant,
    window: u64,
    threshold: u64,
}

/// What the flow's timer ran out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Something may have been lost: there is something to send again, if anything.
    Loss,
    /// The receiver has to be asked whether it has room again.
    ShutOut,
}

/// The flow's timer ran out too often: the connection is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp;

impl<P: Clone> Sender<P> {
    /// The timer ran out: probe the tail, or take all that is out for lost.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Expiry, GaveUp> {
        self.deadline = None;
        if self.in_flight == 0 && self.lost == 0 {
            return self.ask_for_room(now);
        }
        if !self.probed && !self.recovering && self.backoff == 0 && self.round_trip.is_known() {
            self.probed = true;
            self.probe_tail();
        } else {
            self.back_off()?;
            if self.backoff == 1 {
                self.undo = Some(Undo { at: now, window: self.window, threshold: self.threshold });
                self.threshold = (self.in_flight / 2).max(2 * self.segment_len);
            }
            self.window = self.segment_len;
            self.recovering = false;
            self.cutoff = self.base + self.unsent;
            self.lose_all();
        }
        self.forced = true;
        self.arm(now);
        Ok(Expiry::Loss)
    }

    /// An answer to a segment from before the timeout: nothing was lost, only late (Eifel, RFC 3522).
    pub(super) fn judge_timeout(&mut self, sent_at: Instant) {
        let Some(undo) = self.undo.take().filter(|undo| sent_at < undo.at) else { return };
        self.window = undo.window;
        self.threshold = undo.threshold;
        for segment in self.segments.iter_mut().filter(|segment| segment.fate.state == State::Lost) {
            segment.fate.state = State::InFlight;
            self.in_flight += u64::from(segment.fate.bytes);
            self.lost -= 1;
        }
    }

    /// Nothing is out, and the timer ran out.
    fn ask_for_room(&mut self, now: Instant) -> Result<Expiry, GaveUp> {
        if !self.next_index().is_some_and(|index| self.is_shut_out(index)) {
            return Ok(Expiry::Loss);
        }
        self.back_off()?;
        self.asked += 1;
        self.arm(now);
        Ok(Expiry::ShutOut)
    }

    fn back_off(&mut self) -> Result<(), GaveUp> {
        self.backoff += 1;
        if self.backoff > MAX_BACKOFF { Err(GaveUp) } else { Ok(()) }
    }

    fn probe_tail(&mut self) {
        let sent = self.unsent as usize;
        let tail = self.segments.iter_mut().take(sent).rfind(|segment| segment.fate.state == State::InFlight);
        if let Some(segment) = tail {
            segment.fate.state = State::Lost;
            self.in_flight -= u64::from(segment.fate.bytes);
            self.lost += 1;
        }
    }

    fn lose_all(&mut self) {
        for segment in self.segments.iter_mut().filter(|segment| segment.fate.state == State::InFlight) {
            segment.fate.state = State::Lost;
            self.lost += 1;
        }
        self.in_flight = 0;
    }

    pub(super) fn arm(&mut self, now: Instant) {
        let doublings = self.backoff.max(self.asked).min(8);
        let wait = if self.probed || self.recovering || doublings > 0 || !self.round_trip.is_known() {
            self.round_trip.timeout() * (1 << doublings)
        } else {
            self.round_trip.probe_timeout(DELAYED_ACK)
        };
        self.deadline = Some(now + wait.min(RoundTrip::MAX_TIMEOUT));
    }
}
