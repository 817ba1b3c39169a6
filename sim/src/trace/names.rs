//! Who has which address: traces speak of peers by their names.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::run::addresses_of;
use crate::scenario::{Plan, TRACKER};

/// The names of a plan's hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By their place in the world.
    hosts: Vec<String>,
    /// Where each listens.
    listening: BTreeMap<SocketAddr, usize>,
    /// By address alone, for connections that were dialled from another port; nothing if several share it.
    ips: BTreeMap<IpAddr, Option<usize>>,
}

impl Names {
    /// The names of the hosts of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut names = Self::default();
        let peers = plan.peers.iter().map(|peer| peer.name.as_str());
        for (place, name) in std::iter::once(TRACKER).chain(peers).enumerate() {
            names.hosts.push(name.to_owned());
            for addr in addresses_of(plan, place) {
                names.listening.insert(addr, place);
                let alone = names.ips.entry(addr.ip()).or_insert(Some(place));
                *alone = alone.filter(|other| *other == place);
            }
        }
        names
    }

    /// The host at this place in the world.
    pub fn host(&self, place: usize) -> String {
        self.hosts.get(place).cloned().unwrap_or_else(|| format!("host {place}"))
    }

    /// Is a host called so?
    pub fn knows(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host == name)
    }

    /// The place in the world of whoever is there, if that is known.
    pub fn place(&self, addr: SocketAddr) -> Option<usize> {
        let listens = self.listening.get(&addr).copied();
        listens.or_else(|| self.ips.get(&addr.ip()).copied().flatten())
    }

    /// Whoever is there, or the address if that is not known.
    pub fn at(&self, addr: SocketAddr) -> String {
        self.place(addr).map_or_else(|| addr.to_string(), |place| self.host(place))
    }
}
