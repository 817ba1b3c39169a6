//! A connection as TCP makes it: a socket buffer, a window of bytes on their way, nothing lost and nothing reordered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::torrent::{Direction, PeerKey};
use proto::wire::Decoder;

/// Bytes that a socket takes before it blocks its writer, and the bytes that may be on their way.
const WINDOW: usize = 64 * 1024;

/// Bytes that leave at once: some segments, for the sake of fewer events.
const PACKET: usize = 8 * 1024;

/// What each packet costs besides, about: headers of its segments and their acknowledgements.
pub(super) const HEADERS: usize = 6 * 40 + 3 * 40;

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing has been agreed on: the dial is under way, or the handshake is.
    Opening,
    /// The machine knows of it.
    Open,
    /// This end is closed, by whomever.
    Closed,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: usize,
    /// The address at the other end, as this one sees it.
    pub(super) peer: SocketAddr,
    pub(super) direction: Direction,
    pub(super) state: State,
    /// Its machine was told of it, and not of its end.
    pub(super) is_known: bool,
    /// Messages in front of the socket, each with what it counts for in its machine's books.
    pending: VecDeque<(Bytes, usize)>,
    socket: BytesMut,
    /// Bytes in the socket or on their way.
    buffered: usize,
    on_their_way: usize,
    /// What arrived and is not a whole message yet.
    pub(super) inbox: BytesMut,
    pub(super) decoder: Decoder,
}

impl End {
    pub(super) fn new(host: usize, peer: SocketAddr, direction: Direction, pieces: u32) -> Self {
        Self {
            host,
            peer,
            direction,
            state: State::Opening,
            is_known: false,
            pending: VecDeque::new(),
            socket: BytesMut::new(),
            buffered: 0,
            on_their_way: 0,
            inbox: BytesMut::new(),
            decoder: Decoder::new(pieces),
        }
    }

    /// Bytes to send; once the socket took them, their sender is told of `credit` bytes.
    pub(super) fn push(&mut self, bytes: Bytes, credit: usize) {
        self.pending.push_back((bytes, credit));
    }

    /// Moves messages into the socket while it has room; returns what the sender is told of.
    pub(super) fn flush(&mut self) -> usize {
        let mut told = 0;
        while self.buffered < WINDOW
            && let Some((bytes, credit)) = self.pending.pop_front()
        {
            self.buffered += bytes.len();
            self.socket.extend_from_slice(&bytes);
            told += credit;
        }
        told
    }

    /// The next packet, if the window has room for it.
    pub(super) fn packet(&mut self) -> Option<Bytes> {
        if self.socket.is_empty() || self.on_their_way >= WINDOW {
            return None;
        }
        let packet = self.socket.split_to(self.socket.len().min(PACKET)).freeze();
        self.on_their_way += packet.len();
        Some(packet)
    }

    /// Bytes arrived.
    pub(super) fn acknowledged(&mut self, bytes: usize) {
        self.on_their_way = self.on_their_way.saturating_sub(bytes);
        self.buffered = self.buffered.saturating_sub(bytes);
    }

    /// Nothing waits and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Closed || (self.buffered == 0 && self.pending.is_empty())
    }
}

/// A connection; the first end dialled.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) ends: [End; 2],
    pub(super) latency: Duration,
}

/// Every connection that ever was. Keys of ends follow from their places, so none is used twice.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// One more; the key of the end that dialled.
    pub(super) fn add(&mut self, line: Line) -> PeerKey {
        self.0.push(line);
        PeerKey(2 * (self.0.len() as u64 - 1))
    }

    /// How many there were.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn line(&mut self, end: PeerKey) -> &mut Line {
        // Keys are made here, and only here.
        &mut self.0[(end.0 / 2) as usize]
    }

    pub(super) fn end(&mut self, end: PeerKey) -> &mut End {
        &mut self.line(end).ends[(end.0 % 2) as usize]
    }

    /// Keys of the ends of this host that are not closed.
    pub(super) fn of(&self, host: usize) -> Vec<PeerKey> {
        let ends = self.0.iter().flat_map(|line| &line.ends).enumerate();
        let open = ends.filter(|(_, end)| end.host == host && end.state != State::Closed);
        open.map(|(place, _)| PeerKey(place as u64)).collect()
    }

    /// Is nothing on its way anywhere?
    pub(super) fn are_idle(&self) -> bool {
        self.0.iter().flat_map(|line| &line.ends).all(End::is_idle)
    }
}

/// The end at the other side.
pub(super) const fn other(end: PeerKey) -> PeerKey {
    PeerKey(end.0 ^ 1)
}
