//! Rate limits over crowds of tasks and ten paused seconds.

use std::future::poll_fn;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::clock::OsClock;

/// Over so many torrents the connections are spread.
const TORRENTS: u32 = 3;

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
            let pace = Pace::new(
                throttle.clone(),
                (TorrentKey(peer as u32 % TORRENTS), PeerKey(peer)),
                &addr,
                clock,
            );
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
    let pace = Pace::new(throttle.clone(), (TorrentKey(0), PeerKey(1)), &addr, StoppedClock);
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
