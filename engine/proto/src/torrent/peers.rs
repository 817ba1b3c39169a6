//! One connection's state, and who may stay connected (BEP 3: drop self and duplicate peer ids).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::bitfield::Bitfield;
use crate::id::PeerId;
use crate::time::Instant;
use crate::torrent::extended::Extended;
use crate::torrent::fast::Fast;
use crate::torrent::limits::MAX_PEER_ADDRS;
use crate::torrent::machine::Torrent;
use crate::torrent::pipeline::Pipeline;
use crate::torrent::upload::Uplink;
use crate::torrent::{Direction, DisconnectReason, Output, PeerKey};

/// All connections, in the order in which they came.
pub(super) type Peers = BTreeMap<PeerKey, Peer>;

/// What one side of a connection said last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// It does not serve the other side's requests.
    pub(super) choking: bool,
    /// It wants something that the other side has.
    pub(super) interested: bool,
}

impl Side {
    /// Connections start choked and not interested (BEP 3).
    const START: Self = Self { choking: true, interested: false };
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) direction: Direction,
    /// Where it can be dialled, as far as we know: up to [`MAX_PEER_ADDRS`]. None of them is dialled while
    /// it is connected.
    pub(super) listens_at: Vec<SocketAddr>,
    pub(super) connected: Instant,
    /// When it last said whether it is interested.
    pub(super) interest_changed: Instant,
    pub(super) us: Side,
    pub(super) them: Side,
    pub(super) has: Bitfield,
    /// The picker counts it among the complete peers.
    pub(super) counted_complete: bool,
    /// A bitfield would be the first message that counts.
    pub(super) may_send_bitfield: bool,
    /// Pieces it has and we lack.
    pub(super) wanted: u32,
    /// Those of them that are not started.
    pub(super) startable: u32,
    /// How many of our announced pieces it has been told.
    pub(super) told: usize,
    /// The fast extension, if both sides speak it.
    pub(super) fast: Option<Fast>,
    /// The extension protocol, if both sides speak it.
    pub(super) extended: Option<Extended>,
    pub(super) pipeline: Pipeline,
    pub(super) uplink: Uplink,
    /// When we last choked or unchoked it.
    pub(super) choking_changed: Instant,
    pub(super) last_sent: Instant,
    pub(super) last_received: Instant,
}

/// A connection whose handshake is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) peer: PeerKey,
    pub(super) addr: SocketAddr,
    pub(super) id: PeerId,
    pub(super) direction: Direction,
    pub(super) reserved: [u8; 8],
}

impl Peer {
    fn new(now: Instant, arrived: Arrived, listens_at: Vec<SocketAddr>, pieces: u32, told: usize) -> Self {
        let Arrived { peer: _, addr, id, direction, reserved } = arrived;
        Self {
            id,
            addr,
            direction,
            listens_at,
            connected: now,
            interest_changed: now,
            us: Side::START,
            them: Side::START,
            has: Bitfield::empty(pieces),
            counted_complete: false,
            may_send_bitfield: true,
            wanted: 0,
            startable: 0,
            told,
            fast: Fast::agreed(reserved),
            extended: Extended::agreed(reserved),
            pipeline: Pipeline::new(now),
            uplink: Uplink::new(now),
            choking_changed: now,
            last_sent: now,
            last_received: now,
        }
    }

    /// It may be asked for something that we want.
    pub(super) fn may_serve(&self) -> bool {
        let offers = self.fast.as_ref().is_some_and(Fast::has_offers);
        self.us.interested && (!self.them.choking || offers)
    }

    /// It wants nothing from anybody (BEP 21 for peers that leave files out).
    pub(super) fn upload_only(&self) -> bool {
        self.has.is_full() || self.extended.as_ref().is_some_and(|ext| ext.said.upload_only == Some(true))
    }
}

impl Arrived {
    /// The address that was dialled, if we dialled.
    fn dialled(&self) -> Option<SocketAddr> {
        (self.direction == Direction::Outgoing).then_some(self.addr)
    }
}

/// Which of two connections to one peer stays: a matter of what both ends know, whatever order they see the
/// connections in, or each would close the one that the other keeps. The one that the larger peer id dialled
/// comes first, then IPv6 (two dials from one side differ in their family).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    dialled_by_larger: bool,
    is_ipv6: bool,
}

impl Rank {
    fn of(ours_is_larger: bool, direction: Direction, addr: SocketAddr) -> Self {
        let dialled_by_larger = (direction == Direction::Outgoing) == ours_is_larger;
        Self { dialled_by_larger, is_ipv6: addr.ip().to_canonical().is_ipv6() }
    }
}

/// Only these can be two connections to one peer, rather than to two of one name: from one address, or over two
/// families, or where the peer is known to be. Whoever calls itself by another's name elsewhere must not be able
/// to have the other's connection closed.
fn may_be_one_peer(old: &Peer, new: SocketAddr) -> bool {
    !is_elsewhere(old.addr, new) || old.listens_at.contains(&new)
}

