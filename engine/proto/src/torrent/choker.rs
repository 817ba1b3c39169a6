//! Whom to serve (BEP 3): regular slots by rate, an optimistic one that moves on, no fibrillation.
//!
//! A round every ten seconds may choke; between rounds, slots that fall free are given away at once, so that an
//! uplink never waits for a round.

use std::collections::BTreeSet;

use super::limits::{
    CHOKE_ROUND, FIRST_INTEREST, IDLE_SLOT, NEEDY_PART, NEW_PEER, NEW_PEER_WEIGHT, OPTIMISTIC_ROUNDS,
};
use super::peers::Peer;
use super::slots::Slots;
use crate::rate::Rate;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::policy::{PeerFacts, RankPeers};
use crate::torrent::{PeerKey, TorrentConfig};
use crate::wire::Message;

/// The state between rounds.
#[derive(Debug)]
pub(super) struct Choker {
    pub(super) next_round: Instant,
    rounds: u32,
    optimistic: Vec<PeerKey>,
    /// Who had the optimistic slot in this cycle: everybody has it once before anybody has it again.
    had_turn: BTreeSet<PeerKey>,
    slots: Slots,
    /// Peers that want something. Every wake of the loop asks, so they are counted as they change.
    pub(super) interested: usize,
    /// Peers that may be served at the most, as all torrents share their slots.
    allowed: usize,
    pub(super) leeching: Box<dyn RankPeers>,
    pub(super) seeding: Box<dyn RankPeers>,
}

impl Choker {
    /// The first round is due at once.
    pub(super) fn new(now: Instant, config: TorrentConfig) -> Self {
        Self {
            next_round: now,
            rounds: 0,
            optimistic: Vec::new(),
            had_turn: BTreeSet::new(),
            slots: Slots::new(now, config.upload_slots),
            interested: 0,
            allowed: usize::MAX,
            leeching: (config.choker.make)(),
            seeding: (config.seed_choker.make)(),
        }
    }

    /// One peer more wants something, or one less.
    pub(super) fn count_interest(&mut self, more: bool) {
        self.interested = if more { self.interested + 1 } else { self.interested.saturating_sub(1) };
    }

    /// A peer left.
    pub(super) fn forget(&mut self, key: PeerKey) {
        self.optimistic.retain(|&other| other != key);
        self.had_turn.remove(&key);
    }
}

impl Torrent {
    /// Decides anew who is served.
    pub(super) fn choke_round(&mut self, now: Instant) {
        self.choker.next_round = now + CHOKE_ROUND;
        let move_on = self.choker.rounds.is_multiple_of(OPTIMISTIC_ROUNDS);
        self.choker.rounds = self.choker.rounds.wrapping_add(1);

        self.reveal_more(now);
        self.part_with_the_sated(now);
        self.rest_from_partial_seeds(now);
        self.choker.slots.adapt(now, self.totals.uploaded, self.config.upload_slots);
        self.note_unused_slots(now);
        let ranked = self.ranked(now);
        let interested = |key: &PeerKey| self.peers.get(key).is_some_and(|peer| peer.them.interested);
        let (regular_slots, is_short) = (self.regular_slots(), self.is_short_of_slots());
        let mut taken = 0;
        let mut chosen: Vec<PeerKey> = Vec::new();
        for key in ranked.iter().copied() {
            if taken == regular_slots {
                break;
            }
            // Better-rated peers without interest are unchoked as well and take no slot (BEP 3), unless slots are
            // short, when they could take one that is not ours.
            taken += usize::from(interested(&key));
            if interested(&key) || !is_short {
                chosen.push(key);
            }
        }
        self.choose_optimistic(now, move_on, &chosen);
        chosen.extend(self.choker.optimistic.iter().copied());
        self.apply(now, &chosen);
    }

    /// The user limits uploads: new slots are given away now, those too many are closed at the next round.
    pub(super) fn upload_limited(&mut self, limit: Rate) {
        self.choker.slots.set_limit(limit, self.config.upload_slots);
        self.slots_changed = true;
    }

    /// All torrents share their slots, and so many may be used here.
    pub(super) fn slots_allowed(&mut self, most: usize) {
        self.slots_changed |= most > self.choker.allowed && self.is_short_of_slots();
        self.choker.allowed = most;
    }

    /// How many peers this torrent could serve now: at most those that want something.
    pub fn slots_wanted(&self) -> usize {
        self.slots_wanted_with(0)
    }

    /// The same if so many more wanted something.
    pub fn slots_wanted_with(&self, more: usize) -> usize {
        (self.choker.interested + more).min(self.choker.slots.count() + self.config.optimistic_slots)
    }

