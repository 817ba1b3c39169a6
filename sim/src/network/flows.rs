//! The network's handling of TCP: what becomes a segment of a flow, and what happens when segments and their
//! acknowledgements arrive.

use std::net::{IpAddr, SocketAddr};

use proto::time::Instant;
use turmoil_net::{Packet, Transport};

use super::connection::{Connection, Side};
use super::load::{Load, WINDOW};
use super::nat::Protocol;
use super::packet;
use super::sender::Expiry;
use super::slab::Key;
use super::{Cargo, Event, Freight, Network, SACK_BYTES, headers};

impl Network {
    /// A SYN: a new connection, whatever these two addresses said before. The stack knows them as `view`.
    pub(super) fn open(&mut self, now: Instant, packet: Packet, view: [SocketAddr; 2]) {
        let (from, to) = packet::endpoints(&packet);
        self.forget(from, to);
        let hosts = (self.locate(now, Protocol::Tcp, from), self.locate(now, Protocol::Tcp, to));
        let (Some(source), Some(target)) = hosts else { return self.send_raw(now, packet, true) };
        let segment_len = self.mtu.saturating_sub(headers(from)).max(1);
        let connection = Connection::new([from, to], [source, target], segment_len);
        let key = self.connections.insert(connection);
        self.index.insert(ends(from, to), key);
        self.push_control(now, key, 0, packet, view);
    }

    /// A stack's segment that takes sequence space: it opens or closes the connection.
    pub(super) fn send_segment(&mut self, now: Instant, packet: Packet, view: [SocketAddr; 2]) {
        let (from, to) = packet::endpoints(&packet);
        match self.find(from, to) {
            Some((key, side)) => self.push_control(now, key, side, packet, view),
            None => self.send_raw(now, packet, true),
        }
    }

    /// A pure acknowledgement of a stack: the network knows better what arrived, but not whether the stack took it.
    /// Waits until everything was said ([`Self::flush`]).
    pub(super) fn send_ack(&mut self, now: Instant, packet: Packet) {
        let (from, to) = packet::endpoints(&packet);
        match self.find(from, to) {
            Some(spoken) => self.spoken.push(spoken),
            None => self.send_raw(now, packet, true),
        }
    }

