//! The little world: nodes with an uplink of so many bytes a second, connections with a socket buffer, a fixed
//! latency, a disk that answers at once and a tracker that knows everybody.
//!
//! An uplink sends one packet after the other, in the order in which connections gave them to it. Downlinks have no limit here; only the bound knows theirs.

use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::id::PieceHash;
use proto::piece::{BLOCK_LEN, Block};
use proto::seed::{Random, Seed};
use proto::time::{Duration, Instant};
use proto::torrent::{
    AnnounceEvent, Direction, DisconnectReason, Event, Input, Output, PeerKey, Source, Torrent, TorrentConfig,
};
use proto::tracker::Family;
use proto::wire::Message;

use crate::event::{Due, What, address, node_at};
use crate::ledger::Ledger;
use crate::link::{End, Link, Packet};
use crate::plan::{Node, Plan, Report};

/// One way, between any two nodes.
const LATENCY: Duration = Duration::from_millis(50);

struct Host {
    torrent: Option<Torrent>,
    plan: Node,
    /// Packets that wait for the uplink.
    uplink: VecDeque<Packet>,
    busy: bool,
    wakes_at: Option<Instant>,
    written: Vec<bool>,
    tainted: Vec<bool>,
    done: Option<Instant>,
    keys: Vec<PeerKey>,
}

/// A running swarm.
pub(crate) struct Swarm {
    plan: Plan,
    now: Instant,
    order: u64,
    queue: BinaryHeap<Due>,
    hosts: Vec<Host>,
    links: Vec<Link>,
    present: Vec<usize>,
    random: Random,
    seed: Seed,
    report: Report,
    ledger: Ledger,
    content: Bytes,
    garbage: Bytes,
}

