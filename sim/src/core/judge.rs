//! What must hold at the end of a core swarm: who can complete has, the books agree, nothing was faster than possible.
//!
//! *Can* is computed: a piece is there to be had while somebody honest who is present holds it, and one of the two can
//! be dialled, or a third one that can be passes it on. Nobody has it from a disk on which it has rotted, though its owner may
//! believe in it: power can fail before a record says what the process knew.

use proto::piece::PieceIndex;
use proto::torrent::Stats;

use super::host::Host;
use super::world::World;
use crate::bound::{Leecher, Swarm};
use crate::oracle::Oracle;

/// Is it an honest peer that is present?
fn honest(host: &Host) -> bool {
    host.is_honest() && host.life.is_some()
}

impl World<'_> {
    /// Is there nothing left to wait for?
    pub(super) fn is_over(&self) -> bool {
        let millis = self.now.as_micros() / 1000;
        millis >= self.plan.at_least
            && millis > self.plan.last_disturbance()
            && !self.somebody_waits()
            && self.lines.are_idle()
    }

    /// Is there an honest peer that could have more?
    pub(super) fn somebody_waits(&self) -> bool {
        self.hosts.iter().any(|host| honest(host) && self.attainable(host).next().is_some())
    }

    /// Pieces that a peer wants, lacks and can have.
    fn attainable<'b>(&'b self, host: &'b Host) -> impl Iterator<Item = PieceIndex> {
        let all = host.misses(self.content.geometry);
        all.filter(move |&piece| {
            let others = || self.hosts.iter().filter(|other| honest(other));
            let relay = others().any(|other| {
                other.plan.open
                    && other.plan.number != host.plan.number
                    && !other.skips.contains(&piece.get())
            });
            others().any(|other| other.holds(piece) && (relay || host.plan.open || other.plan.open))
        })
    }

    /// The run is over.
    pub(super) fn conclude(&mut self, was_cut_short: bool) {
        if was_cut_short {
            self.blame_the_idle();
        }
        for host in 0..self.hosts.len() {
            self.audit(host);
        }
        self.check_requests(was_cut_short);
        self.check_bound();
        let conduct = self.ears.court.adjourn();
        for breach in conduct.breaches {
            self.violations.push(crate::oracle::Violation { oracle: Oracle::Protocol, message: breach });
        }
    }

    fn blame_the_idle(&mut self) {
        let blamed = self.hosts.iter().filter(|host| honest(host));
        let blamed: Vec<_> = blamed
            .filter_map(|host| {
                let missing: Vec<_> = self.attainable(host).collect();
                let first = *missing.first()?;
                let holder = self.hosts.iter().find(|other| honest(other) && other.holds(first))?;
                let (name, holder) = (host.plan.name(), holder.plan.name());
                Some(format!(
                    "{name} lacks {} pieces that it could have: {} is at {holder}",
                    missing.len(),
                    first.get()
                ))
            })
            .collect();
        for what in blamed {
            self.complain(Oracle::Liveness, || what);
        }
        if self.violations.is_empty() {
            self.complain(Oracle::Liveness, || {
                "everybody has everything, and something still goes on".to_owned()
            });
        }
    }

    /// The books of a process that is about to end, or of one at the end of the run.
    pub(super) fn audit(&mut self, place: usize) {
        let (now, geometry) = (self.now, self.content.geometry);
        let host = &self.hosts[place];
        let Some(life) = host.life.as_ref().filter(|_| host.is_honest()) else { return };
        let stats = life.torrent.stats(now);
        let missing = geometry.all_pieces().filter(|&piece| !host.held.has(piece));
        let left: u64 = missing.map(|piece| u64::from(geometry.len_of(piece))).sum();
        let Stats { progress, wasted, duplicate, failed, .. } = stats;
        let sums = [
            ("left", progress.left, left),
            ("downloaded", progress.downloaded, life.heard),
            ("uploaded", progress.uploaded, life.said),
        ];
        let wrong: Vec<_> = sums.into_iter().filter(|(_, told, real)| told != real).collect();
        let got = geometry.len() - left;
        let first: u64 = if host.lives > 1 || host.rots { 0 } else { self.first_bytes(host) };
        let useful = progress.downloaded.saturating_sub(wasted + duplicate + failed);
        let conjured = host.lives == 1 && !host.rots && got > first + useful;
        let name = host.plan.name();
        for (what, told, real) in wrong {
            self.complain(Oracle::Conservation, || {
                format!("{name} counts {told} bytes {what}, and it is {real}")
            });
        }
        if conjured {
            self.complain(Oracle::Conservation, || {
                format!("{name} holds {got} bytes, began with {first} and fetched {useful} that are of use")
            });
        }
    }

    /// Bytes that a peer's disk held before the run.
    fn first_bytes(&self, host: &Host) -> u64 {
        let geometry = self.content.geometry;
        let pieces = geometry.all_pieces();
        let had = pieces.filter(|piece| host.plan.complete || host.plan.has.contains(&piece.get()));
        had.map(|piece| u64::from(geometry.len_of(piece))).sum()
    }

    /// Once nothing is on its way, no request of an honest peer to another is without an answer.
    fn check_requests(&mut self, was_cut_short: bool) {
        if was_cut_short {
            return;
        }
        let now = self.now;
        for place in 0..self.hosts.len() {
            let host = &self.hosts[place];
            let Some(life) = host.life.as_ref().filter(|_| host.is_honest()) else { continue };
            let name = host.plan.name();
            let open: Vec<_> =
                life.torrent.stats(now).peers.into_iter().filter(|peer| peer.queued > 0).collect();
            for peer in open {
                let other = self.lines.end(super::line::other(peer.peer)).host;
                let (other, queued) = (&self.hosts[other], peer.queued);
                if other.is_honest() && !peer.am_choking {
                    let asker = other.plan.name();
                    self.complain(Oracle::Conservation, || {
                        format!("{name} owes {asker} {queued} blocks, and sends none")
                    });
                }
            }
        }
    }

    /// Where nothing went wrong, the swarm was no faster than its links are.
    fn check_bound(&mut self) {
        let peers = &self.plan.peers;
        let is_plain =
            |peer: &super::plan::PeerPlan| peer.is_honest() && peer.has.is_empty() && peer.skips.is_empty();
        if !self.plan.faults.is_empty() || !peers.iter().all(is_plain) {
            return;
        }
        let geometry = self.content.geometry;
        let shortest = geometry.all_pieces().map(|piece| geometry.len_of(piece)).min().unwrap_or(1);
        let seeders = || peers.iter().filter(|peer| peer.complete);
        let leechers = self.hosts.iter().filter(|host| !host.plan.complete);
        let leecher = |host: &Host| Leecher {
            up: host.plan.up as f64,
            down: host.plan.down as f64,
            arrival: host.plan.arrives as f64 / 1000.0,
            departure: f64::INFINITY,
            finishes: host.finished.is_some(),
            open: host.plan.open,
        };
        let swarm = Swarm {
            content: geometry.len() as f64,
            piece: f64::from(shortest),
            seed_up: seeders().map(|peer| peer.up as f64).sum(),
            open_seed_up: seeders().filter(|peer| peer.open).map(|peer| peer.up as f64).sum(),
            leechers: leechers.map(leecher).collect(),
        };
        let last =
            self.hosts.iter().filter(|host| !host.plan.complete).filter_map(|host| host.finished).max();
        let (Some(bound), Some(last)) = (swarm.bound(), last) else { return };
        let last = last.as_secs_f64();
        if last < bound.seconds * (1.0 - 1e-6) {
            self.complain(Oracle::Bounds, || {
                format!("all were done at {last:.3} s, before {:.3} s, set by {}", bound.seconds, bound.term)
            });
        }
    }
}
