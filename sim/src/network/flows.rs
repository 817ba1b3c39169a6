//! The network's handling of TCP: which packets become segments of a flow, and what happens when they and
//! their acknowledgements arrive.

use std::net::{IpAddr, SocketAddr};

use proto::time::Instant;
use turmoil_net::{Packet, Transport};

use super::connection::Connection;
use super::deliveries::Delivery;
use super::nat::Protocol;
use super::packet::{self, Latest};
use super::slab::Key;
use super::{Cargo, Event, Freight, Network, SACK_BYTES, headers};

impl Network {
    /// A SYN: a new connection, whatever these two addresses said before.
    pub(super) fn open(&mut self, now: Instant, packet: Packet, from: SocketAddr, to: SocketAddr) {
        self.forget(from, to);
        let hosts = (self.locate(now, Protocol::Tcp, from), self.locate(now, Protocol::Tcp, to));
        let (Some(source), Some(target)) = hosts else { return self.send_raw(now, packet, true) };
        let segment_len = self.mtu.saturating_sub(headers(from)).max(1);
        let connection = Connection::new([from, to], [source, target], segment_len);
        let key = self.connections.insert(connection);
        self.index.insert(ends(from, to), key);
        self.push(now, key, 0, packet, 1);
    }

    /// A segment that takes sequence space; says what its stack shall hear of it at once.
    pub(super) fn send_segment(
        &mut self,
        now: Instant,
        packet: Packet,
        bytes: u32,
        plain: bool,
    ) -> Option<(Latest, u32)> {
        let (from, to) = packet::endpoints(&packet);
        let Some((key, side)) = self.find(from, to) else {
            self.send_raw(now, packet, true);
            return None;
        };
        let connection = self.connections.get_mut(key)?;
        let told = plain.then(|| (connection.take_over(side, &packet), connection.hosts[side]));
        if !plain && matches!(&packet.payload, Transport::Tcp(segment) if segment.flags.fin) {
            connection.flows[side].finish();
        }
        self.push(now, key, side, packet, bytes);
        told
    }

    /// A pure acknowledgement: waits until the stack has said everything ([`Self::flush`]).
    pub(super) fn send_ack(&mut self, now: Instant, packet: Packet) {
        let (from, to) = packet::endpoints(&packet);
        let Some((key, side)) = self.find(from, to) else { return self.send_raw(now, packet, true) };
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.flows[side].latest.note(&packet);
        self.spoken.push((key, side));
    }

