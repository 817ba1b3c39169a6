//! A client of the tracker that says exactly what a test wants it to say.

use std::net::UdpSocket;
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::torrent::AnnounceEvent::{self, Completed, Started, Stopped};
use proto::torrent::Progress;
use proto::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};

use crate::process::Tracker;

/// A client at a port of its own.
pub struct Client(pub UdpSocket);

impl Client {
    /// A client of `tracker`.
    pub fn of(tracker: &Tracker) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.connect(tracker.addr).expect("connects");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        Self(socket)
    }

    /// Sends `request`; the reply.
    pub fn ask(&self, request: Request<'_>) -> Reply {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.0.send(&bytes).expect("sends");
        let mut buffer = [0; 2048];
        let len = self.0.recv(&mut buffer).expect("an answer");
        Reply::decode(&buffer[..len], Family::V4).expect("a reply")
    }

    /// A new connection id.
    pub fn connect(&self) -> ConnectionId {
        let reply = self.ask(Request::Connect { transaction: TransactionId(1) });
        let Reply::Connect { connection, .. } = reply else { panic!("{reply:?}") };
        connection
    }

    /// A whole download of the torrent named by `byte`, by a peer at `port`.
    pub fn download(&self, byte: u8, port: u16) {
        let connection = self.connect();
        for (event, left) in [(Started, 1), (Completed, 0), (Stopped, 0)] {
            let reply = self.announce(connection, byte, port, (event, left), &[]);
            assert!(matches!(reply, Reply::Announce { .. }), "{reply:?}");
        }
    }

    /// Announces the torrent named by `byte`.
    pub fn announce(
        &self,
        connection: ConnectionId,
        byte: u8,
        port: u16,
        (event, left): (AnnounceEvent, u64),
        options: &[u8],
    ) -> Reply {
        self.ask(Request::Announce(AnnounceRequest {
            connection,
            transaction: TransactionId(2),
            info_hash: InfoHash([byte; 20]),
            peer_id: PeerId([1; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left },
            event: Some(event),
            key: 0,
            num_want: None,
            port,
            options,
        }))
    }

    /// A seeder of the torrent named by `byte` joins; what it is told.
    pub fn join(&self, byte: u8, port: u16, options: &[u8]) -> Result<(), String> {
        match self.announce(self.connect(), byte, port, (Started, 0), options) {
            Reply::Announce { .. } => Ok(()),
            Reply::Error { message, .. } => Err(message),
            reply @ (Reply::Connect { .. } | Reply::Scrape { .. }) => panic!("{reply:?}"),
        }
    }

    /// Seeders of the torrent named by `byte`.
    pub fn seeders(&self, byte: u8) -> u32 {
        self.scrape(self.connect(), byte).seeders
    }

    /// Completed downloads, asked with an id that may be an old one.
    pub fn completed(&self, connection: ConnectionId, byte: u8) -> u32 {
        self.scrape(connection, byte).completed
    }

    fn scrape(&self, connection: ConnectionId, byte: u8) -> ScrapeEntry {
        let request = ScrapeRequest { connection, transaction: TransactionId(3), hashes: &[[byte; 20]] };
        let reply = self.ask(Request::Scrape(request));
        let Reply::Scrape { swarms, .. } = reply else { panic!("{reply:?}") };
        swarms[0]
    }
}
