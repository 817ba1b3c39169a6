//! The free rider: takes what it is given, from everybody at once, and gives nothing.
//!
//! It says of no piece that it has it, so it looks as needy as a newcomer for ever, and it uses whatever a
//! newcomer is allowed. That is the most that can be had without giving.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use proto::bitfield::Bitfield;
use proto::piece::{Block, Geometry, PieceIndex};
use proto::wire::{Message, RawBlock};

use super::{Host, Line, Wire, lock};

/// Requests under way at one peer.
const PIPELINE: usize = 32;

/// What it has taken, over all connections.
pub(super) struct Loot {
    geometry: Geometry,
    have: Bitfield,
    /// Pieces that some connection is fetching.
    taken: BTreeSet<PieceIndex>,
}

impl Loot {
    pub(super) fn new(geometry: Geometry) -> Self {
        Self { geometry, have: Bitfield::empty(geometry.pieces()), taken: BTreeSet::new() }
    }

    fn is_free(&self, piece: PieceIndex) -> bool {
        !self.have.has(piece) && !self.taken.contains(&piece)
    }
}

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[Message::HaveNone, Message::Interested]).await?;
    let theirs = Bitfield::empty(host.geometry().pieces());
    let mut victim = Victim {
        host,
        theirs,
        choking: true,
        offers: BTreeSet::new(),
        piece: None,
        wanted: VecDeque::new(),
        asked: 0,
        missing: 0,
    };
    loop {
        let requests = victim.ask();
        line.say_all(&requests).await?;
        victim.hear(line.hear().await?);
    }
}

/// One peer that it takes from.
struct Victim<'a> {
    host: &'a Host,
    theirs: Bitfield,
    choking: bool,
    /// Pieces that may be had while choked (BEP 6).
    offers: BTreeSet<PieceIndex>,
    /// The piece that it fetches here.
    piece: Option<PieceIndex>,
    /// Blocks of it that are not asked for yet.
    wanted: VecDeque<Block>,
    asked: usize,
    /// Blocks of it that have not come.
    missing: usize,
}

impl Victim<'_> {
    /// The next requests.
    fn ask(&mut self) -> Vec<Message> {
        let mut requests = Vec::new();
        while self.asked < PIPELINE {
            if self.piece.is_none() {
                self.choose();
            }
            let may_ask = self.piece.is_some_and(|piece| !self.choking || self.offers.contains(&piece));
            if !may_ask {
                break;
            }
            let Some(block) = self.wanted.pop_front() else { break };
            requests.push(Message::Request(RawBlock {
                piece: block.piece().get(),
                offset: block.offset(),
                len: block.len(),
            }));
            self.asked += 1;
        }
        requests
    }

    /// Any piece that it lacks and may have here.
    fn choose(&mut self) {
        let mut loot = lock(&self.host.loot);
        let geometry = loot.geometry;
        let may_have =
            |piece: &PieceIndex| (!self.choking && self.theirs.has(*piece)) || self.offers.contains(piece);
        let free: Vec<_> = geometry.all_pieces().filter(|p| loot.is_free(*p) && may_have(p)).collect();
        let drawn = self.host.random(|random| random.index(free.len()));
        self.piece = free.get(drawn).copied();
        if let Some(piece) = self.piece {
            loot.taken.insert(piece);
            self.wanted = geometry.blocks(piece).collect();
            self.missing = self.wanted.len();
        }
    }

    fn hear(&mut self, message: Message) {
        let geometry = self.host.geometry();
        match message {
            Message::HaveAll => self.theirs = Bitfield::full(geometry.pieces()),
            Message::Bitfield(bits) => {
                self.theirs = Bitfield::from_wire(&bits, geometry.pieces()).unwrap_or(self.theirs.clone());
            }
            Message::Have { piece } => {
                if let Some(piece) = geometry.piece(piece) {
                    self.theirs.set(piece);
                }
            }
            Message::Unchoke => self.choking = false,
            Message::Choke => self.choking = true,
            Message::AllowedFast { piece } => self.offers.extend(geometry.piece(piece)),
            Message::Reject(block) => self.rejected(block),
            Message::Piece { data, .. } => self.received(data.len() as u64),
            Message::KeepAlive
            | Message::Interested
            | Message::NotInterested
            | Message::Request(_)
            | Message::Cancel(_)
            | Message::Port(_)
            | Message::Suggest { .. }
            | Message::HaveNone
            | Message::Extended { .. }
            | Message::Unknown { .. } => {}
        }
    }

    fn rejected(&mut self, block: RawBlock) {
        self.asked = self.asked.saturating_sub(1);
        let geometry = self.host.geometry();
        let block = geometry.locate(block.piece, block.offset, block.len).ok();
        self.wanted.extend(block.filter(|block| self.piece == Some(block.piece())));
    }

    fn received(&mut self, bytes: u64) {
        self.asked = self.asked.saturating_sub(1);
        self.missing = self.missing.saturating_sub(1);
        self.host.deeds().write(|account| account.downloaded += bytes);
        if self.missing == 0
            && let Some(piece) = self.piece.take()
        {
            let mut loot = lock(&self.host.loot);
            loot.taken.remove(&piece);
            loot.have.set(piece);
            let len = u64::from(loot.geometry.len_of(piece));
            self.host.deeds().write(|account| account.loot += len);
        }
    }
}

impl Drop for Victim<'_> {
    /// What was not finished here is fetched elsewhere.
    fn drop(&mut self) {
        if let Some(piece) = self.piece.take() {
            lock(&self.host.loot).taken.remove(&piece);
        }
    }
}
