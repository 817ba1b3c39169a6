//! Defects in whom an engine has to do with: whom it dials, serves, knows by name and keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;
use engine::EngineConfig;
use proto::id::PeerId;
use proto::piece::Block;
use proto::wire::{Message, RawBlock};

use super::{At, Defect};

/// A name that nobody else has, for the peer of one line.
fn stranger(mut name: PeerId, line: u64) -> PeerId {
    name.0.iter_mut().zip(line.to_be_bytes()).for_each(|(byte, line)| *byte ^= !line);
    name
}

/// Waits for the outcome of each dial before the next.
#[derive(Debug, Default)]
pub struct DialsOneByOne;

impl Defect for DialsOneByOne {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.torrent.max_dialling = 1;
    }
}

/// Serves whoever asks, choked or not, what it has read for somebody before.
#[derive(Debug, Default)]
pub struct ServesTheChoked(BTreeMap<(u32, u32), Bytes>);

impl Defect for ServesTheChoked {
    fn reads(&mut self, block: Block, data: Bytes) -> Bytes {
        self.0.insert((block.piece().get(), block.offset()), data.clone());
        data
    }

    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        let Message::Reject(RawBlock { piece, offset, .. }) = message else { return vec![message] };
        let data = self.0.get(&(piece, offset)).cloned();
        vec![data.map_or(message, |data| Message::Piece { piece, offset, data })]
    }
}

/// Knows nobody by name, itself least of all.
#[derive(Debug, Default)]
pub struct KnowsNobody;

impl Defect for KnowsNobody {
    fn meets(&mut self, at: At, name: PeerId) -> PeerId {
        stranger(name, at.line)
    }
}

/// Closes the connection that it has to a name for whoever comes under that name from elsewhere.
#[derive(Debug, Default)]
pub struct EvictsNamesakes {
    /// Who is at the other end of each line.
    met: BTreeMap<u64, (PeerId, IpAddr)>,
    /// The line of each name that it talks to, and where it leads.
    kept: BTreeMap<PeerId, (u64, IpAddr)>,
    evicted: BTreeSet<u64>,
}

impl Defect for EvictsNamesakes {
    fn meets(&mut self, at: At, name: PeerId) -> PeerId {
        let ip = at.peer.ip();
        self.met.insert(at.line, (name, ip));
        let Some((line, _)) = self.kept.remove(&name).filter(|(_, before)| *before != ip) else {
            return name;
        };
        self.evicted.insert(line);
        // Under its own name the engine would not let it in.
        stranger(name, at.line)
    }

    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        if let Some((name, ip)) = self.met.remove(&at.line) {
            self.kept.insert(name, (at.line, ip));
        }
        vec![message]
    }

    fn cuts(&mut self, at: At) -> bool {
        self.evicted.contains(&at.line)
    }
}
