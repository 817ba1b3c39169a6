//! Policies: which piece is fetched next, and who is served first. Small traits, so that another idea is twenty lines
//! and a name (`engine/docs/write-a-policy.md` writes one), while everything that keeps a swarm safe stays outside them:
//! a bad policy can make a torrent slow, but never stall it, flood a peer or break a rule of the protocol.
//!
//! ```text
//! facts ──▶ PickPieces::pick ──▶ a piece, or no preference       (a peer has room for a request)
//! facts ──▶ RankPeers::rank  ──▶ the order of being served        (a choke round, a slot fell free)
//! ```
//!
//! A policy is told typed facts and draws from the [`Random`] that it is handed: the same facts and the same random
//! numbers must give the same answer, on any machine.

mod chokers;
mod pickers;
mod view;

pub use chokers::{FAIR, FASTEST, NEEDIEST, RANDOM_PEERS, TIT_FOR_TAT};
pub use pickers::{RANDOM_PIECES, RAREST_FIRST, SEQUENTIAL};
pub use view::{PeerFacts, PieceView};

use std::fmt;

use crate::piece::PieceIndex;
use crate::seed::Random;

/// Which piece a peer is asked for a block of. One is made anew when the user chooses other files.
pub trait PickPieces: fmt::Debug + Send {
    /// One that may be started with this peer, or a started one that it can help with. Nothing, or anything else,
    /// leaves the choice to the default: what is started comes before what is rarest.
    fn pick(&mut self, pieces: &PieceView<'_>, random: &mut Random) -> Option<PieceIndex>;
}

/// Who gets a regular upload slot.
pub trait RankPeers: fmt::Debug + Send {
    /// Puts `peers` into order, best first. They come in random order, so that a stable sort breaks ties at random.
    /// How many are served, the optimistic slot and the pace of changes are not the policy's.
    fn rank(&mut self, peers: &mut [PeerFacts], random: &mut Random);
}

/// A policy and the name by which a scenario or a command line selects it.
pub struct Named<P: ?Sized> {
    /// Lower case, with dashes.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// Makes one for one torrent.
    pub make: fn() -> Box<P>,
}

/// A picker by name.
pub type NamedPicker = Named<dyn PickPieces>;

/// A choker by name.
pub type NamedChoker = Named<dyn RankPeers>;

impl<P: ?Sized> Copy for Named<P> {}

impl<P: ?Sized> Clone for Named<P> {
    fn clone(&self) -> Self {
        *self
    }
}

/// Names are unique in a [`Policies`].
impl<P: ?Sized> PartialEq for Named<P> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<P: ?Sized> Eq for Named<P> {}

impl<P: ?Sized> fmt::Debug for Named<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The policies that can be selected by name.
#[derive(Clone, Debug)]
pub struct Policies {
    pickers: Vec<NamedPicker>,
    chokers: Vec<NamedChoker>,
}

impl Default for Policies {
    fn default() -> Self {
        Self::shipped()
    }
}

impl Policies {
    /// Those that come with the engine; the defaults first.
    pub fn shipped() -> Self {
        Self {
            pickers: vec![RAREST_FIRST, SEQUENTIAL, RANDOM_PIECES],
            chokers: vec![TIT_FOR_TAT, NEEDIEST, FAIR, FASTEST, RANDOM_PEERS],
        }
    }

    /// The same and another picker; it takes the place of one of its name.
    #[must_use]
    pub fn with_picker(mut self, picker: NamedPicker) -> Self {
        self.pickers.retain(|known| *known != picker);
        self.pickers.push(picker);
        self
    }

    /// The same and another choker; it takes the place of one of its name.
    #[must_use]
    pub fn with_choker(mut self, choker: NamedChoker) -> Self {
        self.chokers.retain(|known| *known != choker);
        self.chokers.push(choker);
        self
    }

    /// Every picker.
    pub fn pickers(&self) -> &[NamedPicker] {
        &self.pickers
    }

    /// Every choker; each can rank for a leecher and for a seeder.
    pub fn chokers(&self) -> &[NamedChoker] {
        &self.chokers
    }

    /// The picker of this name.
    pub fn picker(&self, name: &str) -> Option<NamedPicker> {
        self.pickers.iter().copied().find(|picker| picker.name == name)
    }

    /// The choker of this name.
    pub fn choker(&self, name: &str) -> Option<NamedChoker> {
        self.chokers.iter().copied().find(|choker| choker.name == name)
    }
}
