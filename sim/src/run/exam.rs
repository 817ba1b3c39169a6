//! The question in the end: an outsider scrapes the tracker, as any client may.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::Environment;
use engine::clock::within;
use engine::transport::{Transport, UdpSocket};
use proto::id::InfoHash;
use proto::tracker::{ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId};

use crate::world::{SimClock, SimTransport};

/// How often each question is asked.
const TRIES: u32 = 4;

/// How long an answer is awaited.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that [`ask`] takes: both questions.
pub(super) const LONGEST: Duration = PATIENCE.saturating_mul(2 * TRIES);

/// Where the answer goes.
pub(super) type Answer = Arc<Mutex<Option<ScrapeEntry>>>;

/// The answer, once it is there.
pub(super) fn read(answer: &Answer) -> Option<ScrapeEntry> {
    *answer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks `tracker` for the counts of one torrent. Silence leaves `answer` empty.
pub(super) async fn ask(
    environment: Environment<SimTransport, SimClock>,
    from: SocketAddr,
    tracker: SocketAddr,
    info_hash: InfoHash,
    answer: Answer,
) {
    let Ok(socket) = environment.transport.bind(from).await else { return };
    let line = Line { socket, clock: environment.clock, tracker };
    let connect = Request::Connect { transaction: TransactionId(1) };
    let Some(Reply::Connect { connection, .. }) = line.exchange(&connect).await else { return };
    let hashes = [info_hash.0];
    let connection = ConnectionId(connection.0);
    let scrape = ScrapeRequest { connection, transaction: TransactionId(2), hashes: &hashes };
    if let Some(Reply::Scrape { swarms, .. }) = line.exchange(&Request::Scrape(scrape)).await {
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = swarms.first().copied();
    }
}

struct Line<U> {
    socket: U,
    clock: SimClock,
    tracker: SocketAddr,
}

impl<U: UdpSocket> Line<U> {
    async fn exchange(&self, request: &Request<'_>) -> Option<Reply> {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        for _ in 0..TRIES {
            self.socket.send_to(&payload, self.tracker).await.ok()?;
            let mut reply = None;
            let keep = |_, payload: &[u8]| reply = Reply::decode(payload, Family::V4).ok();
            within(&self.clock, PATIENCE, self.socket.recv_batch(1, keep)).await;
            if reply.is_some() {
                return reply;
            }
        }
        None
    }
}
