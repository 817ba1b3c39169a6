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
    listening: BTreeMap<SocketAddr, String>,
    /// By address alone, for connections that were dialled from another port; several peers may share one.
    ips: BTreeMap<IpAddr, String>,
}

impl Names {
    /// The names of the hosts of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut names = Self::default();
        let peers = plan.peers.iter().map(|peer| peer.name.as_str());
        for (place, name) in std::iter::once(TRACKER).chain(peers).enumerate() {
            names.hosts.push(name.to_owned());
            for addr in addresses_of(plan, place) {
                names.listening.insert(addr, name.to_owned());
                let shared = |other: &mut String| {
                    if other != name {
                        *other = addr.ip().to_string();
                    }
                };
                names.ips.entry(addr.ip()).and_modify(shared).or_insert_with(|| name.to_owned());
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

    /// Whoever is there, or the address if that is not known.
    pub fn at(&self, addr: SocketAddr) -> String {
        let known = self.listening.get(&addr).or_else(|| self.ips.get(&addr.ip()));
        known.cloned().unwrap_or_else(|| addr.to_string())
    }
}
