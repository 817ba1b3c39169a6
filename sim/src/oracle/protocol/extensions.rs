//! The extension protocol on one line: ids, peer exchange, private torrents (BEP 9, 10, 11, 27).

use std::time::Duration;

use bytes::Bytes;
use proto::bencode::{Limits, byte_string, scan_prefix};
use proto::wire::Feature;
use proto::wire::extension::{ExtensionHandshake, HANDSHAKE_ID, MAX_PEX_PEERS, MetadataMessage};

use super::line::{Tracked, gap};
use super::{Rule, Scene};

/// A minute (BEP 11), less what a clock that runs fast gains in it.
const GOSSIP_GAP: Duration = Duration::from_millis(59_900);

impl Tracked {
    /// The other end introduced itself; silence leaves what it said before.
    pub(super) fn introduced(&mut self, payload: &Bytes) {
        let Ok(said) = ExtensionHandshake::decode(payload) else { return };
        let [pex, metadata] = self.ids;
        self.ids = [said.pex.or(pex), said.metadata.or(metadata)];
        self.reqq = said.reqq.or(self.reqq);
    }

    /// This end sent an extended message.
    pub(super) fn extended(&mut self, scene: &mut Scene<'_>, id: u8, payload: &Bytes) {
        let agreed = self.agreed(Feature::EXTENSION_PROTOCOL);
        let named = id == HANDSHAKE_ID || self.ids.contains(&Some(id));
        scene.check(Rule::ExtensionId, agreed && named, || {
            format!("sent the extension {id}, which has no name")
        });
        let [pex, metadata] = self.ids.map(|theirs| id != HANDSHAKE_ID && theirs == Some(id));
        if scene.is_private {
            let offers = |said: ExtensionHandshake| said.pex.is_some() || said.metadata.is_some();
            let offered = id == HANDSHAKE_ID && ExtensionHandshake::decode(payload).is_ok_and(offers);
            let leaks =
                metadata && matches!(MetadataMessage::decode(payload), Ok(MetadataMessage::Data { .. }));
            scene.check(Rule::Private, !offered && !leaks && !pex, || "shared what is private".to_owned());
        }
        if pex {
            self.gossips(scene, payload);
        }
    }

    fn gossips(&mut self, scene: &mut Scene<'_>, payload: &Bytes) {
        let (at, since) = (scene.event.at, scene.event.since);
        // The first may have been decided as early, and this one as late.
        let passed = self.gossiped.replace(since).map(|before| gap(before, at));
        if let Some(passed) = passed.filter(|_| !scene.host.suspect.untimed) {
            scene.check(Rule::GossipPace, passed >= GOSSIP_GAP, || {
                format!("exchanged peers again after {:.1} s", passed.as_secs_f64())
            });
        }
        let top = scan_prefix(payload, Limits::message(payload.len()));
        let count = |key: &str, len: usize| {
            let list = top.as_ref().ok().and_then(|top| top.raw_value(key.as_bytes()));
            list.and_then(byte_string).map_or(0, |bytes| bytes.len() / len)
        };
        let most =
            [["added", "added6"], ["dropped", "dropped6"]].map(|[v4, v6]| count(v4, 6) + count(v6, 18));
        let kept = most.iter().all(|&count| count <= MAX_PEX_PEERS);
        scene.check(Rule::GossipSize, kept, || format!("added and dropped {most:?} peers at once"));
    }
}
