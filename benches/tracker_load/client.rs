//! A blocking client of a UDP tracker at one source address, with a window of requests in flight (BEP 15).

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use proto::id::{ID_LEN, PeerId};
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};

use crate::world::Peer;

/// Requests in flight.
const WINDOW: usize = 64;

/// How long answers to a window are waited for before it is sent again.
const PATIENCE: Duration = Duration::from_millis(250);

/// Times that a window is sent before the tracker is taken for dead.
const TRIES: usize = 20;

/// How a read ends that found no answer.
const SILENCE: [ErrorKind; 3] = [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::ConnectionRefused];

/// Reads the clock of the system, which is what is measured here.
#[expect(clippy::disallowed_methods, reason = "a benchmark of wall time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Writes peer's announce over `out`.
pub fn encode_announce(connection: ConnectionId, transaction: u32, peer: &Peer, out: &mut Vec<u8>) {
    out.clear();
    let request = AnnounceRequest {
        connection,
        transaction: TransactionId(transaction),
        info_hash: peer.info_hash,
        peer_id: PeerId(*b"-OT0100-tracker-load"),
        progress: Progress { uploaded: 0, downloaded: 0, left: u64::from(!peer.is_seeder) },
        event: peer.is_completed.then_some(AnnounceEvent::Completed),
        key: 0,
        num_want: Some(30),
        port: peer.port,
        options: &[],
    };
    Request::Announce(request).encode(out);
}

/// A client with a good connection id.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    /// The id that the tracker gave.
    pub connection: ConnectionId,
}

impl Client {
    /// Asks the tracker for a connection id, until `patience` is over.
    pub fn connect(source: Ipv4Addr, tracker: SocketAddr, patience: Duration) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((source, 0)).with_context(|| format!("cannot bind {source}"))?;
        socket.connect(tracker)?;
        let mut client = Self { socket, connection: ConnectionId(0) };
        let end = now() + patience;
        client.socket.set_read_timeout(Some(Duration::from_millis(5)))?;
        let mut question = Vec::new();
        Request::Connect { transaction: TransactionId(7) }.encode(&mut question);
        while now() < end {
            // Refused while nobody listens there: a tracker that is still starting.
            let _ = client.socket.send(&question);
            if let Some(Reply::Connect { connection, .. }) = client.reply()? {
                client.connection = connection;
                client.socket.set_read_timeout(Some(PATIENCE))?;
                return Ok(client);
            }
        }
        bail!("the tracker at {tracker} does not answer")
    }

    /// Its socket, to be used without waiting.
    pub fn into_socket(self) -> UdpSocket {
        self.socket
    }

    /// Announces all `peers`; gives back how many were let in.
    pub fn announce(&self, peers: &[Peer]) -> anyhow::Result<usize> {
        let mut accepted = 0;
        for window in peers.chunks(WINDOW) {
            let write =
                |number, peer: &Peer, out: &mut Vec<u8>| encode_announce(self.connection, number, peer, out);
            let replies = self.ask(window, write)?;
            accepted += replies.iter().filter(|reply| matches!(reply, Reply::Announce { .. })).count();
        }
        Ok(accepted)
    }

    /// The counts of all `hashes`.
    pub fn scrape(&self, hashes: &[[u8; ID_LEN]], each: usize) -> anyhow::Result<Vec<ScrapeEntry>> {
        let groups: Vec<_> = hashes.chunks(each).collect();
        let mut entries = Vec::with_capacity(hashes.len());
        for window in groups.chunks(WINDOW) {
            let replies = self.ask(window, |transaction, hashes, out| {
                out.clear();
                let transaction = TransactionId(transaction);
                Request::Scrape(ScrapeRequest { connection: self.connection, transaction, hashes })
                    .encode(out);
            })?;
            for reply in replies {
                let Reply::Scrape { swarms, .. } = reply else { bail!("a scrape was answered by {reply:?}") };
                entries.extend(swarms);
            }
        }
        Ok(entries)
    }

    /// Sends a request for each item of a window, again where no answer came, and gives the answers in order.
    fn ask<T>(&self, window: &[T], write: impl Fn(u32, &T, &mut Vec<u8>)) -> anyhow::Result<Vec<Reply>> {
        let mut replies: Vec<Option<Reply>> = window.iter().map(|_| None).collect();
        let mut bytes = Vec::new();
        for _ in 0..TRIES {
            for (number, item) in window.iter().enumerate() {
                if replies[number].is_none() {
                    write(number as u32, item, &mut bytes);
                    self.socket.send(&bytes)?;
                }
            }
            while replies.iter().any(Option::is_none) {
                let Some(reply) = self.reply()? else { break };
                let TransactionId(number) = transaction(&reply);
                if let Some(slot) = replies.get_mut(number as usize) {
                    *slot = Some(reply);
                }
            }
            if replies.iter().all(Option::is_some) {
                return Ok(replies.into_iter().flatten().collect());
            }
        }
        bail!("the tracker stopped answering")
    }

    /// The next reply that can be read; nothing if none comes in time.
    fn reply(&self) -> anyhow::Result<Option<Reply>> {
        let mut buffer = [0; 2048];
        match self.socket.recv(&mut buffer) {
            Ok(len) => Ok(Reply::decode(&buffer[..len], Family::V4).ok()),
            Err(error) if SILENCE.contains(&error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The request that `reply` answers.
const fn transaction(reply: &Reply) -> TransactionId {
    match reply {
        Reply::Announce { head, .. } => head.transaction,
        Reply::Connect { transaction, .. }
        | Reply::Scrape { transaction, .. }
        | Reply::Error { transaction, .. } => *transaction,
    }
}
