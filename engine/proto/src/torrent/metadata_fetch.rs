//! Fetching the info dictionary from peers (BEP 9), for who has no more than a magnet link: a machine of its
//! own, for until it is done there is no torrent.
//!
//! ```text
//! dial ──▶ greet ──its size──▶ ask, a few blocks at a time ──all here──▶ hash ──right──▶ the torrent
//!            │ no metadata         │ a reject, silence                      │ wrong
//!            ▼                     ▼                                        ▼
//!          part, try again later                                        refused for good
//! ```
//!
//! A few peers are asked at once, and each for the whole: what one peer sends is verified as a whole and alone,
//! so a liar costs its own time only, and the blame is exact.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use super::candidates::Candidates;
use super::limits::{ASK_AGAIN, GIVER_PATIENCE, GIVERS, GOSSIP_PATIENCE};
use super::pex::Gossip;
use super::suspects;
use super::transcript::Transcript;
use super::{
    AnnounceEvent, BanReason, Banned, DisconnectReason, Input, Output, PeerKey, Progress, TorrentConfig,
};
use crate::id::{InfoHash, PeerId};
use crate::metainfo::{Magnet, Metainfo, MetainfoError};
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::wire::extension::{
    Extension, ExtensionHandshake, HANDSHAKE_ID, MAX_METADATA_LEN, METADATA_BLOCK_LEN, MetadataMessage, Pex,
};
use crate::wire::{Feature, Handshake, Message};

/// A connection to somebody who may have the metadata.
#[derive(Debug)]
struct Giver {
    addr: SocketAddr,
    /// Its id for metadata messages, once it gave one.
    id: Option<u8>,
    /// Its copy, as far as it is here.
    copy: Option<Transcript>,
    /// It names other peers (BEP 11).
    gossips: bool,
    gossip: Gossip,
    /// When it last helped.
    progress: Instant,
}

impl Giver {
    fn new(now: Instant, addr: SocketAddr) -> Self {
        Self { addr, id: None, copy: None, gossips: false, gossip: Gossip::default(), progress: now }
    }

    /// When it makes room for another. Who has no metadata may still know somebody who has.
    fn until(&self) -> Instant {
        let is_source = self.copy.is_some() || !self.gossips;
        self.progress + if is_source { GIVER_PATIENCE } else { GOSSIP_PATIENCE }
    }
}

/// The search for one info dictionary. Driven like a [`Torrent`](super::Torrent), by the same inputs and
/// outputs; once [`MetadataFetch::outcome`] says something, it is over.
#[derive(Debug)]
pub struct MetadataFetch {
    magnet: Magnet,
    config: TorrentConfig,
    id: PeerId,
    random: Random,
    candidates: Candidates,
    givers: BTreeMap<PeerKey, Giver>,
    outputs: VecDeque<Output>,
    ask_at: Instant,
    outcome: Option<Result<Metainfo, MetainfoError>>,
}

impl MetadataFetch {
    /// Begins; its first output announces `started`. The same seed gives a `Torrent` the same peer id, so that
    /// a tracker takes both for one peer.
    pub fn new(magnet: Magnet, config: TorrentConfig, seed: Seed, now: Instant) -> Self {
        let mut random = seed.rng();
        let mut tail = [0; 12];
        random.fill(&mut tail);
        Self {
            magnet,
            config,
            id: PeerId::with_tail(tail),
            random,
            candidates: Candidates::default(),
            givers: BTreeMap::new(),
            outputs: VecDeque::from([Output::Announce(Some(AnnounceEvent::Started))]),
            ask_at: now + ASK_AGAIN,
            outcome: None,
        }
    }

    /// What to say first on every connection.
    //= BEP 6: who speaks it must sum up its pieces first, which needs their number. So it is not offered.
    pub fn handshake(&self) -> Handshake {
        let reserved = Feature::EXTENSION_PROTOCOL.add_to([0; 8]);
        Handshake { reserved, info_hash: self.magnet.info_hash, peer_id: self.id }
    }

    /// What a tracker is told: as long as the length is unknown, one block is left, as in libtorrent.
    pub fn progress(&self) -> Progress {
        Progress { left: u64::from(METADATA_BLOCK_LEN), ..Progress::default() }
    }

    /// The torrent, or why it is none although its info hash is right; nothing while the search goes on.
    pub fn outcome(&mut self) -> Option<Result<Metainfo, MetainfoError>> {
        self.outcome.take()
    }

    /// Peers that are connected.
    pub fn peers(&self) -> usize {
        self.givers.len()
    }