    /// The stacks have said all that they have to say at present. A stack acknowledges every segment at once; of what
    /// it said, one packet goes for all, if any: data may have carried it already, or it waits a little for the next
    /// segment (RFC 1122, 4.2.3.2).
    pub fn flush(&mut self, now: Instant) {
        let mut spoken = std::mem::take(&mut self.spoken);
        for (key, side) in spoken.drain(..) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.flows[side].latest != connection.flows[side].carried
                && connection.flows[1 - side].must_acknowledge(now)
            {
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
        let Freight { connection: key, side, segment, latest, ack } = freight;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.dead[1 - side] {
            // The far end forgot the connection: its stack answers with a reset.
            let raw = segment.map_or_else(
                || latest.packet(connection.ends[side], connection.ends[1 - side]),
                |(_, packet)| packet,
            );
            return self.deliveries.push(Delivery::raw(raw, connection.hosts[1 - side]));
        }
        connection.flows[1 - side].sender.handle_ack(now, ack);
        let (ends, host) = ([connection.ends[side], connection.ends[1 - side]], connection.hosts[1 - side]);
        let taken = connection.flows[1 - side].taken;
        let flow = &mut connection.flows[side];
        flow.seen.merge(latest);
        let urgent = segment.is_some_and(|(slot, packet)| flow.arrive(slot, sent_at, packet));
        let told = flow.seen.past(taken);
        while let Some(mut packet) = flow.receiver.poll_ready() {
            told.refresh(&mut packet);
            let delivery = Delivery::new(packet, host, flow.give(), false);
            flow.handed = Some(self.deliveries.push_after(flow.handed, delivery));
        }
        if flow.seen.stamp > flow.given.stamp {
            let packet = told.packet(ends[0], ends[1]);
            let delivery = Delivery::new(packet, host, flow.give(), true);
            flow.handed = Some(self.deliveries.push_after(flow.handed, delivery));
        }
        if urgent {
            self.acknowledge(now, key, 1 - side, SACK_BYTES);
        }
        self.pump(now, key, 1 - side);
        self.close_or_rearm(key);
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
                if sender.handle_timeout(now).is_err() {
                    return self.give_up(key, side);
                }
                self.pump(now, key, side);
            }
        }
        self.rearm(key);
    }

    fn find(&self, from: SocketAddr, to: SocketAddr) -> Option<(Key, usize)> {
        let key = *self.index.get(&ends(from, to))?;
        let connection = self.connections.get(key)?;
        let side = connection.side_of(from);
        // A host that came back may speak from an address of its former life.
        (!connection.dead[side]).then_some((key, side))
    }

    /// Takes what a stack wants to send, cut to the size of the wire as a network card does with it.
    fn push(&mut self, now: Instant, key: Key, side: usize, packet: Packet, bytes: u32) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let flow = &mut connection.flows[side];
        flow.latest.note(&packet);
        let segment_len = connection.segment_len;
        let (mut packet, mut bytes) = (packet, bytes);
        if let Some((tail, tail_bytes)) = flow.sender.waiting_tail() {
            let moved = packet::fill(tail, &mut packet, segment_len);
            (*tail_bytes, bytes) = (*tail_bytes + moved, bytes - moved);
        }
        if bytes > 0 {
            packet::cut(packet, bytes, segment_len, |packet, bytes| flow.sender.push(now, packet, bytes));
        }
        self.pump(now, key, side);
        self.rearm(key);
    }

    /// Sends what the window allows; every segment carries the acknowledgement of the other flow.
    fn pump(&mut self, now: Instant, key: Key, side: usize) {
        while let Some(connection) = self.connections.get_mut(key)
            && !connection.dead[side]
            && let Some(transmit) = connection.flows[side].sender.poll_transmit(now)
        {
            connection.flows[1 - side].acknowledged();
            let bytes = transmit.cargo.size();
            self.trace.repeated(transmit.again);
            self.launch_flow(now, key, side, Some((transmit.slot, transmit.cargo)), bytes);
        }
    }

    /// Sends a pure acknowledgement from `side`, with so many bytes of options.
    fn acknowledge(&mut self, now: Instant, key: Key, side: usize, options: u32) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.flows[1 - side].acknowledged();
        let bytes = headers(connection.ends[side]) + options;
        self.launch_flow(now, key, side, None, bytes);
    }

    fn launch_flow(
        &mut self,
        now: Instant,
        key: Key,
        side: usize,
        segment: Option<(u64, Packet)>,
        bytes: u32,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (from, to) = (connection.ends[side], connection.ends[1 - side]);
        let latest = connection.flows[side].latest;
        connection.flows[side].carried = latest;
        let ack = connection.flows[1 - side].receiver.acknowledge();
        let control = segment.is_none();
        self.launch(
            now,
            from,
            to,
            bytes,
            control,
            Cargo::Flow(Freight { connection: key, side, segment, latest, ack }),
        );
    }

    /// The peer did not answer for too long: the sending stack's connection is reset, as an OS does.
    fn give_up(&mut self, key: Key, side: usize) {
        let Some(connection) = self.connections.remove(key) else { return };
        let [a, b] = connection.ends;
        self.index.remove(&ends(a, b));
        let packet = packet::reset(connection.ends[1 - side], connection.ends[side]);
        self.deliveries.push(Delivery::raw(packet, connection.hosts[side]));
    }

    fn close_or_rearm(&mut self, key: Key) {
        match self.connections.get(key) {
            Some(connection) if connection.is_over() => {
                let [a, b] = connection.ends;
                self.forget(a, b);
            }
            Some(_) | None => self.rearm(key),
        }
    }

    /// Makes sure that an event stands at the connection's earliest deadline.
    fn rearm(&mut self, key: Key) {
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
