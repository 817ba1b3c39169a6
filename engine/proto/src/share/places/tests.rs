//! The machine and, beside it, the connections that it granted.

use proptest::prelude::*;

use super::*;

const LIMITS: PlaceLimits = PlaceLimits { connections: 6, half_open: 2 };

struct World {
    places: Places,
    /// Those with a place; is it a dial?
    granted: BTreeMap<PeerKey, bool>,
    parts: Vec<TorrentKey>,
    next: u64,
}

impl World {
    fn new() -> Self {
        Self { places: Places::new(LIMITS), granted: BTreeMap::new(), parts: Vec::new(), next: 0 }
    }

    fn begin(&mut self, torrent: u32, dials: bool) -> PeerKey {
        let peer = PeerKey(self.next);
        self.next += 1;
        if dials {
            self.places.dial(peer, TorrentKey(torrent));
        } else {
            self.places.knock(peer, TorrentKey(torrent));
        }
        self.drain();
        peer
    }

    fn drain(&mut self) {
        while let Some(output) = self.places.poll_output() {
            match output {
                PlaceOutput::Granted(peer) => {
                    assert_eq!(self.granted.insert(peer, self.places.holders[&peer].dials), None);
                }
                PlaceOutput::Refused(peer) => assert!(!self.places.holders.contains_key(&peer)),
                PlaceOutput::Part(torrent) => self.parts.push(torrent),
            }
        }
        let dials = self.granted.values().filter(|dials| **dials).count();
        assert!(self.granted.len() <= LIMITS.connections && dials <= LIMITS.half_open, "{:?}", self.places);
        assert_eq!((self.granted.len(), dials), self.places.taken());
    }

    fn open(&mut self, peer: PeerKey) {
        self.granted.entry(peer).and_modify(|dials| *dials = false);
        self.places.opened(peer);
        self.drain();
    }

    fn end(&mut self, peer: PeerKey) {
        self.granted.remove(&peer);
        self.places.release(peer);
        self.drain();
    }

    fn of(&self, torrent: u32) -> Vec<PeerKey> {
        let of = |peer: &&PeerKey| self.places.holders[peer].torrent == TorrentKey(torrent);
        self.granted.keys().filter(of).copied().collect()
    }

    /// Torrents that are asked to part do so, as long as they have something.
    fn part(&mut self) {
        while let Some(torrent) = self.parts.pop() {
            let open = self.of(torrent.0).into_iter().find(|peer| !self.granted[peer]);
            if let Some(peer) = open {
                self.end(peer);
            }
        }
    }

    /// All dials under way come to an end, well or not.
    fn dials_end(&mut self, well: impl Fn(&Self, PeerKey) -> bool) {
        let dials: Vec<_> = self.granted.iter().filter(|(_, dials)| **dials).map(|(&peer, _)| peer).collect();
        for peer in dials {
            if well(self, peer) { self.open(peer) } else { self.end(peer) }
        }
        self.part();
    }
}

#[test]
fn dials_are_given_in_turns() {
    let mut world = World::new();
    let first: Vec<_> = (0..4).map(|_| world.begin(1, true)).collect();
    let second = world.begin(2, true);
    assert_eq!(world.of(1), first[..2]);
    world.end(first[0]);
    assert_eq!((world.of(1), world.of(2)), (vec![first[1], first[2]], vec![]));
    world.end(first[1]);
    assert_eq!((world.of(1), world.of(2)), (vec![first[2]], vec![second]));
}

#[test]
fn the_richest_parts_with_connections_until_shares_are_equal() {
    let mut world = World::new();
    let rich: Vec<_> = (0..6).map(|_| world.begin(1, false)).collect();
    assert_eq!(world.of(1), rich);
    for _ in 0..10 {
        world.begin(2, false);
        world.part();
    }
    assert_eq!((world.of(1).len(), world.of(2).len()), (3, 3));
    assert!(world.places.guests.is_empty(), "no stranger waits for what will not come");
}

#[test]
fn who_parted_with_a_place_does_not_take_it_back() {
    let mut world = World::new();
    for _ in 0..6 {
        world.begin(1, false);
    }
    world.begin(1, true);
    let poor = world.begin(2, true);
    assert_eq!(world.parts, [TorrentKey(1)]);
    world.part();
    assert_eq!((world.of(1).len(), world.of(2)), (5, vec![poor]));
}

#[test]
fn a_guest_that_gives_up_and_one_whose_torrent_was_forgotten_leave_the_count_right() {
    let mut world = World::new();
    let rich: Vec<_> = (0..6).map(|_| world.begin(1, false)).collect();
    let (one, two) = (world.begin(2, false), world.begin(2, false));
    world.end(one);
    world.end(rich[0]);
    assert_eq!(world.of(2), [two]);
    world.end(two);
    assert_eq!(world.places.taken(), (5, 0));
}

proptest! {
    #[test]
    fn never_over_a_limit_and_nothing_is_remembered_when_all_is_over(
        steps in prop::collection::vec((0u32..4, 0u8..5, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut world = World::new();
        for (torrent, what, index) in steps {
            let peers: Vec<_> = world.places.holders.keys().copied().collect();
            match what {
                0 => _ = world.begin(torrent, false),
                1 => _ = world.begin(torrent, true),
                2 if !peers.is_empty() => world.open(*index.get(&peers)),
                3 if !peers.is_empty() => world.end(*index.get(&peers)),
                _ => world.part(),
            }
            // Whatever is free is given away at once.
            let (held, dials) = world.places.taken();
            let could_dial = dials < LIMITS.half_open && !world.places.line.is_empty();
            let waits = could_dial || !world.places.guests.is_empty();
            prop_assert!(held == LIMITS.connections || !waits, "{:?}", world.places);
        }
        let peers: Vec<_> = world.places.holders.keys().copied().collect();
        for peer in peers {
            world.end(peer);
        }
        prop_assert!(world.places.torrents.is_empty() && world.places.line.is_empty());
        prop_assert_eq!(world.places.taken(), (0, 0));
    }

    #[test]
    fn every_torrent_that_wants_to_dial_gets_its_share(torrents in 1u32..=6, late in 0u32..6) {
        let mut world = World::new();
        let want = |world: &mut World, of: std::ops::Range<u32>| {
            for torrent in of.flat_map(|torrent| [torrent; 10]) {
                world.begin(torrent, true);
            }
        };
        // Some come only once the others have taken every place.
        want(&mut world, 0..torrents - late.min(torrents));
        (0..50).for_each(|_| world.dials_end(|_, _| true));
        want(&mut world, torrents - late.min(torrents)..torrents);
        (0..50).for_each(|_| world.dials_end(|_, _| true));
        let shares: Vec<_> = (0..torrents).map(|torrent| world.of(torrent).len()).collect();
        let fair = LIMITS.connections / torrents as usize;
        prop_assert!(shares.iter().all(|&share| share >= fair), "{:?}", shares);
    }

    #[test]
    fn torrents_without_a_living_peer_keep_nobody_from_dialling(dead in 1u32..20) {
        let mut world = World::new();
        for torrent in (1..=dead).flat_map(|torrent| [torrent; 50]) {
            world.begin(torrent, true);
        }
        let live = world.begin(0, true);
        // Each gets one turn before another gets its second.
        for _ in 0..=dead {
            world.dials_end(|world, peer| world.places.holders[&peer].torrent == TorrentKey(0));
        }
        prop_assert_eq!(world.granted.get(&live), Some(&false));
    }
}
