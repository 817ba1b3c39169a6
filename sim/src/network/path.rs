//! The way from one access link to another: how long it takes, and what befalls a packet on it.
//!
//! A network without regions, rough links and faults pays for none of this: one flag is looked at. TCP stays
//! first-in-first-out between two hosts whatever its packets are delayed by, because the simulated stacks take what
//! overtakes for lost; datagrams may overtake each other.

use std::time::Duration;

use bytes::Bytes;
use proto::time::Instant;
use turmoil_net::Transport;

use super::bursts::{Bursts, Fading};
use super::keyed::{Chance, Lot, Stream};
use super::nat::Protocol;
use super::spread::Spread;
use super::{Cargo, Drop, Event, Network, Wire};

#[cfg(test)]
mod tests;

/// What a link does to packets besides making them wait and losing some, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Roughness {
    /// What each packet is late by.
    pub jitter: Option<Spread>,
    /// Losses in bursts.
    pub bursts: Option<Bursts>,
    /// Probability that a datagram comes twice.
    pub duplicate: f64,
    /// Datagrams that others overtake.
    pub reorder: Option<Reorder>,
    /// Probability that a bit of a datagram's payload flips and no checksum tells.
    pub corrupt: f64,
}

/// Datagrams that are held back, so that later ones overtake them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// Probability.
    pub share: f64,
    /// How long.
    pub hold: Duration,
}

/// A [`Roughness`] at work.
#[derive(Debug)]
pub(super) struct Rough {
    fading: Option<Fading>,
    burst: Chance,
    jitter: Option<Spread>,
    duplicate: Chance,
    reorder: Chance,
    hold: Duration,
    corrupt: Chance,
}

/// What went from one host to another by one protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    packets: u64,
    last: Instant,
}

impl Network {
    /// Makes a host's link rough, from now on.
    pub fn roughen(&mut self, host: u32, roughness: Roughness) {
        let keyed = self.keyed;
        let Some(place) = self.hosts.get_mut(host as usize) else { return };
        place.rough = (roughness != Roughness::default()).then(|| {
            let Roughness { jitter, bursts, duplicate, reorder, corrupt } = roughness;
            Box::new(Rough {
                fading: bursts.map(|bursts| Fading::new(bursts, host, keyed)),
                burst: Chance::new(bursts.map_or(0.0, |bursts| bursts.loss)),
                jitter,
                duplicate: Chance::new(duplicate),
                reorder: Chance::new(reorder.map_or(0.0, |reorder| reorder.share)),
                hold: reorder.map_or(Duration::ZERO, |reorder| reorder.hold),
                corrupt: Chance::new(corrupt),
            })
        });
        self.uneven |= place.rough.is_some();
    }

    /// How long it takes from each region to each; square.
    pub fn set_regions(&mut self, latencies: Vec<Vec<Duration>>) {
        self.regions = latencies;
    }

