//! The tracker over UDP (BEP 15, 41): batches of datagrams in, replies out.
//!
//! Most of an announce's time is waiting for memory: its page, its record, its swarm's tables. A batch is
//! therefore read as a whole first, and what its announces will need is touched step by step for all of them,
//! so that the processor waits for many places at once and not for one after the other.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::announce::{Announce, Announced, compact};
use super::hash::Spot;
use super::{Datagram, Datagrams, Passkey, Refusal, Registry};
use crate::id::InfoHash;
use crate::time::Instant;
use crate::tracker::options::url_data;
use crate::tracker::reply::{self, ERROR_REPLY_LEN};
use crate::tracker::{AnnounceHead, AnnounceRequest, Request, ScrapeEntry, ScrapeRequest, TransactionId};

/// Told to who shows no good connection id, where it fits; clients then connect again.
pub(super) const CONNECTION_REFUSED: &str = "Connection ID mismatch.";

/// Steps on the way to a member, each a place in memory that only the one before it names.
const WARM_STEPS: u8 = 4;

/// A request, decoded.
struct Arrival<'a> {
    from: SocketAddr,
    len: usize,
    request: Request<'a>,
    /// An announce's.
    spot: Option<Spot>,
}

impl Registry {
    /// Answers a batch. `wall` is the time since the Unix epoch: connection ids outlive the process.
    pub fn handle<'a>(
        &mut self,
        now: Instant,
        wall: Duration,
        batch: impl IntoIterator<Item = Datagram<'a>>,
        out: &mut Datagrams,
    ) {
        let before = (self.stats.requests, out.byte_len());
        let batch = batch.into_iter();
        let mut arrivals = Vec::with_capacity(batch.size_hint().0.max(super::BATCH));
        arrivals.extend(batch.filter_map(|datagram| self.read(datagram)));
        self.warm(&arrivals);
        let requests = (self.stats.requests - before.0) as usize;
        self.shedding.note(now, requests, requests >= self.config.full_batch, &self.config.shed_after);
        for arrival in &arrivals {
            self.answer(now, wall, arrival, out);
        }
        self.stats.bytes_out += (out.byte_len() - before.1) as u64;
    }

    fn read<'a>(&mut self, Datagram { from, payload }: Datagram<'a>) -> Option<Arrival<'a>> {
        self.stats.requests += 1;
        self.stats.bytes_in += payload.len() as u64;
        let request = Request::decode(payload).inspect_err(|_| self.stats.malformed += 1).ok()?;
        let spot = match &request {
            Request::Announce(announce) => Some(self.torrents.spot(&announce.info_hash)),
            Request::Connect { .. } | Request::Scrape(_) => None,
        };
        Some(Arrival { from, len: payload.len(), request, spot })
    }

    fn warm(&self, arrivals: &[Arrival<'_>]) {
        for step in 0..WARM_STEPS {
            let mut touched = 0;
            for arrival in arrivals {
                if let (Request::Announce(announce), Some(spot)) = (&arrival.request, arrival.spot) {
                    let ip = match arrival.from.ip().to_canonical() {
                        IpAddr::V4(ip) => ip.octets(),
                        IpAddr::V6(_) => [0; 4],
                    };
                    let addr = compact(&ip, announce.port.to_be_bytes());
                    touched ^= self.torrents.warm(step, spot, &announce.info_hash, (&self.key, addr));
                }
            }
            black_box(touched);
        }
    }

    fn answer(&mut self, now: Instant, wall: Duration, arrival: &Arrival<'_>, out: &mut Datagrams) {
        let (from, ip) = (arrival.from, arrival.from.ip().to_canonical());
        let (connection, transaction) = match &arrival.request {
            Request::Connect { transaction } => {
                self.stats.connects += 1;
                if self.is_dropped() {
                    return;
                }
                let connection = self.connections.issue(wall, ip);
                return out.push(from, |bytes| reply::put_connect(bytes, *transaction, connection));
            }
            Request::Announce(announce) => (announce.connection, announce.transaction),
            Request::Scrape(scrape) => (scrape.connection, scrape.transaction),
        };
        let is_verified = self.connections.check(wall, ip, connection);
        match &arrival.request {
            Request::Announce(announce) if is_verified => {
                let spot = arrival.spot.unwrap_or_else(|| self.torrents.spot(&announce.info_hash));
                self.answer_announce(now, spot, from, announce, out);
            }
            Request::Scrape(scrape) if is_verified => self.answer_scrape(from, scrape, out),
            Request::Connect { .. } | Request::Announce(_) | Request::Scrape(_) => {
                self.refuse(arrival, transaction, out);
            }
        }
    }

    /// Answers who shows no good connection id, in at most as many bytes as came.
    fn refuse(&mut self, arrival: &Arrival<'_>, transaction: TransactionId, out: &mut Datagrams) {
        self.stats.unverified += 1;
        if matches!(arrival.request, Request::Scrape(_)) && self.shedding.is_curt() {
            self.stats.shed.unanswered += 1;
        } else if ERROR_REPLY_LEN + CONNECTION_REFUSED.len() <= arrival.len {
            out.push(arrival.from, |bytes| reply::put_error(bytes, transaction, CONNECTION_REFUSED));
        }
    }

    fn answer_announce(
        &mut self,
        now: Instant,
        spot: Spot,
        from: SocketAddr,
        request: &AnnounceRequest<'_>,
        out: &mut Datagrams,
    ) {
        let announce = self.typed(from, request);
        out.try_push(from, |bytes| {
            let start = bytes.len();
            let transaction = request.transaction;
            let blank = AnnounceHead { transaction, interval: 0, leechers: 0, seeders: 0 };
            reply::put_announce_head(bytes, &blank);
            match self.announce_at(now, spot, &announce, bytes) {
                Ok(Announced { interval, counts, .. }) => {
                    let ScrapeEntry { leechers, seeders, .. } = counts;
                    let head = AnnounceHead { transaction, interval, leechers, seeders };
                    if let Some(mut place) = bytes.get_mut(start..) {
                        reply::put_announce_head(&mut place, &head);
                    }
                }
                // Dropped: a reply would be most of the work.
                Err(Refusal::Busy) => return false,
                Err(refusal) => {
                    bytes.truncate(start);
                    reply::put_error(bytes, transaction, &refusal.to_string());
                }
            }
            true
        });
    }

    /// What a UDP announce says, its source being verified.
    fn typed(&self, from: SocketAddr, request: &AnnounceRequest<'_>) -> Announce {
        // Only a private tracker reads the options.
        let url = self.access.is_private().then(|| url_data(request.options));
        Announce {
            info_hash: request.info_hash,
            addr: SocketAddr::new(from.ip().to_canonical(), request.port),
            left: request.progress.left,
            event: request.event,
            num_want: request.num_want,
            passkey: url.and_then(Result::ok).and_then(|url| Passkey::find_in(&url)),
        }
    }

    fn answer_scrape(&mut self, from: SocketAddr, request: &ScrapeRequest<'_>, out: &mut Datagrams) {
        self.stats.scrapes += 1;
        if self.is_dropped() {
            return;
        }
        if let Err(refusal) = self.admit_scrape(None) {
            let reason = refusal.to_string();
            return out.push(from, |bytes| reply::put_error(bytes, request.transaction, &reason));
        }
        let counts = request.hashes.iter().map(|hash| self.scrape(InfoHash(*hash)).unwrap_or_default());
        out.push(from, |bytes| reply::put_scrape(bytes, request.transaction, counts));
    }

    pub(super) fn is_dropped(&mut self) -> bool {
        let is_dropped = self.shedding.drops(&mut self.random);
        self.stats.shed.dropped += u64::from(is_dropped);
        is_dropped
    }
}
