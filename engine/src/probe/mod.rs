//! Asks a tracker the three questions of BEP 15, or the two of HTTP, and measures the answers.
//!
//! For people who run a tracker or wonder about one. It stands apart from the announcer because it is
//! impatient: a tracker that needs a retry is worth knowing, one that needs 15 seconds is down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::seed::{Random, Seed};
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, Scheme, ScrapeRequest, TrackerUrl, TransactionId,
    options,
};

use crate::clock::{Clock, within};
use crate::environment::Environment;
use crate::fetch::TrackerTrust;
use crate::transport::{Transport, UdpSocket};

pub mod conformance;
mod http;
mod report;

pub use report::{Answer, ProbeError, ProbeReport, Step};

/// How often a question is sent before it counts as unanswered.
const TRIES: u32 = 3;

/// How long each try waits: far more than any round trip.
const WAIT: Duration = Duration::from_secs(2);

/// How long a name may take.
const RESOLVE_WAIT: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried.
const MAX_ADDRS: usize = 4;

/// The port that is announced; nobody listens there, and the announce is taken back at once.
const PORT: u16 = 6881;

/// Asks the tracker at `url` about `info_hash`. Announces a peer and takes it back.
pub async fn probe<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    url: &TrackerUrl,
    info_hash: InfoHash,
    seed: Seed,
) -> Result<ProbeReport, ProbeError> {
    let mut random = seed.rng();
    let mut last = None;
    for addr in resolve(environment, url).await? {
        let steps = if url.scheme() == Scheme::Udp {
            Conversation::open(environment, addr, &mut random).await?.ask_all(url, info_hash).await
        } else {
            http::ask_all(environment, trust, addr, url, info_hash, &mut random).await
        };
        if steps.first().is_some_and(|step| step.answer != Answer::Silence) {
            return Ok(ProbeReport { url: url.to_string(), addr, info_hash: info_hash.to_string(), steps });
        }
        last = Some(addr);
    }
    let nothing = ProbeError::Unresolved { host: url.host().to_owned(), reason: "no address".to_owned() };
    let tries = if url.scheme() == Scheme::Udp { TRIES } else { 1 };
    Err(last.map_or(nothing, |addr| ProbeError::Unreachable { url: url.to_string(), addr, tries }))
}

/// The tracker's addresses, IPv4 first: it is what most trackers serve.
async fn resolve<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    url: &TrackerUrl,
) -> Result<Vec<SocketAddr>, ProbeError> {
    let lookup = environment.transport.resolve(url.host(), url.port());
    let unresolved = |reason: String| ProbeError::Unresolved { host: url.host().to_owned(), reason };
    let found = within(&environment.clock, RESOLVE_WAIT, lookup).await;
    let found = found.ok_or_else(|| unresolved("the resolver does not answer".to_owned()))?;
    let mut addrs = found.map_err(|error| unresolved(error.to_string()))?;
    addrs.sort_by_key(SocketAddr::is_ipv6);
    addrs.truncate(MAX_ADDRS);
    Ok(addrs)
}

/// A socket and the tracker at its other end.
struct Conversation<'a, U, C> {
    socket: U,
    clock: &'a C,
    random: &'a mut Random,
    addr: SocketAddr,
}

impl<'a, U: UdpSocket, C: Clock> Conversation<'a, U, C> {
    async fn open<T: Transport<Socket = U>>(
        environment: &'a Environment<T, C>,
        addr: SocketAddr,
        random: &'a mut Random,
    ) -> Result<Self, ProbeError> {
        let any: IpAddr = match addr {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bound = environment.transport.bind(SocketAddr::new(any, 0)).await;
        let socket = bound.map_err(|error| ProbeError::Socket { addr, reason: error.to_string() })?;
        Ok(Self { socket, clock: &environment.clock, random, addr })
    }

    /// Connect, and if that works announce and scrape.
    async fn ask_all(&mut self, url: &TrackerUrl, info_hash: InfoHash) -> Vec<Step> {
        let (connect, reply) = self.ask("connect", |transaction| Request::Connect { transaction }).await;
        let mut steps = vec![connect];
        let Some(Reply::Connect { connection, .. }) = reply else { return steps };
        let mut tail = [0; 12];
        self.random.fill(&mut tail);
        let options = options::with_url_data(url.path());
        let announce = |transaction, event| {
            Request::Announce(AnnounceRequest {
                connection,
                transaction,
                info_hash,
                peer_id: PeerId::with_tail(tail),
                progress: Progress { uploaded: 0, downloaded: 0, left: 1 },
                event: Some(event),
                key: u32::from_be_bytes([tail[0], tail[1], tail[2], tail[3]]),
                num_want: None,
                port: PORT,
                options: &options,
            })
        };
        steps.push(self.ask("announce", |transaction| announce(transaction, AnnounceEvent::Started)).await.0);
        let hashes = [info_hash.0];
        steps.push(self.ask("scrape", |transaction| scrape(connection, transaction, &hashes)).await.0);
        // Nobody waits for the answer to this.
        let transaction = TransactionId(self.random.next_u32());
        self.send(announce(transaction, AnnounceEvent::Stopped)).await;
        steps
    }

    /// Sends a question until it is answered.
    async fn ask<'r>(
        &mut self,
        name: &'static str,
        question: impl Fn(TransactionId) -> Request<'r>,
    ) -> (Step, Option<Reply>) {
        for tries in 1..=TRIES {
            let transaction = TransactionId(self.random.next_u32());
            let asked = self.clock.now();
            self.send(question(transaction)).await;
            if let Some(reply) = within(self.clock, WAIT, self.reply_to(transaction)).await {
                let millis = (self.clock.now() - asked).as_secs_f64() * 1e3;
                let answer = answer(name, &reply);
                return (Step { name, millis: Some(millis), tries, answer }, Some(reply));
            }
        }
        (Step { name, millis: None, tries: TRIES, answer: Answer::Silence }, None)
    }

