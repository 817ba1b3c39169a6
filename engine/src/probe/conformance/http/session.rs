//! What a rule of HTTP trackers works with: a peer that says what the rule wants, and raw connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::announce::GetError;
use proto::id::{InfoHash, PeerId};
use proto::seed::Random;
use proto::tracker::http::{
    HttpReply, HttpReplyError, MAX_BODY, parse_announce, parse_scrape, put_percent_encoded, scrape_path,
};
use proto::tracker::{ScrapeEntry, TrackerUrl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::rule::{Trouble, broken};
use super::super::run::Workplace;
use super::super::session::lock;
use super::super::torrents::{Lent, Torrents};
use crate::clock::{Clock, within};
use crate::environment::Environment;
use crate::fetch::{self, Duplex, TrackerTrust};
use crate::transport::Transport;

/// How long an answer may take; a stream is not lost, so it is asked for once.
const WAIT: Duration = Duration::from_secs(10);

/// What the words of a refusal stand behind.
pub(super) const REFUSED: &str = "refused: ";

/// A tracker that sees too many connections of ours may close some; that is not its end.
const ALIVE_TRIES: u32 = 4;
const ALIVE_PAUSE: Duration = Duration::from_millis(300);

/// How [`fetch`] begins to tell of an answer that is an error of HTTP.
pub(super) const ANSWERS: &str = "the tracker answers ";

/// Bytes of a body that a finding shows.
const GLIMPSE: usize = 200;

/// What all rules at one address share.
pub(in crate::probe::conformance) struct Bench<T: Transport, C: Clock> {
    pub(super) environment: Environment<T, C>,
    pub(super) trust: TrackerTrust,
    pub(super) url: TrackerUrl,
    pub(super) addr: SocketAddr,
    pub(super) torrents: Torrents,
}

/// One rule's work on one tracker.
pub(in crate::probe::conformance) struct Session<T: Transport, C: Clock> {
    pub(super) bench: Arc<Bench<T, C>>,
    random: Mutex<Random>,
    peer_id: PeerId,
    /// What must be taken back.
    joined: Mutex<Vec<(InfoHash, u16)>>,
    lent: Mutex<Vec<Lent>>,
}

/// An announce; everything that is not said is as a client would say it.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) port: u16,
    left: u64,
    event: &'static str,
    more: String,
}

/// What an announce reply says.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) reply: HttpReply,
    pub(super) body: Bytes,
}

impl Query {
    /// Joins without data, listening at `port`.
    pub(super) fn leecher(port: u16) -> Self {
        Self { port, left: 1000, event: "started", more: "&compact=1".to_owned() }
    }

    /// Joins with everything.
    pub(super) fn seeder(port: u16) -> Self {
        Self { left: 0, ..Self::leecher(port) }
    }

    /// An announce without an event.
    pub(super) fn regular(self) -> Self {
        Self { event: "", ..self }
    }

    pub(super) fn stopped(self) -> Self {
        Self { event: "stopped", ..self }
    }

    /// The last piece has come in.
    pub(super) fn completed(self) -> Self {
        Self { left: 0, event: "completed", ..self }
    }

    /// With these parameters behind it, such as `&numwant=1`, beside `compact=1`.
    pub(super) fn with(self, more: &str) -> Self {
        Self { more: self.more + more, ..self }
    }

    /// With these and without `compact=1`.
    pub(super) fn with_only(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, left, event, more } = self;
        write!(f, "port={port}&left={left}&uploaded=0&downloaded=0")?;
        if !event.is_empty() {
            write!(f, "&event={event}")?;
        }
        f.write_str(more)
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HttpReply { interval, leechers, seeders, peers, .. } = &self.reply;
        write!(f, "interval {interval}, leechers {leechers}, seeders {seeders}, peers {peers:?}")
    }
}

impl Announced {
    /// Leechers and seeders.
    pub(super) const fn counts(&self) -> (u32, u32) {
        (self.reply.leechers, self.reply.seeders)
    }

    pub(super) fn names(&self, port: u16) -> bool {
        self.reply.peers.iter().any(|peer| peer.port() == port)
    }
}

/// Reads a body that answers an announce; a refusal is trouble behind [`REFUSED`].
pub(super) fn read(body: Bytes) -> Result<Announced, Trouble> {
    match parse_announce(&body) {
        Ok(reply) => Ok(Announced { reply, body }),
        Err(HttpReplyError::Failure(reason)) => Err(broken("announce", format_args!("{REFUSED}{reason}"))),
        Err(error) => Err(broken("announce", format_args!("{error}: {}", glimpse(&body)))),
    }
}

