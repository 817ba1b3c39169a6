//! The rate limits of an engine's connections, whose decisions are [`proto::rate`]'s.
//!
//! A connection takes a grant before it reads or writes and gives back what it did not move, so an idle one
//! holds nothing. Without limits none of this is touched but one flag.
//!
//! A limit on receiving is kept by reading no faster: the system's buffers fill first, then TCP slows the
//! sender down.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use proto::rate::{Headers, Limits, Shaper, TorrentKey};
use proto::time::Instant;
use proto::torrent::PeerKey;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The limits of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// What we receive.
    pub down: Limits,
    /// What we send.
    pub up: Limits,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Down,
    Up,
}

/// This process works on one torrent.
const TORRENT: TorrentKey = TorrentKey(0);

#[derive(Debug, Default)]
struct Side {
    shaper: Shaper,
    granted: BTreeMap<PeerKey, u64>,
    wakers: BTreeMap<PeerKey, Waker>,
}

impl Side {
    /// Hands out what can be granted, and wakes who waits for it.
    fn hand_out(&mut self, now: Instant) {
        while let Some((peer, bytes)) = self.shaper.poll_grant(now) {
            self.granted.insert(peer, bytes);
            self.wakers.remove(&peer).into_iter().for_each(Waker::wake);
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    down: Mutex<Side>,
    up: Mutex<Side>,
    down_limited: AtomicBool,
    up_limited: AtomicBool,
    /// Somebody began to wait, or the limits changed.
    changed: Notify,
}

/// All limits of an engine; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttle(Arc<Shared>);

impl Throttle {
    /// Limits from the start.
    pub(crate) fn new(limits: RateLimits) -> Self {
        let throttle = Self::default();
        throttle.set_limits(limits);
        throttle
    }

    /// Changes the limits for everybody, also for who waits.
    pub(crate) fn set_limits(&self, limits: RateLimits) {
        for (flow, limits) in [(Flow::Down, limits.down), (Flow::Up, limits.up)] {
            self.flag(flow).store(limits.is_any(), Ordering::Relaxed);
            let mut side = self.side(flow);
            side.shaper.set_limits(limits);
            // Everybody asks again, under the new limits.
            side.granted.clear();
            std::mem::take(&mut side.wakers).into_values().for_each(Waker::wake);
        }
        self.0.changed.notify_one();
    }

    /// Waits for leave to move bytes; returns how many of `want`.
    fn poll_take(
        &self,
        flow: Flow,
        peer: PeerKey,
        want: u64,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<u64> {
        let mut side = self.side(flow);
        if !side.granted.contains_key(&peer) {
            side.shaper.claim(peer, TORRENT, want);
            side.hand_out(now);
        }
        if let Some(bytes) = side.granted.remove(&peer) {
            return Poll::Ready(bytes);
        }
        side.wakers.insert(peer, context.waker().clone());
        drop(side);
        self.0.changed.notify_one();
        Poll::Pending
    }

    /// Bytes that were taken and not moved: for the next in line.
    fn give_back(&self, flow: Flow, peer: PeerKey, bytes: u64, now: Instant) {
        let mut side = self.side(flow);
        side.shaper.refund(peer, TORRENT, bytes);
        side.hand_out(now);
    }

    /// A connection is gone, with whatever it waited for.
    fn forget(&self, peer: PeerKey) {
        for flow in [Flow::Down, Flow::Up] {
            let mut side = self.side(flow);
            if let Some(bytes) = side.granted.remove(&peer) {
                side.shaper.refund(peer, TORRENT, bytes);
            }
            side.wakers.remove(&peer);
            side.shaper.forget(peer);
        }
    }

    /// Grants what time brings, for ever.
    pub(crate) async fn keep(self, clock: impl Clock) {
        loop {
            let now = clock.now();
            let mut due = None;
            for flow in [Flow::Down, Flow::Up] {
                let mut side = self.side(flow);
                side.hand_out(now);
                due = due.into_iter().chain(side.shaper.poll_timeout(now)).min();
            }
            let timer = async {
                match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.changed.notified() => {}
                () = timer => {}
            }
        }
    }

    fn side(&self, flow: Flow) -> MutexGuard<'_, Side> {
        let side = match flow {
            Flow::Down => &self.0.down,
            Flow::Up => &self.0.up,
        };
        // No code that may panic runs under this lock.
        side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flag(&self, flow: Flow) -> &AtomicBool {
        match flow {
            Flow::Down => &self.0.down_limited,
            Flow::Up => &self.0.up_limited,
        }
    }
}

/// One connection's part of the limits. Its bytes are counted with their [`Headers`].
#[derive(Debug)]
pub(crate) struct Pace<C: Clock> {
    throttle: Throttle,
    peer: PeerKey,
    headers: Headers,
    clock: C,
}

impl<C: Clock> Pace<C> {
    /// The part of the connection to `addr`.
    pub(crate) fn new(throttle: Throttle, peer: PeerKey, addr: &SocketAddr, clock: C) -> Self {
        Self { throttle, peer, headers: Headers::to(addr), clock }
    }

    /// Waits for leave to move bytes; returns how many of `want`, which is not 0. Each leave is settled.
    pub(crate) fn poll_take(&self, flow: Flow, want: usize, context: &mut Context<'_>) -> Poll<usize> {
        if !self.throttle.flag(flow).load(Ordering::Relaxed) {
            return Poll::Ready(want);
        }
        let line = self.headers.with(want as u64);
        let granted = self.throttle.poll_take(flow, self.peer, line, self.clock.now(), context);
        granted.map(|line| self.headers.without(line) as usize)
    }

    /// Of `taken` bytes only those of `moved` were.
    pub(crate) fn settle(&self, flow: Flow, taken: usize, moved: &Poll<io::Result<usize>>) {
        let moved = if let Poll::Ready(Ok(len)) = moved { *len } else { 0 };
        if moved < taken && self.throttle.flag(flow).load(Ordering::Relaxed) {
            let left = self.headers.with(taken as u64) - self.headers.with(moved as u64);
            self.throttle.give_back(flow, self.peer, left, self.clock.now());
        }
    }
}

impl<C: Clock> Drop for Pace<C> {
    fn drop(&mut self) {
        self.throttle.forget(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::num::NonZeroU64;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;
    use crate::clock::OsClock;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    fn uploads(rate: u64) -> RateLimits {
        let up = Limits { global: NonZeroU64::new(rate), ..Limits::default() };
        RateLimits { up, ..RateLimits::default() }
    }

    /// Connections over IPv4 that always have a block to send, and what each has sent.
    struct Crowd {
        throttle: Throttle,
        sent: Vec<Arc<AtomicU64>>,
        clock: OsClock,
        _tasks: JoinSet<()>,
    }

    impl Crowd {
        fn of(count: u64, limits: RateLimits) -> Self {
            let (throttle, clock) = (Throttle::new(limits), OsClock::new());
            let mut tasks = JoinSet::new();
            tasks.spawn(throttle.clone().keep(clock));
            let sent = (0..count).map(|peer| {
                let addr = SocketAddr::from(([127, 0, 0, 1], 1));
                let pace = Pace::new(throttle.clone(), PeerKey(peer), &addr, clock);
                let sum = Arc::new(AtomicU64::new(0));
                let mine = Arc::clone(&sum);
                tasks.spawn(async move {
                    loop {
                        let taken = poll_fn(|context| pace.poll_take(Flow::Up, 16_384, context)).await;
                        // A socket that takes one byte less than it might.
                        pace.settle(Flow::Up, taken, &Poll::Ready(Ok(taken - 1)));
                        mine.fetch_add(taken as u64 - 1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                });
                sum
            });
            Self { sent: sent.collect(), throttle, clock, _tasks: tasks }
        }

        /// What each sends in the next ten seconds, with the headers of IPv4.
        async fn ten_seconds(&self) -> Vec<u64> {
            let on_the_line = |sum: &Arc<AtomicU64>| sum.load(Ordering::Relaxed) * 1500 / 1460;
            let before: Vec<_> = self.sent.iter().map(on_the_line).collect();
            self.clock.sleep_until(self.clock.now() + TEN_SECONDS).await;
            self.sent.iter().zip(before).map(|(sum, before)| on_the_line(sum) - before).collect()
        }
    }

    fn assert_near(sent: &[u64], rate: u64) {
        let (total, wanted) = (sent.iter().sum::<u64>(), rate * TEN_SECONDS.as_secs());
        assert!(total.abs_diff(wanted) * 50 <= wanted, "{total} of {wanted} by {}", sent.len());
        let (least, most) = (sent.iter().min(), sent.iter().max());
        // Two grants: each window cuts through one at both ends.
        let apart = most.zip(least).map(|(most, least)| most - least);
        assert!(apart <= Some(2 * (rate / 20).clamp(1500, 16_834)), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_ten_and_a_hundred_connections_keep_a_limit_and_share_it_equally() {
        for count in [1, 10, 100] {
            for rate in [100_000, 1_000_000] {
                assert_near(&Crowd::of(count, uploads(rate)).ten_seconds().await, rate);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_holds_for_those_who_wait() {
        let crowd = Crowd::of(10, uploads(1_000_000));
        for rate in [1_000_000, 30_000, 500_000] {
            crowd.throttle.set_limits(uploads(rate));
            assert_near(&crowd.ten_seconds().await, rate);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lifted_holds_nobody() {
        let crowd = Crowd::of(3, uploads(1));
        crowd.ten_seconds().await;
        let free = async {
            crowd.throttle.set_limits(RateLimits::default());
            tokio::task::yield_now().await;
            crowd.sent.iter().map(|sum| sum.load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        let before: Vec<_> = crowd.sent.iter().map(|sum| sum.load(Ordering::Relaxed)).collect();
        let after = free.await;
        assert!(before.iter().zip(&after).all(|(before, after)| after >= &(before + 16_383)), "{after:?}");
    }

    #[test]
    fn without_limits_only_the_flag_is_read() {
        let (throttle, mut context) = (Throttle::default(), Context::from_waker(Waker::noop()));
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let pace = Pace::new(throttle.clone(), PeerKey(1), &addr, StoppedClock);
        let before = format!("{throttle:?}");
        for flow in [Flow::Down, Flow::Up] {
            assert_eq!(pace.poll_take(flow, 1 << 30, &mut context), Poll::Ready(1 << 30));
            pace.settle(flow, 1 << 30, &Poll::Pending);
        }
        assert_eq!(format!("{throttle:?}"), before);
    }

    /// A clock that must not be read.
    #[derive(Clone, Debug)]
    struct StoppedClock;

    impl Clock for StoppedClock {
        fn now(&self) -> Instant {
            panic!("nobody need know the time")
        }

        fn wall(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep_until(&self, _deadline: Instant) {}
    }
}
