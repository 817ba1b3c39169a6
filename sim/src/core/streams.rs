//! Streams between the peers of a core swarm: dialling, handshakes, bytes through uplinks and downlinks, the end.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::time::Instant;
use proto::torrent::{Direction, Input, PeerKey};
use proto::tracker::Family;
use proto::wire::{Feature, Handshake, Message, Opening, RawBlock, decode_peer_id};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::event::{What, address, number_at};
use super::line::{End, HEADERS, Line, State, other};
use super::world::World;
use crate::defect::At;
use crate::wiretap::{self, Way};

/// When a dial that nobody answers is given up.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// What a message is to the listeners.
fn heard_as(message: &Message) -> wiretap::What {
    if let Message::Piece { piece, offset, data } = message {
        let block = RawBlock { piece: *piece, offset: *offset, len: data.len() as u32 };
        return wiretap::What::Block(block);
    }
    wiretap::What::Message(message.clone())
}

fn transfer_time(bytes: usize, rate: u64) -> Duration {
    Duration::from_micros(bytes as u64 * 1_000_000 / rate.max(1))
}

impl World<'_> {
    /// One way between two peers.
    fn latency(&self, a: u32, b: u32) -> Duration {
        let [least, most] = self.plan.latency.map(|millis| millis * 1000);
        let key = [a.min(b).to_le_bytes(), a.max(b).to_le_bytes()].concat();
        Duration::from_micros(least + xxh3_64_with_seed(&key, self.plan.seed) % (most - least + 1))
    }

    pub(super) fn dial(&mut self, host: usize, addr: SocketAddr) {
        let (number, life) = (self.hosts[host].plan.number, self.hosts[host].lives);
        let latency = self.latency(number, number_at(addr));
        let refused = |after| (after, What::Refused { host, life, addr });
        let target = self.places.get(&number_at(addr)).copied().filter(|&target| {
            let there = &self.hosts[target];
            there.life.is_some() && there.plan.open && there.listens().contains(&addr)
        });
        let is_dark = |place: usize| self.now < self.hosts[place].dark_until;
        let (after, what) = match target {
            _ if is_dark(host) => refused(DIAL_PATIENCE),
            None => refused(2 * latency),
            Some(target) if is_dark(target) => refused(DIAL_PATIENCE),
            Some(target) => {
                let from = address(number, Family::of(addr)).ip();
                let pieces = self.content.geometry.pieces();
                // Its port is ephemeral, and hardly any other connection's.
                let ephemeral = SocketAddr::new(from, 40_000 + (self.lines.len() % 20_000) as u16);
                let ends = [
                    End::new(host, addr, Direction::Outgoing, pieces),
                    End::new(target, ephemeral, Direction::Incoming, pieces),
                ];
                (2 * latency, What::Opened(self.lines.add(Line { ends, latency })))
            }
        };
        self.agenda.schedule(self.now + after, what);
    }

    /// The dial was answered, if whoever was dialled is still there.
    pub(super) fn opened(&mut self, end: PeerKey) {
        let target = self.lines.end(other(end)).host;
        if self.lines.end(end).state == State::Closed {
            return;
        }
        if self.hosts[target].life.is_none() || self.lines.end(other(end)).state == State::Closed {
            return self.closed(end);
        }
        self.greet(end);
    }

    /// Says the handshake.
    fn greet(&mut self, end: PeerKey) {
        let host = self.lines.end(end).host;
        let Some(handshake) = self.handshake(host) else { return };
        self.tell(end, Way::Said, wiretap::What::Handshake(handshake));
        self.lines.end(end).push(Bytes::copy_from_slice(&handshake.encode()), 0);
        self.lines.end(end).flush();
        self.transmit(end);
    }

    fn handshake(&self, host: usize) -> Option<Handshake> {
        let here = &self.hosts[host];
        let mut handshake = here.life.as_ref()?.torrent.handshake();
        let spoken = [(here.plan.fast, Feature::FAST), (here.plan.extended, Feature::EXTENSION_PROTOCOL)];
        let spoken = spoken.into_iter().filter(|(speaks, _)| *speaks);
        handshake.reserved = spoken.fold([0; 8], |reserved, (_, feature)| feature.add_to(reserved));
        Some(handshake)
    }

    fn tell(&mut self, end: PeerKey, way: Way, what: wiretap::What) {
        let (host, peer) = (self.lines.end(end).host, self.lines.end(end).peer);
        let line = wiretap::Line { number: end.0, host, peer };
        self.ears.hear(&wiretap::Event { at: self.now, since: self.now, line, way, what });
    }

    /// A machine says something; what it is told of the bytes that the socket took.
    pub(super) fn say(&mut self, end: PeerKey, message: Message) -> Option<Input> {
        if self.lines.end(end).state == State::Closed {
            return None;
        }
        let host = self.lines.end(end).host;
        let mut credit = message.wire_len();
        if let Some(life) = &mut self.hosts[host].life {
            life.said += self.content.payload(&message);
        }
        let at = At { now: self.now, line: end.0, peer: self.lines.end(end).peer };
        let defect = self.hosts[host].defect.as_ref();
        let messages = match defect {
            Some(defect) => defect.lock().says(at, message),
            None => vec![message],
        };
        for message in messages {
            self.tell(end, Way::Said, heard_as(&message));
            let mut bytes = BytesMut::with_capacity(message.wire_len());
            message.encode(&mut bytes);
            self.lines.end(end).push(bytes.freeze(), std::mem::take(&mut credit));
        }
        let bytes = self.lines.end(end).flush() + credit;
        self.transmit(end);
        (bytes > 0).then_some(Input::Sent { peer: end, bytes })
    }

    /// Gives the uplink what the connection's window allows.
    fn transmit(&mut self, end: PeerKey) {
        let host = self.lines.end(end).host;
        while let Some(packet) = self.lines.end(end).packet() {
            self.hosts[host].uplink.push_back((end, packet));
        }
        self.next_packet(host);
    }

    pub(super) fn next_packet(&mut self, host: usize) {
        if self.hosts[host].is_sending {
            return;
        }
        let Some((from, bytes)) = self.hosts[host].uplink.pop_front() else { return };
        self.hosts[host].is_sending = true;
        let sent = self.now + transfer_time(bytes.len() + HEADERS, self.hosts[host].plan.up);
        self.agenda.schedule(sent, What::UplinkFree(host));
        let latency = self.lines.line(from).latency;
        let receiver = self.lines.end(other(from)).host;
        let there = &mut self.hosts[receiver];
        let arrives = (sent + latency).max(there.down_free);
        there.down_free = arrives + transfer_time(bytes.len() + HEADERS, there.plan.down);
        self.agenda.schedule(there.down_free, What::Delivered { from, bytes });
    }

    pub(super) fn delivered(&mut self, from: PeerKey, bytes: Bytes) {
        let to = other(from);
        let hosts = [from, to].map(|end| self.lines.end(end).host);
        let dark = hosts.map(|host| self.hosts[host].dark_until);
        let light = dark.into_iter().fold(Instant::ZERO, Instant::max);
        if self.now < light {
            return self.agenda.schedule(light, What::Delivered { from, bytes });
        }
        if bytes.is_empty() {
            return self.closed(to);
        }
        let latency = self.lines.line(from).latency;
        let arrived = What::Acknowledged { end: from, bytes: bytes.len() };
        self.agenda.schedule(self.now + latency, arrived);
        if self.lines.end(to).state != State::Closed {
            self.lines.end(to).inbox.extend_from_slice(&bytes);
            self.read(to);
        }
    }

    pub(super) fn acknowledged(&mut self, end: PeerKey, bytes: usize) {
        self.lines.end(end).acknowledged(bytes);
        if self.lines.end(end).state == State::Closed {
            return;
        }
        let told = self.lines.end(end).flush();
        self.transmit(end);
        if told > 0 {
            let host = self.lines.end(end).host;
            self.feed(host, Input::Sent { peer: end, bytes: told });
        }
    }

    /// Reads what has arrived, as far as it is whole.
    fn read(&mut self, end: PeerKey) {
        if self.lines.end(end).state == State::Opening && !self.meet(end) {
            return;
        }
        while self.lines.end(end).state == State::Open {
            let here = self.lines.end(end);
            match here.decoder.decode(&mut here.inbox) {
                Ok(Some(message)) => self.hear(end, message),
                Ok(None) => return,
                Err(_) => {
                    self.tell(end, Way::Heard, wiretap::What::Garbage);
                    return self.closed(end);
                }
            }
        }
    }

    /// Reads the handshake; is it there?
    fn meet(&mut self, end: PeerKey) -> bool {
        let here = self.lines.end(end);
        let (host, addr, direction) = (here.host, here.peer, here.direction);
        if here.inbox.len() < proto::wire::HANDSHAKE_LEN {
            return false;
        }
        let opening = Opening::decode(&mut here.inbox).ok().flatten();
        let name = decode_peer_id(&mut here.inbox);
        let (Some(opening), Some(id)) = (opening, name) else {
            self.closed(end);
            return false;
        };
        let Opening { reserved, info_hash } = opening;
        self.tell(end, Way::Heard, wiretap::What::Handshake(Handshake { reserved, info_hash, peer_id: id }));
        if info_hash != self.info_hash() {
            self.closed(end);
            return false;
        }
        if direction == Direction::Incoming {
            self.greet(end);
        }
        let ours = self.handshake(host).map_or([0; 8], |handshake| handshake.reserved);
        let agreed = std::array::from_fn(|index| reserved[index] & ours[index]);
        let at = At { now: self.now, line: end.0, peer: addr };
        let id = self.hosts[host].defect.as_ref().map_or(id, |defect| defect.lock().meets(at, id));
        let here = self.lines.end(end);
        (here.state, here.is_known) = (State::Open, true);
        self.feed(host, Input::Connected { peer: end, addr, id, reserved: agreed, direction });
        true
    }

    fn hear(&mut self, end: PeerKey, message: Message) {
        self.tell(end, Way::Heard, heard_as(&message));
        let (host, peer) = (self.lines.end(end).host, self.lines.end(end).peer);
        let at = At { now: self.now, line: end.0, peer };
        let messages = match self.hosts[host].defect.as_ref() {
            Some(defect) => defect.lock().hears(at, message),
            None => vec![message],
        };
        for message in messages {
            if self.lines.end(end).state != State::Open {
                return;
            }
            if let Some(life) = &mut self.hosts[host].life {
                life.heard += self.content.payload(&message);
            }
            self.feed(host, Input::Message { peer: end, message });
        }
    }

    /// This end's program closes it, or its process is dead: the other one hears of it later.
    pub(super) fn close(&mut self, end: PeerKey, is_graceful: bool) {
        if self.lines.end(end).state == State::Closed {
            return;
        }
        self.tell(end, Way::Said, wiretap::What::Closed);
        self.lines.end(end).state = State::Closed;
        let host = self.lines.end(end).host;
        if is_graceful {
            // An empty packet, behind those that wait: what was said before is heard.
            self.hosts[host].uplink.push_back((end, Bytes::new()));
            return self.next_packet(host);
        }
        let latency = self.lines.line(end).latency;
        self.agenda.schedule(self.now + latency, What::Closed(other(end)));
    }

    /// This end hears that the connection is over, because of whomever.
    pub(super) fn closed(&mut self, end: PeerKey) {
        let here = self.lines.end(end);
        let (host, addr, direction) = (here.host, here.peer, here.direction);
        let (before, was_known) = (here.state, std::mem::take(&mut here.is_known));
        self.close(end, false);
        if before == State::Opening && direction == Direction::Outgoing {
            self.feed(host, Input::ConnectFailed { addr });
        } else if was_known {
            self.feed(host, Input::Disconnected { peer: end });
        }
    }
}