impl<T: Transport, C: Clock> Session<T, C> {
    fn fill(&self, bytes: &mut [u8]) {
        lock(&self.random).fill(bytes);
    }

    /// `len` random bytes.
    pub(super) fn noise(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    /// An info hash that nobody announces.
    pub(super) fn unknown(&self) -> InfoHash {
        let mut hash = InfoHash::default();
        self.fill(&mut hash.0);
        hash
    }

    /// A torrent that is this rule's alone.
    pub(super) async fn torrent(&self) -> Result<InfoHash, Trouble> {
        self.torrents::<1>().await.map(|[torrent]| torrent)
    }

    /// `N` torrents. To be called once by a rule, or two rules could wait for each other.
    pub(super) async fn torrents<const N: usize>(&self) -> Result<[InfoHash; N], Trouble> {
        let (hashes, lent) = self.bench.torrents.lend(|bytes| self.fill(bytes)).await?;
        if let Some(lent) = lent {
            lock(&self.lent).push(lent);
            // Strangers in a given torrent would spoil what the rules count.
            let counts = self.scrape(&hashes).await.unwrap_or_default();
            if counts.values().any(|swarm| swarm.seeders + swarm.leechers > 0) {
                let reason = "the given torrent has other peers; choose one without";
                return Err(Trouble::Skipped(reason.to_owned()));
            }
        }
        Ok(hashes)
    }

    /// Whatever is at `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, GetError> {
        let Bench { environment, trust, url, addr, .. } = &*self.bench;
        fetch::get(environment, trust, *addr, &url.with_path(path.to_owned()), WAIT).await
    }

    /// The same where no answer breaks the rule.
    pub(super) async fn expect(&self, path: &str) -> Result<Bytes, Trouble> {
        self.get(path).await.map_err(|error| broken(format_args!("GET {path}"), error))
    }

    /// The announce URL with `query` behind what it has of its own.
    pub(super) fn path_with(&self, query: &str) -> String {
        let path = self.bench.url.path();
        format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
    }

    /// A path that says it. Who joins is taken out again at the end.
    pub(super) fn announce_path(&self, torrent: InfoHash, query: &Query) -> String {
        let mut hash = String::new();
        put_percent_encoded(&mut hash, &torrent.0);
        self.announce_path_as(torrent, &hash, query)
    }

    /// The same with the info hash as it is written in `hash`.
    pub(super) fn announce_path_as(&self, torrent: InfoHash, hash: &str, query: &Query) -> String {
        self.note(torrent, query);
        self.path_with(&format!("info_hash={hash}&peer_id={}&{query}", self.peer_id_text()))
    }

    /// Our peer id as a parameter has it.
    pub(super) fn peer_id_text(&self) -> String {
        let mut text = String::new();
        put_percent_encoded(&mut text, &self.peer_id.0);
        text
    }

    /// Keeps in mind who joins and who has left.
    pub(super) fn note(&self, torrent: InfoHash, query: &Query) {
        let mut joined = lock(&self.joined);
        joined.retain(|member| *member != (torrent, query.port));
        if query.event != "stopped" {
            joined.push((torrent, query.port));
        }
    }

    /// Announces, and reads an answer that must be no refusal.
    pub(super) async fn announce(&self, torrent: InfoHash, query: &Query) -> Result<Announced, Trouble> {
        let path = self.announce_path(torrent, query);
        self.announced(&path).await
    }

    /// The announce at `path`, which must be answered by no refusal.
    pub(super) async fn announced(&self, path: &str) -> Result<Announced, Trouble> {
        read(self.expect(path).await?).map_err(|trouble| match trouble {
            Trouble::Broken { got, .. } => broken(format_args!("GET {path}"), got),
            skipped @ Trouble::Skipped(_) => skipped,
        })
    }

    /// The scrape URL (BEP 48).
    pub(super) fn scrape_path(&self, hashes: &[InfoHash]) -> Result<String, Trouble> {
        let none = "the URL's last segment does not begin with `announce`: by BEP 48 there is no scrape";
        scrape_path(&self.bench.url, hashes).ok_or_else(|| Trouble::Skipped(none.to_owned()))
    }

