//! Who is refused for a bad piece: whoever is proven guilty, soon, and nobody else, ever.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;
use crate::seed::Random;

/// A torrent whose hashes are right: piece and block numbers decide the content.
fn table(pieces: u32) -> Table {
    let len = u64::from(pieces * BLOCKS * BLOCK_LEN);
    let draft = Draft::new("content", Content::Single(len), Some(BLOCKS * BLOCK_LEN)).unwrap();
    let hash = |piece| {
        PieceHash(Sha1::digest((0..BLOCKS).flat_map(|n| content(piece, n)).collect::<Vec<_>>()).into())
    };
    let hashes: Vec<_> = (0..pieces).map(hash).collect();
    Table::of(Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap(), &[], TorrentConfig::default())
}

fn content(piece: u32, number: u32) -> Vec<u8> {
    vec![(piece * BLOCKS + number) as u8 + 1; BLOCK_LEN as usize]
}

fn bans(outputs: &[Output]) -> Vec<(Giver, BanReason)> {
    let banned = |output: &Output| {
        let Output::Event(Event::Banned(banned)) = output else { return None };
        Some((banned.who, banned.reason))
    };
    outputs.iter().filter_map(banned).collect()
}

/// The disk of the test: what was written, and whether it rots.
#[derive(Default)]
struct Disk {
    blocks: BTreeMap<(u32, u32), Bytes>,
}

impl Disk {
    /// Carries out writes and hashes; `rots` spoils the hash of a piece.
    fn serve(
        &mut self,
        table: &mut Table,
        outputs: &[Output],
        mut rots: impl FnMut() -> bool,
    ) -> Vec<Output> {
        let mut news = Vec::new();
        for output in outputs {
            match output {
                Output::Write { block, data } => {
                    self.blocks.insert((block.piece().get(), block.number()), data.clone());
                    let more = table.feed(Input::Written { block: *block, ok: true });
                    news.extend(self.serve(table, &more, &mut rots as &mut dyn FnMut() -> bool));
                    news.extend(more);
                }
                &Output::Hash { piece } => {
                    let mut hash = Sha1::new();
                    (0..BLOCKS).for_each(|number| hash.update(&self.blocks[&(piece.get(), number)]));
                    let hash = if rots() { PieceHash::default() } else { PieceHash(hash.finalize().into()) };
                    news.extend(table.feed(Input::Hashed { piece, hash: Some(hash) }));
                }
                Output::Connect { .. }
                | Output::Disconnect { .. }
                | Output::Send { .. }
                | Output::Read { .. }
                | Output::Fetch(_)
                | Output::FetchMore { .. }
                | Output::FetchStop { .. }
                | Output::Announce(_)
                | Output::Event(_) => {}
            }
        }
        news
    }
}

/// Sends one block, true or not, and lets the disk do its work; returns all that followed.
fn give(
    table: &mut Table,
    disk: &mut Disk,
    peer: PeerKey,
    block: RawBlock,
    lie: Option<u8>,
    rots: bool,
) -> Vec<Output> {
    let mut data = content(block.piece, block.offset / BLOCK_LEN);
    if let Some(lie) = lie {
        data[7] ^= lie.max(1);
    }
    let message = Message::Piece { piece: block.piece, offset: block.offset, data: Bytes::from(data) };
    let mut outputs = table.say(peer, message);
    outputs.extend(disk.serve(table, &outputs.clone(), || rots));
    outputs
}

#[test]
fn a_lone_giver_is_refused_for_what_it_sent_and_not_for_what_the_disk_made_of_it() {
    for honest in [false, true] {
        let (mut table, mut disk) = (table(1), Disk::default());
        let (peer, mut asked) = table.server(&[0]);
        for attempt in 1..=4 {
            let give = |block| give(&mut table, &mut disk, peer, block, (!honest).then_some(1), honest);
            let outputs: Vec<_> = asked.into_iter().flat_map(give).collect();
            assert!(outputs.contains(&Output::Event(Event::PieceFailed(table.piece(0)))));
            let proof = BanReason::BadPiece { piece: table.piece(0) };
            if !honest && attempt == 2 {
                assert_eq!(bans(&outputs), [(Giver::peer(address(1).ip()), proof)]);
                let (again, outputs) = table.arrive(1, Direction::Incoming);
                assert_eq!(closes(&outputs), [(again, DisconnectReason::Poisoner)]);
                break;
            }
            assert_eq!((bans(&outputs), closes(&outputs)), (vec![], vec![]), "{attempt}");
            asked = requests(&outputs);
            assert_eq!(asked.len(), BLOCKS as usize, "it is asked again");
        }
    }
}

