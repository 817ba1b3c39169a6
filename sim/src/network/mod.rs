//! The emulated network: every packet of every simulated host crosses it.
//!
//! sender's uplink queue → path → receiver's downlink queue. UDP datagrams may be lost on the way; TCP
//! segments belong to a *flow* that re-sends what was lost under congestion control (`sender`), because
//! the socket stack above has neither. The stacks open and close connections; what programs write goes past
//! them (`streams`). Pure: time is an argument, and what comes out is taken with [`Network::poll_news`] and
//! [`Network::poll_delivery`].
//!
//! Departures from reality, on purpose: pure acknowledgements and resets are never lost at random or to a
//! full queue (they still take their time on the line), and the window of a connection is 64 KiB.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::time::Instant;
use rustc_hash::FxHashMap;
use turmoil_net::Packet;

mod agenda;
mod bursts;
mod connection;
mod door;
mod flows;
mod home;
pub(crate) mod inbox;
mod keyed;
mod link;
mod load;
mod nat;
mod packet;
mod path;
mod receiver;
mod rtt;
mod sender;
mod slab;
mod spread;
mod streams;
mod tap;
mod trace;
mod trouble;
mod watch;

#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod tests;

use agenda::Agenda;
pub use bursts::Bursts;
use connection::{Connection, Side};
pub use home::NatId;
use inbox::Inbox;
use keyed::{Chance, Keyed, Lot, Stream};
use link::Line;
pub use link::{LinkCounts, LinkProfile};
pub(crate) use load::WINDOW;
use load::{Load, Told};
use nat::{Nat, Protocol};
pub use nat::{NatKind, NatProfile};

use packet::Kind;
pub(crate) use packet::{acknowledgement, endpoints, reset};
use path::{Pair, Rough};
pub use path::{Reorder, Roughness};
use receiver::Acknowledged;
use slab::{Key, Slab};
pub use spread::Spread;
pub(crate) use streams::{News, StreamId};
use tap::Tap;
pub use tap::{Seen, Way};
use trace::Trace;
pub use trace::{Drop, Totals};
pub use trouble::CutId;
use trouble::{Hindrance, Trouble};
pub use watch::{Passage, Sight, Watch, Watcher};

/// What one packet on the wire carries.
#[derive(Debug)]
enum Cargo {
    /// Handed to the stack as it is.
    Raw(Packet),
    /// Belongs to a flow.
    Flow(Freight),
}

impl Cargo {
    /// The payload above TCP or UDP.
    fn content(&self) -> &[u8] {
        match self {
            Self::Raw(packet) => packet::payload(packet),
            Self::Flow(freight) => freight.segment.as_ref().map_or(&[], |(_, load)| load.content()),
        }
    }
}

/// What a packet of a flow carries.
#[derive(Debug)]
struct Freight {
    connection: Key,
    /// Who sent it.
    side: Side,
    /// The segment and its slot; nothing for a pure acknowledgement.
    segment: Option<(u64, Load)>,
    told: Told,
    ack: Acknowledged,
    /// It wants an answer: the sender would know whether there is room again.
    asks: bool,
}

/// A packet under way.
#[derive(Debug)]
struct Wire {
    from: SocketAddr,
    to: SocketAddr,
    /// Between which hosts, by what, and which of their packets it is.
    lot: Lot,
    bytes: u32,
    control: bool,
    sent_at: Instant,
    cargo: Cargo,
}

