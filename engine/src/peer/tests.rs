//! Connections over in-memory pipes of any size.

use bytes::Bytes;
use proto::id::{InfoHash, PeerId};
use proto::torrent::{Direction, PeerKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::OsClock;
use crate::queue::Happenings;

const PATIENCE: Duration = Duration::from_secs(10);

const HASH: InfoHash = InfoHash([1; 20]);

fn terms(name: u8) -> Terms {
    let handshake = Handshake { reserved: [0; 8], info_hash: HASH, peer_id: PeerId([name; 20]) };
    let (timeouts, throttle) = (PeerTimeouts::default(), Throttle::default());
    Terms { torrent: TorrentKey(0), handshake, pieces: Some(100_000), timeouts, throttle }
}

/// One end of a connection with the loop's part played by a test.
struct Peer {
    link: Link,
    ready: Happenings,
    task: JoinHandle<()>,
    received: Vec<Message>,
    sent: usize,
    opened: Option<link::Opened>,
    ended: bool,
}

impl Peer {
    fn start(name: u8, direction: Direction, pipe: DuplexStream) -> Self {
        let (sender, ready) = unbounded_channel();
        let (link, end) = link(PeerKey(u64::from(name)), sender);
        let (reader, writer) = split(pipe);
        let stream = Stream { reader, writer, peer_addr: ([127, 0, 0, name], 1).into() };
        let task = tokio::spawn(async move {
            let (clock, terms) = (OsClock::new(), terms(name));
            match direction {
                Direction::Outgoing => greet(&clock, stream, terms, end).await,
                Direction::Incoming => {
                    let find = async |info_hash| {
                        (info_hash == HASH).then_some((terms, end)).ok_or(HandshakeError::ForeignTorrent)
                    };
                    receive(&clock, stream, PATIENCE, find).await;
                }
            }
        });
        Self { link, ready, task, received: Vec::new(), sent: 0, opened: None, ended: false }
    }

    async fn look(&mut self) {
        if self.ready.recv().await.is_some() {
            let delivery = self.link.take(Vec::new());
            self.received.extend(delivery.messages);
            self.sent += delivery.sent;
            self.opened = self.opened.or(delivery.opened);
            self.ended |= delivery.ended;
        }
    }

    async fn receive(&mut self, messages: usize) {
        while self.received.len() < messages && !self.ended {
            self.look().await;
        }
    }
}

fn block(piece: u32) -> Message {
    Message::Piece { piece, offset: 0, data: Bytes::from(vec![piece as u8; 16 * 1024]) }
}

#[tokio::test]
async fn two_peers_with_full_buffers_do_not_wait_for_each_other() {
    let (here, there) = duplex(1000);
    let mut left = Peer::start(1, Direction::Outgoing, here);
    let mut right = Peer::start(2, Direction::Incoming, there);
    let blocks: Vec<Message> = (0..200).map(block).collect();
    for message in &blocks {
        left.link.send(message.clone());
        right.link.send(message.clone());
    }
    tokio::join!(left.receive(200), right.receive(200));
    assert!(left.received == blocks && right.received == blocks);
    assert_eq!(left.opened.map(|opened| opened.id), Some(PeerId([2; 20])));
    assert_eq!(right.opened.map(|opened| opened.id), Some(PeerId([1; 20])));
    while left.sent < 200 * (16 * 1024 + 13) {
        left.look().await;
    }
    left.link.close();
    while !right.ended || !left.ended {
        tokio::select! { biased; () = left.look(), if !left.ended => {}, () = right.look() => {} }
    }
    assert!(left.task.await.is_ok() && right.task.await.is_ok());
}

#[tokio::test]
async fn a_loop_that_does_not_look_stops_the_reading_and_loses_nothing() {
    let (here, mut there) = duplex(1 << 20);
    let mut peer = Peer::start(1, Direction::Outgoing, here);
    let mut bytes = BytesMut::from(&terms(2).handshake.encode()[..]);
    let haves: Vec<Message> = (0..50_000).map(|piece| Message::Have { piece }).collect();
    for have in &haves {
        have.encode(&mut bytes);
    }
    there.write_all(&bytes).await.expect("the pipe holds it");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    peer.look().await;
    assert_eq!(peer.received.len(), link::INBOUND_MESSAGES);
    peer.receive(50_000).await;
    assert!(peer.received == haves);
}

#[tokio::test]
async fn many_small_messages_share_one_write() {
    let (here, mut there) = duplex(1 << 20);
    let mut peer = Peer::start(1, Direction::Outgoing, here);
    there.write_all(&terms(2).handshake.encode()).await.expect("the pipe holds it");
    there.read_exact(&mut [0; 68]).await.expect("a handshake");
    peer.look().await;
    for piece in 0..100 {
        peer.link.send(Message::Have { piece });
    }
    assert_eq!(there.read(&mut [0; 4096]).await.expect("open"), 900);
    peer.look().await;
    assert_eq!(peer.sent, 900);
}

#[tokio::test]
async fn a_foreign_torrent_gets_no_answer() {
    let (here, mut there) = duplex(1000);
    let mut peer = Peer::start(1, Direction::Incoming, here);
    let foreign = Handshake { info_hash: InfoHash([9; 20]), ..terms(2).handshake };
    there.write_all(&foreign.encode()).await.expect("the pipe holds it");
    assert_eq!(there.read(&mut [0; 68]).await.expect("closed in order"), 0);
    peer.look().await;
    assert!(peer.ended && peer.opened.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (here, _there) = duplex(1000);
    let mut peer = Peer::start(1, Direction::Incoming, here);
    peer.look().await;
    assert!(peer.ended && peer.opened.is_none());
}

#[tokio::test]
async fn an_invalid_message_ends_the_connection_after_what_came_before() {
    let (here, mut there) = duplex(1000);
    let mut peer = Peer::start(1, Direction::Outgoing, here);
    let mut bytes = BytesMut::from(&terms(2).handshake.encode()[..]);
    Message::Unchoke.encode(&mut bytes);
    bytes.extend_from_slice(&[0, 0, 0, 2, 0, 0]);
    there.write_all(&bytes).await.expect("the pipe holds it");
    while !peer.ended {
        peer.look().await;
    }
    assert_eq!(peer.received, [Message::Unchoke]);
}
