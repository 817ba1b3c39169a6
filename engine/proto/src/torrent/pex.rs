//! Peer exchange (BEP 11): telling each peer whom else we are connected to, and hearing it from them.
//!
//! What a peer says is a rumour: it is capped for each message and for each peer that spreads it, and never
//! pushes an address out of the book that came from elsewhere.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::limits::{MAX_EARLY_GOSSIP, PEX_FIRST, PEX_INTERVAL, PEX_TOLERANCE};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::torrent::{Direction, DisconnectReason, PeerKey, Source};
use crate::wire::Message;
use crate::wire::extension::{Extension, MAX_PEX_PEERS, Pex, PexPeer};

/// What was exchanged on one connection.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    /// Addresses that we said we are connected to.
    told: BTreeSet<SocketAddr>,
    /// When we may speak next; nothing while the peer does not want to hear.
    pub(super) speak_at: Option<Instant>,
    heard_at: Option<Instant>,
    /// Messages that came too soon.
    early: u32,
}

impl Torrent {
    /// The peer may have switched peer exchange on or off.
    pub(super) fn expect_gossip(&mut self, now: Instant, key: PeerKey) {
        let admitted = self.admits(Source::Pex);
        let Some(extended) = self.peers.get_mut(&key).and_then(|peer| peer.extended.as_mut()) else { return };
        let wants = admitted && extended.theirs(Extension::Pex).is_some();
        let due = extended.gossip.speak_at.unwrap_or(now + PEX_FIRST);
        extended.gossip.speak_at = wants.then_some(due);
        if wants {
            self.gossip_due = Some(self.gossip_due.map_or(due, |at| at.min(due)));
        }
    }

    /// Tells every peer whose minute is over what has changed since it last heard.
    pub(super) fn spread_gossip(&mut self, now: Instant) {
        let connected = self.connected_addrs();
        let mut due = None;
        let mut messages = Vec::new();
        for (&key, peer) in &mut self.peers {
            let Some(extended) = &mut peer.extended else { continue };
            let Some(id) = extended.theirs(Extension::Pex) else { continue };
            let Some(mut at) = extended.gossip.speak_at else { continue };
            if at <= now {
                //= BEP 11: at most one message a minute.
                at = now + PEX_INTERVAL;
                extended.gossip.speak_at = Some(at);
                let news = extended.gossip.news(&connected, &peer.listens_at);
                messages.extend(news.map(|news| (key, id, news)));
            }
            due = Some(due.map_or(at, |due: Instant| due.min(at)));
        }
        self.gossip_due = due;
        for (key, id, news) in messages {
            self.send(now, key, Message::Extended { id, payload: news.encode() });
        }
    }

    /// Peers that others could dial: we dialled them, or they said where they listen.
    //= BEP 11: the address at which a peer listens, not the one it dialled from.
    fn connected_addrs(&self) -> Vec<PexPeer> {
        let known = |peer: &Peer| {
            let (upload_only, reachable) = (peer.upload_only(), peer.direction == Direction::Outgoing);
            let at = move |&addr: &SocketAddr| PexPeer { addr, upload_only, reachable };
            peer.listens_at.iter().map(at).collect::<Vec<_>>()
        };
        self.peers.values().flat_map(known).collect()
    }

    /// A peer tells us of others.
    pub(super) fn gossip_heard(
        &mut self,
        now: Instant,
        key: PeerKey,
        payload: &[u8],
    ) -> Result<(), DisconnectReason> {
        if !self.admits(Source::Pex) {
            return Ok(());
        }
        let news = Pex::decode(payload).map_err(|_| DisconnectReason::BadExtension)?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let (from, Some(extended)) = (peer.addr.ip(), &mut peer.extended) else { return Ok(()) };
        if !extended.gossip.may_speak(now)? {
            return Ok(());
        }
        let ours = [true, false].map(|v4| self.external_ip(v4).zip(self.listen_port(v4)));
        for addr in news.added.into_iter().map(|peer| peer.addr) {
            if !ours.contains(&Some((addr.ip(), addr.port()))) {
                self.candidates.offer_rumour(addr, from);
            }
        }
        Ok(())
    }
}

impl Gossip {
    /// A message came; it is read unless it came too soon.
    pub(super) fn may_speak(&mut self, now: Instant) -> Result<bool, DisconnectReason> {
        if self.heard_at.replace(now).is_none_or(|before| now >= before + PEX_TOLERANCE) {
            return Ok(true);
        }
        self.early += 1;
        if self.early > MAX_EARLY_GOSSIP { Err(DisconnectReason::GossipFlood) } else { Ok(false) }
    }

    /// What has changed since the peer was last told, leaving out itself.
    //= BEP 11: a peer is reported as dropped only after it was reported as added.
    fn news(&mut self, connected: &[PexPeer], itself: &[SocketAddr]) -> Option<Pex> {
        let fresh =
            connected.iter().filter(|peer| !itself.contains(&peer.addr) && !self.told.contains(&peer.addr));
        let added: Vec<PexPeer> = fresh.copied().take(MAX_PEX_PEERS).collect();
        let gone = self.told.iter().filter(|addr| connected.iter().all(|peer| peer.addr != **addr));
        let dropped: Vec<SocketAddr> = gone.copied().take(MAX_PEX_PEERS).collect();
        self.told.retain(|addr| !dropped.contains(addr));
        self.told.extend(added.iter().map(|peer| peer.addr));
        (!added.is_empty() || !dropped.is_empty()).then_some(Pex { added, dropped })
    }
}