    /// Puts a host into a region, by its number in [`Self::set_regions`].
    pub fn place_in(&mut self, host: u32, region: usize) {
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.region = Some(region);
        }
    }

    /// From the end of one uplink to the beginning of the other's downlink.
    pub(super) fn latency(&self, [source, target]: [u32; 2]) -> Duration {
        let (Some(source), Some(target)) = (self.hosts.get(source as usize), self.hosts.get(target as usize))
        else {
            return Duration::ZERO;
        };
        let links = source.profile.latency + target.profile.latency;
        match (source.region, target.region) {
            (Some(from), Some(to)) => {
                links + self.regions.get(from).and_then(|row| row.get(to)).copied().unwrap_or_default()
            }
            _ => links,
        }
    }

    /// The lot of the next packet between two hosts; packets are only counted where anything is drawn.
    pub(super) fn lot(&mut self, hosts: [u32; 2], protocol: Protocol) -> Lot {
        let draws = |&host: &u32| {
            self.hosts.get(host as usize).is_some_and(|host| host.loss.is_possible() || host.rough.is_some())
        };
        let mut number = 0;
        if hosts.iter().any(draws) {
            let pair = self.pairs.entry((hosts, protocol)).or_default();
            pair.packets += 1;
            number = pair.packets;
        }
        Lot { hosts, protocol, number }
    }

    /// Takes a packet over the sender's uplink or the receiver's downlink.
    pub(super) fn cross(
        &mut self,
        now: Instant,
        stream: Stream,
        lot: Lot,
        bytes: u32,
        control: bool,
    ) -> Result<Instant, Drop> {
        let is_up = stream == Stream::UplinkLoss;
        let link = lot.hosts[usize::from(!is_up)];
        let Some(host) = self.hosts.get_mut(link as usize) else { return Err(Drop::NoRoute) };
        if host.is_down {
            return Err(Drop::HostDown);
        }
        let (line, full) =
            if is_up { (&mut host.up, Drop::UplinkFull) } else { (&mut host.down, Drop::DownlinkFull) };
        let left = line.enqueue(now, bytes, control).ok_or(full)?;
        if !control && lot.number > 0 && self.loses(now, link, stream, lot) {
            return Err(Drop::Loss);
        }
        Ok(left)
    }

    /// Is a packet lost on this link, at random or in a burst?
    fn loses(&mut self, now: Instant, link: u32, stream: Stream, lot: Lot) -> bool {
        let keyed = self.keyed;
        let Some(host) = self.hosts.get_mut(link as usize) else { return false };
        if keyed.befalls(host.loss, lot, stream, link) {
            return true;
        }
        let Some(rough) = host.rough.as_deref_mut() else { return false };
        let burst = if stream == Stream::UplinkLoss { Stream::UplinkBurst } else { Stream::DownlinkBurst };
        rough.fading.as_mut().is_some_and(|fading| fading.is_bad(now, keyed))
            && keyed.befalls(rough.burst, lot, burst, link)
    }

    /// Sends a packet on its way, which left its uplink at `left`.
    pub(super) fn travel(&mut self, left: Instant, mut wire: Wire) {
        let hosts = wire.lot.hosts;
        if !self.uneven {
            return self.set_out(left + self.latency(hosts), wire);
        }
        let mut at = self.released(hosts[0], left) + self.latency(hosts);
        let mut twice = false;
        for link in hosts {
            let (keyed, lot) = (self.keyed, wire.lot);
            let Some(rough) = self.hosts.get(link as usize).and_then(|host| host.rough.as_deref()) else {
                continue;
            };
            let befalls = |chance, stream| keyed.befalls(chance, lot, stream, link);
            if let Some(jitter) = rough.jitter {
                at += jitter.at(keyed.draw_for(lot, Stream::Jitter, link));
            }
            if lot.protocol == Protocol::Udp {
                if befalls(rough.reorder, Stream::Reorder) {
                    at += rough.hold;
                }
                twice |= befalls(rough.duplicate, Stream::Duplicate);
                if befalls(rough.corrupt, Stream::Corrupt) {
                    corrupt(&mut wire.cargo, keyed.draw_for(lot, Stream::Bit, link));
                }
            }
        }
        if wire.lot.protocol == Protocol::Tcp {
            let pair = self.pairs.entry((hosts, Protocol::Tcp)).or_default();
            at = at.max(pair.last);
            pair.last = at;
        }
        if let (true, Cargo::Raw(packet)) = (twice, &wire.cargo) {
            self.trace.sent(wire.bytes);
            let copy = Wire { cargo: Cargo::Raw(packet.clone()), ..wire };
            self.set_out(at, copy);
        }
        self.set_out(at, wire);
    }

    fn set_out(&mut self, at: Instant, wire: Wire) {
        let key = self.wires.insert(wire);
        self.schedule(at, Event::Arrive(key));
    }
}

/// Flips one bit of a datagram's payload; an empty one has none.
fn corrupt(cargo: &mut Cargo, draw: u64) {
    let Cargo::Raw(packet) = cargo else { return };
    let Transport::Udp(datagram) = &mut packet.payload else { return };
    let mut payload = datagram.payload.to_vec();
    let bits = payload.len() as u64 * 8;
    let bit = if bits == 0 { return } else { draw % bits };
    if let Some(byte) = payload.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
    datagram.payload = Bytes::from(payload);
}
