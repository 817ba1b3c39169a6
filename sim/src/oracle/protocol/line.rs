//! One end of a connection: requests and their answers, in both directions (BEP 3, 6).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proto::bitfield::Bitfield;
use proto::id::PeerId;
use proto::time::Instant;
use proto::wire::{Feature, Message, RawBlock};

use super::{Host, Rule, Scene};
use crate::wiretap::What;

/// Requests under way that are allowed unless the other side says otherwise (BEP 10).
const DEFAULT_REQQ: u32 = 250;

/// Requests under way that are allowed whatever the other side says: what libtorrent keeps at the most.
const MAX_ASKED: u32 = 500;

/// Requests that a peer keeps; what is more may be refused.
const MAX_OWED: usize = 2000;

/// A request that this end made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) block: RawBlock,
    is_cancelled: bool,
}

/// A request that this end was asked.
#[derive(Clone, Copy, Debug)]
struct Owed {
    block: RawBlock,
    at: Instant,
    is_cancelled: bool,
}

/// What one end has said and heard.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol has four flags a side")]
pub(super) struct Tracked {
    pub(super) ours: Option<[u8; 8]>,
    pub(super) theirs: Option<[u8; 8]>,
    /// The names that were said and heard, and when they turned out to be the same.
    names: [Option<PeerId>; 2],
    met_itself: Option<Instant>,
    /// Something other than a handshake was said.
    has_spoken: bool,
    pub(super) summaries: u32,
    pub(super) shown: Bitfield,
    pub(super) their_pieces: Bitfield,
    pub(super) their_pieces_changed: Instant,
    is_choked: bool,
    choked_at: Instant,
    /// Pieces that may be asked for while choked.
    allowed: BTreeSet<u32>,
    is_choking: bool,
    choking_since: Instant,
    /// Pieces that the other end may ask for while choked.
    granted: BTreeSet<u32>,
    pub(super) is_interested: bool,
    pub(super) interest_changed: Instant,
    pub(super) asked: Vec<Asked>,
    owed: Vec<Owed>,
    /// What came from elsewhere, and when.
    cancels_due: Vec<(RawBlock, Instant)>,
    pub(super) reqq: Option<u32>,
    /// The other end's ids for peer exchange and for metadata.
    pub(super) ids: [Option<u8>; 2],
    pub(super) gossiped: Option<Instant>,
    pub(super) last_said: Instant,
    pub(super) looked: Instant,
    /// The latest unchokes.
    pub(super) unchokes: VecDeque<Instant>,
}

impl Host {
    /// A block is no longer on order at one connection.
    pub(super) fn settled(&mut self, block: RawBlock) {
        if let Some(count) = self.asked.get_mut(&(block.piece, block.offset)) {
            *count -= 1;
            if *count == 0 {
                self.asked.remove(&(block.piece, block.offset));
            }
        }
    }
}

impl Tracked {
    pub(super) fn new(pieces: u32, now: Instant) -> Self {
        Self {
            ours: None,
            theirs: None,
            names: [None; 2],
            met_itself: None,
            has_spoken: false,
            summaries: 0,
            shown: Bitfield::empty(pieces),
            their_pieces: Bitfield::empty(pieces),
            their_pieces_changed: now,
            is_choked: true,
            choked_at: now,
            allowed: BTreeSet::new(),
            is_choking: true,
            choking_since: now,
            granted: BTreeSet::new(),
            is_interested: false,
            interest_changed: now,
            asked: Vec::new(),
            owed: Vec::new(),
            cancels_due: Vec::new(),
            reqq: None,
            ids: [None; 2],
            gossiped: None,
            last_said: now,
            looked: now,
            unchokes: VecDeque::new(),
        }
    }

    /// Do both ends speak it?
    pub(super) fn agreed(&self, feature: Feature) -> bool {
        [self.ours, self.theirs].iter().all(|reserved| reserved.is_some_and(|bits| feature.is_in(bits)))
    }

    fn is_fast(&self) -> bool {
        self.agreed(Feature::FAST)
    }

    /// The other end may ask from now on.
    pub(super) fn set_unchoked(&mut self) {
        self.is_choking = false;
    }

    /// This end wrote something.
    pub(super) fn said(&mut self, scene: &mut Scene<'_>) {
        let event = scene.event;
        self.debts(scene);
        self.silence(scene);
        match &event.what {
            What::Handshake(handshake) => {
                self.ours = Some(handshake.reserved);
                self.name(scene, 0, handshake.peer_id);
            }
            What::Garbage => scene.check(Rule::Syntax, false, || "sent what is no message".to_owned()),
            What::Block(block) => self.served(scene, *block),
            What::Message(message) => self.said_message(scene, message),
            What::Closed => {}
        }
        self.look(scene);
    }

