//! Rarest first: which piece to start next.
//!
//! All pieces that are neither here nor started stand in one array, ordered by how many peers have them; each
//! availability is a contiguous bucket. A change by one swaps a piece across one border, so that a `have`
//! costs O(1) and starting a piece costs O(availabilities). Ties are broken by a random starting point.

use crate::bitfield::Bitfield;
use crate::piece::{Geometry, PieceIndex};
use crate::seed::Random;

/// Marks a piece that is not in the order.
const ABSENT: u32 = u32::MAX;

/// How often a random piece is drawn before all are searched: enough for whoever has a third of them.
const DRAWS: u32 = 8;

/// The pieces that may be started, by availability.
#[derive(Debug)]
pub(super) struct Picker {
    geometry: Geometry,
    /// Pieces by rising availability.
    order: Vec<PieceIndex>,
    /// Where each piece stands in `order`.
    place: Vec<u32>,
    /// `starts[a]` is the first place of availability `a`; one entry past the highest one.
    starts: Vec<u32>,
    /// Copies among the peers that are not complete.
    copies: Vec<u32>,
    /// Complete peers, who raise every availability alike.
    complete: u32,
}

impl Picker {
    /// All pieces that `have` lacks, each with no copies.
    pub(super) fn new(geometry: Geometry, have: &Bitfield) -> Self {
        let count = geometry.pieces() as usize;
        let order: Vec<_> = geometry.all_pieces().filter(|&piece| !have.has(piece)).collect();
        let mut place = vec![ABSENT; count];
        for (index, piece) in order.iter().enumerate() {
            set(&mut place, piece.as_usize(), index as u32);
        }
        let starts = vec![0, order.len() as u32];
        Self { geometry, order, place, starts, copies: vec![0; count], complete: 0 }
    }

    /// No piece is left to start.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// May `piece` be started?
    pub(super) fn holds(&self, piece: PieceIndex) -> bool {
        at(&self.place, piece.as_usize()) != ABSENT
    }

    /// Copies of `piece` among the connected peers.
    pub(super) fn availability(&self, piece: PieceIndex) -> u32 {
        self.complete + at(&self.copies, piece.as_usize())
    }

    /// A peer with all of `has` came.
    pub(super) fn add_peer(&mut self, has: &Bitfield, complete: bool) {
        if complete {
            self.complete += 1;
        } else {
            self.shift_all(has, true);
        }
    }

    /// A peer with all of `has` left; `complete` as it was added.
    pub(super) fn remove_peer(&mut self, has: &Bitfield, complete: bool) {
        if complete {
            self.complete -= 1;
        } else {
            self.shift_all(has, false);
        }
    }

    /// A peer now has `piece`.
    pub(super) fn add_copy(&mut self, piece: PieceIndex) {
        self.shift(piece.as_usize(), true);
    }

    /// A rarest one of the pieces that `has` names.
    pub(super) fn rarest(&self, has: &Bitfield, random: &mut Random) -> Option<PieceIndex> {
        self.starts.windows(2).find_map(|border| {
            let (from, to) = (at(border, 0) as usize, at(border, 1) as usize);
            let bucket = self.order.get(from..to).filter(|bucket| !bucket.is_empty())?;
            let (late, early) = bucket.split_at(random.index(bucket.len()));
            early.iter().chain(late).copied().find(|&piece| has.has(piece))
        })
    }

    /// A random one of the pieces that `has` names.
    pub(super) fn any(&self, has: &Bitfield, random: &mut Random) -> Option<PieceIndex> {
        let mut draws = (0..DRAWS).filter_map(|_| self.order.get(random.index(self.order.len())));
        if let Some(&piece) = draws.find(|&&piece| has.has(piece)) {
            return Some(piece);
        }
        // It has few of them.
        let (late, early) = self.order.split_at(random.index(self.order.len()));
        early.iter().chain(late).copied().find(|&piece| has.has(piece))
    }

    /// Takes `piece` out, because it is being fetched.
    pub(super) fn take(&mut self, piece: PieceIndex) {
        let place = at(&self.place, piece.as_usize());
        if place == ABSENT {
            return;
        }
        // The gap moves to the end of each bucket in turn.
        let mut gap = place;
        for level in at(&self.copies, piece.as_usize()) as usize..self.starts.len() - 1 {
            let last = at(&self.starts, level + 1) - 1;
            self.swap(gap, last);
            set(&mut self.starts, level + 1, last);
            gap = last;
        }
        self.order.pop();
        set(&mut self.place, piece.as_usize(), ABSENT);
    }

    /// Puts `piece` back: it must be fetched anew.
    pub(super) fn put_back(&mut self, piece: PieceIndex) {
        if self.holds(piece) {
            return;
        }
        let mut gap = self.order.len() as u32;
        self.order.push(piece);
        set(&mut self.place, piece.as_usize(), gap);
        for level in (at(&self.copies, piece.as_usize()) as usize + 1..self.starts.len()).rev() {
            let first = at(&self.starts, level);
            set(&mut self.starts, level, first + 1);
            if level < self.starts.len() - 1 {
                self.swap(gap, first);
                gap = first;
            }
        }
    }

