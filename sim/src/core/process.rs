//! The processes of a core swarm's peers: how they begin, what their machines report, what they keep for the next one,
//! and how they end.

use std::sync::Arc;
use std::time::Duration;

use proto::announce::Announcer;
use proto::bitfield::Bitfield;
use proto::resume::{Keeper, Step};
use proto::seed::Seed;
use proto::torrent::{Event, Giver, Input, Torrent};

use super::event::{What, number_at};
use super::host::{Life, Told};
use super::line::other;
use super::world::World;
use crate::oracle::Oracle;

/// How often resume data are written.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// How long a step of the resume data takes.
const KEEPING: Duration = Duration::from_millis(30);

impl World<'_> {
    /// A process begins with what its disk holds, or with what it believes that it holds.
    pub(super) fn start(&mut self, place: usize) {
        let (now, geometry) = (self.now, self.content.geometry);
        let host = &mut self.hosts[place];
        if host.is_gone || host.life.is_some() {
            return;
        }
        let right = host.disk.right(geometry);
        let have = if host.believes { host.record.clone() } else { right.clone() };
        let lie = geometry.all_pieces().find(|&piece| have.has(piece) && !right.has(piece));
        host.lives += 1;
        let seed =
            Seed::from_u64(self.plan.seed).child(u64::from(host.plan.number)).child(u64::from(host.lives));
        let torrent = Torrent::new(Arc::clone(&self.metainfo), have.clone(), host.config, seed, now);
        let announcer = Announcer::new(torrent.announces(&host.listens()), seed.child(1));
        let keeper = Keeper::new(now, &have, geometry.all_pieces(), KEEP_EVERY);
        host.held.begin(&have, geometry.all_pieces(), now);
        let (number, began_with) = (host.lives, have.count());
        let told = [Told::default(); 2];
        host.life = Some(Life {
            number,
            torrent,
            announcer,
            keeper,
            armed: None,
            began_with,
            heard: 0,
            said: 0,
            told,
        });
        let (ours, skips) = (host.listens(), !host.skips.is_empty());
        let rots = host.rots;
        self.ears.note(now, place, || format!("starts with {began_with} pieces"));
        if let Some(lie) = lie.filter(|_| !rots) {
            let name = self.hosts[place].plan.name();
            self.complain(Oracle::Resume, || {
                format!("{name} claims piece {}, which it does not hold", lie.get())
            });
        }
        self.feed(place, Input::Ours(ours));
        if skips {
            self.choose(place);
        }
    }

    pub(super) fn report(&mut self, host: usize, event: &Event) {
        let now = self.now;
        self.ears.note(now, host, || format!("{event:?}"));
        let (geometry, is_honest) = (self.content.geometry, self.hosts[host].is_honest());
        match event {
            Event::PieceVerified(piece) => {
                self.hosts[host].held.set(*piece, Some(now));
                if let Some(life) = &mut self.hosts[host].life {
                    life.keeper.verified(now, *piece);
                }
                if is_honest && !self.hosts[host].disk.is_right(*piece) {
                    let name = self.hosts[host].plan.name();
                    self.complain(Oracle::Integrity, || {
                        format!("{name} took piece {} for right, which is not", piece.get())
                    });
                }
            }
            Event::PieceLost(piece) => {
                self.hosts[host].held.set(*piece, None);
                if let Some(life) = &mut self.hosts[host].life {
                    life.keeper.lost(now, *piece);
                }
            }
            Event::Completed | Event::SelectionCompleted => {
                let here = &self.hosts[host];
                let missed = here.misses(geometry).next();
                let name = here.plan.name();
                if let Some(piece) = missed.filter(|_| is_honest) {
                    self.complain(Oracle::Integrity, || {
                        format!("{name} calls complete what lacks piece {}", piece.get())
                    });
                }
                self.hosts[host].finished.get_or_insert(now);
            }
            Event::Banned(banned) => {
                let Giver::Peer(ip) = banned.who else { return };
                let who = self.places.get(&number_at((ip, 0).into())).copied();
                let Some(who) = who.filter(|&who| is_honest && self.hosts[who].is_honest()) else { return };
                if !self.hosts[who].rots {
                    let (name, other) = (self.hosts[host].plan.name(), self.hosts[who].plan.name());
                    let reason = banned.reason;
                    self.complain(Oracle::Justice, || {
                        format!("{name} refuses {other}, which is honest: {reason}")
                    });
                }
            }
            Event::PieceFailed(_) | Event::StorageFailed | Event::WebSeedFailed { .. } => {}
        }
    }

    pub(super) fn keep(&mut self, host: usize, step: Step) {
        if step == Step::Flush {
            self.hosts[host].disk.flush();
        }
        let life = self.hosts[host].lives;
        self.agenda.schedule(self.now + KEEPING, What::Kept { host, life, step });
    }

    pub(super) fn kept(&mut self, place: usize, number: u32, step: Step) {
        let now = self.now;
        let is_full = now < self.hosts[place].full_until;
        let host = &mut self.hosts[place];
        let Some(life) = host.life.as_mut().filter(|life| life.number == number) else { return };
        match step {
            Step::Flush if is_full => life.keeper.flushed(now, None),
            Step::Flush => {
                host.disk.flushed();
                life.keeper.flushed(now, Some(Vec::new()));
            }
            Step::Keep => {
                host.record = if is_full { host.record.clone() } else { life.keeper.claimed().clone() };
                life.keeper.kept(now, !is_full);
            }
        }
        self.drain(place);
    }

    /// The process is over, however it ended; its connections with it.
    pub(super) fn end(&mut self, host: usize) {
        self.audit(host);
        self.ears.note(self.now, host, || "ends".to_owned());
        for end in self.lines.of(host) {
            self.close(end, false);
            self.lines.end(end).is_known = false;
        }
        // What waited for the uplink does not leave it, and that includes farewells.
        for (end, _) in std::mem::take(&mut self.hosts[host].uplink) {
            let at = self.now + self.lines.line(end).latency;
            self.agenda.schedule(at, What::Closed(other(end)));
        }
        let here = &mut self.hosts[host];
        here.life = None;
        let pieces = self.content.geometry.pieces();
        here.held.begin(&Bitfield::empty(pieces), self.content.geometry.all_pieces(), self.now);
    }
}
