//! The extension protocol on a connection (BEP 10): what each side has said of itself, and where each
//! extended message goes.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::limits::MAX_QUEUED_REQUESTS;
use super::pex::Gossip;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{Direction, DisconnectReason, PeerKey, Source};
use crate::wire::extension::{Extension, ExtensionHandshake, HANDSHAKE_ID, MAX_METADATA_LEN};
use crate::wire::{Feature, Message};

/// Our name for people.
const CLIENT: &str = concat!("OurTorrent ", env!("CARGO_PKG_VERSION"));

/// What the extension protocol adds to a connection on which both sides speak it.
#[derive(Debug, Default)]
pub(super) struct Extended {
    /// All that the peer has said so far; silence leaves what was said before.
    pub(super) said: ExtensionHandshake,
    pub(super) gossip: Gossip,
    /// Blocks of metadata that it was sent.
    pub(super) metadata_sent: u32,
}

impl Extended {
    /// Do both sides speak it?
    pub(super) fn agreed(theirs: [u8; 8]) -> Option<Self> {
        Feature::EXTENSION_PROTOCOL.is_in(theirs).then(Self::default)
    }

    //= BEP 10: "An extension message ID of 0 means that the extension is disabled", and ids are the receiver's.
    /// What `extension` is called on messages to the peer, if it wants them.
    pub(super) fn theirs(&self, extension: Extension) -> Option<u8> {
        let id = match extension {
            Extension::Pex => self.said.pex,
            Extension::Metadata => self.said.metadata,
        };
        id.filter(|&id| id != 0)
    }
}

/// What `new` leaves open is as `old` had it.
//= BEP 10: handshakes may be repeated, and the `m` dictionary is additive.
fn merged(old: ExtensionHandshake, new: ExtensionHandshake) -> ExtensionHandshake {
    ExtensionHandshake {
        pex: new.pex.or(old.pex),
        metadata: new.metadata.or(old.metadata),
        client: new.client.or(old.client),
        port: new.port.or(old.port),
        reqq: new.reqq.or(old.reqq),
        your_ip: new.your_ip.or(old.your_ip),
        metadata_size: new.metadata_size.or(old.metadata_size),
        upload_only: new.upload_only.or(old.upload_only),
    }
}

impl Torrent {
    /// Introduces ourselves.
    pub(super) fn greet(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get(&key).filter(|peer| peer.extended.is_some()) else { return };
        let serves_metadata = self.serves_metadata();
        let ours = ExtensionHandshake {
            pex: self.admits(Source::Pex).then_some(Extension::Pex.ours()),
            metadata: serves_metadata.then_some(Extension::Metadata.ours()),
            client: Some(CLIENT.to_owned()),
            port: self.listen_port(peer.addr.ip().to_canonical().is_ipv4()),
            reqq: Some(MAX_QUEUED_REQUESTS as u32),
            your_ip: Some(peer.addr.ip().to_canonical()),
            metadata_size: serves_metadata.then_some(self.metainfo.info().len() as u32),
            upload_only: self.wanted.is_finished().then_some(true),
        };
        let payload = ours.encode();
        self.send(now, key, Message::Extended { id: HANDSHAKE_ID, payload });
    }

    //= BEP 27: what a private torrent's members know stays with them; its metadata comes from the torrent file.
    /// Do we hand out the info dictionary?
    pub(super) fn serves_metadata(&self) -> bool {
        !self.metainfo.private() && self.metainfo.info().len() <= MAX_METADATA_LEN as usize
    }

    /// An extended message. One that we never named is ignored, as is one from who never agreed on any.
    pub(super) fn extended_message(
        &mut self,
        now: Instant,
        key: PeerKey,
        id: u8,
        payload: &Bytes,
    ) -> Result<(), DisconnectReason> {
        if self.peers.get(&key).is_none_or(|peer| peer.extended.is_none()) {
            return Ok(());
        }
        match (id, Extension::from_ours(id)) {
            (HANDSHAKE_ID, _) => self.introduced(now, key, payload),
            (_, Some(Extension::Pex)) => self.gossip_heard(now, key, payload),
            (_, Some(Extension::Metadata)) => self.metadata_message(now, key, payload),
            (_, None) => Ok(()),
        }
    }

    /// The peer says (more) about itself.
    fn introduced(&mut self, now: Instant, key: PeerKey, payload: &[u8]) -> Result<(), DisconnectReason> {
        let new = ExtensionHandshake::decode(payload).map_err(|_| DisconnectReason::BadExtension)?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let Some(extended) = &mut peer.extended else { return Ok(()) };
        let before = extended.said.port;
        extended.said = merged(std::mem::take(&mut extended.said), new);
        if let Some(reqq) = extended.said.reqq {
            peer.pipeline.allow(reqq as usize);
        }
        if let (Direction::Incoming, true, Some(port)) =
            (peer.direction, peer.listens_at.is_empty(), extended.said.port)
        {
            //= BEP 10: `p` is the port at which the sender listens; the one it dialled from is of no use.
            let addr = SocketAddr::new(peer.addr.ip(), port);
            peer.listens_at.push(addr);
            if self.admits(Source::Incoming) {
                self.candidates.met(addr);
            }
        }
        self.moved(key, before);
        self.expect_gossip(now, key);
        Ok(())
    }

    /// A peer that listened at the port `before` says that it listens at another one now.
    fn moved(&mut self, key: PeerKey, before: Option<u16>) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let said = peer.extended.as_ref().and_then(|extended| extended.said.port);
        let (Some(before), Some(port)) = (before, said) else { return };
        let [old, new] = [before, port].map(|port| SocketAddr::new(peer.addr.ip(), port));
        if let Some(known) = peer.listens_at.iter_mut().find(|known| **known == old && old != new) {
            *known = new;
            self.candidates.forget(old);
            if self.admits(Source::Incoming) {
                self.candidates.met(new);
            }
        }
    }

    /// Our address of a family, as most peers see it.
    pub(super) fn external_ip(&self, v4: bool) -> Option<IpAddr> {
        let seen = |extended: &Extended| extended.said.your_ip.filter(|ip| ip.is_ipv4() == v4);
        let mut votes: Vec<IpAddr> =
            self.peers.values().filter_map(|peer| peer.extended.as_ref().and_then(seen)).collect();
        votes.sort_unstable();
        votes.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).and_then(|same| same.first().copied())
    }
}
