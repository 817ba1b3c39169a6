//! Defects that only the suite of scenarios needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use engine::EngineConfig;
use proto::time::Instant;
use proto::tracker::{Family, Reply};
use proto::wire::Message;
use sim::defect::{At, Defect};

/// Waits to be dialled.
#[derive(Default)]
pub struct Waits;

impl Defect for Waits {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.torrent.dial_below = 0;
    }
}

/// Lets nobody have anything, and loses what it is given.
pub struct Starves;

impl Defect for Starves {
    fn hears(&mut self, _: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Piece { .. }) { vec![] } else { vec![message] }
    }

    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Unchoke | Message::AllowedFast { .. }) { vec![] } else { vec![message] }
    }
}

/// Takes four milliseconds over each request, whoever asks, and says nothing meanwhile.
#[derive(Default)]
pub struct Drowns {
    busy: Option<Instant>,
    held: BTreeMap<u64, Vec<Message>>,
}

impl Defect for Drowns {
    fn hears(&mut self, at: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Request(_)) {
            let free = self.busy.map_or(at.now, |busy| busy.max(at.now));
            self.busy = Some(free + Duration::from_millis(4));
        }
        vec![message]
    }

    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let held = self.held.entry(at.line).or_default();
        held.push(message);
        if self.busy.is_some_and(|busy| at.now < busy) { vec![] } else { std::mem::take(held) }
    }
}

/// Uses the first connection id that a tracker gave it for ever.
#[derive(Default)]
pub struct KeepsConnectionId(Option<proto::tracker::ConnectionId>);

impl Defect for KeepsConnectionId {
    fn receives(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(Reply::Connect { transaction, connection }) = Reply::decode(&datagram, Family::V4) else {
            return vec![datagram];
        };
        let first = *self.0.get_or_insert(connection);
        let mut changed = Vec::new();
        Reply::Connect { transaction, connection: first }.encode(&mut changed);
        vec![changed]
    }
}

/// With every announce it hears of a hundred peers that are not there.
#[derive(Default)]
pub struct HearsOfGhosts(u16);

impl Defect for HearsOfGhosts {
    fn receives(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(Reply::Announce { head, mut peers }) = Reply::decode(&datagram, Family::V4) else {
            return vec![datagram];
        };
        for _ in 0..100 {
            self.0 = self.0.wrapping_add(1);
            let [high, low] = self.0.to_be_bytes();
            peers.push(SocketAddr::from(([198, 51, high, low], 6881)));
        }
        let mut changed = Vec::new();
        Reply::Announce { head, peers }.encode(&mut changed);
        vec![changed]
    }
}

/// For a tracker: every fifth reply gets lost on its way out.
#[derive(Default)]
pub struct LosesReplies(u32);

impl Defect for LosesReplies {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        self.0 += 1;
        if self.0.is_multiple_of(5) { vec![] } else { vec![datagram] }
    }
}
