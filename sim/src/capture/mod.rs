//! Captures: the packets of chosen hosts as pcapng files, for Wireshark and its like.
//!
//! A file is what a monitor at one host's access link would have written: each packet that the host sends when it
//! comes to the link, and each that is for it when it comes out; and, with a comment that says why, those that were
//! lost before they were through. Times are simulated ones, since 1970 to a program. Packets are written as they come
//! and nothing is kept of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use proto::time::Instant;
use turmoil_net::{Packet, Transport};

use crate::network::{Passage, Sight, Watch};
use crate::run::addresses_of;
use crate::scenario::{Plan, TRACKER, quantity};

mod blocks;
mod frame;

use blocks::Direction;

/// Hosts captured in one run at the most: each has a file open.
pub const MAX_CAPTURED: usize = 200;

/// Directions of connections whose sequence numbers are remembered: far more than a peer has open at once.
const MAX_DIRECTIONS: usize = 1 << 16;

/// Captures hosts, each into a writer of its own.
pub struct Capture<W> {
    /// By their places in the world.
    hosts: BTreeMap<u32, Monitor<W>>,
    /// What a host has just sent: whether its link takes it is seen next.
    sent: Option<(u32, Instant, Packet, u32)>,
    error: Option<io::Error>,
}

/// One host's.
struct Monitor<W> {
    out: W,
    /// The next sequence number of each direction of a connection: an acknowledgement has that one.
    next: BTreeMap<[SocketAddr; 2], u32>,
}

