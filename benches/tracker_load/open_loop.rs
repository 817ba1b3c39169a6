//! Announces on schedule: the next one leaves when it is due, whether or not the last was answered.
//!
//! Latency counts from the moment at which a request was due, so a tracker that stalls is charged for every request that
//! the stall held up. The generator spins; give it a core of its own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Pace;
use crate::client::{Client, encode_announce, now};
use crate::world::World;

/// How long a tracker may take for its first answer, and late ones at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Datagrams sent or received before the other direction has its turn.
const BURST: u32 = 32;

/// Announces of one tracker connection; BEP 15 promises a minute for it.
const RECONNECT: Duration = Duration::from_secs(50);

/// How long answers took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latencies {
    /// Announces sent.
    pub sent: u32,
    /// Announces never answered.
    pub unanswered: u32,
    /// Median, in microseconds.
    pub p50: f64,
    /// In microseconds.
    pub p99: f64,
    /// In microseconds.
    pub p999: f64,
    /// In microseconds.
    pub max: f64,
    /// Bytes of a reply, on average.
    pub reply_bytes: f64,
    /// The latest that an announce left after it was due, in microseconds: the generator's own fault.
    pub generator_lag_p99: f64,
}

/// A run in progress.
struct Schedule<'a> {
    world: &'a World,
    sources: Vec<(UdpSocket, proto::tracker::ConnectionId)>,
    start: Instant,
    pace: Pace,
    sent: u32,
    bytes: u64,
    took: Vec<Duration>,
    lags: Vec<Duration>,
    out: Vec<u8>,
}

/// Runs the schedule against `tracker`.
pub fn run(tracker: SocketAddr, world: &World, pace: Pace) -> anyhow::Result<Latencies> {
    let total = pace.rate * pace.seconds.min(RECONNECT.as_secs() as u32);
    let mut sources = Vec::new();
    for number in 0..pace.sources.max(1) {
        let [high, low] = number.to_be_bytes();
        let client = Client::connect(Ipv4Addr::new(127, 0, 1 + high, low), tracker, PATIENCE)?;
        let connection = client.connection;
        let socket = client.into_socket();
        socket.set_nonblocking(true)?;
        sources.push((socket, connection));
    }
    let capacity = total as usize;
    let mut schedule = Schedule {
        world,
        sources,
        start: now(),
        pace,
        sent: 0,
        bytes: 0,
        took: Vec::with_capacity(capacity),
        lags: Vec::with_capacity(capacity),
        out: Vec::new(),
    };
    let end = schedule.due(total) + PATIENCE;
    while schedule.took.len() < capacity && schedule.start.elapsed() < end {
        schedule.send_due(total);
        schedule.receive();
    }
    Ok(schedule.latencies())
}

impl Schedule<'_> {
    /// When announce `number` is due, after the start.
    fn due(&self, number: u32) -> Duration {
        Duration::from_nanos(u64::from(number) * 1_000_000_000 / u64::from(self.pace.rate.max(1)))
    }

    fn send_due(&mut self, total: u32) {
        for _ in 0..BURST {
            let lag = self.start.elapsed().checked_sub(self.due(self.sent));
            let (true, Some(lag)) = (self.sent < total, lag) else { return };
            let peer = self.world.peer(self.sent.wrapping_mul(7919) % self.world.peers);
            let at = self.sent as usize % self.sources.len();
            let Some((socket, connection)) = self.sources.get(at) else { return };
            encode_announce(*connection, self.sent, &peer, &mut self.out);
            // What is not taken counts as unanswered.
            let _ = socket.send(&self.out);
            self.lags.push(lag);
            self.sent += 1;
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        for (socket, _) in &self.sources {
            for _ in 0..BURST {
                let Ok(len) = socket.recv(&mut buffer) else { break };
                let elapsed = self.start.elapsed();
                let number = u32::from_be_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                self.took.push(elapsed.saturating_sub(self.due(number)));
                self.bytes += len as u64;
            }
        }
    }

    fn latencies(mut self) -> Latencies {
        self.took.sort_unstable();
        self.lags.sort_unstable();
        Latencies {
            sent: self.sent,
            unanswered: self.sent - self.took.len() as u32,
            p50: quantile(&self.took, 500),
            p99: quantile(&self.took, 990),
            p999: quantile(&self.took, 999),
            max: quantile(&self.took, 1000),
            reply_bytes: self.bytes as f64 / self.took.len().max(1) as f64,
            generator_lag_p99: quantile(&self.lags, 990),
        }
    }
}

/// In microseconds, of sorted times.
fn quantile(sorted: &[Duration], per_mille: usize) -> f64 {
    let at = sorted.len().saturating_sub(1) * per_mille / 1000;
    sorted.get(at).map_or(f64::NAN, |time| time.as_nanos() as f64 / 1000.0)
}
