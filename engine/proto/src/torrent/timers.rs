//! When to wake up, and why: every deadline of the machine is one of these.

use super::limits::{ASK_AGAIN, ENDGAME_LOOK, IDLE_TIMEOUT, INACTIVITY, KEEP_ALIVE};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, Output, PeerKey};
use crate::wire::Message;

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The next choke round.
    ChokeRound,
    /// Some peer may need a keep-alive, or be idle or snubbing.
    Peers,
    /// Held-back `have` messages go out.
    Haves,
    /// Some peer is to hear of others.
    Gossip,
    /// A candidate may be dialled again.
    Dial,
    /// The tracker may be asked for more peers again.
    AskForPeers,
    /// A web seed is tried again, or has been silent for too long.
    WebSeeds,
    /// The storage is tried again.
    RetryStorage,
}

impl Torrent {
    /// The next deadline and its reason; nothing once stopped, or while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let connected = !self.peers.is_empty();
        let wants_peers = self.wants_peers();
        let deadlines = [
            (connected.then_some(self.choker.next_round), Timer::ChokeRound),
            (self.peers_due.filter(|_| connected), Timer::Peers),
            (self.haves_due, Timer::Haves),
            (self.gossip_due.filter(|_| connected), Timer::Gossip),
            (self.candidates.due(self.peers.len(), &self.config), Timer::Dial),
            ((wants_peers && !self.wanted.is_finished()).then_some(self.ask_at), Timer::AskForPeers),
            (self.web_seeds.due(), Timer::WebSeeds),
            (self.storage.retry_at(), Timer::RetryStorage),
        ];
        let due = deadlines.into_iter().filter_map(|(at, timer)| Some((at?, timer)));
        due.min().filter(|_| !self.stopped)
    }

    /// Does whatever is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.stopped {
            return;
        }
        if !self.peers.is_empty() && self.choker.next_round <= now {
            self.choke_round(now);
        }
        if self.peers_due.is_some_and(|at| at <= now) {
            self.look_after_peers(now);
        }
        if self.haves_due.is_some_and(|at| at <= now) {
            self.haves_due = None;
            for key in self.lacking_news() {
                self.tell_haves(now, key);
            }
        }
        if self.gossip_due.is_some_and(|at| at <= now) {
            self.spread_gossip(now);
        }
        if self.web_seeds.due().is_some_and(|at| at <= now) {
            self.look_after_web_seeds(now);
        }
        if self.storage.retry_at().is_some_and(|at| at <= now) {
            self.retry_storage(now);
        }
        self.settle(now);
    }

    /// More connections are welcome.
    fn wants_peers(&self) -> bool {
        !self.stopped && self.peers.len() + self.candidates.hopeful() < self.config.dial_below
    }

    fn may_dial(&self) -> bool {
        !self.stopped && self.candidates.may_dial(self.peers.len(), &self.config)
    }

    /// Dials while connections are wanted, and asks the tracker once the address book is used up.
    pub(super) fn dial(&mut self, now: Instant) {
        self.candidates.give_up(now);
        while self.may_dial() {
            let Some(addr) = self.candidates.next(now, &mut self.random) else { break };
            self.outputs.push_back(Output::Connect { addr });
        }
        let short = self.wants_peers() && !self.wanted.is_finished() && self.candidates.is_exhausted(now);
        if self.ask_at <= now {
            self.ask_at = now + ASK_AGAIN;
            if short {
                self.outputs.push_back(Output::Announce(None));
            }
        }
    }

    /// Some peer has a deadline at `at`: wake up no later.
    pub(super) fn wake_for_peers(&mut self, at: Instant) {
        self.peers_due = Some(self.peers_due.map_or(at, |due| due.min(at)));
    }

    /// Keep-alives, idle connections, snubbing peers. Deadlines only ever move away between two calls, so the
    /// earliest one found here is a safe next wake-up.
    fn look_after_peers(&mut self, now: Instant) {
        self.peers_due = None;
        if self.endgame() {
            self.refill = true;
            self.wake_for_peers(now + ENDGAME_LOOK);
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(peer) = self.peers.get(&key) else { continue };
            if peer.last_received + IDLE_TIMEOUT <= now {
                self.disconnect(now, key, DisconnectReason::Idle);
                continue;
            }
            let wanted = peer.us.interested || peer.them.interested;
            let is_full = self.peers.len() >= self.config.max_peers;
            if is_full && !wanted && peer.interest_changed + INACTIVITY <= now {
                self.disconnect(now, key, DisconnectReason::Useless);
                continue;
            }
            let (quiet, overdue) = (peer.last_sent + KEEP_ALIVE <= now, peer.pipeline.overdue_at());
            if overdue.is_some_and(|at| at <= now) {
                self.overdue(now, key);
            }
            //= BEP 3: "keepalives are generally sent once every two minutes."
            if quiet {
                self.send(now, key, Message::KeepAlive);
            }
            self.resume_asking(now, key);
            let Some(peer) = self.peers.get(&key) else { continue };
            let due = (peer.last_received + IDLE_TIMEOUT).min(peer.last_sent + KEEP_ALIVE);
            let due = peer.pipeline.overdue_at().map_or(due, |overdue| overdue.min(due));
            let due = peer.pipeline.resumes_at.map_or(due, |resumes| resumes.min(due));
            self.wake_for_peers(due);
        }
    }
}