    /// Takes note of one thing that happened. What concerns content is passed over.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Connected { peer, addr, id, reserved, direction } => {
                if direction == super::Direction::Outgoing {
                    // Here nothing is ever abandoned.
                    let _ = self.candidates.connected(addr);
                }
                self.givers.insert(peer, Giver::new(now, addr));
                self.welcome(now, peer, id, reserved);
            }
            Input::ConnectFailed { addr } => self.candidates.failed(now, addr),
            Input::Disconnected { peer } => self.remove(now, peer),
            Input::Message { peer, message: Message::Extended { id, payload } } => {
                if let Err(reason) = self.extended(now, peer, id, &payload) {
                    self.part(now, peer, reason);
                }
            }
            Input::Candidates(source, addrs) => {
                for addr in addrs {
                    self.candidates.offer(addr, source);
                }
            }
            Input::Ours(addrs) => {
                for addr in addrs {
                    self.candidates.never(addr);
                }
            }
            Input::Part => {
                let least =
                    self.givers.iter().min_by_key(|(_, giver)| (giver.copy.is_some(), giver.progress));
                if let Some((&key, _)) = least {
                    self.part(now, key, DisconnectReason::Shared);
                }
            }
            Input::Stop => self.outputs.push_back(Output::Announce(Some(AnnounceEvent::Stopped))),
            Input::Message { .. }
            | Input::Sent { .. }
            | Input::UploadLimit(_)
            | Input::UploadSlots(_)
            | Input::Written { .. }
            | Input::Hashed { .. }
            | Input::Web(..)
            | Input::BlockRead { .. }
            | Input::TrackerSwitched
            | Input::Doubt(_)
            | Input::Wanted(_) => {}
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let impatient = self.givers.values().map(Giver::until).min();
        let due = self.candidates.due(self.givers.len(), &self.config);
        [Some(self.ask_at), impatient, due].into_iter().flatten().min()
    }

    /// Does whatever is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let slow = self.givers.iter().filter(|(_, giver)| giver.until() <= now);
        let slow: Vec<_> = slow.map(|(&key, _)| key).collect();
        for key in slow {
            self.part(now, key, DisconnectReason::Idle);
        }
        self.settle(now);
    }

    /// Dials, and asks the tracker once nobody is left to dial.
    fn settle(&mut self, now: Instant) {
        self.candidates.give_up(now);
        while self.candidates.may_dial(self.givers.len(), &self.config)
            && let Some(addr) = self.candidates.next(now, &mut self.random)
        {
            self.outputs.push_back(Output::Connect { addr });
        }
        if self.ask_at <= now {
            self.ask_at = now + ASK_AGAIN;
            if self.candidates.is_exhausted(now) {
                self.outputs.push_back(Output::Announce(None));
            }
        }
    }

    fn welcome(&mut self, now: Instant, key: PeerKey, id: PeerId, reserved: [u8; 8]) {
        let Some(giver) = self.givers.get(&key) else { return };
        let refusal = if id == self.id {
            Some(DisconnectReason::SelfConnection)
        } else if self.candidates.is_banned(giver.addr.ip()) {
            Some(DisconnectReason::Poisoner)
        } else if self.givers.len() > self.config.max_peers {
            Some(DisconnectReason::TooManyPeers)
        } else if !Feature::EXTENSION_PROTOCOL.is_in(reserved) {
            Some(DisconnectReason::NoMetadata)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.part(now, key, reason);
        }
        let ours = ExtensionHandshake {
            metadata: Some(Extension::Metadata.ours()),
            pex: self.config.pex.then_some(Extension::Pex.ours()),
            your_ip: Some(giver.addr.ip().to_canonical()),
            ..ExtensionHandshake::default()
        };
        self.say(key, HANDSHAKE_ID, ours.encode());
    }

    fn extended(
        &mut self,
        now: Instant,
        key: PeerKey,
        id: u8,
        payload: &Bytes,
    ) -> Result<(), DisconnectReason> {
        if id == HANDSHAKE_ID {
            let said = ExtensionHandshake::decode(payload).map_err(|_| DisconnectReason::BadExtension)?;
            return self.introduced(now, key, &said);
        }
        match Extension::from_ours(id) {
            Some(Extension::Metadata) => {}
            Some(Extension::Pex) => return self.gossip_heard(now, key, payload),
            None => return Ok(()),
        }
        match MetadataMessage::decode(payload).map_err(|_| DisconnectReason::BadExtension)? {
            MetadataMessage::Data { block, data, .. } => self.arrived(now, key, block, data),
            MetadataMessage::Reject { .. } => Err(DisconnectReason::NoMetadata),
            MetadataMessage::Request { block } => {
                //= BEP 9: "If a peer ... does not have any, it should reject".
                if let Some(id) = self.givers.get(&key).and_then(|giver| giver.id) {
                    self.say(key, id, MetadataMessage::Reject { block }.encode());
                }
                Ok(())
            }
            MetadataMessage::Unknown => Ok(()),
        }
    }

    fn introduced(
        &mut self,
        now: Instant,
        key: PeerKey,
        said: &ExtensionHandshake,
    ) -> Result<(), DisconnectReason> {
        let Some(giver) = self.givers.get_mut(&key) else { return Ok(()) };
        giver.gossips = self.config.pex && said.pex.is_some_and(|id| id != 0);
        giver.id = said.metadata.or(giver.id).filter(|&id| id != 0);
        let len = said.metadata_size.filter(|len| (1..=MAX_METADATA_LEN).contains(len));
        match (giver.id, len, &giver.copy) {
            (None, ..) | (Some(_), None, None) if giver.gossips => Ok(()),
            (None, ..) | (Some(_), None, None) => Err(DisconnectReason::NoMetadata),
            (Some(_), Some(len), None) => {
                giver.copy = Some(Transcript::new(len));
                self.ask_somebody(now);
                Ok(())
            }
            (Some(_), _, Some(_)) => Ok(()),
        }
    }

    /// Asks a few peers for all that they may be asked for.
    fn ask_somebody(&mut self, now: Instant) {
        let asked = self.givers.iter_mut().filter(|(_, giver)| giver.copy.is_some()).take(GIVERS);
        let mut requests = Vec::new();
        for (&key, giver) in asked {
            let (Some(id), Some(copy)) = (giver.id, &mut giver.copy) else { continue };
            if copy.next == 0 {
                giver.progress = now;
            }
            requests.extend(copy.requests().into_iter().map(|block| (key, id, block)));
        }
        for (key, id, block) in requests {
            self.say(key, id, MetadataMessage::Request { block }.encode());
        }
    }

    fn arrived(
        &mut self,
        now: Instant,
        key: PeerKey,
        block: u32,
        data: Bytes,
    ) -> Result<(), DisconnectReason> {
        let Some(giver) = self.givers.get_mut(&key) else { return Ok(()) };
        let Some(copy) = &mut giver.copy else { return Err(DisconnectReason::BadMetadata) };
        copy.put(block, data)?;
        giver.progress = now;
        match copy.whole() {
            None => self.ask_somebody(now),
            Some(info) if InfoHash::of(&info) == self.magnet.info_hash => {
                self.outcome = Some(
                    Metainfo::from_info(info, self.magnet.tiers())
                        .map(|metainfo| metainfo.with_web_seeds(self.magnet.web_seeds.clone())),
                );
            }
            Some(_) => {
                let who = suspects::Giver::peer(giver.addr.ip());
                self.candidates.ban(Banned { who, reason: BanReason::BadMetadata, at: now });
                return Err(DisconnectReason::BadMetadata);
            }
        }
        Ok(())
    }

    /// A peer tells us of others, who may have the metadata. Whether the torrent is private is not known yet; once
    /// it is, what was heard here goes with the search.
    //= BEP 11: what a peer says is untrusted.
    fn gossip_heard(&mut self, now: Instant, key: PeerKey, payload: &[u8]) -> Result<(), DisconnectReason> {
        let Some(giver) = self.givers.get_mut(&key).filter(|_| self.config.pex) else { return Ok(()) };
        let news = Pex::decode(payload).map_err(|_| DisconnectReason::BadExtension)?;
        if giver.gossip.may_speak(now)? {
            let from = giver.addr.ip();
            news.added.iter().for_each(|peer| self.candidates.offer_rumour(peer.addr, from));
        }
        Ok(())
    }

    fn say(&mut self, peer: PeerKey, id: u8, payload: Bytes) {
        self.outputs.push_back(Output::Send { peer, message: Message::Extended { id, payload } });
    }

    fn part(&mut self, now: Instant, key: PeerKey, reason: DisconnectReason) {
        if self.givers.contains_key(&key) {
            self.outputs.push_back(Output::Disconnect { peer: key, reason });
            self.remove(now, key);
        }
    }

    fn remove(&mut self, now: Instant, key: PeerKey) {
        let Some(giver) = self.givers.remove(&key) else { return };
        self.candidates.ended(now, giver.addr);
        self.ask_somebody(now);
    }
}
