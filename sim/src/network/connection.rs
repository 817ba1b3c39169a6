//! A TCP connection as the network carries it: two flows, and the acknowledgements that tie them together.
//!
//! ```text
//!  program A ──bytes──▶ ┌────────┐                        ┌──────────┐ ──bytes──▶ program B
//!                       │ sender │ ──link, path, link───▶ │ receiver │
//!  stack A ──SYN, FIN─▶ └────────┘                        └──────────┘ ─SYN, FIN▶ stack B
//!                         ◀──── acknowledgements ride on B's segments, or alone ────
//! ```
//!
//! The stacks see delay, never loss. Side 0 opened the connection; flow `n` carries what side `n` sends.

use std::net::SocketAddr;

use bytes::Bytes;
use proto::time::Instant;

use super::load::{Load, Told, WINDOW};
use super::receiver::{Acknowledged, Arrival, Receiver};
use super::sender::{DELAYED_ACK, Sender};

/// Segments that may arrive before one acknowledgement must go (RFC 1122, 4.2.3.2).
const SEGMENTS_PER_ACK: u32 = 2;

/// A window that opens is worth a packet of its own when it opens by so many bytes (RFC 1122, 4.2.3.3).
const WORTH_TELLING: u64 = WINDOW as u64 / 2;

/// The longest segment: a window holds two, or a sender would wait for all of it.
const MAX_SEGMENT: u32 = WINDOW / 2;

/// One of the two ends: 0 opened the connection.
pub type Side = usize;

/// One direction.
#[derive(Debug)]
pub struct Flow {
    /// At the near end.
    pub sender: Sender<Load>,
    /// At the far end.
    pub receiver: Receiver<Load>,
    /// What arrived in order and waits for the far program's stream.
    pub inbox: Vec<Bytes>,
    /// The near end's first sequence number.
    first: u32,
    /// Bytes of the near program.
    written: u64,
    /// Sequence numbers that arrived in order.
    arrived: u64,
    /// Bytes that the far program has not read.
    unread: u32,
    /// What the far end said last of this flow.
    told: Told,
    /// The newest of it that came to the near end.
    heard: Told,
    /// What of that the near program and its stack know.
    known: u64,
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
    /// Its own address and the other's, as each end's stack knows them; nothing until it spoke.
    pub views: [Option<[SocketAddr; 2]>; 2],
    /// Bytes that a full segment carries.
    pub segment_len: u32,
    /// What each end sends.
    pub flows: [Flow; 2],
    /// This end's host crashed and remembers nothing.
    pub dead: [bool; 2],
    /// This end's program will read nothing more.
    pub abandoned: [bool; 2],
    /// There is news for this end's program.
    pub noted: [bool; 2],
    /// When the pending timer event of this connection fires, if there is one.
    pub timer: Option<Instant>,
}

impl Flow {
    fn new(segment_len: u32) -> Self {
        Self {
            sender: Sender::new(segment_len, WINDOW.into()),
            receiver: Receiver::new(),
            inbox: Vec::new(),
            first: 0,
            written: 0,
            arrived: 0,
            unread: 0,
            told: Told::default(),
            heard: Told::default(),
            known: 0,
            plain: false,
            unacknowledged: 0,
            ack_due: None,
            finished: false,
        }
    }

    /// The stack opens this direction with that sequence number.
    pub const fn begin(&mut self, first: u32) {
        self.first = first;
    }

    /// The stack closed this direction.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// The near program has written so many bytes more; returns the sequence number of the first.
    pub const fn write(&mut self, bytes: u32) -> u32 {
        let seq = self.first.wrapping_add(1).wrapping_add(self.passed());
        self.written += bytes as u64;
        seq
    }

    /// Bytes that went past the near stack.
    pub const fn passed(&self) -> u32 {
        self.written as u32
    }

    /// What the near stack expects to be acknowledged of it, which knows of SYN and FIN only.
    pub const fn open_ack(&self) -> u32 {
        self.first.wrapping_add(1)
    }

