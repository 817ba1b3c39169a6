//! What a policy may look at: typed facts, read-only, nothing that costs a scan of all pieces unless it is asked for.

use crate::bitfield::Bitfield;
use crate::piece::{Geometry, PieceIndex};
use crate::seed::Random;
use crate::time::Duration;
use crate::torrent::PeerKey;
use crate::torrent::partials::Partials;
use crate::torrent::picker::Picker;
use crate::torrent::wanted::Wanted;

/// The pieces of a torrent, as far as one peer can help with them.
#[derive(Debug)]
pub struct PieceView<'a> {
    pub(in crate::torrent) geometry: Geometry,
    pub(in crate::torrent) have: &'a Bitfield,
    pub(in crate::torrent) wanted: &'a Wanted,
    pub(in crate::torrent) picker: &'a Picker,
    pub(in crate::torrent) partials: &'a Partials,
    pub(in crate::torrent) peer: PeerKey,
    pub(in crate::torrent) has: &'a Bitfield,
    /// Pieces that could be started with the peer.
    pub(in crate::torrent) startable: u32,
    pub(in crate::torrent) suggested: Option<PieceIndex>,
    /// Started pieces that are left to those who work on them.
    pub(in crate::torrent) spared: Vec<PieceIndex>,
}

impl PieceView<'_> {
    /// The torrent's shape; it makes a [`PieceIndex`] from a number.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Pieces that are here and verified.
    pub const fn held(&self) -> u32 {
        self.have.count()
    }

    /// Is `piece` here and verified?
    pub fn is_here(&self, piece: PieceIndex) -> bool {
        self.have.has(piece)
    }

    /// Is `piece` to be fetched at all? The user may skip files.
    pub fn is_wanted(&self, piece: PieceIndex) -> bool {
        self.wanted.wants(piece)
    }

    /// Nobody was asked for `piece` yet, and this peer has it.
    pub fn may_start(&self, piece: PieceIndex) -> bool {
        self.has.has(piece) && self.picker.holds(piece)
    }

    /// `piece` is being fetched, and this peer could send a block that nobody was asked for.
    pub fn may_help(&self, piece: PieceIndex) -> bool {
        self.partials.free_block_of(piece, self.peer, self.has).is_some()
    }

    /// Copies of `piece` among the connected peers.
    pub fn copies(&self, piece: PieceIndex) -> u32 {
        self.picker.availability(piece)
    }

    /// A random one of the rarest pieces that may be started; costs O(different numbers of copies) as a rule.
    pub fn rarest(&self, random: &mut Random) -> Option<PieceIndex> {
        (self.startable > 0).then(|| self.picker.rarest(self.has, random)).flatten()
    }

    /// A random one of the pieces that may be started; costs O(1) as a rule.
    pub fn any(&self, random: &mut Random) -> Option<PieceIndex> {
        (self.startable > 0).then(|| self.picker.any(self.has, random)).flatten()
    }

    /// The piece nearest completion that this peer could help with and that is not better left to whoever works on
    /// it, at another speed; costs O(started pieces).
    pub fn nearest_done(&self) -> Option<PieceIndex> {
        self.partials.nearest_done(self.peer, self.has, &self.spared)
    }

    /// The piece nearest completion that this peer could help with.
    pub(in crate::torrent) fn any_nearest_done(&self) -> Option<PieceIndex> {
        self.partials.nearest_done(self.peer, self.has, &[])
    }

    /// A piece that the peer would like us to start (BEP 6): it has it in memory.
    pub const fn suggested(&self) -> Option<PieceIndex> {
        self.suggested
    }

    /// Every piece that may be started, in order; costs O(pieces).
    pub fn startable(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.geometry.all_pieces().filter(|&piece| self.may_start(piece))
    }
}

/// A peer that may be served: it lacks something that we have, and wants it or would be worth its slot if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// The connection.
    pub peer: PeerKey,
    /// Bytes a second that it sends us, over the last two rounds.
    pub gives: u64,
    /// Bytes a second that we send it, likewise.
    pub takes: u64,
    /// Bytes that it has by its own word, or that we sent it: who hides what it has gains little.
    pub progress: u64,
    /// It has no whole piece, and so nothing to pass on.
    pub has_nothing: bool,
    /// It wants something now; others take no slot.
    pub interested: bool,
    /// How long it has been served; nothing while it is choked.
    pub served: Option<Duration>,
    /// How long it has been choked; nothing while it is served.
    pub waits: Option<Duration>,
    /// How long it has been connected.
    pub connected: Duration,
}