impl Swarm {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let seeds = Seed::from_u64(seed);
        let geometry = plan.metainfo.geometry();
        let blocks = geometry.len().div_ceil(u64::from(BLOCK_LEN)) as usize;
        let host = |node: &Node| Host {
            torrent: None,
            plan: node.clone(),
            uplink: VecDeque::new(),
            busy: false,
            wakes_at: None,
            written: vec![node.seeder; blocks],
            tainted: vec![false; geometry.pieces() as usize],
            done: None,
            keys: Vec::new(),
        };
        let mut swarm = Self {
            hosts: plan.nodes.iter().map(host).collect(),
            now: Instant::ZERO,
            order: 0,
            queue: BinaryHeap::new(),
            links: Vec::new(),
            present: Vec::new(),
            random: seeds.child(2).rng(),
            seed: seeds,
            report: Report::default(),
            ledger: Ledger::default(),
            content: Bytes::from(vec![0; BLOCK_LEN as usize]),
            garbage: Bytes::from(vec![1; BLOCK_LEN as usize]),
            plan,
        };
        for (node, at) in swarm.plan.arrival_times(seed).into_iter().enumerate() {
            swarm.schedule(at, What::Arrives(node));
            if let Some(at) = swarm.hosts[node].plan.leaves {
                swarm.schedule(at, What::Leaves(node));
            }
        }
        swarm
    }

    /// Runs until every leecher is done, or for `limit`.
    pub(crate) fn run(mut self, limit: Duration) -> Report {
        let leechers = self
            .hosts
            .iter()
            .filter(|host| !host.plan.seeder && !host.plan.poisoner && host.plan.leaves.is_none())
            .count();
        while let Some(due) = self.queue.pop()
            && due.at <= Instant::ZERO + limit
            && self.report.completed < leechers
        {
            self.now = due.at;
            self.happen(due.what);
        }
        self.finish()
    }

    fn finish(mut self) -> Report {
        for host in &self.hosts {
            let Some(stats) = host.torrent.as_ref().map(|torrent| torrent.stats(self.now)) else { continue };
            self.ledger.check(&stats);
            self.report.duplicate += stats.duplicate;
            self.report.wasted += stats.wasted;
            self.report.payload += stats.progress.downloaded;
            self.report.hash_failures += stats.hash_failures;
            self.report.connections += stats.peers.len();
            self.report.finished.extend(host.done.map(Instant::as_secs_f64));
        }
        (self.report.answered, self.report.rejected) = (self.ledger.answered, self.ledger.rejected);
        self.report.links = self.links.len();
        self.report.finished.sort_by(f64::total_cmp);
        self.report
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrives(node) => self.arrive(node),
            What::Leaves(node) => self.leave(node),
            What::Wakes(node) => self.wake(node),
            What::UplinkFree(node) => {
                self.hosts[node].busy = false;
                self.next_packet(node);
            }
            What::Delivered(packet) => self.delivered(packet),
            What::Connected { link } => self.connected(link),
            What::Refused { node, addr } => self.feed(node, Input::ConnectFailed { addr }),
            What::Closed { to, peer } => self.feed(to, Input::Disconnected { peer }),
        }
    }

    fn schedule(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.queue.push(Due { at, order: self.order, what });
    }

    fn arrive(&mut self, node: usize) {
        let pieces = self.plan.metainfo.geometry().pieces();
        let host = &mut self.hosts[node];
        let have = if host.plan.seeder { Bitfield::full(pieces) } else { Bitfield::empty(pieces) };
        let seed = self.seed.child(1000 + node as u64);
        let config = TorrentConfig { super_seeding: host.plan.super_seeding, ..self.plan.config };
        host.torrent = Some(Torrent::new(Arc::clone(&self.plan.metainfo), have, config, seed, self.now));
        let families = self.hosts[node].plan.families;
        let ours = families.iter().map(|&family| address(node, family)).collect();
        self.feed(node, Input::Ours(ours));
        self.present.push(node);
    }

    fn leave(&mut self, node: usize) {
        self.hosts[node].torrent = None;
        self.present.retain(|&other| other != node);
        for key in std::mem::take(&mut self.hosts[node].keys) {
            self.close(key);
        }
    }

    fn wake(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.wakes_at != Some(self.now) {
            return;
        }
        host.wakes_at = None;
        if let Some(torrent) = &mut host.torrent {
            torrent.handle_timeout(self.now);
        }
        self.drain(node);
    }

    fn feed(&mut self, node: usize, input: Input) {
        if let Some(torrent) = &mut self.hosts[node].torrent {
            torrent.handle_input(self.now, input);
            self.drain(node);
        }
    }

    /// Carries out everything that a machine asks for.
    fn drain(&mut self, node: usize) {
        while let Some(output) = self.hosts[node].torrent.as_mut().and_then(Torrent::poll_output) {
            let answer = self.carry_out(node, output);
            if let (Some(input), Some(torrent)) = (answer, &mut self.hosts[node].torrent) {
                torrent.handle_input(self.now, input);
            }
        }
        let host = &mut self.hosts[node];
        let due = host.torrent.as_ref().and_then(Torrent::poll_timeout).map(|(at, _)| at.max(self.now));
        if due.is_some() && (host.wakes_at.is_none() || due < host.wakes_at) {
            host.wakes_at = due;
            self.schedule(due.unwrap_or_default(), What::Wakes(node));
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Option<Input> {
        match output {
            Output::Connect { addr } => self.dial(node, addr),
            Output::Disconnect { peer, reason } => {
                *self.report.reasons.entry(reason).or_default() += 1;
                if reason == DisconnectReason::DuplicatePeer {
                    self.report.last_twin = self.now;
                }
                if reason == DisconnectReason::Poisoner {
                    let link = &self.links[(peer.0 / 2) as usize];
                    self.report.banned.push(link.ends[1 - (peer.0 % 2) as usize].node);
                }
                self.close(peer);
                return Some(Input::Disconnected { peer });
            }
            Output::Send { peer, message } => return self.send(node, peer, message),
            Output::Write { block, data } => return Some(self.write(node, block, &data)),
            Output::Hash { piece } => {
                let host = &self.hosts[node];
                let first = self.number(self.plan.metainfo.geometry().block(piece, 0).unwrap());
                let count = self.plan.metainfo.geometry().blocks_of(piece) as usize;
                assert!(
                    host.written[first..first + count].iter().all(|&written| written),
                    "hashed too early"
                );
                let good = !host.tainted[piece.as_usize()];
                let hash = if good { self.plan.metainfo.hash_of(piece) } else { PieceHash::default() };
                self.hosts[node].tainted[piece.as_usize()] = false;
                return Some(Input::Hashed { piece, hash: Some(hash) });
            }
            Output::Read { peer, block } => {
                let host = &self.hosts[node];
                assert!(host.written[self.number(block)], "read before it was written");
                let data = if host.plan.poisoner { &self.garbage } else { &self.content };
                return Some(Input::BlockRead {
                    peer,
                    block,
                    data: Some(data.slice(..block.len() as usize)),
                });
            }
            Output::Announce(Some(AnnounceEvent::Completed | AnnounceEvent::Stopped)) => {}
            Output::Announce(_) => {
                return Some(Input::Candidates(Source::Tracker, self.announce(node)));
            }
            Output::Event(Event::Completed) => {
                if !self.hosts[node].plan.poisoner {
                    self.report.completed += 1;
                    self.report.makespan = self.now.as_secs_f64();
                    assert_eq!(self.hosts[node].done.replace(self.now), None, "completed twice");
                }
            }
            Output::Event(Event::StorageFailed) => self.report.storage_failures += 1,
            Output::Event(_) => {}
            Output::Fetch(_) | Output::FetchMore { .. } | Output::FetchStop { .. } => {
                unreachable!("no torrent here has a web seed")
            }
        }
        None
    }

    /// What the tracker answers: others of each family that the node speaks.
    fn announce(&mut self, node: usize) -> Vec<SocketAddr> {
        let mut known = self.present.clone();
        known.retain(|&other| other != node);
        let mut addrs = Vec::new();
        for family in self.hosts[node].plan.families {
            self.random.shuffle(&mut known);
            let speak = known.iter().filter(|&&other| self.hosts[other].plan.families.contains(family));
            addrs.extend(speak.take(self.plan.num_want).map(|&other| address(other, *family)));
        }
        addrs
    }

    fn number(&self, block: Block) -> usize {
        (self.plan.metainfo.geometry().start_of_block(block) / u64::from(BLOCK_LEN)) as usize
    }

    fn write(&mut self, node: usize, block: Block, data: &Bytes) -> Input {
        let number = self.number(block);
        let host = &mut self.hosts[node];
        let ok = host.plan.disk_full.is_none_or(|(from, to)| self.now < from || to <= self.now);
        if ok {
            host.written[number] = true;
            host.tainted[block.piece().as_usize()] |= data.first() == Some(&1);
        }
        Input::Written { block, ok }
    }

    fn dial(&mut self, node: usize, addr: SocketAddr) {
        let target = node_at(addr);
        // Of two dials to one peer, either may be the first one to come through.
        let is_slow = addr.is_ipv6() && self.links.len().is_multiple_of(2);
        let at = self.now + LATENCY * if is_slow { 5 } else { 4 };
        if !self.present.contains(&target) {
            self.schedule(at, What::Refused { node, addr });
            return;
        }
        self.links.push(Link::between(node, target, Family::of(addr)));
        self.schedule(at, What::Connected { link: self.links.len() - 1 });
    }

    fn connected(&mut self, link: usize) {
        let [a, b] = [0, 1].map(|side: usize| self.links[link].ends[side].node);
        let family = self.links[link].family;
        let hellos = [a, b].map(|node| self.hosts[node].torrent.as_ref().map(Torrent::handshake));
        let ([Some(a_hello), Some(b_hello)], keys) =
            (hellos, [0, 1].map(|side| PeerKey(link as u64 * 2 + side)))
        else {
            self.feed(a, Input::ConnectFailed { addr: address(b, family) });
            return;
        };
        self.links[link].open = true;
        let ephemeral = SocketAddr::new(address(a, family).ip(), 40_000 + (link % 20_000) as u16);
        let views = [
            (a, address(b, family), b_hello, Direction::Outgoing),
            (b, ephemeral, a_hello, Direction::Incoming),
        ];
        let plain = [a, b].iter().any(|&node| self.hosts[node].plan.plain);
        for ((node, addr, hello, direction), peer) in views.into_iter().zip(keys) {
            if self.links[link].open || direction == Direction::Incoming {
                self.hosts[node].keys.push(peer);
                let reserved = if plain { [0; 8] } else { hello.reserved };
                if plain {
                    self.ledger.without_fast(peer);
                }
                self.feed(node, Input::Connected { peer, addr, id: hello.peer_id, reserved, direction });
            }
        }
    }

    fn close(&mut self, peer: PeerKey) {
        let link = &mut self.links[(peer.0 / 2) as usize];
        if std::mem::take(&mut link.open) {
            let other = PeerKey(peer.0 ^ 1);
            let to = link.ends[(other.0 % 2) as usize].node;
            self.schedule(self.now + LATENCY, What::Closed { to, peer: other });
        }
    }

    fn end(&mut self, peer: PeerKey) -> &mut End {
        &mut self.links[(peer.0 / 2) as usize].ends[(peer.0 % 2) as usize]
    }

    fn is_open(&self, peer: PeerKey) -> bool {
        self.links[(peer.0 / 2) as usize].open
    }

    fn send(&mut self, node: usize, peer: PeerKey, message: Message) -> Option<Input> {
        if !self.is_open(peer) {
            return None;
        }
        self.ledger.said(peer, &message);
        self.end(peer).push(message);
        let bytes = self.end(peer).flush();
        self.transmit(node, peer);
        (bytes > 0).then_some(Input::Sent { peer, bytes })
    }

    /// Gives the uplink what the connection's window allows.
    fn transmit(&mut self, node: usize, peer: PeerKey) {
        while let Some(packet) = self.end(peer).packet(peer) {
            for message in &packet.messages {
                self.count(node, message);
            }
            self.hosts[node].uplink.push_back(packet);
        }
        self.next_packet(node);
    }

    fn next_packet(&mut self, node: usize) {
        if self.hosts[node].busy {
            return;
        }
        let Some(packet) = self.hosts[node].uplink.pop_front() else { return };
        let took = Duration::from_micros(packet.wire_len() as u64 * 1_000_000 / self.hosts[node].plan.up);
        self.hosts[node].busy = true;
        self.schedule(self.now + took, What::UplinkFree(node));
        self.schedule(self.now + took + LATENCY, What::Delivered(packet));
    }

    fn delivered(&mut self, packet: Packet) {
        let peer = PeerKey(packet.from.0 ^ 1);
        if !self.is_open(peer) {
            return;
        }
        let node = self.end(peer).node;
        if packet.acknowledged > 0 {
            self.end(peer).acknowledged(packet.acknowledged);
            let bytes = self.end(peer).flush();
            self.transmit(node, peer);
            if bytes > 0 {
                self.feed(node, Input::Sent { peer, bytes });
            }
            return;
        }
        self.hosts[node].uplink.push_back(Packet::acknowledge(peer, packet.len));
        self.next_packet(node);
        for message in packet.messages {
            self.report.messages += 1;
            self.ledger.heard(peer, &message);
            self.feed(node, Input::Message { peer, message });
        }
    }

    fn count(&mut self, node: usize, message: &Message) {
        let Message::Piece { data, .. } = message else {
            self.report.control += message.wire_len() as u64;
            return;
        };
        let second = (self.now.as_micros() / 1_000_000) as usize;
        for (sums, counts) in
            [(&mut self.report.sent, true), (&mut self.report.seeded, self.hosts[node].plan.seeder)]
        {
            sums.resize(sums.len().max(second + 1), 0);
            sums[second] += if counts { data.len() as u64 } else { 0 };
        }
    }
}
