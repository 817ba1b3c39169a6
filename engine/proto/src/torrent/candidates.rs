//! The address book: whom to dial, when to try again, whom to refuse.
//!
//! Only addresses that somebody listens at are in it: an incoming connection's port is ephemeral and says
//! nothing about where that peer can be dialled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::bans::Bans;
use super::dials::Dials;
use super::limits::{
    DIAL_BACKOFF, MAX_BACKOFF, MAX_CANDIDATES, MAX_DIAL_FAILURES, MAX_RUMOURS, RECONNECT_AFTER, TorrentConfig,
};
use crate::seed::Random;
use crate::time::Instant;
use crate::torrent::peers::Peer;
use crate::torrent::{Banned, Direction, Giver, Source};

/// Where an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting(Instant),
    Dialling,
    /// Dialled on somebody's word that is void by now: no connection to it is kept.
    Abandoned,
    Connected,
    /// Ourselves, or as complete as we are.
    Never,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    state: State,
    /// Who named it first.
    source: Source,
    failures: u32,
    /// It once led to a connection.
    proven: bool,
    /// The peer that told us of it (BEP 11); nothing if somebody else did too.
    rumour_of: Option<IpAddr>,
}

impl Candidate {
    fn new(state: State, source: Source) -> Self {
        Self { state, source, failures: 0, proven: state == State::Connected, rumour_of: None }
    }
}

/// Every address we know.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    book: BTreeMap<SocketAddr, Candidate>,
    /// Addresses to dial; one is drawn at random.
    ready: Vec<SocketAddr>,
    waiting: BTreeSet<(Instant, SocketAddr)>,
    dials: Dials,
    /// Addresses in the book for each peer that told us of them.
    rumours: BTreeMap<IpAddr, usize>,
    bans: Bans,
}

impl Candidates {
    /// Addresses in the book.
    pub(super) fn known(&self) -> usize {
        self.book.len()
    }

