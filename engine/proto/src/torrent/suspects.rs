//! Who spoiled a piece: what everybody gave of it is remembered until it verifies, and then compared.
//!
//! A piece that fails its hash check says only that *somebody* lied. So of each block that a started piece
//! receives, a keyed digest and the giver are kept; those of a failed attempt stay until a later attempt
//! verifies. Whoever gave a block that differs from the verified one is guilty, beyond doubt, and nobody else is.
//!
//! To get there fast, a failed piece is fetched from one giver alone, who had the least part in attempts that
//! failed. Its blocks are kept in memory, so that a failure that was the storage's is not taken for the giver's.
//!
//! ```text
//! started ──fails──▶ suspect: one owner ──verifies──▶ every differing block is proof
//!                        ▲       │  └─fails─▶ as received it was bad: proof against its one giver
//!                        └───────┘ the owner leaves, chokes or stalls, or the storage was at fault
//! ```
//!
//! Digests are taken of what arrived, never of what the storage says: a disk that rots blames no peer. The key is
//! drawn at random, so that nobody can make two blocks of one digest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use sha1::{Digest, Sha1};
use siphasher::sip::SipHasher13;

use super::limits::{MAX_EVIDENCE, MAX_HELD, MAX_SUSPECT_GIVERS};
use crate::id::PieceHash;
use crate::piece::{Block, PieceIndex};
use crate::seed::Random;
use crate::torrent::BanReason;

/// Who can be blamed for a block. Peers are known by their address without the port: whoever reconnects is who
/// it was. It is the whole address in both families; see [`Banned`](super::Banned).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Giver {
    /// Whoever connects from this address.
    Peer(IpAddr),
    /// The web seed of this number (BEP 19).
    WebSeed(u32),
}

impl Giver {
    /// The peer at `addr`; an IPv4 address in IPv6's clothes is the IPv4 address.
    pub(super) fn peer(addr: IpAddr) -> Self {
        Self::Peer(addr.to_canonical())
    }
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(addr) => addr.fmt(f),
            Self::WebSeed(number) => write!(f, "web seed {number}"),
        }
    }
}

/// One block as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gift {
    pub(super) giver: Giver,
    digest: u64,
}

/// The pieces that failed and have not verified since.
#[derive(Debug)]
pub(super) struct Suspects {
    key: (u64, u64),
    pieces: BTreeMap<PieceIndex, Suspect>,
    /// The pieces by the age of their evidence, oldest first.
    oldest: VecDeque<PieceIndex>,
    /// Gifts remembered, over all pieces.
    gifts: usize,
    /// Bytes held, over all pieces.
    held: usize,
}

/// One of them.
#[derive(Debug, Default)]
struct Suspect {
    /// What was given in attempts that failed: the block's number, its giver and its digest.
    gifts: BTreeSet<(u32, Giver, u64)>,
    /// How many attempts each giver had a part in that failed, or left half done.
    attempts: BTreeMap<Giver, u32>,
    /// The blocks of the present attempt.
    held: BTreeMap<u32, Bytes>,
}

impl Suspects {
    /// None yet.
    pub(super) fn new(random: &mut Random) -> Self {
        let key = (random.next_u64(), random.next_u64());
        Self { key, pieces: BTreeMap::new(), oldest: VecDeque::new(), gifts: 0, held: 0 }
    }

    /// What is remembered of a block that `giver` sent.
    pub(super) fn gift(&self, giver: Giver, data: &[u8]) -> Gift {
        let digest = SipHasher13::new_with_keys(self.key.0, self.key.1).hash(data);
        Gift { giver, digest }
    }

    /// Keeps a block of a suspect piece until the piece is judged, while there is room.
    pub(super) fn hold(&mut self, block: Block, data: &Bytes) {
        let Some(suspect) = self.pieces.get_mut(&block.piece()) else { return };
        if self.held + data.len() <= MAX_HELD && suspect.held.insert(block.number(), data.clone()).is_none() {
            self.held += data.len();
        }
    }

    /// How many attempts at `piece` this giver had a part in that failed.
    pub(super) fn attempts(&self, piece: PieceIndex, giver: Giver) -> u32 {
        self.pieces.get(&piece).and_then(|suspect| suspect.attempts.get(&giver)).copied().unwrap_or(0)
    }

