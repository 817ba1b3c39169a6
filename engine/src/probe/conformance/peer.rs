//! A peer that says what a rule wants it to say, and reads the answers to the byte.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::seed::Random;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::reply::ANNOUNCE_REPLY_LEN;
use proto::tracker::{
    AnnounceHead, AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest,
    TransactionId,
};

use super::line::{Arrived, Line, glimpse, glimpse_of};
use super::rule::{Trouble, broken};
use super::session::lock;
use crate::clock::Clock;
use crate::transport::Transport;

/// Where an announce has its `ip` field (BEP 15).
const IP_FIELD: std::ops::Range<usize> = 84..88;

/// Requests that are under way at once when there are many: few enough for any socket buffer.
const IN_FLIGHT: usize = 32;

/// A peer with a connection id.
pub(super) struct Peer<T: Transport, C> {
    pub(super) line: Line<T, C>,
    pub(super) connection: ConnectionId,
    random: Mutex<Random>,
    id: PeerId,
    options: Vec<u8>,
    /// What must be taken back.
    joined: Mutex<Vec<(InfoHash, u16)>>,
}

/// One announce; everything that is not said is as a client would say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Say<'a> {
    pub(super) port: u16,
    pub(super) left: u64,
    pub(super) event: Option<AnnounceEvent>,
    pub(super) num_want: Option<u32>,
    pub(super) ip: [u8; 4],
    pub(super) peer_id: Option<PeerId>,
    /// Instead of the URL's.
    pub(super) options: Option<&'a [u8]>,
}

/// What an announce reply says.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) head: AnnounceHead,
    pub(super) peers: Vec<SocketAddr>,
    /// Bytes of the reply.
    pub(super) len: usize,
}

impl Say<'static> {
    /// Joins without data, listening at `port`.
    pub(super) const fn leecher(port: u16) -> Self {
        let event = Some(AnnounceEvent::Started);
        Self { port, left: 1000, event, num_want: None, ip: [0; 4], peer_id: None, options: None }
    }

    /// Joins with everything.
    pub(super) const fn seeder(port: u16) -> Self {
        Self { left: 0, ..Self::leecher(port) }
    }
}

impl<'a> Say<'a> {
    pub(super) const fn event(self, event: Option<AnnounceEvent>) -> Self {
        Self { event, ..self }
    }

    /// An announce without an event.
    pub(super) const fn regular(self) -> Self {
        self.event(None)
    }

    pub(super) const fn stopped(self) -> Self {
        self.event(Some(AnnounceEvent::Stopped))
    }

    /// The last piece has come in.
    pub(super) const fn completed(self) -> Self {
        Self { left: 0, ..self.event(Some(AnnounceEvent::Completed)) }
    }

    pub(super) const fn wanting(self, peers: u32) -> Self {
        Self { num_want: Some(peers), ..self }
    }

    pub(super) const fn with_options(self, options: &'a [u8]) -> Self {
        Self { options: Some(options), ..self }
    }
}

impl fmt::Display for Say<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = match self.event {
            None => "regular",
            Some(AnnounceEvent::Started) => "started",
            Some(AnnounceEvent::Completed) => "completed",
            Some(AnnounceEvent::Stopped) => "stopped",
        };
        write!(f, "announce {event}, left {}, port {}", self.left, self.port)?;
        if let Some(wanted) = self.num_want {
            write!(f, ", num_want {wanted}")?;
        }
        self.options.iter().try_for_each(|options| write!(f, ", options of {}", glimpse(options)))
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AnnounceHead { interval, leechers, seeders, .. } = self.head;
        write!(f, "interval {interval}, leechers {leechers}, seeders {seeders}, peers {:?}", self.peers)
    }
}

impl Announced {
    /// Leechers and seeders, in the order of the reply.
    pub(super) const fn counts(&self) -> (u32, u32) {
        (self.head.leechers, self.head.seeders)
    }

    pub(super) fn names(&self, port: u16) -> bool {
        self.peers.iter().any(|peer| peer.port() == port)
    }

    fn read(bytes: &[u8], family: Family) -> Result<Self, String> {
        match Reply::decode(bytes, family) {
            Ok(Reply::Announce { head, peers })
                if bytes.len() == ANNOUNCE_REPLY_LEN + peers.len() * family.peer_len() =>
            {
                Ok(Self { head, peers, len: bytes.len() })
            }
            Ok(Reply::Error { message, .. }) => Err(format!("refused: {message}")),
            _ => Err(glimpse(bytes)),
        }
    }
}