    /// Takes an arriving segment; true if it must be acknowledged at once.
    pub fn arrive(&mut self, slot: u64, sent_at: Instant, load: Load) -> bool {
        self.plain = load.is_content();
        match self.receiver.handle(slot, sent_at, load) {
            Arrival::InOrder => {
                self.unacknowledged += 1;
                false
            }
            Arrival::Early | Arrival::Duplicate => true,
        }
    }

    /// The next stack's segment that arrived in order; content goes into the inbox.
    pub fn poll_control(&mut self) -> Option<(Box<turmoil_net::Packet>, u32)> {
        while let Some(load) = self.receiver.poll_ready() {
            self.arrived += u64::from(load.takes());
            match load {
                Load::Control { packet, passed } => return Some((packet, passed)),
                Load::Content { bytes, .. } => {
                    self.unread += bytes.len() as u32;
                    self.inbox.push(bytes);
                }
            }
        }
        None
    }

    /// The far program has read so many bytes: does the near end have to know?
    pub const fn read(&mut self, bytes: u32) -> bool {
        self.unread = self.unread.saturating_sub(bytes);
        self.state().edge() >= self.told.edge() + WORTH_TELLING
    }

    /// Would an acknowledgement say anything new?
    pub fn has_news(&self) -> bool {
        self.arrived != self.told.next
    }

    /// The far end acknowledges: must a packet go now? If not, one is due a little later. Only plain data
    /// can wait: a handshake or a close is confirmed at once.
    pub fn must_acknowledge(&mut self, now: Instant) -> bool {
        let wait = self.plain && self.unacknowledged > 0 && self.unacknowledged < SEGMENTS_PER_ACK;
        if wait && self.ack_due.is_none() {
            self.ack_due = Some(now + DELAYED_ACK);
        }
        !wait
    }

    /// What the far end says of this flow; it goes on its way now.
    pub const fn tell(&mut self) -> Told {
        self.unacknowledged = 0;
        self.ack_due = None;
        self.told = self.state();
        self.told
    }

    /// The near end hears what the far end said.
    pub fn hear(&mut self, now: Instant, told: Told, ack: Acknowledged) {
        if told.edge() >= self.heard.edge() && told.next >= self.heard.next {
            self.heard = told;
            self.sender.open(told.edge());
        }
        self.sender.handle_ack(now, ack);
    }

    /// Has the near program or its stack anything to learn of its own bytes?
    pub const fn is_heard(&self) -> bool {
        self.heard.next > self.known
    }

    /// Sequence numbers that are newly known to have arrived; and what the near stack must hear if its FIN is among
    /// them.
    pub fn learn(&mut self) -> (u64, Option<u32>) {
        let freed = self.heard.next - self.known;
        self.known = self.heard.next;
        let closed = freed > 0 && self.finished && self.known == self.written + 2;
        (freed, closed.then(|| self.first.wrapping_add(2)))
    }

    /// Takes the delayed acknowledgement if it is due.
    pub fn take_due_ack(&mut self, now: Instant) -> bool {
        let due = self.ack_due.is_some_and(|due| due <= now);
        if due {
            self.ack_due = None;
        }
        due
    }

    const fn state(&self) -> Told {
        Told { next: self.arrived, window: WINDOW.saturating_sub(self.unread), first: self.first }
    }
}

impl Connection {
    /// A connection that side 0 opens; full segments carry `segment_len` bytes.
    pub fn new(ends: [SocketAddr; 2], hosts: [u32; 2], segment_len: u32) -> Self {
        let segment_len = segment_len.clamp(1, MAX_SEGMENT);
        Self {
            ends,
            hosts,
            views: [None; 2],
            segment_len,
            flows: [Flow::new(segment_len), Flow::new(segment_len)],
            dead: [false; 2],
            abandoned: [false; 2],
            noted: [false; 2],
            timer: None,
        }
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
