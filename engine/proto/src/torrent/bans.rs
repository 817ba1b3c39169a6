//! Who is refused, why, and since when: something that a user can read.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use thiserror::Error;

use super::limits::MAX_BANNED;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::Giver;

/// What somebody did to be refused; each reason is a proof, never a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum BanReason {
    /// It gave a block that differs from the one in the verified piece.
    #[error("gave block {block} of piece {} other than it is", piece.get())]
    BadBlock {
        /// The piece, which failed with that block and verified with another.
        piece: PieceIndex,
        /// The block's number in the piece.
        block: u32,
    },
    /// It alone gave a whole piece that, as it arrived, has another hash.
    #[error("alone gave all of piece {}, which is not what it should be", piece.get())]
    BadPiece {
        /// The piece.
        piece: PieceIndex,
    },
    /// It gave one block of a piece that failed twice, and not the same both times.
    #[error("gave two versions of block {block} of piece {}", piece.get())]
    TwoVersions {
        /// The piece.
        piece: PieceIndex,
        /// The block's number in the piece.
        block: u32,
    },
    /// It alone gave an info dictionary that is not the one of the magnet link.
    #[error("gave metadata of another torrent")]
    BadMetadata,
}

/// Somebody who is refused.
///
/// A peer is refused by its whole address, in IPv6 too: hosts that share a network of 64 bits need not have
/// anything to do with each other, and a poisoner that changes its address is found out anew at the price of a
/// piece. Those who share one address with a poisoner share its fate, or it would only need a new port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    /// Who.
    pub who: Giver,
    /// Why, with the evidence.
    pub reason: BanReason,
    /// Since when.
    pub at: Instant,
}

/// Everybody who is refused, up to [`MAX_BANNED`]; beyond that the oldest is forgiven.
#[derive(Debug, Default)]
pub(super) struct Bans {
    banned: BTreeMap<Giver, Banned>,
    oldest: VecDeque<Giver>,
}

impl Bans {
    /// Refuses somebody from now on; false if that is so already.
    pub(super) fn add(&mut self, banned: Banned) -> bool {
        if self.banned.contains_key(&banned.who) {
            return false;
        }
        self.banned.insert(banned.who, banned);
        self.oldest.push_back(banned.who);
        if self.oldest.len() > MAX_BANNED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.banned.remove(&oldest);
        }
        true
    }

    /// Is this address refused?
    pub(super) fn holds(&self, addr: IpAddr) -> bool {
        self.banned.contains_key(&Giver::peer(addr))
    }

    /// All of them, oldest first.
    pub(super) fn list(&self) -> Vec<Banned> {
        self.oldest.iter().filter_map(|who| self.banned.get(who)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banned(number: u32) -> Banned {
        let who = Giver::peer(IpAddr::from(number.to_be_bytes()));
        Banned { who, reason: BanReason::BadMetadata, at: Instant::ZERO }
    }

    #[test]
    fn the_list_has_an_end_and_the_oldest_is_forgiven() {
        let mut bans = Bans::default();
        assert!((0..=MAX_BANNED as u32).all(|number| bans.add(banned(number))));
        assert!(!bans.add(banned(5)));
        assert_eq!(bans.list().len(), MAX_BANNED);
        assert!(!bans.holds(IpAddr::from([0, 0, 0, 0])) && bans.holds(IpAddr::from([0, 0, 0, 1])));
    }

    #[test]
    fn an_address_is_the_same_in_both_notations_and_another_in_its_network_is_not() {
        let mut bans = Bans::default();
        bans.add(banned(0x0a00_0001));
        assert!(bans.holds("::ffff:10.0.0.1".parse().unwrap()));
        let who = Giver::peer("2001:db8::1".parse().unwrap());
        bans.add(Banned { who, ..banned(0) });
        assert!(!bans.holds("2001:db8::2".parse().unwrap()));
    }
}