    /// Scrapes; torrents that are unknown to the tracker are missing.
    pub(super) async fn scrape(
        &self,
        hashes: &[InfoHash],
    ) -> Result<BTreeMap<InfoHash, ScrapeEntry>, Trouble> {
        let path = self.scrape_path(hashes)?;
        let body = self.expect(&path).await?;
        parse_scrape(&body)
            .map_err(|error| broken(format_args!("GET {path}"), format_args!("{error}: {}", glimpse(&body))))
    }

    /// Is the tracker still there? If not, what it was `sent` is to blame.
    pub(super) async fn expect_alive(&self, sent: &str) -> Result<(), Trouble> {
        let clock = &self.bench.environment.clock;
        for _ in 0..ALIVE_TRIES {
            if self.is_alive().await {
                return Ok(());
            }
            clock.sleep_until(clock.now() + ALIVE_PAUSE).await;
        }
        Err(broken(sent, "it answers no request any more"))
    }

    /// A connection on which anything may be sent.
    pub(super) async fn connect(&self) -> Result<Box<dyn Duplex>, Trouble> {
        let Bench { environment, trust, url, addr, .. } = &*self.bench;
        let opened = within(&environment.clock, WAIT, fetch::open(environment, trust, *addr, url)).await;
        let opened = opened.unwrap_or(Err(GetError::NoAnswer));
        opened.map_err(|error| broken("a connection", error))
    }

    /// Sends `parts`, waits up to `pause` for words after each, and reads until the tracker closes or falls
    /// silent.
    pub(super) async fn talk(&self, parts: &[&[u8]], pause: Duration) -> Result<Talk, Trouble> {
        let clock = &self.bench.environment.clock;
        let mut stream = self.connect().await?;
        let mut bytes = BytesMut::new();
        for part in parts {
            // A tracker that has heard enough hangs up; what it said is still to be read.
            if within(clock, PATIENCE, stream.write_all(part)).await.is_none_or(|sent| sent.is_err()) {
                break;
            }
            if let Some(Ok(0) | Err(_)) = within(clock, pause, stream.read_buf(&mut bytes)).await {
                return Ok(Talk { bytes, has_ended: true });
            }
        }
        while bytes.len() < MAX_BODY {
            match within(clock, PATIENCE, stream.read_buf(&mut bytes)).await {
                Some(Ok(0) | Err(_)) => return Ok(Talk { bytes, has_ended: true }),
                Some(Ok(_)) => {}
                None => break,
            }
        }
        Ok(Talk { bytes, has_ended: false })
    }
}

/// How long the tracker may be silent on a connection with a strange request.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Long enough that segments are not joined on the way.
pub(super) const SEGMENT_PAUSE: Duration = Duration::from_millis(30);

/// What came back on a raw connection.
pub(super) struct Talk {
    pub(super) bytes: BytesMut,
    /// Did the tracker close it?
    pub(super) has_ended: bool,
}

impl<T: Transport, C: Clock> Workplace for Session<T, C> {
    type Bench = Bench<T, C>;

    fn at(bench: Arc<Self::Bench>, mut random: Random) -> Self {
        let mut tail = [0; 12];
        random.fill(&mut tail);
        let (joined, lent) = (Mutex::default(), Mutex::default());
        Self { bench, random: Mutex::new(random), peer_id: PeerId::with_tail(tail), joined, lent }
    }

    /// Any answer of HTTP will do: a refusal, say, or an error page.
    async fn is_alive(&self) -> bool {
        let path = self.announce_path(self.unknown(), &Query::leecher(6001).stopped());
        match self.get(&path).await {
            Ok(_) => true,
            Err(GetError::NoAnswer) => false,
            Err(GetError::Http(reason)) => reason.starts_with(ANSWERS),
        }
    }

    async fn finish(&self) {
        let joined = lock(&self.joined).clone();
        for (torrent, port) in joined {
            let path = self.announce_path(torrent, &Query::leecher(port).stopped());
            if let Err(error) = self.get(&path).await {
                tracing::debug!(%error, "an announce is not taken back");
            }
        }
        self.bench.torrents.give_back(std::mem::take(&mut *lock(&self.lent)));
    }
}

/// The beginning of a body, in one line.
pub(super) fn glimpse(body: &[u8]) -> String {
    let (start, rest) = body.split_at(body.len().min(GLIMPSE));
    format!("{}{}", start.escape_ascii(), if rest.is_empty() { "" } else { "…" })
}