    /// If a choke round is due, before which the slots are shared out anew: how many this torrent could use in it.
    pub fn slots_for_round(&mut self, now: Instant) -> Option<usize> {
        let is_due = !self.stopped && !self.peers.is_empty() && self.choker.next_round <= now;
        is_due.then(|| {
            self.choker.slots.adapt(now, self.totals.uploaded, self.config.upload_slots);
            self.slots_wanted()
        })
    }

    fn is_short_of_slots(&self) -> bool {
        self.choker.allowed < self.slots_wanted()
    }

    /// Optimistic slots come on top of the regular ones; where few are allowed, one of them at least is regular.
    fn optimistic_slots(&self) -> usize {
        let most = if self.is_short_of_slots() { self.choker.allowed.saturating_sub(1) } else { usize::MAX };
        self.config.optimistic_slots.min(most)
    }

    fn regular_slots(&self) -> usize {
        let count = self.choker.slots.count();
        if self.is_short_of_slots() {
            count.min(self.choker.allowed - self.optimistic_slots())
        } else {
            count
        }
    }

    /// A complete peer closes connections that nothing will ever flow over. Peers are told late of pieces that
    /// they have themselves, so a lack of interest is how another complete one shows first.
    fn part_with_the_sated(&mut self, now: Instant) {
        // Who is shown one piece at a time is not sated when it has that.
        if !self.have.is_full() || self.super_seed.is_some() {
            return;
        }
        let patience = |peer: &Peer| {
            if peer.interest_changed == peer.connected { FIRST_INTEREST } else { CHOKE_ROUND }
        };
        let sated = |peer: &Peer| !peer.them.interested && peer.interest_changed + patience(peer) <= now;
        let keys: Vec<_> = self.peers.iter().filter(|(_, peer)| sated(peer)).map(|(&key, _)| key).collect();
        for key in keys {
            self.part(now, key);
        }
    }

    /// A peer that was sent a whole piece passes its slot on while others wait for their first one: the sooner
    /// every uplink has something to give, the better for all.
    pub(super) fn pass_on_slot(&mut self, now: Instant, key: PeerKey) {
        let served = self.peers.get(&key).map_or(0, |peer| peer.uplink.since_unchoked);
        if served < u64::from(self.geometry.piece_len()) {
            return;
        }
        let newcomer = |peer: &Peer| {
            peer.has.is_empty() && peer.uplink.sent == 0 && peer.them.interested && peer.us.choking
        };
        let waiting: Vec<_> =
            self.peers.iter().filter(|(_, peer)| newcomer(peer)).map(|(&key, _)| key).collect();
        if let Some(&next) = waiting.get(self.random.index(waiting.len())) {
            self.set_choking(now, key, true);
            self.set_choking(now, next, false);
        }
    }

    /// Gives free slots away between rounds.
    pub(super) fn use_free_slots(&mut self, now: Instant) {
        let slots = self.regular_slots() + self.optimistic_slots();
        let taken = self.peers.values().filter(|peer| peer.them.interested && !peer.us.choking).count();
        if taken >= slots {
            return;
        }
        let ranked = self.ranked(now);
        let waits = |peer: &Peer| peer.them.interested && peer.us.choking;
        let waiting = ranked.into_iter().filter(|key| self.peers.get(key).is_some_and(waits));
        let next: Vec<_> = waiting.take(slots - taken).collect();
        for key in next {
            self.set_choking(now, key, false);
        }
    }

    /// Peers that may have a regular slot, best first by the policy; who left a slot unused comes after the others.
    fn ranked(&mut self, now: Instant) -> Vec<PeerKey> {
        let seeding = self.wanted.is_finished();
        let given = |peer: &Peer| if seeding { 0 } else { peer.pipeline.ranking.rate(now) };
        let eligible = |peer: &Peer| {
            // Who owes us nothing any more is not punished for having snubbed us.
            (seeding || !peer.pipeline.snubbed)
                && (peer.them.interested || given(peer) > 0)
                && !peer.has.is_full()
        };
        let facts = |(&key, peer): (&PeerKey, &Peer)| PeerFacts {
            peer: key,
            gives: given(peer),
            takes: peer.uplink.meter.rate(now),
            progress: self.known_progress(peer),
            has_nothing: peer.has.is_empty() && !self.hides(peer),
            interested: peer.them.interested,
            served: (!peer.us.choking).then(|| now.since(peer.choking_changed)),
            waits: peer.us.choking.then(|| now.since(peer.choking_changed)),
            connected: now.since(peer.connected),
        };
        let mut ranked: Vec<_> = self.peers.iter().filter(|(_, peer)| eligible(peer)).map(facts).collect();
        self.random.shuffle(&mut ranked);
        let policy = if seeding { &mut self.choker.seeding } else { &mut self.choker.leeching };
        policy.rank(&mut ranked, &mut self.random);
        let idle = |key| self.peers.get(&key).is_some_and(|peer| peer.uplink.idle_until > now);
        let mut keys: Vec<_> = ranked.into_iter().map(|facts| facts.peer).collect();
        keys.sort_by_key(|&key| idle(key));
        keys
    }