    /// Where the connected peers listen, as far as we know.
    pub(super) fn connected_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        let connected = self.book.iter().filter(|(_, candidate)| candidate.state == State::Connected);
        connected.map(|(&addr, _)| addr)
    }

    /// Dials under way.
    pub(super) fn dialling(&self) -> usize {
        self.dials.count()
    }

    /// Dials under way that are likely to be answered.
    pub(super) fn hopeful(&self) -> usize {
        self.dials.hopeful()
    }

    /// May one more address be dialled, besides `open` connections?
    pub(super) fn may_dial(&self, open: usize, config: &TorrentConfig) -> bool {
        self.dials.have_room(open, config)
    }

    /// When an address may be dialled that cannot be now, besides `open` connections: its wait is over, or others
    /// have not answered for long.
    pub(super) fn due(&self, open: usize, config: &TorrentConfig) -> Option<Instant> {
        if self.may_dial(open, config) { self.again() } else { self.dials.due() }
    }

    /// When the next address may be dialled again.
    fn again(&self) -> Option<Instant> {
        self.waiting.first().map(|&(at, _)| at)
    }

    /// Counts less on dials that were not answered for long.
    pub(super) fn give_up(&mut self, now: Instant) {
        self.dials.give_up(now);
    }

    /// Nobody can be dialled now.
    pub(super) fn is_exhausted(&self, now: Instant) -> bool {
        self.ready.is_empty() && self.again().is_none_or(|due| due > now)
    }

    /// Takes an address into the book, unless it is full, known, refused or no address.
    pub(super) fn offer(&mut self, addr: SocketAddr, source: Source) {
        let addr = canonical(addr);
        if let Some(rumour_of) = self.book.get_mut(&addr).and_then(|known| known.rumour_of.take()) {
            self.confirmed(rumour_of);
        } else if self.is_abandoned(addr) {
            self.enter(addr, State::Dialling);
        } else if self.is_new(addr) && self.make_room() {
            self.book.insert(addr, Candidate::new(State::Ready, source));
            self.ready.push(addr);
        }
    }

    /// The same, on the word of the peer at `from`: only so many, and never in place of others.
    //= BEP 11: what a peer says is untrusted.
    pub(super) fn offer_rumour(&mut self, addr: SocketAddr, from: IpAddr) {
        let addr = canonical(addr);
        let spread = self.rumours.get(&from).copied().unwrap_or(0);
        if self.is_new(addr) && spread < MAX_RUMOURS && self.book.len() < MAX_CANDIDATES {
            self.rumours.insert(from, spread + 1);
            let rumour = Candidate { rumour_of: Some(from), ..Candidate::new(State::Ready, Source::Pex) };
            self.book.insert(addr, rumour);
            self.ready.push(addr);
        }
    }

    /// A peer that dialled us says that it listens there.
    pub(super) fn met(&mut self, addr: SocketAddr) {
        match self.book.get(&addr).map(|candidate| candidate.state) {
            None if self.is_new(addr) && self.book.len() < MAX_CANDIDATES => {
                self.book.insert(addr, Candidate::new(State::Connected, Source::Incoming));
            }
            Some(State::Ready) => {
                self.ready.retain(|&other| other != addr);
                self.enter(addr, State::Connected);
            }
            Some(State::Waiting(at)) => {
                self.waiting.remove(&(at, addr));
                self.enter(addr, State::Connected);
            }
            None | Some(State::Dialling | State::Abandoned | State::Connected | State::Never) => {}
        }
    }

    fn is_new(&self, addr: SocketAddr) -> bool {
        let unusable = addr.port() == 0 || addr.ip().is_unspecified() || self.is_banned(addr.ip());
        !unusable && !self.book.contains_key(&addr)
    }

    /// One rumour less of this peer's.
    fn confirmed(&mut self, from: IpAddr) {
        match self.rumours.get_mut(&from) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(self.rumours.remove(&from)),
        }
    }

    /// Takes an address out of the book.
    fn strike(&mut self, addr: SocketAddr) -> bool {
        let forgotten = self.book.remove(&addr);
        if let Some(from) = forgotten.and_then(|candidate| candidate.rumour_of) {
            self.confirmed(from);
        }
        forgotten.is_some()
    }

    /// A full book forgets a rumour, else the address with the longest wait, who once was a peer last.
    fn make_room(&mut self) -> bool {
        if self.book.len() < MAX_CANDIDATES {
            return true;
        }
        let is = |addr: &SocketAddr, what: &dyn Fn(&Candidate) -> bool| self.book.get(addr).is_some_and(what);
        let idle = || self.ready.iter().chain(self.waiting.iter().rev().map(|(_, addr)| addr));
        let rumour = idle().find(|addr| is(addr, &|candidate| candidate.rumour_of.is_some()));
        let longest = || self.waiting.iter().rev().map(|(_, addr)| addr);
        let unproven = longest().find(|addr| is(addr, &|candidate| !candidate.proven));
        let least = rumour.or(unproven).or(longest().next()).copied();
        least.is_some_and(|addr| {
            self.drop_unused(addr);
            true
        })
    }

    /// The next address to dial.
    pub(super) fn next(&mut self, now: Instant, random: &mut Random) -> Option<SocketAddr> {
        while let Some(&(at, addr)) = self.waiting.first()
            && at <= now
        {
            self.waiting.pop_first();
            self.ready.push(addr);
            self.enter(addr, State::Ready);
        }
        if self.ready.is_empty() {
            return None;
        }
        let addr = self.ready.swap_remove(random.index(self.ready.len()));
        self.enter(addr, State::Dialling);
        self.dials.begin(now, addr);
        Some(addr)
    }

    /// A dial led to a connection; false if nobody vouches for that address any more.
    pub(super) fn connected(&mut self, addr: SocketAddr) -> bool {
        if self.is_abandoned(addr) {
            self.dial_over(addr);
            self.strike(addr);
            return false;
        }
        self.dial_over(addr);
        self.enter(addr, State::Connected);
        if let Some(candidate) = self.book.get_mut(&addr) {
            candidate.failures = 0;
            candidate.proven = true;
        }
        true
    }

    /// Forgets every address but our own and those that are as complete as we are: what was said of them is void.
    pub(super) fn abandon_all(&mut self) {
        self.ready.clear();
        self.waiting.clear();
        self.rumours.clear();
        self.book.retain(|_, candidate| match candidate.state {
            State::Never | State::Abandoned => true,
            State::Dialling => {
                candidate.state = State::Abandoned;
                true
            }
            State::Ready | State::Waiting(_) | State::Connected => false,
        });
    }

    fn is_abandoned(&self, addr: SocketAddr) -> bool {
        self.book.get(&addr).is_some_and(|candidate| candidate.state == State::Abandoned)
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, now: Instant, addr: SocketAddr) {
        let abandoned = self.is_abandoned(addr);
        if !self.dial_over(addr) {
            return;
        }
        if abandoned {
            self.strike(addr);
            return;
        }
        let Some(candidate) = self.book.get_mut(&addr) else { return };
        candidate.failures += 1;
        if candidate.failures >= MAX_DIAL_FAILURES && !candidate.proven {
            self.strike(addr);
            return;
        }
        let wait = (DIAL_BACKOFF * (1 << (candidate.failures - 1).min(MAX_DIAL_FAILURES))).min(MAX_BACKOFF);
        self.wait_until(addr, now + wait);
    }

    /// A connection to this address ended.
    pub(super) fn ended(&mut self, now: Instant, addr: SocketAddr) {
        self.free(now + RECONNECT_AFTER, addr);
    }

    /// An address that counted as connected may be dialled again at `at`.
    pub(super) fn free(&mut self, at: Instant, addr: SocketAddr) {
        if self.book.get(&addr).is_some_and(|candidate| candidate.state == State::Connected) {
            self.wait_until(addr, at);
        }
    }

    /// This address is not worth a dial again, whether it is known or not.
    pub(super) fn never(&mut self, addr: SocketAddr) {
        match self.book.get(&addr).map(|candidate| candidate.state) {
            Some(State::Waiting(at)) => {
                self.waiting.remove(&(at, addr));
            }
            Some(State::Ready) => self.ready.retain(|&other| other != addr),
            None | Some(State::Dialling | State::Abandoned | State::Connected | State::Never) => {}
        }
        let source = self.book.get(&addr).map_or(Source::User, |candidate| candidate.source);
        if self.strike(addr) || self.make_room() {
            self.book.insert(addr, Candidate::new(State::Never, source));
        }
    }

    /// An address that was not worth a dial may be dialled again.
    pub(super) fn reconsider(&mut self, addr: SocketAddr) {
        let refused = self.book.get(&addr).filter(|candidate| candidate.state == State::Never);
        if let Some(source) = refused.map(|candidate| candidate.source) {
            self.strike(addr);
            self.offer(addr, source);
        }
    }

    /// Forgets an address that was dialled and led nowhere new.
    pub(super) fn forget(&mut self, addr: SocketAddr) {
        if self.book.get(&addr).is_some_and(|candidate| candidate.state == State::Connected) {
            self.strike(addr);
        }
    }

    /// Refuses somebody from now on; false if that is so already. What the book has of a peer goes: it would be
    /// dialled in vain.
    pub(super) fn ban(&mut self, banned: Banned) -> bool {
        if let Giver::Peer(ip) = banned.who {
            let known = self.book.iter().filter(|(addr, _)| addr.ip() == ip).map(|(&addr, _)| addr);
            for addr in known.collect::<Vec<_>>() {
                self.drop_unused(addr);
            }
        }
        self.bans.add(banned)
    }

    /// How we came to know of a peer that we dialled.
    pub(super) fn source_of(&self, peer: &Peer) -> Option<Source> {
        self.source_at(peer.addr).filter(|_| peer.direction == Direction::Outgoing)
    }

    /// Who named an address first, if it is known.
    pub(super) fn source_at(&self, addr: SocketAddr) -> Option<Source> {
        self.book.get(&canonical(addr)).map(|candidate| candidate.source)
    }

    /// Is this address refused?
    pub(super) fn is_banned(&self, addr: IpAddr) -> bool {
        self.bans.holds(addr)
    }

    /// Everybody who is refused, oldest first.
    pub(super) fn banned(&self) -> Vec<Banned> {
        self.bans.list()
    }

    /// Forgets an address that is not dialled or connected.
    fn drop_unused(&mut self, addr: SocketAddr) {
        match self.book.get(&addr).map(|candidate| candidate.state) {
            Some(State::Waiting(at)) => {
                self.waiting.remove(&(at, addr));
            }
            Some(State::Ready) => self.ready.retain(|&other| other != addr),
            None | Some(State::Dialling | State::Abandoned | State::Connected | State::Never) => return,
        }
        self.strike(addr);
    }

    fn dial_over(&mut self, addr: SocketAddr) -> bool {
        let under_way = [State::Dialling, State::Abandoned];
        let dialled = self.book.get(&addr).is_some_and(|candidate| under_way.contains(&candidate.state));
        if dialled {
            self.dials.end(addr);
        }
        dialled
    }

    fn wait_until(&mut self, addr: SocketAddr, at: Instant) {
        if self.is_banned(addr.ip()) {
            self.strike(addr);
            return;
        }
        self.waiting.insert((at, addr));
        self.enter(addr, State::Waiting(at));
    }

    fn enter(&mut self, addr: SocketAddr, state: State) {
        if let Some(candidate) = self.book.get_mut(&addr) {
            candidate.state = state;
        }
    }
}

/// One address, one entry: an IPv4 address in IPv6's clothes is the IPv4 address.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
