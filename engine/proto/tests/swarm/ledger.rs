//! The books on requests: under the fast extension each gets exactly one piece or reject (BEP 6).

use std::collections::{BTreeMap, BTreeSet};

use proto::torrent::{PeerKey, Stats};
use proto::wire::{Message, RawBlock};

/// Requests that arrived and are not answered, for each end of a connection.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    unanswered: BTreeMap<PeerKey, BTreeMap<(u32, u32), u32>>,
    /// Ends that do not speak the fast extension.
    plain: BTreeSet<PeerKey>,
    pub(crate) answered: u64,
    pub(crate) rejected: u64,
}

impl Ledger {
    /// This connection goes without the fast extension.
    pub(crate) fn without_fast(&mut self, peer: PeerKey) {
        self.plain.insert(peer);
    }

    /// A message reached this end.
    pub(crate) fn heard(&mut self, end: PeerKey, message: &Message) {
        if let (Message::Request(RawBlock { piece, offset, .. }), false) =
            (message, self.plain.contains(&end))
        {
            *self.unanswered.entry(end).or_default().entry((*piece, *offset)).or_default() += 1;
        }
    }

    /// This end says something.
    pub(crate) fn said(&mut self, end: PeerKey, message: &Message) {
        let plain = self.plain.contains(&end);
        let fast = matches!(
            message,
            Message::HaveAll | Message::HaveNone | Message::AllowedFast { .. } | Message::Reject(_)
        );
        assert!(!(plain && fast), "{message:?} without the fast extension");
        let (piece, offset) = if let Message::Piece { piece, offset, .. } = message {
            (*piece, *offset)
        } else if let Message::Reject(block) = message {
            (block.piece, block.offset)
        } else {
            return;
        };
        self.rejected += u64::from(fast);
        self.answered += u64::from(!fast);
        if plain {
            return;
        }
        let count = self.unanswered.get_mut(&end).and_then(|blocks| blocks.get_mut(&(piece, offset)));
        let count = count.filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("{message:?} answers no request")) -= 1;
    }

    /// What is unanswered at an open end is what its machine has queued.
    pub(crate) fn check(&self, stats: &Stats) {
        for peer in stats.peers.iter().filter(|peer| !self.plain.contains(&peer.peer)) {
            let unanswered: u32 = self.unanswered.get(&peer.peer).map_or(0, |blocks| blocks.values().sum());
            assert_eq!(unanswered as usize, peer.queued, "requests without an answer, {peer:?}");
        }
    }
}