    /// Who has a slot and leaves it unused stands behind the others for a while.
    fn note_unused_slots(&mut self, now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| peer.them.interested && !peer.us.choking) {
            let since = peer.uplink.asked_at.max(peer.interest_changed);
            if peer.uplink.len() == 0 && since + CHOKE_ROUND <= now {
                peer.uplink.idle_until = now + IDLE_SLOT;
            }
        }
    }

    /// Does this peer have an optimistic slot?
    pub(super) fn is_optimistic(&self, key: PeerKey) -> bool {
        self.choker.optimistic.contains(&key)
    }

    /// Keeps the optimistic unchoke for its three rounds, unless it earned a regular slot or lost interest.
    fn choose_optimistic(&mut self, now: Instant, move_on: bool, regular: &[PeerKey]) {
        if move_on {
            self.choker.optimistic.clear();
        }
        let peers = &self.peers;
        self.choker
            .optimistic
            .retain(|key| peers.get(key).is_some_and(|peer| peer.them.interested) && !regular.contains(key));
        let slots = self.optimistic_slots();
        self.choker.optimistic.truncate(slots);
        while self.choker.optimistic.len() < slots
            && let Some(key) = self.draw_optimistic(now, regular)
        {
            self.choker.optimistic.push(key);
            self.choker.had_turn.insert(key);
        }
    }

    /// Draws one of those who had no turn in this cycle: of their neediest quarter, new peers three times as likely.
    pub(super) fn draw_optimistic(&mut self, now: Instant, regular: &[PeerKey]) -> Option<PeerKey> {
        let drawn = self.draw_waiting(now, regular);
        if drawn.is_some() || self.choker.had_turn.is_empty() {
            return drawn;
        }
        self.choker.had_turn.clear();
        self.draw_waiting(now, regular)
    }

    fn draw_waiting(&mut self, now: Instant, regular: &[PeerKey]) -> Option<PeerKey> {
        let eligible = |key: &PeerKey, peer: &Peer| {
            let waits = !self.choker.had_turn.contains(key) && !self.choker.optimistic.contains(key);
            peer.them.interested && waits && !regular.contains(key)
        };
        let weight = |peer: &Peer| if now.since(peer.connected) < NEW_PEER { NEW_PEER_WEIGHT } else { 1 };
        let mut pool: Vec<_> = self
            .peers
            .iter()
            .filter(|(key, peer)| eligible(key, peer))
            .map(|(&key, peer)| {
                ((peer.uplink.idle_until > now, self.known_progress(peer)), key, weight(peer))
            })
            .collect();
        pool.sort_unstable();
        pool.truncate(pool.len().div_ceil(NEEDY_PART));
        let mut ticket = self.random.below(pool.iter().map(|&(_, _, weight)| weight).sum());
        let drawn = pool.iter().find(|&&(_, _, weight)| {
            let hit = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            hit
        });
        drawn.map(|&(_, key, _)| key)
    }

    /// Bytes that a peer has by its own word, or that we sent it: who hides what it has gains little. Who says that
    /// it has nothing although it had a whole piece from us is behind nobody: or whoever only takes would look
    /// needier than all others for ever.
    fn known_progress(&self, peer: &Peer) -> u64 {
        if self.hides(peer) {
            return u64::MAX;
        }
        (u64::from(peer.has.count()) * u64::from(self.geometry.piece_len())).max(peer.uplink.sent)
    }

    fn hides(&self, peer: &Peer) -> bool {
        peer.has.is_empty() && peer.uplink.sent > u64::from(self.geometry.piece_len())
    }

    /// Unchokes the chosen ones and chokes everybody else.
    fn apply(&mut self, now: Instant, chosen: &[PeerKey]) {
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            self.set_choking(now, key, !chosen.contains(&key));
        }
    }

    fn set_choking(&mut self, now: Instant, key: PeerKey, choking: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.us.choking == choking {
            return;
        }
        peer.us.choking = choking;
        peer.choking_changed = now;
        if choking {
            self.send(now, key, Message::Choke);
            self.drop_queued(now, key);
        } else {
            peer.uplink.asked_at = now;
            peer.uplink.since_unchoked = 0;
            peer.uplink.refused = 0;
            self.tell_haves(now, key);
            self.send(now, key, Message::Unchoke);
        }
    }
}
