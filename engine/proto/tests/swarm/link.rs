//! A connection as TCP makes it: a socket buffer, a window of unacknowledged bytes, packets with headers.
//!
//! Nothing is lost and windows do not grow or shrink; what matters here is that a full uplink delays
//! everything that leaves through it, acknowledgements and requests too.

use std::collections::VecDeque;

use proto::torrent::PeerKey;
use proto::tracker::Family;
use proto::wire::Message;

/// Bytes that a socket takes before it blocks its writer, and the bytes that may be on their way.
const WINDOW: usize = 64 * 1024;
/// Payload bytes of a packet: four segments, to halve the number of events twice.
const PACKET: usize = 4 * SEGMENT;
const SEGMENT: usize = 1460;
const HEADERS: usize = 40;

/// Some bytes on their way, or an acknowledgement.
#[derive(Debug)]
pub(crate) struct Packet {
    /// The end that sent it.
    pub(crate) from: PeerKey,
    pub(crate) len: usize,
    /// Messages whose last byte it holds.
    pub(crate) messages: Vec<Message>,
    /// Bytes of the other end that have arrived.
    pub(crate) acknowledged: usize,
}

impl Packet {
    pub(crate) fn acknowledge(from: PeerKey, acknowledged: usize) -> Self {
        Self { from, len: 0, messages: Vec::new(), acknowledged }
    }

    /// Bytes on the wire; every other segment is acknowledged.
    pub(crate) fn wire_len(&self) -> usize {
        self.len + HEADERS * self.len.div_ceil(SEGMENT).max(self.acknowledged.div_ceil(2 * SEGMENT))
    }
}

/// One end of a connection.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) node: usize,
    /// Handed over by the machine, in front of the socket.
    pending: VecDeque<Message>,
    socket: VecDeque<Message>,
    /// Bytes in the socket that are not acknowledged, on their way or not.
    buffered: usize,
    on_their_way: usize,
    /// Bytes of the socket's first message that have left.
    begun: usize,
}

impl End {
    pub(crate) fn at(node: usize) -> Self {
        Self { node, ..Self::default() }
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.pending.push_back(message);
    }

    /// Moves messages into the socket while it has room; returns their bytes.
    pub(crate) fn flush(&mut self) -> usize {
        let before = self.buffered;
        while self.buffered < WINDOW
            && let Some(message) = self.pending.pop_front()
        {
            self.buffered += message.wire_len();
            self.socket.push_back(message);
        }
        self.buffered - before
    }

    /// The next packet, if the window has room for it.
    pub(crate) fn packet(&mut self, from: PeerKey) -> Option<Packet> {
        let (mut len, mut messages) = (0, Vec::new());
        while let Some(message) = self.socket.front()
            && len < PACKET
            && self.on_their_way < WINDOW
        {
            let rest = message.wire_len() - self.begun;
            let part = rest.min(PACKET - len);
            len += part;
            self.begun += part;
            if part == rest {
                self.begun = 0;
                messages.extend(self.socket.pop_front());
            }
        }
        self.on_their_way += len;
        (len > 0).then_some(Packet { from, len, messages, acknowledged: 0 })
    }

    /// Bytes arrived.
    pub(crate) fn acknowledged(&mut self, bytes: usize) {
        self.on_their_way -= bytes;
        self.buffered -= bytes;
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    pub(crate) family: Family,
    pub(crate) open: bool,
}

impl Link {
    pub(crate) fn between(a: usize, b: usize, family: Family) -> Self {
        Self { ends: [End::at(a), End::at(b)], family, open: false }
    }
}