    /// Stacks and programs have said all that they have to say at present. Of what they acknowledge one packet goes for
    /// all, if any: data may have carried it already, or it waits a little for the next segment (RFC 1122, 4.2.3.2).
    pub fn flush(&mut self, now: Instant) {
        let mut spoken = std::mem::take(&mut self.spoken);
        for (key, side) in spoken.drain(..) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let flow = &mut connection.flows[1 - side];
            if flow.has_news() && flow.must_acknowledge(now) {
                self.acknowledge(now, key, side, 0);
            }
            self.rearm(key);
        }
        self.spoken = spoken;
    }

    /// Ends a connection in both directions.
    pub(super) fn forget(&mut self, from: SocketAddr, to: SocketAddr) {
        if let Some(key) = self.index.remove(&ends(from, to)) {
            self.connections.remove(key);
        }
    }

    /// A packet of a flow came out at the far end.
    pub(super) fn deliver_to_flow(&mut self, now: Instant, sent_at: Instant, freight: Freight) {
        let Freight { connection: key, side, segment, told, ack, asks } = freight;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (far, host) = (1 - side, connection.hosts[1 - side]);
        let [from, to] = [connection.ends[side], connection.ends[far]];
        if connection.dead[far] {
            // The far end forgot the connection: its stack answers with a reset.
            let raw = match segment {
                Some((_, load @ Load::Control { .. })) => load.packet(from, to, told),
                Some((_, Load::Content { .. })) | None => told.packet(from, to),
            };
            return self.deliveries.push_back((host, raw));
        }
        connection.flows[far].hear(now, told, ack);
        let open_ack = connection.flows[far].open_ack();
        let flow = &mut connection.flows[side];
        let urgent = segment.map_or(asks, |(slot, load)| flow.arrive(slot, sent_at, load));
        while let Some((mut packet, passed)) = flow.poll_control() {
            if let Transport::Tcp(segment) = &mut packet.payload {
                segment.seq = segment.seq.wrapping_sub(passed);
                (segment.ack, segment.window) = (if segment.flags.ack { open_ack } else { 0 }, WINDOW as u16);
            }
            self.deliveries.push_back((host, *packet));
        }
        if connection.abandoned[far] && !flow.inbox.is_empty() {
            self.deliveries.push_back((host, packet::reset(from, to)));
            return self.refuse(now, key, far);
        }
        self.note_news(key, far);
        if urgent {
            self.acknowledge(now, key, far, SACK_BYTES);
        }
        self.pump(now, key, far);
        self.rearm(key);
    }

    /// A connection's timer fired.
    pub(super) fn timer(&mut self, now: Instant, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.timer != Some(now) {
            return;
        }
        connection.timer = None;
        for side in 0..2 {
            let Some(connection) = self.connections.get_mut(key) else { return };
            if connection.flows[1 - side].take_due_ack(now) {
                self.acknowledge(now, key, side, 0);
            }
            let Some(connection) = self.connections.get_mut(key) else { return };
            let sender = &mut connection.flows[side].sender;
            if sender.deadline().is_some_and(|deadline| deadline <= now) {
                match sender.handle_timeout(now) {
                    Err(_) => return self.give_up(key, side),
                    Ok(Expiry::Loss) => self.pump(now, key, side),
                    Ok(Expiry::ShutOut) => self.launch_flow(now, key, side, None, 0, true),
                }
            }
        }
        self.rearm(key);
    }

    /// The connection between two addresses as they are outside, and which end of it `from` is.
    pub(super) fn find(&self, from: SocketAddr, to: SocketAddr) -> Option<(Key, Side)> {
        let key = *self.index.get(&ends(from, to))?;
        let connection = self.connections.get(key)?;
        let side = connection.side_of(from);
        // A host that came back may speak from an address of its former life.
        (!connection.dead[side]).then_some((key, side))
    }

    /// Takes what a stack says to open or close a connection.
    fn push_control(&mut self, now: Instant, key: Key, side: Side, packet: Packet, view: [SocketAddr; 2]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let flow = &mut connection.flows[side];
        if let Transport::Tcp(segment) = &packet.payload {
            if segment.flags.syn {
                flow.begin(segment.seq);
                connection.views[side] = Some(view);
            }
            if segment.flags.fin {
                flow.finish();
            }
        }
        let load = Load::control(packet, flow.passed());
        let takes = load.takes();
        flow.sender.push(now, load, takes);
        self.pump(now, key, side);
        self.rearm(key);
    }

    /// Sends what the window allows; every segment carries the acknowledgement of the other flow.
    pub(super) fn pump(&mut self, now: Instant, key: Key, side: Side) {
        while let Some(connection) = self.connections.get_mut(key)
            && !connection.dead[side]
            && let Some(transmit) = connection.flows[side].sender.poll_transmit(now)
        {
            self.trace.repeated(transmit.again);
            self.launch_flow(now, key, side, Some((transmit.slot, transmit.cargo)), 0, false);
        }
    }

    /// Sends a pure acknowledgement from `side`, with so many bytes of options.
    pub(super) fn acknowledge(&mut self, now: Instant, key: Key, side: Side, options: u32) {
        self.launch_flow(now, key, side, None, options, false);
    }

    fn launch_flow(
        &mut self,
        now: Instant,
        key: Key,
        side: Side,
        segment: Option<(u64, Load)>,
        options: u32,
        asks: bool,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let [from, to] = [connection.ends[side], connection.ends[1 - side]];
        let back = &mut connection.flows[1 - side];
        let (told, ack) = (back.tell(), back.receiver.acknowledge());
        let content = segment.as_ref().map_or(0, |(_, load)| load.content().len() as u32);
        let bytes = headers(from) + options + content;
        let control = segment.is_none();
        let freight = Freight { connection: key, side, segment, told, ack, asks };
        self.launch(now, from, to, bytes, control, Cargo::Flow(freight));
    }

    /// The peer did not answer for too long: the sending stack's connection is reset, as an OS does.
    fn give_up(&mut self, key: Key, side: Side) {
        let Some(connection) = self.connections.get(key) else { return };
        let [near, far] = [connection.ends[side], connection.ends[1 - side]];
        self.deliveries.push_back((connection.hosts[side], packet::reset(far, near)));
        self.forget(near, far);
    }

    /// Makes sure that an event stands at the connection's earliest deadline.
    pub(super) fn rearm(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(deadline) = connection.deadline() else { return };
        if connection.timer.is_none_or(|timer| deadline < timer) {
            connection.timer = Some(deadline);
            self.schedule(deadline, Event::Timer(key));
        }
    }
}

/// Both ends in an order that does not depend on who sends: addresses as numbers, then the ports. It is looked up for
/// every packet of a stack, and numbers are compared in a fraction of the time of addresses.
pub type Ends = (u128, u128, u32);

fn ends(a: SocketAddr, b: SocketAddr) -> Ends {
    let number = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(ip) => (u128::from(ip.to_ipv6_mapped()), addr.port()),
        IpAddr::V6(ip) => (u128::from(ip), addr.port()),
    };
    let (a, b) = (number(a), number(b));
    let (near, far) = (a.min(b), a.max(b));
    (near.0, far.0, u32::from(near.1) << 16 | u32::from(far.1))
}
