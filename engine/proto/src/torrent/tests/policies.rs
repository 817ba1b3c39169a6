//! What each policy does, and what none can do.

use super::*;
use crate::seed::Random;
use crate::torrent::limits::{CHOKE_ROUND, MIN_PIPELINE, NEW_PEER, OPTIMISTIC_ROUNDS, SNUB_AFTER};
use crate::torrent::policy::*;

const ALL: [u32; 40] = {
    let mut all = [0; 40];
    let mut index = 0;
    while index < 40 {
        all[index] = index as u32;
        index += 1;
    }
    all
};

fn picking(picker: NamedPicker) -> Table {
    Table::configured(40, &[], TorrentConfig { picker, ..TorrentConfig::default() })
}

/// The pieces in the order in which they are begun with a slow peer that has everything.
fn order(table: &mut Table) -> Vec<u32> {
    let (peer, mut asked) = table.server(&ALL);
    let mut order = Vec::new();
    while !asked.is_empty() {
        let mut next = Vec::new();
        for block in asked {
            if !order.contains(&block.piece) {
                order.push(block.piece);
            }
            table.now += Duration::from_secs(1);
            let outputs = table.answer(peer, block);
            next.extend(requests(&outputs));
            if block.offset == (BLOCKS - 1) * BLOCK_LEN {
                table.write(block.piece);
                next.extend(requests(&table.verify(block.piece)));
            }
        }
        asked = next;
    }
    order
}

#[test]
fn sequential_fetches_in_order_whatever_is_rare() {
    let mut table = picking(SEQUENTIAL);
    table.peer(&ALL[..30]);
    assert_eq!(order(&mut table), ALL);
    let mut rarest = picking(RAREST_FIRST);
    rarest.peer(&ALL[..30]);
    assert!(order(&mut rarest)[..10].iter().all(|&piece| piece >= 30));
}

#[test]
fn sequential_takes_what_is_rare_from_whoever_has_nothing_near() {
    let mut table = picking(SEQUENTIAL);
    table.peer(&[20, 21, 22]);
    let (_, asked) = table.server(&[20, 21, 22, 33]);
    assert!(asked.iter().all(|block| block.piece == 33), "{asked:?}");
}

#[test]
fn the_first_pieces_are_random_unless_one_peer_alone_has_one() {
    let fetched = |more: &[&[u32]]| {
        let mut table = picking(RAREST_FIRST);
        for has in more {
            table.peer(has);
        }
        order(&mut table)
    };
    // Everything twice, and all but ten pieces three times.
    let order = fetched(&[&ALL, &ALL[10..]]);
    assert!(order[..4].iter().any(|&piece| piece >= 10), "random: {order:?}");
    // One more is asked for while the fourth is checked.
    assert!(order[5..13].iter().all(|&piece| piece < 10), "then the rarest: {order:?}");
    let order = fetched(&[&ALL[1..], &ALL[1..]]);
    assert_eq!(order[0], 0, "what one peer alone has comes first of all");
}

#[test]
fn random_heeds_no_rarity() {
    let mut table = picking(RANDOM_PIECES);
    table.peer(&ALL[4..]);
    assert!(order(&mut table)[..4].iter().any(|&piece| piece >= 4));
}

#[derive(Debug)]
struct Useless(bool);

impl PickPieces for Useless {
    fn pick(&mut self, pieces: &PieceView<'_>, _: &mut Random) -> Option<PieceIndex> {
        // One that is here, on order, or unknown to the peer, or none at all.
        self.0.then(|| pieces.geometry().piece(0)).flatten()
    }
}

#[test]
fn no_picker_can_stall_a_torrent() {
    const SILENT: NamedPicker = Named { name: "silent", about: "", make: || Box::new(Useless(false)) };
    const STUCK: NamedPicker = Named { name: "stuck", about: "", make: || Box::new(Useless(true)) };
    for picker in [SILENT, STUCK, RAREST_FIRST, SEQUENTIAL, RANDOM_PIECES] {
        let mut table = picking(picker);
        assert_eq!(order(&mut table).len(), ALL.len(), "{picker:?}");
        assert_eq!(table.torrent.progress().left, 0, "{picker:?}");
    }
}

#[test]
fn a_policy_of_ones_own_is_found_by_its_name_and_replaces_one() {
    const MINE: NamedPicker = Named { name: "random", about: "mine", make: || Box::new(Useless(false)) };
    let policies = Policies::shipped().with_picker(MINE).with_choker(FAIR);
    assert_eq!(policies.picker("random").map(|picker| picker.about), Some("mine"));
    assert_eq!((policies.pickers().len(), policies.chokers().len()), (3, 5));
    assert_eq!(policies.picker("randon"), None);
    assert_eq!(TorrentConfig::default().picker, policies.pickers()[0], "the default comes first");
}

fn facts(peer: u64) -> PeerFacts {
    PeerFacts {
        peer: PeerKey(peer),
        gives: 0,
        takes: 0,
        progress: 0,
        has_nothing: false,
        interested: true,
        served: None,
        waits: Some(Duration::ZERO),
        connected: Duration::ZERO,
    }
}

fn ranked(choker: NamedChoker, peers: &[PeerFacts]) -> Vec<u64> {
    let mut peers = peers.to_vec();
    (choker.make)().rank(&mut peers, &mut Seed::from_u64(1).rng());
    peers.iter().map(|facts| facts.peer.0).collect()
}