impl Wire {
    fn passage(&self) -> Passage<'_> {
        Passage::of(&self.cargo, [self.from, self.to], self.lot.hosts.map(Some), self.bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A packet reaches the receiver's downlink.
    Arrive(Key),
    /// A packet has left the downlink.
    Deliver(Key),
    /// A connection's timer.
    Timer(Key),
}

#[derive(Debug)]
struct Host {
    up: Line,
    down: Line,
    profile: LinkProfile,
    loss: Chance,
    is_down: bool,
    inbox: Option<Inbox>,
    nat: Option<NatId>,
    /// What its link does to packets, if it does anything unusual.
    rough: Option<Box<Rough>>,
    region: Option<usize>,
}

/// All links, flows and packets under way.
pub struct Network {
    keyed: Keyed,
    mtu: u32,
    hosts: Vec<Host>,
    addresses: BTreeMap<IpAddr, u32>,
    nats: Vec<Nat>,
    publics: BTreeMap<IpAddr, NatId>,
    /// Latencies from region to region.
    regions: Vec<Vec<Duration>>,
    /// What went between two hosts, where that has to be known.
    pairs: BTreeMap<([u32; 2], Protocol), Pair>,
    /// Some link is rough, or a fault has changed how long packets take.
    uneven: bool,
    trouble: Trouble,
    connections: Slab<Connection>,
    /// Only looked up, never gone through.
    index: FxHashMap<flows::Ends, Key>,
    wires: Slab<Wire>,
    agenda: Agenda<Event>,
    /// Who has acknowledged something since the last [`Self::flush`].
    spoken: Vec<(Key, Side)>,
    /// Ends of connections that hear something, and their hosts.
    news: VecDeque<(u32, Key, Side)>,
    /// Packets for stacks, and whose.
    deliveries: VecDeque<(u32, Packet)>,
    trace: Trace,
    tap: Option<Tap>,
}

/// IP and TCP header bytes of a segment from or to `addr`, without options.
const fn headers(addr: SocketAddr) -> u32 {
    if addr.is_ipv4() { 40 } else { 60 }
}

const SACK_BYTES: u32 = 12;

impl Network {
    /// A network without hosts, whose draws follow from `seed` and whose packets are `mtu` bytes at most.
    pub fn new(seed: u64, mtu: u32) -> Self {
        Self {
            keyed: Keyed::new(seed),
            mtu,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            nats: Vec::new(),
            publics: BTreeMap::new(),
            regions: Vec::new(),
            pairs: BTreeMap::new(),
            uneven: false,
            trouble: Trouble::default(),
            connections: Slab::new(),
            index: FxHashMap::default(),
            wires: Slab::new(),
            agenda: Agenda::new(),
            spoken: Vec::new(),
            news: VecDeque::new(),
            deliveries: VecDeque::new(),
            trace: Trace::new(),
            tap: None,
        }
    }

    /// Connects a host, whose addresses share one access link; returns its number.
    pub fn add_host(&mut self, addrs: &[IpAddr], profile: LinkProfile) -> u32 {
        let number = self.hosts.len() as u32;
        self.addresses.extend(addrs.iter().map(|&addr| (addr, number)));
        self.hosts.push(Host {
            up: Line::new(profile.up, profile.queue),
            down: Line::new(profile.down, profile.queue),
            profile,
            loss: Chance::new(profile.loss),
            is_down: false,
            inbox: None,
            nat: None,
            rough: None,
            region: None,
        });
        number
    }

    /// Takes a packet from a stack. [`Self::flush`] follows the last one.
    pub fn send(&mut self, now: Instant, mut packet: Packet) {
        let (near, far) = endpoints(&packet);
        if let Err(why) = self.translate_out(now, &mut packet) {
            let (bytes, hosts) = (packet.size(), [self.addresses.get(&near.ip()).copied(), None]);
            let cargo = Cargo::Raw(packet);
            let passage = Passage::of(&cargo, [near, far], hosts, bytes);
            self.trace.sent(bytes);
            self.trace.leaves(now, passage);
            return self.trace.dropped(now, passage, why);
        }
        let (from, to) = endpoints(&packet);
        match packet::kind(&packet) {
            Kind::Datagram => self.send_raw(now, packet, false),
            Kind::Reset => {
                self.forget(from, to);
                self.send_raw(now, packet, true);
            }
            Kind::Open => self.open(now, packet, [near, far]),
            Kind::Segment => self.send_segment(now, packet, [near, far]),
            Kind::Ack => self.send_ack(now, packet),
        }
    }

    /// When [`Self::advance`] has something to do.
    pub fn next_event(&self) -> Option<Instant> {
        self.agenda.next()
    }

    /// Does all that is due at `now` or before, each thing at its own time.
    pub fn advance(&mut self, now: Instant) {
        while let Some((at, event)) = self.agenda.pop_due(now) {
            match event {
                Event::Arrive(wire) => self.arrive(at, wire),
                Event::Deliver(wire) => self.deliver(at, wire),
                Event::Timer(connection) => self.timer(at, connection),
            }
        }
        self.sort_news();
    }

    /// The next packet for a stack and whose it is, in the order of arrival; first comes what [`Self::poll_news`] has.
    pub fn poll_delivery(&mut self, now: Instant) -> Option<(u32, Packet)> {
        while let Some((host, mut packet)) = self.deliveries.pop_front() {
            if self.translate_in(now, &mut packet) {
                return Some((host, packet));
            }
        }
        None
    }

