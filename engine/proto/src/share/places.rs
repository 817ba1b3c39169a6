//! Who may dial next, and who parts with a connection when all are taken.
//!
//! Dials are given in turns: a torrent whose peers are all dead holds nobody else up for longer than its turn. Once
//! every place is taken, the torrent with most connections parts with one as long as somebody who waits has fewer by
//! two or more, and the place is for such a one; so places move towards equal numbers, and never to and fro.
//!
//! ```text
//! dial ──▶ in the line ──its turn, a free place──▶ granted ──opened──▶ a connection ──▶ released
//! knock ─┬─ a free place ───────────────────────────────────────────────▲
//!        ├─ its torrent has too few ─▶ a guest ──somebody parts─────────┘
//!        └─ else ─▶ refused
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::rate::TorrentKey;
use crate::torrent::PeerKey;

#[cfg(test)]
mod tests;

/// Strangers whose handshake waits for a place. They hold sockets; more are turned away.
const MAX_GUESTS: usize = 16;

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Connections of all torrents, dials under way among them.
    pub connections: usize,
    /// Dials under way (home routers lose track of many half-open connections).
    pub half_open: usize,
}

/// What the machine decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceOutput {
    /// This connection has its place.
    Granted(PeerKey),
    /// This one gets none.
    Refused(PeerKey),
    /// This torrent is to part with a connection.
    Part(TorrentKey),
}

#[derive(Debug, Default)]
struct Torrent {
    /// Connections and dials under way.
    held: usize,
    dials: usize,
    waiting: VecDeque<PeerKey>,
    ticket: u64,
}

impl Torrent {
    /// Connections that it could part with.
    fn open(&self) -> usize {
        self.held - self.dials
    }
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    torrent: TorrentKey,
    dials: bool,
    granted: bool,
}

/// Every connection of a process that has a place or waits for one. Drain [`Places::poll_output`] after each call.
#[derive(Debug)]
pub struct Places {
    limits: PlaceLimits,
    holders: BTreeMap<PeerKey, Holder>,
    torrents: BTreeMap<TorrentKey, Torrent>,
    /// Torrents that wait to dial, in the order of turns.
    line: BTreeSet<(u64, TorrentKey)>,
    guests: VecDeque<(PeerKey, TorrentKey)>,
    held: usize,
    dials: usize,
    /// Has been asked to part with a connection: one at a time.
    parting: Option<TorrentKey>,
    next: u64,
    outputs: VecDeque<PlaceOutput>,
}

