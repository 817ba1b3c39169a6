//! Asks a UDP tracker the three questions of BEP 15 and measures the answers.
//!
//! For people who run a tracker or wonder about one. It stands apart from the announcer because it is
//! impatient: a tracker that needs a retry is worth knowing, one that needs 15 seconds is down.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::seed::{Random, Seed};
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeRequest, TrackerUrl, TransactionId, options,
};
use serde::Serialize;
use thiserror::Error;

use crate::clock::{Clock, within};
use crate::environment::Environment;
use crate::transport::{Transport, UdpSocket};

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

/// What a tracker answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The tracker.
    pub url: String,
    /// The address that answered.
    pub addr: SocketAddr,
    /// The torrent that was asked about.
    pub info_hash: String,
    /// Connect, announce and scrape, in this order.
    pub steps: Vec<Step>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `connect`, `announce` or `scrape`.
    pub name: &'static str,
    /// Milliseconds from the last try to the answer; nothing if none came.
    pub millis: Option<f64>,
    /// How often it was asked.
    pub tries: u32,
    /// What came back.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// A connection id.
    Connected,
    /// Counts of the swarm.
    Announced {
        /// Seconds until the next announce.
        interval: u32,
        /// Peers that have everything.
        seeders: u32,
        /// Peers that still download.
        leechers: u32,
        /// Addresses in the reply.
        peers: usize,
    },
    /// Counts of the swarm.
    Scraped {
        /// Peers that have everything.
        seeders: u32,
        /// Downloads that ever ended.
        completed: u32,
        /// Peers that still download.
        leechers: u32,
    },
    /// The tracker said no.
    Refused {
        /// Why, safe to print.
        message: String,
    },
    /// Something that is no answer to the question.
    Unexpected,
    /// Nothing.
    Silence,
}

/// Why there is nothing to report.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// The name has no address.
    #[error("cannot find {host}: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No socket for it.
    #[error("cannot send to {addr}: {reason}")]
    Socket {
        /// The target.
        addr: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// Nothing came back.
    #[error("{url} does not answer (asked {TRIES} times at {addr})")]
    Unreachable {
        /// The tracker.
        url: String,
        /// The last address tried.
        addr: SocketAddr,
    },
}

impl ProbeReport {
    /// Every question got its answer.
    pub fn is_healthy(&self) -> bool {
        self.steps.iter().all(|step| match step.answer {
            Answer::Connected | Answer::Announced { .. } | Answer::Scraped { .. } => true,
            Answer::Refused { .. } | Answer::Unexpected | Answer::Silence => false,
        })
    }
}

/// Asks the tracker at `url` about `info_hash`. Announces a peer and takes it back.
pub async fn probe<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    url: &TrackerUrl,
    info_hash: InfoHash,
    seed: Seed,
) -> Result<ProbeReport, ProbeError> {
    let mut random = seed.rng();
    let mut last = None;
    for addr in resolve(environment, url).await? {
        let mut conversation = Conversation::open(environment, addr, &mut random).await?;
        let steps = conversation.ask_all(url, info_hash).await;
        if steps.first().is_some_and(|step| step.answer != Answer::Silence) {
            return Ok(ProbeReport { url: url.to_string(), addr, info_hash: info_hash.to_string(), steps });
        }
        last = Some(addr);
    }
    let nothing = ProbeError::Unresolved { host: url.host().to_owned(), reason: "no address".to_owned() };
    Err(last.map_or(nothing, |addr| ProbeError::Unreachable { url: url.to_string(), addr }))
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

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("ok"),
            Self::Announced { interval, seeders, leechers, peers } => {
                write!(
                    f,
                    "interval {interval} s, seeders {seeders}, leechers {leechers}, {peers} peers named"
                )
            }
            Self::Scraped { seeders, completed, leechers } => {
                write!(f, "seeders {seeders}, leechers {leechers}, completed {completed}")
            }
            Self::Refused { message } => write!(f, "refused: {message}"),
            Self::Unexpected => f.write_str("an answer to something else"),
            Self::Silence => f.write_str("no answer"),
        }
    }
}

impl fmt::Display for ProbeReport {
    /// A table for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.url, self.addr)?;
        writeln!(f, "info hash {}\n", self.info_hash)?;
        writeln!(f, "question   tries      time   answer")?;
        for step in &self.steps {
            let time = step.millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis:.1} ms"));
            writeln!(f, "{:<8} {:>7} {time:>9}   {}", step.name, step.tries, step.answer)?;
        }
        Ok(())
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
        let report =
            probe(&environment, &url, InfoHash([0xab; 20]), Seed::from_u64(2)).await.expect("reached");
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
        let error = probe(&Environment::os(addr.ip()), &url, InfoHash([0; 20]), Seed::from_u64(1)).await;
        let error = error.expect_err("nobody answers");
        assert_eq!(error.to_string(), format!("udp://{addr} does not answer (asked 3 times at {addr})"));
    }

    #[test]
    fn the_table_reads_well() {
        let step = |name, millis, tries, answer| Step { name, millis, tries, answer };
        let report = ProbeReport {
            url: "udp://tracker.example.org:1337/announce".to_owned(),
            addr: SocketAddr::from(([192, 0, 2, 1], 1337)),
            info_hash: InfoHash([0xab; 20]).to_string(),
            steps: vec![
                step("connect", Some(18.24), 1, Answer::Connected),
                step(
                    "announce",
                    Some(1018.0),
                    2,
                    Answer::Announced { interval: 1800, seeders: 3, leechers: 1, peers: 3 },
                ),
                step("scrape", None, 3, Answer::Silence),
            ],
        };
        insta::assert_snapshot!(report.to_string());
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).expect("JSON"));
        assert!(!report.is_healthy());
    }
}