    /// A host crashes or comes back. While it is down nothing reaches it or leaves it, and it remembers
    /// no connection.
    pub fn set_down(&mut self, host: u32, is_down: bool) {
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.is_down = is_down;
            host.inbox.as_mut().map(Inbox::clear);
        }
        if !is_down {
            return;
        }
        self.connections.values_mut().for_each(|connection| connection.crash(host));
    }

    /// Packets that are on a line or between two: sent, and neither delivered nor dropped yet.
    pub const fn under_way(&self) -> usize {
        self.wires.len()
    }

    /// Counts of all packets.
    pub const fn totals(&self) -> Totals {
        self.trace.totals()
    }

    /// Bytes through a host's uplink and downlink.
    pub fn link_counts(&self, host: u32) -> Option<(LinkCounts, LinkCounts)> {
        self.hosts.get(host as usize).map(|host| (host.up.counts(), host.down.counts()))
    }

    /// Writes what happened outside the network into the digest.
    pub fn note(&mut self, now: Instant, what: &str) {
        self.trace.note(now, what);
    }

    /// The digest of all that has happened.
    pub fn digest(&self) -> String {
        self.trace.digest()
    }

    fn send_raw(&mut self, now: Instant, packet: Packet, control: bool) {
        let (from, to) = packet::endpoints(&packet);
        self.launch(now, from, to, packet.size(), control, Cargo::Raw(packet));
    }

    /// Puts a packet on the sender's uplink.
    fn launch(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        bytes: u32,
        control: bool,
        cargo: Cargo,
    ) {
        let protocol = match &cargo {
            Cargo::Raw(packet) => packet::protocol(packet),
            Cargo::Flow(_) => Protocol::Tcp,
        };
        let hosts = self.between(now, [from, to], protocol, &cargo);
        self.trace.sent(bytes);
        self.trace.leaves(now, Passage::of(&cargo, [from, to], hosts, bytes));
        let ([Some(source), Some(target)], true) = (hosts, from.is_ipv4() == to.is_ipv4()) else {
            let why = if self.publics.contains_key(&to.ip()) { Drop::Nat } else { Drop::NoRoute };
            return self.trace.dropped(now, Passage::of(&cargo, [from, to], hosts, bytes), why);
        };
        if let Cargo::Raw(packet) = &cargo {
            self.overhear(now, source, Way::Out, to, packet);
        }
        let lot = self.lot([source, target], protocol);
        let wire = Wire { from, to, lot, bytes, control, sent_at: now, cargo };
        match self.cross(now, Stream::UplinkLoss, lot, bytes, control) {
            Err(why) => self.trace.dropped(now, wire.passage(), why),
            Ok(left) => self.travel(left, wire),
        }
    }

    fn arrive(&mut self, now: Instant, key: Key) {
        let Some(wire) = self.wires.get(key) else { return };
        let (bytes, control, lot) = (wire.bytes, wire.control, wire.lot);
        let hindrance = self.hindrance(now, wire);
        let let_in = self.lets_in(now, wire);
        let crossed = match hindrance {
            Some(Hindrance::Until(until)) => return self.schedule(until, Event::Arrive(key)),
            Some(Hindrance::Lost(why)) => Err(why),
            None => self.cross(now, Stream::DownlinkLoss, lot, bytes, control),
        };
        match crossed.and_then(|left| if let_in { Ok(left) } else { Err(Drop::Nat) }) {
            Ok(left) => self.schedule(left, Event::Deliver(key)),
            Err(why) => {
                let Some(wire) = self.wires.remove(key) else { return };
                self.trace.dropped(now, wire.passage(), why);
            }
        }
    }

    fn deliver(&mut self, now: Instant, key: Key) {
        let Some(wire) = self.wires.remove(key) else { return };
        if self.hosts.get(wire.lot.hosts[1] as usize).is_none_or(|host| host.is_down) {
            return self.trace.dropped(now, wire.passage(), Drop::HostDown);
        }
        if let Cargo::Raw(packet) = &wire.cargo
            && !self.admit(now, &wire, packet)
        {
            return self.trace.dropped(now, wire.passage(), Drop::SocketFull);
        }
        self.trace.delivered(now, wire.passage());
        match wire.cargo {
            Cargo::Raw(packet) => self.deliveries.push_back((wire.lot.hosts[1], packet)),
            Cargo::Flow(freight) => self.deliver_to_flow(now, wire.sent_at, freight),
        }
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.agenda.push(at, event);
    }
}
