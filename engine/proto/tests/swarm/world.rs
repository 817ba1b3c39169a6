//! The little world: nodes with an uplink of so many bytes a second, connections with a socket buffer, a fixed
//! latency, a disk that answers at once and a tracker that knows everybody.
//!
//! An uplink sends one packet after the other and takes the connections in turn, as competing TCP flows share.
//! Downlinks have no limit here; only the bound knows theirs.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::piece::{BLOCK_LEN, Block};
use proto::seed::{Random, Seed};
use proto::time::{Duration, Instant};
use proto::torrent::{
    AnnounceEvent, Direction, DisconnectReason, Event, Input, Output, PeerKey, Torrent, TorrentConfig,
};
use proto::wire::Message;

/// One way, between any two nodes.
const LATENCY: Duration = Duration::from_millis(50);
/// Bytes that a socket takes before it blocks its writer.
const SOCKET_BUFFER: usize = 64 * 1024;
/// Bytes that a connection sends in its turn.
const PACKET: usize = 4 * 1448;
/// Peers in one reply of the tracker.
const NUM_WANT: usize = 50;

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) seeder: bool,
    /// Sends garbage for every block.
    pub(crate) poisoner: bool,
    /// Its disk refuses writes in this span.
    pub(crate) disk_full: Option<(Instant, Instant)>,
    /// It leaves then, without a word.
    pub(crate) leaves: Option<Instant>,
}

impl Node {
    pub(crate) fn seeder(up: u64) -> Self {
        Self { up, down: u64::MAX, seeder: true, poisoner: false, disk_full: None, leaves: None }
    }

    pub(crate) fn leecher(up: u64, down: u64) -> Self {
        Self { up, down, seeder: false, poisoner: false, disk_full: None, leaves: None }
    }
}

/// What happens in a swarm; a seed makes a run of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) nodes: Vec<Node>,
    /// Leechers come uniformly over this span; seeders at once.
    pub(crate) arrivals: Duration,
    pub(crate) config: TorrentConfig,
}

impl Plan {
    pub(crate) fn new(len: u64, piece_len: u32) -> Self {
        let draft = Draft::new("content", Content::Single(len), Some(piece_len)).unwrap();
        let hashes: Vec<_> =
            draft.geometry().all_pieces().map(|piece| PieceHash([piece.get() as u8; 20])).collect();
        let metainfo = Arc::new(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap());
        Self { metainfo, nodes: Vec::new(), arrivals: Duration::ZERO, config: TorrentConfig::default() }
    }

    /// When each node comes.
    pub(crate) fn arrival_times(&self, seed: u64) -> Vec<Instant> {
        let mut random = Seed::from_u64(seed).child(1).rng();
        let span = self.arrivals.as_micros() as u64;
        let draw = |node: &Node| if node.seeder { 0 } else { random.below(span.max(1)) };
        self.nodes.iter().map(draw).map(Instant::from_micros).collect()
    }
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) completed: usize,
    /// Seconds until the last leecher that finished did.
    pub(crate) makespan: f64,
    /// Seconds at which each leecher finished, in order.
    pub(crate) finished: Vec<f64>,
    pub(crate) duplicate: u64,
    pub(crate) wasted: u64,
    pub(crate) payload: u64,
    /// Wire bytes that were no blocks.
    pub(crate) control: u64,
    pub(crate) messages: u64,
    pub(crate) hash_failures: u64,
    pub(crate) storage_failures: u64,
    pub(crate) reasons: BTreeMap<DisconnectReason, u64>,
    /// Nodes that somebody closed a connection to as poisoners.
    pub(crate) banned: Vec<usize>,
    /// Payload bytes sent in each second.
    pub(crate) sent: Vec<u64>,
    /// The same, of seeders.
    pub(crate) seeded: Vec<u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p50 = self.finished.get(self.finished.len() / 2).copied().unwrap_or_default();
        write!(
            f,
            "{} done, first {:.1} s, p50 {p50:.1} s, last {:.1} s, duplicate {:.2} %, wasted {:.2} %, control {:.2} %, {} messages, {:?}",
            self.completed,
            self.finished.first().copied().unwrap_or_default(),
            self.makespan,
            self.duplicate as f64 * 100.0 / self.payload as f64,
            self.wasted as f64 * 100.0 / self.payload as f64,
            self.control as f64 * 100.0 / self.payload as f64,
            self.messages,
            self.reasons,
        )
    }
}

#[derive(Debug)]
enum What {
    Arrives(usize),
    Leaves(usize),
    Wakes(usize),
    /// The uplink finished a message.
    UplinkFree(usize),
    Delivered {
        to: usize,
        peer: PeerKey,
        message: Message,
    },
    Connected {
        link: usize,
    },
    Refused {
        node: usize,
        addr: SocketAddr,
    },
    Closed {
        to: usize,
        peer: PeerKey,
    },
}

#[derive(Debug)]
struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// One end of a connection.
#[derive(Debug, Default)]
struct End {
    node: usize,
    /// Handed over by the machine, in front of the socket.
    pending: VecDeque<Message>,
    socket: VecDeque<Message>,
    buffered: usize,
    /// Bytes of the socket's first message that have left.
    begun: usize,
    in_turn: bool,
}