#[test]
fn of_several_givers_the_one_whose_block_differs_is_refused_once_the_piece_verifies() {
    let (mut table, mut disk) = (table(1), Disk::default());
    let (liar, asked) = table.server(&[0]);
    let (honest, _) = table.server(&[0]);
    give(&mut table, &mut disk, liar, asked[0], Some(1), false);
    give(&mut table, &mut disk, liar, asked[1], None, false);
    let rest = requests(&table.say(liar, Message::Choke));
    let outputs: Vec<_> =
        rest.into_iter().flat_map(|block| give(&mut table, &mut disk, honest, block, None, false)).collect();
    assert!(outputs.contains(&Output::Event(Event::PieceFailed(table.piece(0)))));
    assert_eq!(closes(&outputs), [], "nothing is proven yet");
    let again = requests(&outputs);
    assert_eq!(again.len(), BLOCKS as usize, "one giver is asked for the whole piece");
    let outputs: Vec<_> =
        again.into_iter().flat_map(|block| give(&mut table, &mut disk, honest, block, None, false)).collect();
    let proof = BanReason::BadBlock { piece: table.piece(0), block: 0 };
    assert_eq!(bans(&outputs), [(Giver::peer(address(1).ip()), proof)]);
    assert_eq!(closes(&outputs).first(), Some(&(liar, DisconnectReason::Poisoner)));
    assert_eq!(table.torrent.stats(table.now).banned.len(), 1);
}

#[test]
fn a_refused_address_is_not_dialled_again() {
    let (mut table, mut disk) = (table(1), Disk::default());
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    let (peer, _) = table.arrive(1, Direction::Outgoing);
    table.say(peer, Message::Bitfield(bits(&table.metainfo, &[0]).to_wire()));
    let mut asked = requests(&table.say(peer, Message::Unchoke));
    for _ in 0..2 {
        let give = |block| give(&mut table, &mut disk, peer, block, Some(9), false);
        asked = requests(&asked.into_iter().flat_map(give).collect::<Vec<_>>());
    }
    assert!(table.torrent.peers.is_empty());
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, vec![address(1)]))), []);
    assert_eq!(dials(&table.pass(Duration::from_secs(3600))), []);
}

/// What a peer does with a request.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Honest,
    /// Lies in one of so many blocks.
    Poisons(u8),
}

/// A swarm of servers around one downloader, in any order of events.
struct Swarm {
    table: Table,
    disk: Disk,
    random: Random,
    habits: Vec<Habit>,
    keys: BTreeMap<PeerKey, usize>,
    asked: BTreeMap<PeerKey, Vec<RawBlock>>,
    banned: BTreeSet<Giver>,
    lied: BTreeSet<usize>,
    failures: u32,
    rot: u64,
}

impl Swarm {
    fn new(seed: u64, habits: Vec<Habit>, pieces: u32, rot: u64) -> Self {
        let random = Seed::from_u64(seed).rng();
        Self {
            table: table(pieces),
            disk: Disk::default(),
            random,
            habits,
            keys: BTreeMap::new(),
            asked: BTreeMap::new(),
            banned: BTreeSet::new(),
            lied: BTreeSet::new(),
            failures: 0,
            rot,
        }
    }

    fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Send { peer, message: Message::Request(block) } => {
                    self.asked.entry(*peer).or_default().push(*block);
                }
                Output::Send { peer, message: Message::Cancel(block) } => {
                    self.asked.entry(*peer).or_default().retain(|other| other != block);
                }
                Output::Disconnect { peer, .. } => {
                    self.asked.remove(peer);
                    self.keys.remove(peer);
                }
                Output::Event(Event::Banned(banned)) => {
                    self.banned.insert(banned.who);
                }
                Output::Event(Event::PieceFailed(_)) => self.failures += 1,
                Output::Connect { .. }
                | Output::Send { .. }
                | Output::Write { .. }
                | Output::Hash { .. }
                | Output::Read { .. }
                | Output::Fetch(_)
                | Output::FetchMore { .. }
                | Output::FetchStop { .. }
                | Output::Announce(_)
                | Output::Event(_) => {}
            }
        }
    }

    fn all(&self) -> Vec<u32> {
        (0..self.table.metainfo.geometry().pieces()).collect()
    }

    /// Everybody who is not connected comes (back) and serves us.
    fn join(&mut self) {
        for name in 0..self.habits.len() {
            if self.keys.values().all(|&other| other != name) {
                let (peer, mut outputs) = self.table.arrive(name as u8 + 1, Direction::Incoming);
                self.keys.insert(peer, name);
                let has = bits(&self.table.metainfo, &self.all()).to_wire();
                outputs.extend(self.table.say(peer, Message::Bitfield(has)));
                outputs.extend(self.table.say(peer, Message::Unchoke));
                self.note(&outputs);
            }
        }
    }

    /// Something happens.
    fn step(&mut self) {
        let peers: Vec<PeerKey> = self.keys.keys().copied().collect();
        let Some(&peer) = peers.get(self.random.index(peers.len())) else { return self.join() };
        let outputs = match self.random.below(40) {
            0 => {
                self.keys.remove(&peer);
                self.asked.remove(&peer);
                self.table.feed(Input::Disconnected { peer })
            }
            1 => {
                self.asked.remove(&peer);
                let mut outputs = self.table.say(peer, Message::Choke);
                outputs.extend(self.table.say(peer, Message::Unchoke));
                outputs
            }
            2 => self.table.pass(Duration::from_secs(self.random.below(30))),
            3 => return self.join(),
            _ => self.serve(peer),
        };
        self.note(&outputs);
    }

    fn serve(&mut self, peer: PeerKey) -> Vec<Output> {
        let Some(asked) = self.asked.get_mut(&peer).filter(|asked| !asked.is_empty()) else {
            return Vec::new();
        };
        let block = asked.swap_remove(self.random.index(asked.len()));
        let name = self.keys[&peer];
        let lie = match self.habits[name] {
            Habit::Poisons(one_in) if self.random.below(u64::from(one_in)) == 0 => {
                Some(self.random.next_u32() as u8)
            }
            Habit::Honest | Habit::Poisons(_) => None,
        };
        let rots = self.rot > 0 && self.random.below(self.rot) == 0;
        let outputs = give(&mut self.table, &mut self.disk, peer, block, lie, rots);
        // A block that is here already, or not wanted any more, spoils nothing.
        if lie.is_some() && outputs.iter().any(|output| matches!(output, Output::Write { .. })) {
            self.lied.insert(name);
        }
        outputs
    }

    fn is_complete(&self) -> bool {
        self.table.torrent.have().is_full()
    }

    fn guilty(&self) -> BTreeSet<Giver> {
        self.lied.iter().map(|&name| Giver::peer(address(name as u8 + 1).ip())).collect()
    }
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![Just(Habit::Honest), (1..8u8).prop_map(Habit::Poisons)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Peers come, go, choke, stall and lie in any order, and now and then the disk does as well.
    #[test]
    fn the_guilty_are_refused_the_honest_never_and_the_download_completes(
        seed: u64,
        habits in prop::collection::vec(habit(), 1..7),
        pieces in 1..6u32,
        rot in prop_oneof![Just(0u64), Just(40u64)],
    ) {
        let habits: Vec<_> = habits.into_iter().chain([Habit::Honest]).collect();
        let liars = habits.iter().filter(|habit| matches!(habit, Habit::Poisons(_))).count() as u32;
        let mut swarm = Swarm::new(seed, habits, pieces, rot);
        swarm.join();
        let mut steps = 0;
        while !swarm.is_complete() && steps < 20_000 {
            swarm.step();
            let guilty = swarm.guilty();
            prop_assert!(swarm.banned.is_subset(&guilty), "{:?} of {:?}", swarm.banned, guilty);
            steps += 1;
        }
        prop_assert!(swarm.is_complete(), "with an honest source it ends");
        prop_assert_eq!(&swarm.banned, &swarm.guilty(), "whoever spoiled a piece is found out by its end");
        if rot == 0 {
            prop_assert!(swarm.failures <= (liars + 1) * (pieces + 4) * 4, "{} failures", swarm.failures);
        }
    }
}
