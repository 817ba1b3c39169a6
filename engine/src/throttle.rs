//! The rate limits of a process's connections, whose decisions are [`proto::rate`]'s.
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

use proto::rate::{Headers, Limits, OwnLimits, Rate, Shaper, TorrentKey};
use proto::time::Instant;
use proto::torrent::PeerKey;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The limits of both directions, for all torrents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// What we receive.
    pub down: Limits,
    /// What we send.
    pub up: Limits,
}

/// The limits of one torrent in both directions, in place of those for all torrents; the process's stay above them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TorrentLimits {
    /// What it receives.
    pub down: OwnLimits,
    /// What it sends.
    pub up: OwnLimits,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Down,
    Up,
}

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

/// All limits of a process; clones are the same ones.
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
        self.change(|flow, shaper| {
            shaper.set_limits(match flow {
                Flow::Down => limits.down,
                Flow::Up => limits.up,
            });
        });
    }

    /// Gives a torrent limits of its own, or those of all again.
    pub(crate) fn set_own_limits(&self, torrent: TorrentKey, limits: Option<TorrentLimits>) {
        self.change(|flow, shaper| {
            let own = limits.map(|limits| match flow {
                Flow::Down => limits.down,
                Flow::Up => limits.up,
            });
            shaper.set_own_limits(torrent, own);
        });
    }

    fn change(&self, act: impl Fn(Flow, &mut Shaper)) {
        for flow in [Flow::Down, Flow::Up] {
            let mut side = self.side(flow);
            act(flow, &mut side.shaper);
            self.flag(flow).store(side.shaper.is_limited(), Ordering::Relaxed);
            // Everybody asks again, under the new limits.
            side.granted.clear();
            std::mem::take(&mut side.wakers).into_values().for_each(Waker::wake);
        }
        self.0.changed.notify_one();
    }

    /// What a torrent may send.
    pub(crate) fn upload_limit(&self, torrent: TorrentKey) -> Rate {
        self.side(Flow::Up).shaper.rate_of_torrent(torrent)
    }

    /// A torrent is gone, and its connections before it.
    pub(crate) fn forget_torrent(&self, torrent: TorrentKey) {
        for flow in [Flow::Down, Flow::Up] {
            let mut side = self.side(flow);
            side.shaper.forget_torrent(torrent);
            self.flag(flow).store(side.shaper.is_limited(), Ordering::Relaxed);
        }
    }

    /// Waits for leave to move bytes; returns how many of `want`.
    fn poll_take(
        &self,
        flow: Flow,
        (torrent, peer): (TorrentKey, PeerKey),
        want: u64,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<u64> {
        let mut side = self.side(flow);
        if !side.granted.contains_key(&peer) {
            side.shaper.claim(peer, torrent, want);
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
    fn give_back(&self, flow: Flow, (torrent, peer): (TorrentKey, PeerKey), bytes: u64, now: Instant) {
        let mut side = self.side(flow);
        side.shaper.refund(peer, torrent, bytes);
        side.hand_out(now);
    }

    /// A connection is gone, with whatever it waited for.
    fn forget(&self, (torrent, peer): (TorrentKey, PeerKey)) {
        for flow in [Flow::Down, Flow::Up] {
            let mut side = self.side(flow);
            if let Some(bytes) = side.granted.remove(&peer) {
                side.shaper.refund(peer, torrent, bytes);
            }
            side.wakers.remove(&peer);
            side.shaper.forget(peer, torrent);
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
    connection: (TorrentKey, PeerKey),
    headers: Headers,
    clock: C,
}

impl<C: Clock> Pace<C> {
    /// The part of a torrent's connection to `addr`.
    pub(crate) fn new(
        throttle: Throttle,
        connection: (TorrentKey, PeerKey),
        addr: &SocketAddr,
        clock: C,
    ) -> Self {
        Self { throttle, connection, headers: Headers::to(addr), clock }
    }

    /// Waits for leave to move bytes; returns how many of `want`, which is not 0. Each leave is settled.
    pub(crate) fn poll_take(&self, flow: Flow, want: usize, context: &mut Context<'_>) -> Poll<usize> {
        if !self.throttle.flag(flow).load(Ordering::Relaxed) {
            return Poll::Ready(want);
        }
        let line = self.headers.with(want as u64);
        let granted = self.throttle.poll_take(flow, self.connection, line, self.clock.now(), context);
        granted.map(|line| self.headers.without(line) as usize)
    }

    /// Of `taken` bytes only those of `moved` were.
    pub(crate) fn settle(&self, flow: Flow, taken: usize, moved: &Poll<io::Result<usize>>) {
        let moved = if let Poll::Ready(Ok(len)) = moved { *len } else { 0 };
        if moved < taken && self.throttle.flag(flow).load(Ordering::Relaxed) {
            let left = self.headers.with(taken as u64) - self.headers.with(moved as u64);
            self.throttle.give_back(flow, self.connection, left, self.clock.now());
        }
    }
}

impl<C: Clock> Drop for Pace<C> {
    fn drop(&mut self) {
        self.throttle.forget(self.connection);
    }
}

#[cfg(test)]
mod tests;
