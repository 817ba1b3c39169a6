//! The sending side of one direction of a TCP connection, as the emulated network runs it: congestion
//! control and loss recovery that the simulated socket stack does not have.
//!
//! * Slow start and additive increase by bytes (RFC 5681, 3465), one halving per window of losses.
//! * A segment is lost once a later *transmission* is known to have arrived (RACK, RFC 8985). The network
//!   keeps each flow first-in-first-out, so the reordering window is zero and the inference is exact.
//! * A tail-loss probe before the timeout (RFC 8985), and a timeout with back-off (RFC 6298), taken back if an
//!   echoed timestamp shows that it was needless (RFC 3522): queues of 200 kB on slow links delay more than
//!   any estimate made before they filled.
//! * Nothing goes beyond what the receiver has room for; a sender that is shut out asks now and then whether it
//!   still is, because the answer may have been lost (RFC 9293, 3.8.6.1).
//!
//! A segment is a *slot*: slots are numbered from zero in the order in which they were pushed.

use std::collections::VecDeque;
use std::time::Duration;

use proto::time::Instant;

use super::receiver::{Acknowledged, WINDOW_SLOTS};
use super::rtt::RoundTrip;

mod timeout;

pub use timeout::Expiry;
use timeout::Undo;

/// Segments in the first window (RFC 6928).
const INITIAL_WINDOW: u64 = 10;

/// The window never grows past this many bytes: twice what the receiver has room for.
const MAX_WINDOW: u64 = 128 * 1024;

/// How long a lone segment's acknowledgement may be held back by the receiver (RFC 1122 allows 500 ms).
pub const DELAYED_ACK: Duration = Duration::from_millis(40);

/// Where a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Never sent.
    Waiting,
    /// Sent, fate unknown.
    InFlight,
    /// Taken for lost, to be sent again.
    Lost,
    /// Arrived, out of order.
    Arrived,
}

#[derive(Clone, Debug)]
struct Segment<P> {
    cargo: P,
    fate: Fate,
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
struct Fate {
    bytes: u32,
    state: State,
    sent_at: Instant,
    transmission: u64,
    again: bool,
}

/// A segment to put on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<P> {
    /// Its number.
    pub slot: u64,
    /// What it carries.
    pub cargo: P,
    /// It was sent before.
    pub again: bool,
}

/// The sending side; `P` is what a segment carries.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts that RFC 5681 and 8985 keep")]
pub struct Sender<P> {
    segment_len: u64,
    segments: VecDeque<Segment<P>>,
    base: u64,
    unsent: u64,
    window: u64,
    threshold: u64,
    grown: u64,
    in_flight: u64,
    lost: usize,
    transmissions: u64,
    newest_arrived: u64,
    cutoff: u64,
    /// Sequence numbers that were sent at least once, and up to where they may go.
    reach: u64,
    edge: u64,
    recovering: bool,
    limited: bool,
    forced: bool,
    probed: bool,
    round_trip: RoundTrip,
    backoff: u32,
    /// How often the receiver was asked for room since it last had any.
    asked: u32,
    undo: Option<Undo>,
    deadline: Option<Instant>,
    last_sent: Instant,
}

impl<P: Clone> Sender<P> {
    /// A flow whose full segments carry `segment_len` bytes, and whose receiver has room for `edge` of them.
    pub fn new(segment_len: u32, edge: u64) -> Self {
        let segment_len = u64::from(segment_len.max(1));
        Self {
            segment_len,
            segments: VecDeque::new(),
            base: 0,
            unsent: 0,
            window: INITIAL_WINDOW * segment_len,
            threshold: u64::MAX,
            grown: 0,
            in_flight: 0,
            lost: 0,
            transmissions: 0,
            newest_arrived: 0,
            cutoff: 0,
            reach: 0,
            edge,
            recovering: false,
            limited: false,
            forced: false,
            probed: false,
            round_trip: RoundTrip::new(),
            backoff: 0,
            asked: 0,
            undo: None,
            deadline: None,
            last_sent: Instant::ZERO,
        }
    }

    /// Takes the next segment; `bytes` of sequence space (one for SYN and FIN).
    pub fn push(&mut self, now: Instant, cargo: P, bytes: u32) {
        // RFC 5681, 4.1: after an idle time the old window says nothing about the path.
        if self.segments.is_empty() && now.since(self.last_sent) > self.round_trip.timeout() {
            self.window = self.window.min(INITIAL_WINDOW * self.segment_len);
        }
        let bytes = bytes.max(1);
        let fate = Fate { bytes, state: State::Waiting, sent_at: now, transmission: 0, again: false };
        self.segments.push_back(Segment { cargo, fate });
    }

    /// The last segment and its bytes, if it was never sent: more may be added to it.
    pub fn waiting_tail(&mut self) -> Option<(&mut P, &mut u32)> {
        let Segment { cargo, fate } = self.segments.back_mut()?;
        (fate.state == State::Waiting).then_some((cargo, &mut fate.bytes))
    }

    /// Everything pushed has been acknowledged.
    pub fn is_idle(&self) -> bool {
        self.segments.is_empty()
    }