/// Another address of the same family.
fn is_elsewhere(old: SocketAddr, new: SocketAddr) -> bool {
    let (old, new) = (old.ip().to_canonical(), new.ip().to_canonical());
    old != new && old.is_ipv4() == new.is_ipv4()
}

impl Torrent {
    /// A handshake is done: the connection stays or goes.
    pub(super) fn connected(&mut self, now: Instant, arrived: Arrived) {
        let Arrived { peer: key, addr, direction, .. } = arrived;
        if direction == Direction::Outgoing && !self.candidates.connected(addr) {
            let reason = DisconnectReason::TrackerSwitched;
            return self.outputs.push_back(Output::Disconnect { peer: key, reason });
        }
        let listens_at = match self.admit(now, arrived) {
            Ok(listens_at) => listens_at,
            Err(reason) => {
                if reason == DisconnectReason::SelfConnection && direction == Direction::Outgoing {
                    self.candidates.never(addr);
                } else if direction == Direction::Outgoing && reason != DisconnectReason::DuplicatePeer {
                    self.candidates.ended(now, addr);
                }
                self.outputs.push_back(Output::Disconnect { peer: key, reason });
                return;
            }
        };
        let told = self.announced.len();
        let peer = Peer::new(now, arrived, listens_at, self.geometry.pieces(), told);
        self.peers.insert(key, peer);
        self.wake_for_peers(now + super::limits::KEEP_ALIVE);
        self.say_what_we_have(now, key);
        self.greet(now, key);
        self.reveal(now, key);
    }

    /// Checks whether a new connection may stay; may close another one in its favour. Returns where the peer
    /// can be dialled.
    fn admit(&mut self, now: Instant, arrived: Arrived) -> Result<Vec<SocketAddr>, DisconnectReason> {
        if arrived.id == self.id {
            return Err(DisconnectReason::SelfConnection);
        }
        if self.candidates.is_banned(arrived.addr.ip()) {
            return Err(DisconnectReason::Poisoner);
        }
        let twin = self.peers.iter().find(|(_, peer)| peer.id == arrived.id).map(|(&key, _)| key);
        if let Some(twin) = twin {
            return self.settle_duplicate(now, twin, arrived);
        }
        let ip = arrived.addr.ip();
        if self.peers.values().filter(|peer| peer.addr.ip() == ip).count() >= self.config.max_per_address {
            return Err(DisconnectReason::TooManyFromAddress);
        }
        if self.peers.len() >= self.config.max_peers {
            self.make_room_for(now, arrived.addr)?;
        }
        Ok(arrived.dialled().into_iter().collect())
    }

    /// Of two connections to one peer, the one of the higher [`Rank`] stays, else the older one; so it does
    /// if the newcomer may be another peer. Where else the peer can be dialled is remembered with the one that
    /// stays: a twin is not dialled again and again.
    fn settle_duplicate(
        &mut self,
        now: Instant,
        old: PeerKey,
        new: Arrived,
    ) -> Result<Vec<SocketAddr>, DisconnectReason> {
        let Some(peer) = self.peers.get_mut(&old) else { return Err(DisconnectReason::DuplicatePeer) };
        let is_one_peer = may_be_one_peer(peer, new.addr);
        if let Some(addr) = new.dialled().filter(|addr| !peer.listens_at.contains(addr)) {
            if peer.listens_at.len() < MAX_PEER_ADDRS {
                peer.listens_at.push(addr);
            } else {
                self.candidates.forget(addr);
            }
        }
        let ours_is_larger = self.id > new.id;
        let rank = |direction, addr| Rank::of(ours_is_larger, direction, addr);
        if !is_one_peer || rank(new.direction, new.addr) <= rank(peer.direction, peer.addr) {
            return Err(DisconnectReason::DuplicatePeer);
        }
        let listens_at = std::mem::take(&mut peer.listens_at);
        self.disconnect(now, old, DisconnectReason::DuplicatePeer);
        Ok(listens_at)
    }

    /// Closes a connection of ours.
    pub(super) fn disconnect(&mut self, now: Instant, key: PeerKey, reason: DisconnectReason) {
        if self.peers.contains_key(&key) {
            self.outputs.push_back(Output::Disconnect { peer: key, reason });
            self.remove_peer(now, key);
        }
    }

    /// A connection is gone: everything on order there is free again.
    pub(super) fn remove_peer(&mut self, now: Instant, key: PeerKey) {
        self.drop_requests(key);
        self.partials.disown(key);
        let Some(peer) = self.peers.remove(&key) else { return };
        if peer.them.interested {
            self.choker.count_interest(false);
        }
        self.picker.remove_peer(&peer.has, peer.counted_complete);
        self.choker.forget(key);
        if let Some(seed) = &mut self.super_seed {
            seed.forget(key);
        }
        self.slots_changed = true;
        for addr in peer.listens_at {
            if is_elsewhere(peer.addr, addr) {
                // Somebody else of that name, perhaps, who was refused only because of it: now is the time.
                self.candidates.free(now, addr);
            } else {
                self.candidates.ended(now, addr);
            }
        }
    }
}
