//! Which torrents are announced when, and which of the peers that are heard are passed on (BEP 14).
//!
//! ```text
//!  Join ──1 s──▶ due ──the last announcement a minute ago──▶ announced, with others that are due ──5 min──▶ due
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::message::Announcement;
use super::{ANNOUNCE_EVERY, GATHER, MAX_FOUND, MAX_FOUND_FROM, MAX_HASHES, MIN_GAP};
use crate::id::InfoHash;
use crate::seed::Seed;
use crate::time::Instant;
use crate::tracker::Family;

/// What the driver tells the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A torrent that is not private wants to be found.
    Join(InfoHash),
    /// It does not any more.
    Leave(InfoHash),
    /// A datagram came in at one of the groups.
    Datagram {
        /// Its source.
        from: SocketAddr,
        /// Its content.
        payload: Bytes,
    },
}

/// What the machine asks of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the group of a family.
    Send {
        /// The family.
        family: Family,
        /// The datagram.
        payload: Bytes,
    },
    /// Somebody else is in one of our swarms.
    Found {
        /// The swarm.
        info_hash: InfoHash,
        /// Where the peer can be dialled.
        addr: SocketAddr,
    },
}

/// Announces the torrents of one process to the networks that it is in, and hears of others.
#[derive(Debug)]
pub struct LocalDiscovery {
    /// The families that we listen in, each with its port.
    ports: Vec<(Family, u16)>,
    cookie: String,
    /// When each torrent is to be announced.
    due: BTreeMap<InfoHash, Instant>,
    /// Nothing is sent before this.
    quiet_until: Instant,
    heard: Heard,
    outputs: VecDeque<Output>,
}

/// What was passed on in the present minute.
#[derive(Debug, Default)]
struct Heard {
    until: Instant,
    total: usize,
    from: BTreeMap<IpAddr, usize>,
}

impl LocalDiscovery {
    /// A machine for who listens at `listen`: an address of each family.
    pub fn new(listen: &[SocketAddr], seed: Seed) -> Self {
        Self {
            ports: listen.iter().map(|&addr| (Family::of(addr), addr.port())).collect(),
            cookie: format!("{:016x}", seed.rng().next_u64()),
            due: BTreeMap::new(),
            quiet_until: Instant::ZERO,
            heard: Heard::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input in.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Join(info_hash) => drop(self.due.entry(info_hash).or_insert(now + GATHER)),
            Input::Leave(info_hash) => drop(self.due.remove(&info_hash)),
            Input::Datagram { from, payload } => self.hear(now, from, &payload),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.quiet_until {
            return;
        }
        let mut due: Vec<_> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(&h, &at)| (at, h)).collect();
        due.sort_unstable();
        due.truncate(MAX_HASHES);
        let hashes: Vec<InfoHash> = due.into_iter().map(|(_, info_hash)| info_hash).collect();
        if hashes.is_empty() {
            return;
        }
        self.due.extend(hashes.iter().map(|&info_hash| (info_hash, now + ANNOUNCE_EVERY)));
        self.quiet_until = now + MIN_GAP;
        for &(family, port) in &self.ports {
            let cookie = Some(self.cookie.clone());
            let payload = Announcement { port, hashes: hashes.clone(), cookie }.encode(family).into();
            self.outputs.push_back(Output::Send { family, payload });
        }
    }

    /// The next thing to carry out; drain it to `None` after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.values().min().map(|&at| at.max(self.quiet_until))
    }

    //= BEP 14: "determine the IP address on which the remote client can be contacted based on the UDP source address".
    fn hear(&mut self, now: Instant, from: SocketAddr, payload: &[u8]) {
        // Anybody may send anything to a group: what cannot be read is passed over.
        let Ok(said) = Announcement::decode(payload) else { return };
        if said.cookie.as_ref() == Some(&self.cookie) || !is_dialable(from.ip()) {
            return;
        }
        let addr = SocketAddr::new(from.ip().to_canonical(), said.port);
        for info_hash in said.hashes {
            if self.due.contains_key(&info_hash) && self.heard.admits(now, addr.ip()) {
                self.outputs.push_back(Output::Found { info_hash, addr });
            }
        }
    }
}

impl Heard {
    fn admits(&mut self, now: Instant, from: IpAddr) -> bool {
        if now >= self.until {
            *self = Self { until: now + MIN_GAP, ..Self::default() };
        }
        if self.total >= MAX_FOUND {
            return false;
        }
        let of_one = self.from.entry(from).or_default();
        let admits = *of_one < MAX_FOUND_FROM;
        *of_one += usize::from(admits);
        self.total += usize::from(admits);
        admits
    }
}

/// An address of one link says nothing without the interface, which the address book does not keep.
fn is_dialable(ip: IpAddr) -> bool {
    let of_one_link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !(of_one_link || ip.is_unspecified() || ip.is_multicast())
}