impl<T: Transport, C: Clock> Peer<T, C> {
    /// Asks for a connection id.
    pub(super) async fn connect(
        line: Line<T, C>,
        mut random: Random,
        options: &[u8],
    ) -> Result<Self, Trouble> {
        let request = connect_request(random.next_u32());
        let reply = line.ask(&request).await;
        let decoded = reply.as_ref().and_then(|bytes| Reply::decode(bytes, Family::V4).ok());
        let Some(Reply::Connect { connection, .. }) = decoded else {
            return Err(broken("connect", glimpse_of(reply.as_ref())));
        };
        let mut tail = [0; 12];
        random.fill(&mut tail);
        let (id, options) = (PeerId::with_tail(tail), options.to_vec());
        let (random, joined) = (Mutex::new(random), Mutex::default());
        Ok(Self { line, connection, random, id, options, joined })
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.line.addr())
    }

    /// A packet that says it. Who joins is taken out again by [`Self::leave_all`].
    pub(super) fn announce_request(&self, info_hash: InfoHash, say: &Say<'_>) -> Vec<u8> {
        let mut joined = lock(&self.joined);
        joined.retain(|member| *member != (info_hash, say.port));
        if say.event != Some(AnnounceEvent::Stopped) {
            joined.push((info_hash, say.port));
        }
        let transaction = self.transaction();
        let request = Request::Announce(AnnounceRequest {
            connection: self.connection,
            transaction,
            info_hash,
            peer_id: say.peer_id.unwrap_or(self.id),
            progress: Progress { uploaded: 0, downloaded: 0, left: say.left },
            event: say.event,
            key: 1,
            num_want: say.num_want,
            port: say.port,
            options: say.options.unwrap_or(&self.options),
        });
        let mut bytes = encode(&request);
        if let Some(field) = bytes.get_mut(IP_FIELD) {
            field.copy_from_slice(&say.ip);
        }
        bytes
    }

    /// Announces, and reads an answer that must be none of the tracker's errors.
    pub(super) async fn announce(&self, info_hash: InfoHash, say: &Say<'_>) -> Result<Announced, Trouble> {
        let reply = self.line.ask(&self.announce_request(info_hash, say)).await;
        let reply = reply.ok_or_else(|| broken(say, "nothing"))?;
        Announced::read(&reply, self.family()).map_err(|got| broken(say, got))
    }

    pub(super) fn scrape_request(&self, hashes: &[InfoHash]) -> Vec<u8> {
        let hashes: Vec<_> = hashes.iter().map(|hash| hash.0).collect();
        let (connection, transaction) = (self.connection, self.transaction());
        encode(&Request::Scrape(ScrapeRequest { connection, transaction, hashes: &hashes }))
    }

    /// Scrapes, and reads an answer that must have one entry for each of `hashes`.
    pub(super) async fn scrape(&self, hashes: &[InfoHash]) -> Result<Vec<ScrapeEntry>, Trouble> {
        let reply = self.line.ask(&self.scrape_request(hashes)).await;
        let sent = || format!("scrape of {}", hashes.len());
        let reply = reply.ok_or_else(|| broken(sent(), "nothing"))?;
        match Reply::decode(&reply, self.family()) {
            Ok(Reply::Scrape { swarms, .. })
                if swarms.len() == hashes.len() && reply.len() == 8 + 12 * hashes.len() =>
            {
                Ok(swarms)
            }
            Ok(Reply::Error { message, .. }) => Err(broken(sent(), format_args!("refused: {message}"))),
            _ => Err(broken(sent(), glimpse(&reply))),
        }
    }

    /// Announces many at once; the first that is refused, if any is.
    pub(super) async fn announce_all(&self, info_hash: InfoHash, all: &[Say<'_>]) -> Result<(), Trouble> {
        for some in all.chunks(IN_FLIGHT) {
            let requests: Vec<_> = some.iter().map(|say| self.announce_request(info_hash, say)).collect();
            for request in &requests {
                self.line.send(request).await;
            }
            let replies = self.line.gather(requests.len(), ALL_WAIT).await;
            if let Some(Arrived { bytes, .. }) = replies.iter().find(|reply| is_error(&reply.bytes)) {
                return Err(Trouble::Skipped(format!("so many peers are refused: {}", error_text(bytes))));
            }
        }
        Ok(())
    }

    /// Takes back whatever this peer announced.
    pub(super) async fn leave_all(&self, patience: Duration) {
        let joined = lock(&self.joined).clone();
        for some in joined.chunks(IN_FLIGHT) {
            let stopped =
                |(hash, port): &(InfoHash, u16)| self.announce_request(*hash, &Say::leecher(*port).stopped());
            let requests: Vec<_> = some.iter().map(stopped).collect();
            for request in &requests {
                self.line.send(request).await;
            }
            // The torrent may be the next rule's as soon as the tracker has heard it.
            let mut open: Vec<_> = requests.iter().map(|request| request.get(12..16)).collect();
            while !open.is_empty() {
                let Some(Arrived { bytes, .. }) = self.line.next(patience).await else { break };
                open.retain(|transaction| *transaction != bytes.get(4..8));
            }
        }
    }

    fn transaction(&self) -> TransactionId {
        TransactionId(lock(&self.random).next_u32())
    }
}

/// How long a burst of announces may take to be answered; what is lost is not missed.
const ALL_WAIT: Duration = Duration::from_secs(1);

/// The 16 bytes that ask for a connection id.
pub(super) fn connect_request(transaction: u32) -> Vec<u8> {
    encode(&Request::Connect { transaction: TransactionId(transaction) })
}

fn encode(request: &Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

/// Is this one of BEP 15's error packets?
pub(super) fn is_error(reply: &[u8]) -> bool {
    matches!(Reply::decode(reply, Family::V4), Ok(Reply::Error { .. }))
}

/// The words of an error packet.
pub(super) fn error_text(reply: &[u8]) -> String {
    match Reply::decode(reply, Family::V4) {
        Ok(Reply::Error { message, .. }) => message,
        _ => glimpse(reply),
    }
}