impl Places {
    /// All free.
    pub fn new(limits: PlaceLimits) -> Self {
        Self {
            limits,
            holders: BTreeMap::new(),
            torrents: BTreeMap::new(),
            line: BTreeSet::new(),
            guests: VecDeque::new(),
            held: 0,
            dials: 0,
            parting: None,
            next: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Places that are taken, and those of them by dials under way.
    pub const fn taken(&self) -> (usize, usize) {
        (self.held, self.dials)
    }

    /// A torrent wants to dial.
    pub fn dial(&mut self, peer: PeerKey, torrent: TorrentKey) {
        self.holders.insert(peer, Holder { torrent, dials: true, granted: false });
        let waits = self.torrents.entry(torrent).or_default();
        waits.waiting.push_back(peer);
        if waits.waiting.len() == 1 {
            self.take_ticket(torrent);
        }
        self.settle();
    }

    /// Somebody dialled a torrent.
    pub fn knock(&mut self, peer: PeerKey, torrent: TorrentKey) {
        self.holders.insert(peer, Holder { torrent, dials: false, granted: false });
        if self.held < self.limits.connections {
            self.grant(peer);
        } else if self.guests.len() < MAX_GUESTS && self.richer_than(torrent).is_some() {
            self.guests.push_back((peer, torrent));
            self.settle();
        } else {
            self.holders.remove(&peer);
            self.outputs.push_back(PlaceOutput::Refused(peer));
        }
    }

    /// A dial led to a connection.
    pub fn opened(&mut self, peer: PeerKey) {
        let Some(holder) = self.holders.get_mut(&peer).filter(|holder| holder.granted && holder.dials) else {
            return;
        };
        holder.dials = false;
        self.dials -= 1;
        if let Some(torrent) = self.torrents.get_mut(&holder.torrent) {
            torrent.dials -= 1;
        }
        self.settle();
    }

    /// A connection is over, or waits no more.
    pub fn release(&mut self, peer: PeerKey) {
        let Some(holder) = self.holders.remove(&peer) else { return };
        self.guests.retain(|&(guest, _)| guest != peer);
        if let Some(torrent) = self.torrents.get_mut(&holder.torrent) {
            if holder.granted {
                torrent.held -= 1;
                torrent.dials -= usize::from(holder.dials);
                self.held -= 1;
                self.dials -= usize::from(holder.dials);
                self.parting = self.parting.filter(|&parting| parting != holder.torrent);
            } else {
                torrent.waiting.retain(|&waiting| waiting != peer);
                if torrent.waiting.is_empty() {
                    self.line.remove(&(torrent.ticket, holder.torrent));
                }
            }
            if torrent.held == 0 && torrent.waiting.is_empty() {
                self.torrents.remove(&holder.torrent);
            }
        }
        self.settle();
    }

    /// The next decision.
    pub fn poll_output(&mut self) -> Option<PlaceOutput> {
        self.outputs.pop_front()
    }

    /// Gives what is free to those who wait, and asks for more if somebody has too much.
    fn settle(&mut self) {
        while self.held < self.limits.connections
            && let Some(peer) = self.guests.pop_front().map(|(guest, _)| guest).or_else(|| self.next_dial())
        {
            self.grant(peer);
        }
        if self.held < self.limits.connections || self.parting.is_some() {
            return;
        }
        // A guest whose torrent has its share by now waits in vain.
        while let Some(&(guest, torrent)) = self.guests.front()
            && self.richer_than(torrent).is_none()
        {
            self.guests.pop_front();
            self.holders.remove(&guest);
            self.outputs.push_back(PlaceOutput::Refused(guest));
        }
        let guest = self.guests.front().map(|&(_, torrent)| torrent);
        let poorest = guest.or_else(|| self.poorest_in_line().filter(|_| self.dials < self.limits.half_open));
        if let Some(richest) = poorest.and_then(|torrent| self.richer_than(torrent)) {
            self.parting = Some(richest);
            self.outputs.push_back(PlaceOutput::Part(richest));
        }
    }

    /// The first connection of the torrent whose turn it is to dial. The last place is for one of those who have
    /// least, or who parted with it could take it back.
    fn next_dial(&mut self) -> Option<PeerKey> {
        if self.dials >= self.limits.half_open {
            return None;
        }
        let is_last = self.held + 1 >= self.limits.connections;
        let first = || self.line.first().map(|&(_, torrent)| torrent);
        let torrent = if is_last { self.poorest_in_line() } else { first() }?;
        let waits = self.torrents.get_mut(&torrent)?;
        let peer = waits.waiting.pop_front();
        let (ticket, more) = (waits.ticket, !waits.waiting.is_empty());
        self.line.remove(&(ticket, torrent));
        if more {
            self.take_ticket(torrent);
        }
        peer
    }

    /// Of those who wait to dial, the torrent with fewest places; of equal ones, whose turn is next.
    fn poorest_in_line(&self) -> Option<TorrentKey> {
        let held = |torrent: &TorrentKey| self.torrents.get(torrent).map_or(0, |torrent| torrent.held);
        self.line.iter().map(|&(_, torrent)| torrent).min_by_key(held)
    }

    /// Puts a torrent at the end of the line.
    fn take_ticket(&mut self, torrent: TorrentKey) {
        if let Some(waits) = self.torrents.get_mut(&torrent) {
            waits.ticket = self.next;
            self.line.insert((self.next, torrent));
            self.next += 1;
        }
    }

    fn grant(&mut self, peer: PeerKey) {
        let Some(holder) = self.holders.get_mut(&peer) else { return };
        holder.granted = true;
        let dials = usize::from(holder.dials);
        let torrent = self.torrents.entry(holder.torrent).or_default();
        torrent.held += 1;
        torrent.dials += dials;
        self.held += 1;
        self.dials += dials;
        self.outputs.push_back(PlaceOutput::Granted(peer));
    }

    /// The torrent with most open connections, if it has two more than this one has places.
    fn richer_than(&self, torrent: TorrentKey) -> Option<TorrentKey> {
        let poor = self.torrents.get(&torrent).map_or(0, |torrent| torrent.held);
        let richest = self.torrents.iter().max_by_key(|(_, torrent)| torrent.open());
        richest.filter(|(_, richest)| richest.open() >= poor + 2).map(|(&richest, _)| richest)
    }
}
