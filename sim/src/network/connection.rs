//! A TCP connection as the network carries it: two flows, and the acknowledgements that tie them together.
//!
//! ```text
//!  stack A ──segments──▶ sender ──link, path, link──▶ receiver ──in order──▶ stack B
//!          ◀─────────── acknowledgements ride on B's packets, or alone ───────────
//! ```
//!
//! The stacks see delay, never loss. Side 0 opened the connection; flow `n` carries what side `n` sends.

use std::net::SocketAddr;

use proto::time::Instant;
use turmoil_net::Packet;

use super::deliveries::Place;
use super::packet::{self, Kind, Latest};
use super::receiver::{Arrival, Receiver};
use super::sender::{DELAYED_ACK, Sender};

/// Segments that may arrive before one acknowledgement must go (RFC 1122, 4.2.3.2).
const SEGMENTS_PER_ACK: u32 = 2;

/// One of the two ends: 0 opened the connection.
pub type Side = usize;

/// One direction.
#[derive(Debug)]
pub struct Flow {
    /// At the near end.
    pub sender: Sender<Packet>,
    /// At the far end.
    pub receiver: Receiver<Packet>,
    /// What the near stack acknowledged last, of the other flow.
    pub latest: Latest,
    /// The newest of that which was put on the line.
    pub carried: Latest,
    /// The newest of that which reached the far end.
    pub seen: Latest,
    /// The newest of that which the far stack was given.
    pub given: Latest,
    /// The sequence number behind the last byte that the near stack handed over.
    pub taken: Option<u32>,
    /// The last delivery to the far stack.
    pub handed: Option<Place>,
    plain: bool,
    unacknowledged: u32,
    ack_due: Option<Instant>,
    finished: bool,
}

/// Both directions.
#[derive(Debug)]
pub struct Connection {
    /// Addresses of the two ends.
    pub ends: [SocketAddr; 2],
    /// Hosts of the two ends.
    pub hosts: [u32; 2],
    /// Bytes that a full segment carries.
    pub segment_len: u32,
    /// What each end sends.
    pub flows: [Flow; 2],
    /// This end's host crashed and remembers nothing.
    pub dead: [bool; 2],
    /// When the pending timer event of this connection fires, if there is one.
    pub timer: Option<Instant>,
}

impl Flow {
    fn new(segment_len: u32) -> Self {
        Self {
            sender: Sender::new(segment_len),
            receiver: Receiver::new(),
            latest: Latest::default(),
            carried: Latest::default(),
            seen: Latest::default(),
            given: Latest::default(),
            taken: None,
            handed: None,
            plain: false,
            unacknowledged: 0,
            ack_due: None,
            finished: false,
        }
    }

    /// The stack closed this direction.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Takes an arriving segment; true if it must be acknowledged at once, without the stack.
    pub fn arrive(&mut self, slot: u64, sent_at: Instant, packet: Packet) -> bool {
        self.plain = matches!(packet::kind(&packet), Kind::Segment { plain: true, .. });
        match self.receiver.handle(slot, sent_at, packet) {
            Arrival::InOrder => {
                self.unacknowledged += 1;
                false
            }
            Arrival::Early | Arrival::Duplicate => true,
        }
    }

    /// The far stack acknowledges: must a packet go now? If not, one is due a little later. Only plain data
    /// can wait: a handshake or a close is confirmed at once.
    pub fn must_acknowledge(&mut self, now: Instant) -> bool {
        let wait = self.plain && self.unacknowledged > 0 && self.unacknowledged < SEGMENTS_PER_ACK;
        if wait && self.ack_due.is_none() {
            self.ack_due = Some(now + DELAYED_ACK);
        }
        !wait
    }

    /// The far stack is given the newest that was seen: the bytes that this frees.
    pub const fn give(&mut self) -> u32 {
        let freed = self.seen.beyond(self.given);
        self.given = self.seen;
        freed
    }

    /// An acknowledgement of this flow is on its way.
    pub fn acknowledged(&mut self) {
        self.unacknowledged = 0;
        self.ack_due = None;
    }

    /// Takes the delayed acknowledgement if it is due.
    pub fn take_due_ack(&mut self, now: Instant) -> bool {
        let due = self.ack_due.is_some_and(|due| due <= now);
        if due {
            self.ack_due = None;
        }
        due
    }
}

impl Connection {
    /// A connection that side 0 opens; full segments carry `segment_len` bytes.
    pub fn new(ends: [SocketAddr; 2], hosts: [u32; 2], segment_len: u32) -> Self {
        let flows = [Flow::new(segment_len), Flow::new(segment_len)];
        Self { ends, hosts, segment_len, flows, dead: [false; 2], timer: None }
    }

    /// Takes over what the stack of a side sends. The stack is told at once that all of it has arrived, or it would
    /// keep a copy and look after it at every tick; whoever writes goes on to wait for the true acknowledgement.
    pub fn take_over(&mut self, side: Side, packet: &Packet) -> Latest {
        self.flows[side].taken = packet::end(packet);
        self.flows[1 - side].seen.past(self.flows[side].taken)
    }

    /// This host forgets the connection, unless it never heard of it: a SYN that comes when it is back opens it.
    pub fn crash(&mut self, host: u32) {
        let knows = [true, self.flows[0].receiver.has_begun()];
        for (side, knows) in knows.into_iter().enumerate() {
            self.dead[side] |= self.hosts[side] == host && knows;
        }
    }

    /// The end at `addr`.
    pub fn side_of(&self, addr: SocketAddr) -> Side {
        usize::from(self.ends[0] != addr)
    }

    /// The earliest of the four timers.
    pub fn deadline(&self) -> Option<Instant> {
        self.flows.iter().flat_map(|flow| [flow.sender.deadline(), flow.ack_due]).flatten().min()
    }

    /// Both directions are closed and acknowledged.
    pub fn is_over(&self) -> bool {
        self.flows.iter().all(|flow| flow.finished && flow.sender.is_idle())
    }
}