    async fn send(&self, request: Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        if let Err(error) = self.socket.send_to(&bytes, self.addr).await {
            tracing::debug!(%error, addr = %self.addr, "sending failed");
        }
    }

    /// The tracker's answer; everything else that arrives is not ours.
    async fn reply_to(&self, transaction: TransactionId) -> Reply {
        let mut found = None;
        loop {
            let received = self.socket.recv_batch(1, |from, payload| {
                let reply = Reply::decode(payload, Family::of(from)).ok();
                let ours = reply.filter(|reply| from == self.addr && reply.transaction() == transaction);
                found = found.take().or(ours);
            });
            if received.await.is_err() {
                // The socket is broken: this is silence, and the caller's limit ends it.
                std::future::pending::<()>().await;
            }
            if let Some(reply) = found.take() {
                return reply;
            }
        }
    }
}

fn scrape(
    connection: ConnectionId,
    transaction: TransactionId,
    hashes: &[[u8; proto::id::ID_LEN]],
) -> Request<'_> {
    Request::Scrape(ScrapeRequest { connection, transaction, hashes })
}

/// What `reply` says to the question `name`.
fn answer(name: &str, reply: &Reply) -> Answer {
    match (name, reply) {
        ("connect", Reply::Connect { .. }) => Answer::Connected,
        ("announce", Reply::Announce { head, peers }) => Answer::Announced {
            interval: head.interval,
            seeders: head.seeders,
            leechers: head.leechers,
            peers: peers.len(),
        },
        ("scrape", Reply::Scrape { swarms, .. }) => {
            let swarm = swarms.first().copied();
            swarm.map_or(Answer::Unexpected, |swarm| Answer::Scraped {
                seeders: swarm.seeders,
                completed: swarm.completed,
                leechers: swarm.leechers,
            })
        }
        (_, Reply::Error { message, .. }) => Answer::Refused { message: message.clone() },
        (_, Reply::Connect { .. } | Reply::Announce { .. } | Reply::Scrape { .. }) => Answer::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{MemoryStore, TrackerConfig, start};

    fn loopback() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    #[tokio::test]
    async fn our_own_tracker_is_healthy() {
        let environment = Environment::os(loopback().ip());
        let config = TrackerConfig::at(loopback());
        let started = start(environment.clone(), config, MemoryStore::default(), Seed::from_u64(1)).await;
        let (handle, root) = started.expect("starts");
        let tracker = tokio::spawn(root);
        let addr = handle.local_addrs()[0];
        let url = format!("udp://localhost:{}/announce", addr.port()).parse().expect("valid");
        let (trust, seed) = (TrackerTrust::default(), Seed::from_u64(2));
        let report = probe(&environment, &trust, &url, InfoHash([0xab; 20]), seed);
        let report = report.await.expect("reached");
        assert!(report.is_healthy(), "{report}");
        assert_eq!(report.steps[2].answer, Answer::Scraped { seeders: 0, completed: 0, leechers: 1 });
        // The last word is `stopped`, for which nobody waits.
        while handle.stats().registry.members > 0 {
            tokio::task::yield_now().await;
        }
        handle.stop();
        tracker.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_tracker_is_one_clear_error() {
        // Bound and never read.
        let silent = tokio::net::UdpSocket::bind(loopback()).await.expect("binds");
        let addr = silent.local_addr().expect("an address");
        let url: TrackerUrl = format!("udp://{addr}").parse().expect("valid");
        let environment = Environment::os(addr.ip());
        let trust = TrackerTrust::default();
        let error = probe(&environment, &trust, &url, InfoHash([0; 20]), Seed::from_u64(1)).await;
        let error = error.expect_err("nobody answers");
        assert_eq!(error.to_string(), format!("udp://{addr} does not answer (asked 3 times at {addr})"));
    }
}