    /// Somebody else goes on with `piece`, which these givers began.
    pub(super) fn left_by(&mut self, piece: PieceIndex, givers: impl Iterator<Item = Giver>) {
        let Some(suspect) = self.pieces.get_mut(&piece) else { return };
        for giver in givers.collect::<BTreeSet<_>>() {
            suspect.count(giver);
        }
    }

    /// `piece`, whose length and hash should be as `expected`, failed with these blocks. Returns whoever that
    /// convicts.
    pub(super) fn failed(
        &mut self,
        piece: PieceIndex,
        given: &[(u32, Gift)],
        expected: (u32, PieceHash),
    ) -> Option<(Giver, BanReason)> {
        let first = !self.pieces.contains_key(&piece);
        let suspect = self.pieces.entry(piece).or_default();
        let held = std::mem::take(&mut suspect.held);
        self.held -= held.values().map(Bytes::len).sum::<usize>();
        let givers: BTreeSet<Giver> = given.iter().map(|(_, gift)| gift.giver).collect();
        for &giver in &givers {
            suspect.count(giver);
        }
        let lone = givers.first().filter(|_| givers.len() == 1 && is_bad(&held, expected));
        let mut guilty = lone.map(|&giver| (giver, BanReason::BadPiece { piece }));
        for &(number, Gift { giver, digest }) in given {
            let others = suspect.gifts.range((number, giver, 0)..=(number, giver, u64::MAX));
            if guilty.is_none() && others.clone().any(|&(_, _, other)| other != digest) {
                guilty = Some((giver, BanReason::TwoVersions { piece, block: number }));
            }
            self.gifts += usize::from(suspect.gifts.insert((number, giver, digest)));
        }
        if first {
            self.oldest.push_back(piece);
        }
        self.forget_oldest(piece);
        guilty
    }

    /// `piece` verified with these blocks: whoever once gave another one, each once.
    pub(super) fn verified(&mut self, piece: PieceIndex, given: &[(u32, Gift)]) -> Vec<(Giver, BanReason)> {
        let Some(suspect) = self.pieces.remove(&piece) else { return Vec::new() };
        self.oldest.retain(|&other| other != piece);
        self.gifts -= suspect.gifts.len();
        self.held -= suspect.held.values().map(Bytes::len).sum::<usize>();
        let truth: BTreeMap<u32, u64> = given.iter().map(|&(number, gift)| (number, gift.digest)).collect();
        let mut guilty = BTreeMap::new();
        for (block, giver, digest) in suspect.gifts {
            if truth.get(&block).is_some_and(|&truth| truth != digest) {
                guilty.entry(giver).or_insert(BanReason::BadBlock { piece, block });
            }
        }
        guilty.into_iter().collect()
    }

    /// Evidence beyond the limit goes, the oldest first and that of `newest` last: the guilty may get away, and
    /// nobody is blamed for it.
    fn forget_oldest(&mut self, newest: PieceIndex) {
        let mut old =
            self.oldest.iter().copied().filter(|&piece| piece != newest).collect::<Vec<_>>().into_iter();
        while self.gifts > MAX_EVIDENCE
            && let Some(piece) = old.next().or(Some(newest))
            && let Some(suspect) = self.pieces.get_mut(&piece)
        {
            self.gifts -= std::mem::take(&mut suspect.gifts).len();
        }
    }
}

impl Suspect {
    fn count(&mut self, giver: Giver) {
        if self.attempts.len() >= MAX_SUSPECT_GIVERS && !self.attempts.contains_key(&giver) {
            self.attempts.clear();
        }
        *self.attempts.entry(giver).or_insert(0) += 1;
    }
}

/// Are these all the blocks of a piece, and as they arrived the wrong ones?
fn is_bad(held: &BTreeMap<u32, Bytes>, (len, expected): (u32, PieceHash)) -> bool {
    // What is known from elsewhere (an earlier run, say) is not here, and then this proves nothing.
    if held.values().map(|data| data.len() as u64).sum::<u64>() != u64::from(len) {
        return false;
    }
    let mut hash = Sha1::new();
    for data in held.values() {
        hash.update(data);
    }
    PieceHash(hash.finalize().into()) != expected
}
