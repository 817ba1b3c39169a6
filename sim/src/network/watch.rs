//! Watching the network: every packet's end and every note, as it happens, for whoever asked. Nobody asks as a rule.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use proto::time::Instant;
use turmoil_net::Packet;

use super::{Cargo, Drop, Freight, Network};

/// What there is to see. Between them the first three are what the digest covers.
#[derive(Debug)]
pub enum Sight<'a> {
    /// A packet came out at the far end.
    Delivered(Passage<'a>),
    /// A packet did not.
    Dropped(Passage<'a>, Drop),
    /// The world says that something happened: a fault, a completion.
    Noted(&'a str),
    /// A host put a packet on its line.
    Sent(Passage<'a>),
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// Whose it is, as the wire has it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// From which host to which, as far as somebody has the address.
    pub hosts: [Option<u32>; 2],
    /// Bytes of the IP packet.
    pub bytes: u32,
    /// What it carries.
    pub(super) cargo: Option<&'a Cargo>,
}

impl<'a> Passage<'a> {
    /// The passage of `cargo`.
    pub(super) const fn of(
        cargo: &'a Cargo,
        [from, to]: [SocketAddr; 2],
        hosts: [Option<u32>; 2],
        bytes: u32,
    ) -> Self {
        Self { from, to, hosts, bytes, cargo: Some(cargo) }
    }

    /// The payload above TCP or UDP.
    pub fn content(&self) -> &'a [u8] {
        self.cargo.map_or(&[], Cargo::content)
    }

    /// The packet as it is on the wire; an acknowledgement's own sequence number, which the network does not keep, is
    /// zero.
    pub fn whole(&self) -> Option<Packet> {
        self.cargo.map(|cargo| match cargo {
            Cargo::Raw(packet) => packet.clone(),
            Cargo::Flow(Freight { segment: Some((_, load)), told, .. }) => {
                load.packet(self.from, self.to, *told)
            }
            Cargo::Flow(Freight { segment: None, told, .. }) => told.packet(self.from, self.to),
        })
    }
}

/// Sees what happens while it happens.
pub trait Watch: Send {
    /// One more thing; times never go back.
    fn see(&mut self, at: Instant, sight: Sight<'_>);
}

/// Who watches; shared with whoever wants to know what was seen.
pub type Watcher = Arc<Mutex<dyn Watch>>;

pub(super) fn show(watcher: &Watcher, at: Instant, sight: Sight<'_>) {
    // A watcher that panicked fails its run anyway.
    watcher.lock().unwrap_or_else(PoisonError::into_inner).see(at, sight);
}

impl Network {
    /// The digest after each second so far, the present one included.
    pub fn seconds(&self) -> Vec<u32> {
        self.trace.seconds()
    }

    /// Shows everything to `watcher` from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.trace.watch(watcher);
    }

    /// Bytes that wait at a host's uplink and at its downlink.
    pub fn backlogs(&self, now: Instant, host: u32) -> Option<[u64; 2]> {
        self.hosts.get(host as usize).map(|host| [host.up.backlog(now), host.down.backlog(now)])
    }
}
