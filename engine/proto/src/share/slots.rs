//! How many peers each torrent may serve, where all together may serve so many: what each asks for if there is
//! enough, else equal shares; and where there are more torrents than slots, in turns.
//!
//! Each torrent asks at its own choke rounds and keeps to the answer until the next. So nobody has to be told, a
//! slot is never with two torrents, and one that moves does so within two rounds.

use std::collections::BTreeMap;

use crate::rate::TorrentKey;

/// While not all can be served, a torrent keeps its slot for this many rounds: as long as an optimistic unchoke.
const TURN: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Wish {
    wanted: usize,
    held: usize,
    /// Its place in the line.
    ticket: u64,
    /// Choke rounds since it took the ticket in which it held a slot.
    rounds: u32,
}

/// The upload slots of a process.
#[derive(Debug)]
pub struct SlotShare {
    limit: usize,
    wishes: BTreeMap<TorrentKey, Wish>,
    next: u64,
}

impl SlotShare {
    /// So many slots for all torrents together, at least one.
    pub const fn new(limit: usize) -> Self {
        Self { limit: if limit == 0 { 1 } else { limit }, wishes: BTreeMap::new(), next: 0 }
    }

    /// A torrent begins a choke round and could use `wanted` slots. Returns how many it may use until the next.
    pub fn round(&mut self, torrent: TorrentKey, wanted: usize) -> usize {
        if wanted == 0 {
            self.forget(torrent);
            return 0;
        }
        self.wish(torrent, wanted);
        let (is_crowded, next) = (self.wishes.len() > self.limit, self.next);
        if let Some(wish) = self.wishes.get_mut(&torrent) {
            wish.rounds += u32::from(wish.held > 0);
            if is_crowded && wish.rounds >= TURN {
                (wish.ticket, wish.rounds) = (next, 0);
                self.next += 1;
            }
        }
        let share = self.share_of(torrent);
        self.hold(torrent, |held, free| share.min(held + free))
    }

    /// The same between rounds, when more peers want something: never fewer than it has.
    pub fn more(&mut self, torrent: TorrentKey, wanted: usize) -> usize {
        if wanted == 0 {
            return self.round(torrent, 0);
        }
        self.wish(torrent, wanted);
        let share = self.share_of(torrent);
        self.hold(torrent, |held, free| share.min(held + free).max(held))
    }

    /// A torrent serves nobody any more.
    pub fn forget(&mut self, torrent: TorrentKey) {
        self.wishes.remove(&torrent);
    }

    fn wish(&mut self, torrent: TorrentKey, wanted: usize) {
        let new = Wish { wanted, held: 0, ticket: self.next, rounds: 0 };
        let wish = self.wishes.entry(torrent).or_insert(new);
        wish.wanted = wanted;
        self.next += u64::from(wish.ticket == self.next);
    }

    fn hold(&mut self, torrent: TorrentKey, choose: impl FnOnce(usize, usize) -> usize) -> usize {
        let taken: usize = self.wishes.values().map(|wish| wish.held).sum();
        let free = self.limit - taken;
        let Some(wish) = self.wishes.get_mut(&torrent) else { return 0 };
        wish.held = choose(wish.held, free);
        wish.held
    }

    /// A torrent's fair share: those that want least are content first, the others have equal shares, and what
    /// cannot be divided goes to those who are first in the line.
    fn share_of(&self, torrent: TorrentKey) -> usize {
        let mut line: Vec<_> =
            self.wishes.iter().map(|(&key, wish)| (wish.ticket, wish.wanted, key)).collect();
        line.sort_unstable();
        line.truncate(self.limit);
        // Of equal wishes, who is last in the line is the first to get the share that was rounded down.
        line.sort_unstable_by_key(|&(ticket, wanted, _)| (wanted, std::cmp::Reverse(ticket)));
        let (mut left, mut heads) = (self.limit, line.len());
        for (_, wanted, key) in line {
            let share = wanted.min(left / heads.max(1));
            if key == torrent {
                return share;
            }
            (left, heads) = (left - share, heads - 1);
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(share: &SlotShare) -> Vec<usize> {
        share.wishes.values().map(|wish| wish.held).collect()
    }

    #[test]
    fn who_wants_little_is_content_and_the_others_have_equal_shares() {
        let mut share = SlotShare::new(10);
        let wishes = [(1, 2), (2, 20), (3, 20)].map(|(torrent, wanted)| (TorrentKey(torrent), wanted));
        // The second came first and had all that was left, until its next round.
        let first = wishes.map(|(torrent, wanted)| share.round(torrent, wanted));
        assert_eq!(first, [2, 8, 0]);
        let then = wishes.map(|(torrent, wanted)| share.round(torrent, wanted));
        assert_eq!(then, [2, 4, 4]);
        assert_eq!(share.round(TorrentKey(1), 0), 0);
        assert_eq!((share.more(TorrentKey(2), 20), share.more(TorrentKey(3), 20)), (5, 5));
    }

    #[test]
    fn nobody_loses_a_slot_between_its_rounds() {
        let mut share = SlotShare::new(4);
        assert_eq!((share.round(TorrentKey(1), 4), share.more(TorrentKey(2), 4)), (4, 0));
        assert_eq!(share.more(TorrentKey(1), 5), 4);
        assert_eq!((share.round(TorrentKey(1), 5), share.more(TorrentKey(2), 4)), (2, 2));
    }

    #[test]
    fn an_idle_torrent_holds_nothing_and_is_not_remembered() {
        let mut share = SlotShare::new(4);
        share.round(TorrentKey(1), 4);
        assert_eq!(share.round(TorrentKey(1), 0), 0);
        assert!(share.wishes.is_empty());
    }

    proptest! {
        #[test]
        fn never_over_the_limit_and_no_slot_idles_for_long(
            limit in 1usize..20,
            wishes in prop::collection::vec((0u32..8, 0usize..10, any::<bool>()), 1..60),
        ) {
            let mut share = SlotShare::new(limit);
            for (torrent, wanted, is_round) in wishes {
                let torrent = TorrentKey(torrent);
                let given = if is_round { share.round(torrent, wanted) } else { share.more(torrent, wanted) };
                let used: usize = held(&share).iter().sum();
                prop_assert!(used <= limit && (!is_round || given <= wanted));
            }
            let all: Vec<_> = share.wishes.iter().map(|(&key, wish)| (key, wish.wanted)).collect();
            for _ in 0..2 {
                for &(torrent, wanted) in &all {
                    share.round(torrent, wanted);
                }
            }
            let (used, wanted): (usize, usize) = (held(&share).iter().sum(), all.iter().map(|(_, wanted)| wanted).sum());
            // With more torrents than slots one is free while it goes from one to the next.
            prop_assert!(all.len() > limit || used == wanted.min(limit), "{:?}", share);
        }

        #[test]
        fn more_torrents_than_slots_are_served_in_turns(limit in 1usize..5, torrents in 5u32..12) {
            let mut share = SlotShare::new(limit);
            let mut served = BTreeMap::new();
            // Everybody has a turn within as many turns as there are torrents for each slot, and one to move it.
            let rounds = (torrents.div_ceil(limit as u32) + 1) * (TURN + 1);
            for _ in 0..rounds {
                for torrent in (0..torrents).map(TorrentKey) {
                    *served.entry(torrent).or_insert(0) += share.round(torrent, 3);
                }
            }
            prop_assert!(served.values().all(|&rounds| rounds > 0), "{:?}", served);
        }
    }
}