    /// One side says what it is called.
    fn name(&mut self, scene: &mut Scene<'_>, side: usize, name: PeerId) {
        self.names[side] = Some(name);
        if self.names == [Some(name); 2] {
            self.met_itself = Some(scene.event.at);
            scene.check(Rule::Itself, true, String::new);
        }
    }

    fn said_message(&mut self, scene: &mut Scene<'_>, message: &Message) {
        self.order(scene, message);
        if self.met_itself.is_some_and(|met| met < scene.event.since) {
            scene.check(Rule::Itself, false, || format!("sent {message:?} to itself"));
        }
        match message {
            Message::Request(block) => self.requests(scene, *block),
            Message::Cancel(block) => self.cancels(scene, *block),
            Message::Reject(block) => self.rejects(scene, *block),
            Message::Choke => {
                (self.is_choking, self.choking_since) = (true, scene.event.at);
                if !self.is_fast() {
                    self.owed.clear();
                }
            }
            Message::Unchoke => self.unchokes(scene),
            Message::Interested | Message::NotInterested => {
                self.interest(scene, *message == Message::Interested);
            }
            Message::Have { piece } => self.claims(scene, std::iter::once(*piece)),
            Message::AllowedFast { piece } => {
                self.granted.insert(*piece);
            }
            Message::Extended { id, payload } => self.extended(scene, *id, payload),
            Message::Bitfield(bits) => self.claims_bits(scene, bits),
            Message::HaveAll => self.claims(scene, 0..scene.geometry.pieces()),
            Message::HaveNone
            | Message::KeepAlive
            | Message::Port(_)
            | Message::Suggest { .. }
            | Message::Piece { .. }
            | Message::Unknown { .. } => {}
        }
    }

    /// What may be said at all, and when.
    fn order(&mut self, scene: &mut Scene<'_>, message: &Message) {
        let is_fast = matches!(
            message,
            Message::HaveAll
                | Message::HaveNone
                | Message::Reject(_)
                | Message::AllowedFast { .. }
                | Message::Suggest { .. }
        );
        if is_fast {
            let agreed = self.is_fast();
            scene.check(Rule::FastAgreed, agreed, || format!("sent {message:?}"));
        }
        let is_summary = matches!(message, Message::HaveAll | Message::HaveNone | Message::Bitfield(_));
        if is_summary || (!self.has_spoken && self.is_fast()) {
            let kept = is_summary && !self.has_spoken;
            scene.check(Rule::Summary, kept, || {
                if is_summary {
                    "summed up what it has, and not first".to_owned()
                } else {
                    format!("began with {message:?}")
                }
            });
        }
        self.summaries += u32::from(is_summary);
        self.has_spoken = true;
    }

    fn requests(&mut self, scene: &mut Scene<'_>, block: RawBlock) {
        let may =
            !self.is_choked || self.allowed.contains(&block.piece) || self.choked_at >= scene.event.since;
        scene.check(Rule::ChokedRequest, may, || format!("asked for {block:?} although it is choked"));
        let located = scene.geometry.locate(block.piece, block.offset, block.len).ok();
        scene.check(Rule::Range, located.is_some(), || format!("asked for {block:?}, which does not exist"));
        let held = located.is_none_or(|located| self.their_pieces.has(located.piece()));
        scene.check(Rule::Held, held, || format!("asked for {block:?} of who does not have it"));
        self.asked.push(Asked { block, is_cancelled: false });
        *scene.host.asked.entry((block.piece, block.offset)).or_default() += 1;
        let most = self.reqq.unwrap_or(DEFAULT_REQQ).min(MAX_ASKED) as usize;
        let count = self.asked.len();
        scene
            .check(Rule::Outstanding, count <= most, || format!("has {count} requests under way, of {most}"));
    }

    fn cancels(&mut self, scene: &mut Scene<'_>, block: RawBlock) {
        let before = self.cancels_due.len();
        self.cancels_due.retain(|(due, _)| *due != block);
        if self.cancels_due.len() < before {
            scene.check(Rule::Cancelled, true, String::new);
        }
        let asked = self.asked.iter().position(|asked| asked.block == block && !asked.is_cancelled);
        let Some(asked) = asked else { return };
        if self.is_fast() {
            self.asked[asked].is_cancelled = true;
        } else {
            self.asked.remove(asked);
            scene.host.settled(block);
        }
    }

    fn served(&mut self, scene: &mut Scene<'_>, block: RawBlock) {
        let granted = !self.is_choking || self.granted.contains(&block.piece);
        scene.check(Rule::Answered, granted, || format!("served {block:?} to whom it chokes"));
        self.answered(scene, block);
    }