#[test]
fn each_choker_ranks_by_what_its_name_says() {
    let peers = [
        PeerFacts { gives: 10, takes: 9, progress: 50, ..facts(1) },
        PeerFacts { gives: 30, takes: 1, progress: 40, ..facts(2) },
        PeerFacts { gives: 20, takes: 5, progress: 10, ..facts(3) },
    ];
    assert_eq!(ranked(TIT_FOR_TAT, &peers), [2, 3, 1]);
    assert_eq!(ranked(FASTEST, &peers), [1, 3, 2]);
    assert_eq!(ranked(NEEDIEST, &peers), [3, 2, 1]);
    let nothing_to_give = PeerFacts { has_nothing: true, ..facts(4) };
    assert_eq!(ranked(TIT_FOR_TAT, &[facts(5), nothing_to_give]), [4, 5], "newcomers first among equals");
}

#[test]
fn fair_is_a_round_robin_of_half_a_minute() {
    let secs = |n| Some(Duration::from_secs(n));
    let peers = [
        PeerFacts { served: secs(30), waits: None, ..facts(1) },
        PeerFacts { served: secs(20), waits: None, ..facts(2) },
        PeerFacts { waits: secs(90), ..facts(3) },
        PeerFacts { waits: secs(91), ..facts(4) },
    ];
    assert_eq!(ranked(FAIR, &peers), [2, 4, 3, 1]);
}

/// A leecher that serves through the optimistic slot alone, and so many who want what it has.
fn optimist(count: usize) -> (Table, Vec<PeerKey>) {
    let config = TorrentConfig { upload_slots: 0, ..TorrentConfig::default() };
    let mut table = Table::configured(4, &[0], config);
    let crowd: Vec<_> = (0..count).map(|_| table.peer(&[])).collect();
    for &peer in &crowd {
        table.say(peer, Message::Interested);
    }
    (table, crowd)
}

/// Who is served at the end of each choke round.
fn served_each_round(table: &mut Table, crowd: &[PeerKey], rounds: u32) -> Vec<Vec<PeerKey>> {
    let mut served = Vec::new();
    for _ in 0..rounds {
        for &peer in crowd {
            table.say(peer, Message::KeepAlive);
        }
        table.pass(CHOKE_ROUND);
        served.push(
            crowd.iter().copied().filter(|peer| !table.torrent.peers[peer].us.choking).collect::<Vec<_>>(),
        );
    }
    served
}

//= BEP 3: the optimistic unchoke "rotates every 30 seconds".
#[test]
fn the_optimistic_unchoke_moves_on_every_thirty_seconds_and_to_everybody_in_turn() {
    let (mut table, crowd) = optimist(8);
    table.pass(Duration::ZERO);
    let mut turns = served_each_round(&mut table, &crowd, 8 * OPTIMISTIC_ROUNDS);
    assert!(turns.iter().all(|served| served.len() == 1), "{turns:?}");
    turns.dedup();
    // The last round of the eighth turn is the first one of the ninth.
    turns.truncate(8);
    turns.sort();
    assert_eq!(turns.concat(), crowd, "each once");
}

//= BEP 3: newly connected peers are "three times as likely to start as the current optimistic unchoke".
#[test]
fn a_new_peer_is_three_times_as_likely_to_be_the_next_optimistic_unchoke() {
    let (mut table, old) = optimist(4);
    served_each_round(&mut table, &old, (NEW_PEER.as_secs() / CHOKE_ROUND.as_secs()) as u32);
    // Four old ones with something, so that the neediest quarter are an old and a new one with nothing.
    let rich: Vec<_> = (0..6).map(|_| table.peer(&[1])).collect();
    let new = table.peer(&[]);
    for &peer in rich.iter().chain([&new]) {
        table.say(peer, Message::Interested);
    }
    for peer in &old[1..] {
        table.say(*peer, Message::NotInterested);
    }
    // It asked for nothing while it had the slot; that is another rule.
    let now = table.now;
    table.torrent.peers.get_mut(&old[0]).unwrap().uplink.idle_until = now;
    let draws = (0..4000).map(|_| {
        table.torrent.choker.forget(new);
        for &peer in &old {
            table.torrent.choker.forget(peer);
        }
        table.torrent.draw_optimistic(table.now, &[])
    });
    let draws: Vec<_> = draws.collect();
    let count = |peer| draws.iter().filter(|&&drawn| drawn == Some(peer)).count();
    assert_eq!(count(new) + count(old[0]), draws.len());
    assert!((2850..3150).contains(&count(new)), "{} of 4000, where 3000 are expected", count(new));
}

//= BEP 3, anti-snubbing: who owes us blocks and sends none is not served, "except as an optimistic unchoke".
#[test]
fn who_snubs_us_loses_its_regular_slot() {
    let config = TorrentConfig { optimistic_slots: 0, ..TorrentConfig::default() };
    let mut table = Table::configured(8, &[0], config);
    let (peer, asked) = table.server(&[1, 2]);
    table.say(peer, Message::Interested);
    assert_eq!(asked.len(), MIN_PIPELINE);
    table.answer(peer, asked[0]);
    table.pass(CHOKE_ROUND);
    assert!(!table.torrent.peers[&peer].us.choking);
    table.pass(SNUB_AFTER + CHOKE_ROUND);
    assert!(table.torrent.peers[&peer].us.choking);
}