/// Which hosts' places in the world are meant by these names of peers, groups, or `tracker`; or the first name that
/// nobody has.
///
/// # Errors
/// The name.
pub fn places(plan: &Plan, names: &[String]) -> Result<Vec<usize>, String> {
    let mut places = Vec::new();
    for name in names {
        let of_group = |peer: &str| {
            peer.rsplit_once('-').is_some_and(|(group, number)| group == name && is_number(number))
        };
        let exact = plan.peers.iter().any(|peer| peer.name == *name);
        let meant = |peer: &str| if exact { peer == name } else { of_group(peer) };
        let before = places.len();
        places.extend((name == TRACKER).then_some(0));
        places.extend((1..).zip(&plan.peers).filter(|(_, peer)| meant(&peer.name)).map(|(place, _)| place));
        if places.len() == before {
            return Err(name.clone());
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the host at this place of the world is called.
pub fn name_of(plan: &Plan, place: usize) -> &str {
    place.checked_sub(1).and_then(|index| plan.peers.get(index)).map_or(TRACKER, |peer| &peer.name)
}

impl<W: Write + Send> Capture<W> {
    /// Captures the hosts at these places of the world, each into what `open` gives for its name.
    ///
    /// # Errors
    /// What `open` or the first write says.
    pub fn new(
        plan: &Plan,
        places: &[usize],
        mut open: impl FnMut(&str) -> io::Result<W>,
    ) -> io::Result<Self> {
        let mut hosts = BTreeMap::new();
        for &place in places {
            let mut out = open(name_of(plan, place))?;
            out.write_all(&preface(plan, place))?;
            hosts.insert(place as u32, Monitor { out, next: BTreeMap::new() });
        }
        Ok(Self { hosts, sent: None, error: None })
    }

    /// Writes out all that was seen.
    ///
    /// # Errors
    /// The first that any write met: after it nothing more was written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.let_go(None);
        self.error.take().map_or(Ok(()), Err)?;
        self.hosts.values_mut().try_for_each(|host| host.out.flush())
    }

    /// Writes what was sent last; `lost` says why the link did not take it.
    fn let_go(&mut self, lost: Option<&String>) {
        if let Some((host, at, packet, bytes)) = self.sent.take() {
            self.write(host, at, Direction::Out, packet, bytes, lost.map(String::as_str));
        }
    }

    fn write(
        &mut self,
        host: u32,
        at: Instant,
        direction: Direction,
        packet: Packet,
        bytes: u32,
        comment: Option<&str>,
    ) {
        if self.error.is_some() {
            return;
        }
        let Some(host) = self.hosts.get_mut(&host) else { return };
        let packet = host.numbered(packet);
        let written = frame::bytes(&packet, bytes).and_then(|content| {
            host.out.write_all(&blocks::packet(at.as_micros(), direction, &content, comment))
        });
        self.error = written.err();
    }

    /// A packet for a captured host came to its end.
    fn comes(&mut self, at: Instant, passage: &Passage<'_>, comment: Option<&str>) {
        let host = passage.hosts[1].filter(|host| self.hosts.contains_key(host));
        if let (Some(host), Some(packet)) = (host, passage.whole()) {
            self.write(host, at, Direction::In, packet, passage.bytes, comment);
        }
    }
}

impl<W> Monitor<W> {
    /// Gives an acknowledgement its sequence number, and notes that of a segment.
    fn numbered(&mut self, mut packet: Packet) -> Packet {
        let (from, to) = (packet.src, packet.dst);
        let Transport::Tcp(segment) = &mut packet.payload else { return packet };
        let direction = [SocketAddr::new(from, segment.src_port), SocketAddr::new(to, segment.dst_port)];
        let flags = segment.flags;
        let takes = segment.payload.len() as u32 + u32::from(flags.syn) + u32::from(flags.fin);
        let known = self.next.get(&direction).copied();
        if takes == 0 {
            segment.seq = known.unwrap_or(segment.seq);
        } else {
            let end = segment.seq.wrapping_add(takes);
            let is_later = known.is_none_or(|known| flags.syn || end.wrapping_sub(known).cast_signed() > 0);
            if is_later {
                if self.next.len() >= MAX_DIRECTIONS {
                    self.next.clear();
                }
                self.next.insert(direction, end);
            }
        }
        packet
    }
}

impl<W: Write + Send> Watch for Capture<W> {
    fn see(&mut self, at: Instant, sight: Sight<'_>) {
        match sight {
            Sight::Dropped(passage, why) => {
                let comment = format!("lost: {why}");
                // A link refuses a packet before anything else happens.
                let is_it = |(host, sent_at, _, bytes): &(u32, Instant, Packet, u32)| {
                    (Some(*host), *sent_at, *bytes) == (passage.hosts[0], at, passage.bytes)
                };
                let is_it = self.sent.as_ref().is_some_and(is_it);
                self.let_go(is_it.then_some(&comment));
                self.comes(at, &passage, Some(&comment));
            }
            Sight::Delivered(passage) => {
                self.let_go(None);
                self.comes(at, &passage, None);
            }
            Sight::Noted(_) => self.let_go(None),
            Sight::Sent(passage) => {
                self.let_go(None);
                let host = passage.hosts[0].filter(|host| self.hosts.contains_key(host));
                let packet = host.zip(passage.whole());
                self.sent = packet.map(|(host, packet)| (host, at, packet, passage.bytes));
            }
        }
    }
}

/// What stands before the packets: what was run, the link, and everybody's names.
fn preface(plan: &Plan, place: usize) -> Vec<u8> {
    let peer = place.checked_sub(1).and_then(|index| plan.peers.get(index));
    let link_name = peer.map_or(&plan.tracker.link, |peer| &peer.link);
    let link = plan.link(link_name);
    let addrs: Vec<_> = addresses_of(plan, place).iter().map(ToString::to_string).collect();
    let description = format!(
        "{}: {} up, {} down, {} one way; {}",
        link_name,
        quantity::rate_text(link.up),
        quantity::rate_text(link.down),
        quantity::duration_text(peer.and_then(|peer| peer.latency).unwrap_or(link.latency)),
        addrs.join(", ")
    );
    let comment = format!("{} with seed {}: {}", plan.name, plan.seed, plan.claim);
    let mut names: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
    for place in 0..=plan.peers.len() {
        for addr in addresses_of(plan, place) {
            names.entry(addr.ip()).or_default().insert(name_of(plan, place));
        }
    }
    // Several may stand behind one address of a NAT box.
    let names =
        names.iter().filter_map(|(ip, names)| Some((*ip, *names.first().filter(|_| names.len() == 1)?)));
    let interface = blocks::interface(name_of(plan, place), &description, &link);
    [blocks::section(&comment), interface, blocks::names(names)].concat()
}