    fn answered(&mut self, scene: &mut Scene<'_>, block: RawBlock) -> Option<Owed> {
        let owed = self.owed.iter().position(|owed| owed.block == block);
        scene.check(Rule::Asked, owed.is_some(), || format!("answered {block:?}, which nobody asked for"));
        owed.map(|owed| self.owed.remove(owed))
    }

    fn rejects(&mut self, scene: &mut Scene<'_>, block: RawBlock) {
        let is_full = self.owed.len() >= MAX_OWED;
        let Some(owed) = self.answered(scene, block) else { return };
        let again = self.owed.iter().any(|other| other.block == block);
        let unknown = scene.geometry.piece(block.piece).is_none_or(|piece| !self.shown.has(piece));
        let cause = self.is_choking || owed.is_cancelled || again || unknown || is_full;
        scene.check(Rule::Answered, cause, || format!("refused {block:?} although it serves the peer"));
    }

    /// What had to be said before anything that was decided later.
    fn debts(&mut self, scene: &mut Scene<'_>) {
        let since = scene.event.since;
        if self.is_choking && !self.owed.is_empty() && self.is_fast() {
            let (choking_since, granted) = (self.choking_since, &self.granted);
            let late =
                |owed: &mut Owed| owed.at.max(choking_since) < since && !granted.contains(&owed.block.piece);
            for Owed { block, .. } in self.owed.extract_if(.., late) {
                scene.check(Rule::Answered, false, || format!("chokes, and never rejected {block:?}"));
            }
        }
        for (block, _) in self.cancels_due.extract_if(.., |(_, at)| *at < since) {
            scene.check(Rule::Cancelled, false, || format!("did not take {block:?} back, which it has"));
        }
    }

    /// A block that is on order here came from elsewhere.
    pub(super) fn must_cancel(&mut self, (piece, offset): (u32, u32), now: Instant) {
        let same = |asked: &&Asked| (asked.block.piece, asked.block.offset) == (piece, offset);
        let due = self.asked.iter().filter(same).find(|asked| !asked.is_cancelled);
        self.cancels_due.extend(due.map(|asked| (asked.block, now)));
    }

    /// This end read something; returns a block that it had asked for.
    pub(super) fn heard(&mut self, scene: &mut Scene<'_>) -> Option<(u32, u32)> {
        let at = scene.event.at;
        match &scene.event.what {
            What::Handshake(handshake) => {
                self.theirs = Some(handshake.reserved);
                self.name(scene, 1, handshake.peer_id);
            }
            What::Block(block) => return self.received(scene, *block),
            What::Message(message) => self.heard_message(scene, message, at),
            What::Garbage | What::Closed => {}
        }
        None
    }

    fn heard_message(&mut self, scene: &mut Scene<'_>, message: &Message, at: Instant) {
        match message {
            Message::Choke => {
                (self.is_choked, self.choked_at) = (true, at);
                if !self.is_fast() {
                    let dropped = std::mem::take(&mut self.asked);
                    for asked in dropped {
                        scene.host.settled(asked.block);
                    }
                    self.cancels_due.clear();
                }
            }
            Message::Unchoke => self.is_choked = false,
            Message::AllowedFast { piece } => {
                self.allowed.insert(*piece);
            }
            Message::Request(block) if self.owed.len() < 2 * MAX_OWED => {
                self.owed.push(Owed { block: *block, at, is_cancelled: false });
            }
            Message::Cancel(block) => {
                let owed = self.owed.iter_mut().find(|owed| owed.block == *block && !owed.is_cancelled);
                if let Some(owed) = owed {
                    owed.is_cancelled = true;
                }
            }
            Message::Reject(block) => {
                self.received(scene, *block);
            }
            Message::Have { .. } | Message::Bitfield(_) | Message::HaveAll => {
                self.learn(scene.geometry, message, at);
            }
            Message::Extended { id: 0, payload } => self.introduced(payload),
            Message::Request(_)
            | Message::Interested
            | Message::NotInterested
            | Message::Extended { .. }
            | Message::HaveNone
            | Message::KeepAlive
            | Message::Port(_)
            | Message::Suggest { .. }
            | Message::Piece { .. }
            | Message::Unknown { .. } => {}
        }
    }

    /// A request of this end's was answered.
    fn received(&mut self, scene: &mut Scene<'_>, block: RawBlock) -> Option<(u32, u32)> {
        self.cancels_due.retain(|(due, _)| *due != block);
        let position = self.asked.iter().position(|asked| asked.block == block)?;
        let asked = self.asked.remove(position);
        scene.host.settled(block);
        let key = (block.piece, block.offset);
        let elsewhere = !asked.is_cancelled && scene.host.asked.contains_key(&key);
        elsewhere.then_some(key)
    }
}

/// How far apart two times are.
pub(super) fn gap(from: Instant, to: Instant) -> Duration {
    if to > from { to.since(from) } else { Duration::ZERO }
}
