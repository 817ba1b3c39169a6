//! What an end owes at all times: news of its pieces, exact interest, calm choking, signs of life (BEP 3).

use std::time::Duration;

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::piece::Geometry;
use proto::time::Instant;
use proto::wire::{Feature, Message};

use super::line::{Tracked, gap};
use super::{Claim, Rule, Scene};

/// How often a line's standing duties are looked at: to look means to go through all pieces.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a new piece or a change of interest may remain unsaid: ours bundles haves for two seconds.
const GRACE: Duration = Duration::from_secs(10);

/// Silence after which clients close (BEP 3), and some for a clock that runs slow.
const MAX_SILENCE: Duration = Duration::from_secs(125);

/// Unchokes of one peer in a minute at the most: six rounds, and as many slots that were passed on between them.
const MAX_UNCHOKES: usize = 12;

/// The minute.
const UNCHOKE_SPAN: Duration = Duration::from_secs(60);

impl Tracked {
    /// This end says that it has these pieces.
    pub(super) fn claims(&mut self, scene: &mut Scene<'_>, pieces: impl Iterator<Item = u32>) {
        let (host, at) = (scene.event.line.host, scene.event.at);
        for piece in pieces {
            if let Some(index) = scene.geometry.piece(piece) {
                self.shown.set(index);
            }
            scene.claims.push(Claim { host, piece, at });
        }
    }

    /// The same with a bitfield.
    pub(super) fn claims_bits(&mut self, scene: &mut Scene<'_>, bits: &Bytes) {
        let shown = Bitfield::from_wire(bits, scene.geometry.pieces());
        scene.check(Rule::Syntax, shown.is_ok(), || "sent a bitfield of another torrent".to_owned());
        let Ok(shown) = shown else { return };
        let pieces: Vec<_> = scene.geometry.all_pieces().filter(|&piece| shown.has(piece)).collect();
        self.claims(scene, pieces.iter().map(|piece| piece.get()));
    }

    /// The other end says what it has.
    pub(super) fn learn(&mut self, geometry: Geometry, message: &Message, at: Instant) {
        self.their_pieces_changed = at;
        match message {
            Message::Have { piece } => {
                geometry.piece(*piece).into_iter().for_each(|piece| {
                    self.their_pieces.set(piece);
                });
            }
            Message::HaveAll => self.their_pieces = Bitfield::full(geometry.pieces()),
            Message::Bitfield(bits) => {
                if let Ok(pieces) = Bitfield::from_wire(bits, geometry.pieces()) {
                    self.their_pieces = pieces;
                }
            }
            Message::KeepAlive
            | Message::Choke
            | Message::Unchoke
            | Message::Interested
            | Message::NotInterested
            | Message::Request(_)
            | Message::Piece { .. }
            | Message::Cancel(_)
            | Message::Port(_)
            | Message::Suggest { .. }
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast { .. }
            | Message::Extended { .. }
            | Message::Unknown { .. } => {}
        }
    }

    /// Does this end only look for metadata? It has no pieces yet, and wants none.
    fn is_searching(&self) -> bool {
        self.ours.is_none_or(|ours| !Feature::FAST.is_in(ours))
    }

    pub(super) fn interest(&mut self, scene: &mut Scene<'_>, interested: bool) {
        (self.is_interested, self.interest_changed) = (interested, scene.event.at);
        let wanted = self.wants(scene, scene.event.since);
        scene.check(Rule::Interest, wanted || !interested, || {
            "is interested in who has nothing for it".to_owned()
        });
    }

    /// Does the other end have a piece that this one had not verified by `then`?
    fn wants(&self, scene: &Scene<'_>, then: Instant) -> bool {
        let then = then.since(Instant::ZERO);
        let mut wants = false;
        scene.host.suspect.holdings.look(&mut |held| {
            let lacks = |index: usize| held.get(index).copied().flatten().is_none_or(|at| at >= then);
            wants = scene
                .geometry
                .all_pieces()
                .any(|piece| self.their_pieces.has(piece) && lacks(piece.as_usize()));
        });
        wants
    }

    /// A piece that the other end lacks and that this one held at `then` without having said so by now.
    fn untold(&self, scene: &Scene<'_>, then: Instant) -> Option<u32> {
        let then = then.since(Instant::ZERO);
        let mut untold = None;
        scene.host.suspect.holdings.look(&mut |held| {
            let holds = |index: usize| held.get(index).copied().flatten().is_some_and(|at| at < then);
            let mut pieces = scene.geometry.all_pieces();
            untold = pieces.find(|&piece| {
                holds(piece.as_usize()) && !self.shown.has(piece) && !self.their_pieces.has(piece)
            });
        });
        untold.map(proto::piece::PieceIndex::get)
    }

    /// Now and then: does it keep up its duties? Whoever waits for a full socket, or has just come out of a pause, is not
    /// asked.
    pub(super) fn look(&mut self, scene: &mut Scene<'_>) {
        let (at, since) = (scene.event.at, scene.event.since);
        if scene.host.suspect.untimed && gap(scene.host.awake_since, at) <= GRACE {
            return;
        }
        if since < at || gap(self.looked, at) < LOOK_EVERY || self.is_searching() || self.summaries == 0 {
            return;
        }
        self.looked = at;
        let micros = at.as_micros().saturating_sub(GRACE.as_micros() as u64);
        let then = Instant::from_micros(micros);
        if !scene.host.suspect.super_seeds {
            let untold = self.untold(scene, then);
            scene.check(Rule::HavesTold, untold.is_none(), || {
                format!("has not told of piece {}", untold.unwrap_or_default())
            });
        }
        if self.is_interested {
            let wanted = self.wants(scene, then);
            scene
                .check(Rule::Interest, wanted, || "is still interested in who has nothing for it".to_owned());
        } else if gap(self.their_pieces_changed.max(self.interest_changed), at) > GRACE {
            let wanted = self.wants(scene, at);
            scene.check(Rule::Interest, !wanted, || "is not interested in who has what it lacks".to_owned());
        }
    }

    pub(super) fn unchokes(&mut self, scene: &mut Scene<'_>) {
        self.set_unchoked();
        let at = scene.event.at;
        // What waited for a full socket comes in a heap, and was not decided in one.
        if scene.event.since == at {
            self.unchokes.push_back(at);
        }
        self.unchokes.retain(|&before| gap(before, at) < UNCHOKE_SPAN);
        let count = self.unchokes.len();
        scene.check(Rule::ChokePace, count <= MAX_UNCHOKES, || format!("unchoked {count} times in a minute"));
    }

    /// Something is said: was that too long a silence?
    pub(super) fn silence(&mut self, scene: &mut Scene<'_>) {
        let silence = gap(self.last_said, scene.event.since);
        self.last_said = scene.event.at;
        if silence >= UNCHOKE_SPAN && !scene.host.suspect.untimed {
            let kept = silence <= MAX_SILENCE;
            scene.check(Rule::KeepAlive, kept, || format!("was silent for {:.0} s", silence.as_secs_f64()));
        }
    }
}