    /// The receiver has room for sequence numbers before `edge`, counted from the SYN's.
    pub fn open(&mut self, edge: u64) {
        if edge > self.edge {
            self.edge = edge;
            self.asked = 0;
            if self.in_flight == 0 && self.lost == 0 {
                self.deadline = None;
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next segment that may go now; call until there is none.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<P>> {
        let index = self.next_index()?;
        if self.is_shut_out(index) {
            if self.in_flight == 0 && self.deadline.is_none() {
                self.arm(now);
            }
            return None;
        }
        let allowed = self.forced || self.in_flight == 0 || {
            let bytes = self.segments.get(index).map_or(0, |segment| u64::from(segment.fate.bytes));
            self.in_flight + bytes <= self.window
        };
        if !allowed {
            self.limited = true;
            return None;
        }
        self.forced = false;
        self.transmissions += 1;
        let segment = self.segments.get_mut(index)?;
        if segment.fate.state == State::Lost {
            self.lost -= 1;
            segment.fate.again = true;
        } else {
            self.unsent += 1;
            self.reach += u64::from(segment.fate.bytes);
        }
        segment.fate.state = State::InFlight;
        segment.fate.sent_at = now;
        segment.fate.transmission = self.transmissions;
        self.in_flight += u64::from(segment.fate.bytes);
        self.last_sent = now;
        let (cargo, again) = (segment.cargo.clone(), segment.fate.again);
        let transmit = Transmit { slot: self.base + index as u64, cargo, again };
        if self.deadline.is_none() {
            self.arm(now);
        }
        Some(transmit)
    }

    /// Learns what has arrived at the far end.
    pub fn handle_ack(&mut self, now: Instant, ack: Acknowledged) {
        if self.in_flight == 0 && self.lost == 0 {
            // Whoever answers is there, if without room.
            self.backoff = 0;
        }
        let before = self.newest_arrived;
        let mut delivered = 0;
        if let Some(sent_at) = ack.echo {
            self.round_trip.sample(now.since(sent_at));
            self.judge_timeout(sent_at);
        }
        while self.base < ack.next {
            let Some(segment) = self.segments.pop_front() else { break };
            self.base += 1;
            self.unsent -= u64::from(segment.fate.state != State::Waiting);
            delivered += self.arrived(ack.echo, segment.fate);
        }
        let span = if ack.beyond == 0 { 0 } else { self.segments.len().min(WINDOW_SLOTS) };
        for index in 0..span {
            let Some(offset) = (self.base + index as u64).checked_sub(ack.next + 1) else { continue };
            if offset >= WINDOW_SLOTS as u64 || ack.beyond >> offset & 1 == 0 {
                continue;
            }
            let Some(segment) = self.segments.get_mut(index) else { break };
            let fate = segment.fate;
            segment.fate.state = State::Arrived;
            delivered += self.arrived(ack.echo, fate);
        }
        if self.newest_arrived > before {
            self.infer_losses();
        }
        if delivered > 0 {
            self.progress(now, delivered);
        }
    }

    /// Is there no room for the segment at `index`? What was sent before has its room.
    fn is_shut_out(&self, index: usize) -> bool {
        let fate = self.segments.get(index).map(|segment| segment.fate);
        fate.is_some_and(|fate| {
            fate.state == State::Waiting && self.reach + u64::from(fate.bytes) > self.edge
        })
    }

    /// The slot to send next: the first lost one, else the first that waits.
    fn next_index(&self) -> Option<usize> {
        if self.lost > 0 {
            return self.segments.iter().position(|segment| segment.fate.state == State::Lost);
        }
        let index = self.unsent as usize;
        (index < self.segments.len().min(WINDOW_SLOTS)).then_some(index)
    }

    /// Accounts for a segment that arrived; returns its bytes if that is news.
    fn arrived(&mut self, echo: Option<Instant>, fate: Fate) -> u64 {
        match fate.state {
            State::Arrived | State::Waiting => return 0,
            State::Lost => self.lost -= 1,
            State::InFlight => self.in_flight -= u64::from(fate.bytes),
        }
        // The answer to a repeated segment may be to its first copy: the echo tells (RFC 8985, 6.2).
        if !fate.again || echo.is_some_and(|sent_at| sent_at >= fate.sent_at) {
            self.newest_arrived = self.newest_arrived.max(fate.transmission);
        }
        u64::from(fate.bytes)
    }

    /// RACK: whatever was sent before something that arrived, and has not arrived, is lost.
    fn infer_losses(&mut self) {
        let mut news = false;
        let sent = self.unsent as usize;
        for (index, segment) in self.segments.iter_mut().enumerate().take(sent) {
            if segment.fate.state == State::InFlight && segment.fate.transmission < self.newest_arrived {
                segment.fate.state = State::Lost;
                self.in_flight -= u64::from(segment.fate.bytes);
                self.lost += 1;
                news |= self.base + index as u64 >= self.cutoff;
            }
        }
        if news {
            let flight = self.window.min(self.in_flight + self.segment_len * self.lost as u64);
            self.threshold = (flight / 2).max(2 * self.segment_len);
            self.window = self.threshold;
            self.grown = 0;
            self.cutoff = self.base + self.unsent;
            self.recovering = true;
        }
    }

    /// Bytes arrived: grow the window, and start the timer anew.
    fn progress(&mut self, now: Instant, delivered: u64) {
        self.backoff = 0;
        self.probed = false;
        if self.recovering && self.base >= self.cutoff {
            self.recovering = false;
        }
        if self.limited && !self.recovering {
            self.grow(delivered);
        }
        self.limited = false;
        self.deadline = None;
        if self.in_flight > 0 || self.lost > 0 {
            self.arm(now);
        }
    }

    fn grow(&mut self, delivered: u64) {
        if self.window < self.threshold {
            // As much as arrived, as Linux does it: one acknowledgement may answer many segments.
            self.window = self.threshold.min(self.window + delivered);
        } else {
            self.grown += delivered;
            if self.grown >= self.window {
                self.grown -= self.window;
                self.window += self.segment_len;
            }
        }
        self.window = self.window.min(MAX_WINDOW);
    }
}