impl End {
    /// Takes the next packet's bytes out of the socket, and the messages that end in it.
    fn packet(&mut self) -> (usize, Vec<Message>) {
        let (mut len, mut whole) = (0, Vec::new());
        while let Some(message) = self.socket.front()
            && len < PACKET
        {
            let rest = message.wire_len() - self.begun;
            let part = rest.min(PACKET - len);
            len += part;
            self.begun += part;
            if part == rest {
                self.begun = 0;
                whole.extend(self.socket.pop_front());
            }
        }
        self.buffered -= len;
        (len, whole)
    }
}

#[derive(Debug)]
struct Link {
    ends: [End; 2],
    open: bool,
}

struct Host {
    torrent: Option<Torrent>,
    plan: Node,
    /// Ends with something to send, in turn.
    turns: VecDeque<PeerKey>,
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
            turns: VecDeque::new(),
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
            self.report.duplicate += stats.duplicate;
            self.report.wasted += stats.wasted;
            self.report.payload += stats.progress.downloaded;
            self.report.hash_failures += stats.hash_failures;
            self.report.finished.extend(host.done.map(Instant::as_secs_f64));
        }
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
                self.transmit(node);
            }
            What::Delivered { to, peer, message } => {
                if self.links[(peer.0 / 2) as usize].open {
                    self.report.messages += 1;
                    self.feed(to, Input::Message { peer, message });
                }
            }
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
        let config = self.plan.config;
        host.torrent = Some(Torrent::new(Arc::clone(&self.plan.metainfo), have, config, seed, self.now));
        self.drain(node);
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
                let mut known = self.present.clone();
                known.retain(|&other| other != node);
                self.random.shuffle(&mut known);
                return Some(Input::Candidates(known.into_iter().take(NUM_WANT).map(address).collect()));
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
        }
        None
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
        let at = self.now + LATENCY * 4;
        if !self.present.contains(&target) {
            self.schedule(at, What::Refused { node, addr });
            return;
        }
        let end = |node| End { node, ..End::default() };
        self.links.push(Link { ends: [end(node), end(target)], open: false });
        self.schedule(at, What::Connected { link: self.links.len() - 1 });
    }

    fn connected(&mut self, link: usize) {
        let [a, b] = [0, 1].map(|side: usize| self.links[link].ends[side].node);
        let ids = [a, b].map(|node| self.hosts[node].torrent.as_ref().map(Torrent::peer_id));
        let ([Some(a_id), Some(b_id)], keys) = (ids, [0, 1].map(|side| PeerKey(link as u64 * 2 + side)))
        else {
            self.feed(a, Input::ConnectFailed { addr: address(b) });
            return;
        };
        self.links[link].open = true;
        let ephemeral = SocketAddr::new(address(a).ip(), 40_000 + (link % 20_000) as u16);
        let views = [(a, address(b), b_id, Direction::Outgoing), (b, ephemeral, a_id, Direction::Incoming)];
        for ((node, addr, id, direction), peer) in views.into_iter().zip(keys) {
            if self.links[link].open || direction == Direction::Incoming {
                self.hosts[node].keys.push(peer);
                self.feed(node, Input::Connected { peer, addr, id, reserved: [0; 8], direction });
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

    fn send(&mut self, node: usize, peer: PeerKey, message: Message) -> Option<Input> {
        let link = &mut self.links[(peer.0 / 2) as usize];
        if !link.open {
            return None;
        }
        link.ends[(peer.0 % 2) as usize].pending.push_back(message);
        let moved = self.flush(peer);
        self.transmit(node);
        (moved > 0).then_some(Input::Sent { peer, bytes: moved })
    }

    /// Moves messages into the socket while it has room; returns their bytes.
    fn flush(&mut self, peer: PeerKey) -> usize {
        let end = &mut self.links[(peer.0 / 2) as usize].ends[(peer.0 % 2) as usize];
        let mut moved = 0;
        while end.buffered < SOCKET_BUFFER
            && let Some(message) = end.pending.pop_front()
        {
            moved += message.wire_len();
            end.buffered += message.wire_len();
            end.socket.push_back(message);
        }
        if !end.in_turn && !end.socket.is_empty() {
            end.in_turn = true;
            self.hosts[end.node].turns.push_back(peer);
        }
        moved
    }

    /// Starts the uplink's next message.
    fn transmit(&mut self, node: usize) {
        while !self.hosts[node].busy
            && let Some(peer) = self.hosts[node].turns.pop_front()
        {
            let link = &mut self.links[(peer.0 / 2) as usize];
            let to = link.ends[1 - (peer.0 % 2) as usize].node;
            let end = &mut link.ends[(peer.0 % 2) as usize];
            end.in_turn = false;
            if !link.open {
                continue;
            }
            let (len, whole) = end.packet();
            let took = Duration::from_micros(len as u64 * 1_000_000 / self.hosts[node].plan.up);
            self.hosts[node].busy = true;
            self.schedule(self.now + took, What::UplinkFree(node));
            for message in whole {
                self.count(node, &message);
                let delivered = What::Delivered { to, peer: PeerKey(peer.0 ^ 1), message };
                self.schedule(self.now + took + LATENCY, delivered);
            }
            let moved = self.flush(peer);
            if moved > 0 {
                self.feed(node, Input::Sent { peer, bytes: moved });
            }
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

fn address(node: usize) -> SocketAddr {
    let [.., high, low] = (node as u32).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), 6881)
}

fn node_at(addr: SocketAddr) -> usize {
    let IpAddr::V4(ip) = addr.ip() else { unreachable!("the world speaks IPv4") };
    usize::from(ip.octets()[2]) << 8 | usize::from(ip.octets()[3])
}