    fn shift_all(&mut self, has: &Bitfield, up: bool) {
        for piece in self.geometry.all_pieces().filter(|&piece| has.has(piece)) {
            self.shift(piece.as_usize(), up);
        }
    }

    /// Moves one piece across the border to the next or previous availability.
    fn shift(&mut self, index: usize, up: bool) {
        let from = at(&self.copies, index) as usize;
        set(&mut self.copies, index, if up { from as u32 + 1 } else { from.saturating_sub(1) as u32 });
        if up && from + 2 >= self.starts.len() {
            self.starts.push(self.order.len() as u32);
        }
        let place = at(&self.place, index);
        if place == ABSENT {
            return;
        }
        if up {
            let last = at(&self.starts, from + 1) - 1;
            self.swap(place, last);
            set(&mut self.starts, from + 1, last);
        } else if from > 0 {
            let first = at(&self.starts, from);
            self.swap(place, first);
            set(&mut self.starts, from, first + 1);
        }
    }

    fn swap(&mut self, a: u32, b: u32) {
        self.order.swap(a as usize, b as usize);
        for place in [a, b] {
            if let Some(piece) = self.order.get(place as usize) {
                set(&mut self.place, piece.as_usize(), place);
            }
        }
    }
}

fn at(table: &[u32], index: usize) -> u32 {
    table.get(index).copied().unwrap_or(ABSENT)
}

fn set(table: &mut [u32], index: usize, value: u32) {
    if let Some(cell) = table.get_mut(index) {
        *cell = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use proptest::prelude::*;

    const PIECES: u32 = 12;

    fn geometry() -> Geometry {
        Geometry::new(u64::from(PIECES) * 4, 4).unwrap()
    }

    fn piece(index: u32) -> PieceIndex {
        geometry().piece(index).unwrap()
    }

    #[test]
    fn the_rarest_piece_that_the_peer_has_comes_first() {
        let mut picker = Picker::new(geometry(), &Bitfield::empty(PIECES));
        let all = Bitfield::full(PIECES);
        let mut some = Bitfield::full(PIECES);
        some.clear(piece(7));
        some.clear(piece(3));
        picker.add_peer(&all, true);
        picker.add_peer(&some, false);
        picker.add_copy(piece(3));
        picker.add_copy(piece(3));
        let mut random = Seed::from_u64(1).rng();
        assert_eq!(picker.rarest(&all, &mut random), Some(piece(7)));
        picker.take(piece(7));
        assert_ne!(picker.rarest(&all, &mut random), Some(piece(3)));
        assert_eq!((picker.availability(piece(7)), picker.availability(piece(3))), (1, 3));
    }

    #[test]
    fn ties_are_broken_at_random() {
        let picker = Picker::new(geometry(), &Bitfield::empty(PIECES));
        let mut random = Seed::from_u64(2).rng();
        let mut seen = Bitfield::empty(PIECES);
        for _ in 0..200 {
            seen.set(picker.rarest(&Bitfield::full(PIECES), &mut random).unwrap());
        }
        assert!(seen.is_full());
    }

    fn check(picker: &Picker) {
        for (place, piece) in picker.order.iter().enumerate() {
            assert_eq!(picker.place[piece.as_usize()] as usize, place);
            let level = picker.copies[piece.as_usize()] as usize;
            assert!((picker.starts[level] as usize..picker.starts[level + 1] as usize).contains(&place));
        }
        assert_eq!(*picker.starts.last().unwrap() as usize, picker.order.len());
        assert!(picker.starts.is_sorted());
    }

    proptest! {
        #[test]
        fn the_order_survives_anything(steps in prop::collection::vec((0..5u8, 0..PIECES, any::<u16>()), 0..200)) {
            let mut picker = Picker::new(geometry(), &Bitfield::empty(PIECES));
            let mut peers: Vec<Bitfield> = Vec::new();
            for (step, index, bits) in steps {
                match step {
                    0 => picker.take(piece(index)),
                    1 => picker.put_back(piece(index)),
                    2 => {
                        let mut has = Bitfield::empty(PIECES);
                        (0..PIECES).filter(|n| bits >> n & 1 == 1).for_each(|n| { has.set(piece(n)); });
                        picker.add_peer(&has, false);
                        peers.push(has);
                    }
                    3 => if let Some(has) = peers.pop() { picker.remove_peer(&has, false) },
                    _ => if let Some(has) = peers.last_mut() && has.set(piece(index)) { picker.add_copy(piece(index)) },
                }
                check(&picker);
                for n in 0..PIECES {
                    let copies = peers.iter().filter(|has| has.has(piece(n))).count();
                    prop_assert_eq!(picker.availability(piece(n)) as usize, copies);
                }
            }
        }
    }
}
