//! Who is served: rates, optimism, newcomers, and no fibrillation.

use std::num::NonZeroU64;

use super::*;
use crate::torrent::limits::{CHOKE_ROUND, OPTIMISTIC_ROUNDS, SLOT_RATE, START_SLOTS};

/// Peers with nothing that all want what we have.
fn crowd(table: &mut Table, count: usize) -> Vec<PeerKey> {
    let peers: Vec<_> = (0..count).map(|_| table.peer(&[])).collect();
    for &peer in &peers {
        table.say(peer, Message::Interested);
    }
    peers
}

fn served(table: &Table) -> Vec<PeerKey> {
    table.torrent.peers.iter().filter(|(_, peer)| !peer.us.choking).map(|(&key, _)| key).collect()
}

#[test]
fn slots_are_filled_at_once_and_no_further() {
    let mut table = Table::seeder(4);
    crowd(&mut table, 8);
    assert_eq!(served(&table).len(), START_SLOTS + 1);
}

#[test]
fn slots_follow_the_limit_of_uploads_up_at_once_and_down_at_the_next_round() {
    let mut table = Table::seeder(4);
    crowd(&mut table, 20);
    table.feed(Input::UploadLimit(NonZeroU64::new(8 * SLOT_RATE)));
    assert_eq!(served(&table).len(), 8 + 1);
    table.feed(Input::UploadLimit(NonZeroU64::new(4 * SLOT_RATE)));
    assert_eq!(served(&table).len(), 8 + 1);
    table.pass(CHOKE_ROUND);
    assert_eq!(served(&table).len(), 4 + 1);
}

#[test]
fn slots_are_those_that_the_process_can_spare() {
    let mut table = Table::seeder(4);
    table.feed(Input::UploadSlots(2));
    let peers = crowd(&mut table, 8);
    assert_eq!((served(&table).len(), table.torrent.slots_wanted()), (2, START_SLOTS + 1));
    table.feed(Input::UploadSlots(3));
    assert_eq!(served(&table).len(), 3);
    for allowed in [1, 0, 3] {
        table.feed(Input::UploadSlots(allowed));
        table.pass(CHOKE_ROUND);
        assert_eq!(served(&table).len(), allowed);
    }
    for peer in peers {
        table.say(peer, Message::NotInterested);
    }
    assert_eq!(table.torrent.slots_wanted(), 0);
}

#[test]
fn a_free_slot_does_not_wait_for_the_round() {
    let mut table = Table::seeder(4);
    crowd(&mut table, 8);
    let before = served(&table);
    table.say(before[0], Message::NotInterested);
    table.feed(Input::Disconnected { peer: before[1] });
    let after = served(&table);
    assert_eq!(after.iter().filter(|key| !before.contains(key)).count(), 2);
}

#[test]
fn between_rounds_nobody_is_choked() {
    let mut table = Table::seeder(4);
    crowd(&mut table, 8);
    table.pass(Duration::ZERO);
    let outputs = table.pass(CHOKE_ROUND.saturating_sub(MOMENT));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send { message: Message::Choke, .. })));
}

#[test]
fn the_optimistic_slot_reaches_everybody_in_time() {
    let mut table = Table::new(4, &[0]);
    let crowd = crowd(&mut table, 6);
    let mut seen = served(&table);
    for _ in 0..OPTIMISTIC_ROUNDS * 30 {
        for &peer in &crowd {
            table.say(peer, Message::KeepAlive);
        }
        table.pass(CHOKE_ROUND);
        seen.extend(served(&table));
    }
    assert!(crowd.iter().all(|peer| seen.contains(peer)));
}

#[test]
fn who_gives_most_is_served() {
    let mut table = Table::new(8, &[0]);
    let others = crowd(&mut table, 8);
    table.pass(CHOKE_ROUND);
    let (giver, asked) = table.server(&[1, 2, 3]);
    table.say(giver, Message::Interested);
    table.answer_all(giver, asked);
    table.pass(CHOKE_ROUND);
    assert!(served(&table).contains(&giver), "{others:?}");
    assert_eq!(served(&table).len(), START_SLOTS + 1);
}

#[test]
fn a_better_giver_without_interest_is_unchoked_and_takes_no_slot() {
    let mut table = Table::new(8, &[0]);
    crowd(&mut table, 8);
    let (giver, asked) = table.server(&[1, 2, 3]);
    table.answer_all(giver, asked);
    table.pass(CHOKE_ROUND);
    assert!(served(&table).contains(&giver));
    assert_eq!(served(&table).len(), START_SLOTS + 2);
}

#[test]
fn a_whole_piece_sent_passes_the_slot_on_to_a_newcomer() {
    let mut table = Table::seeder(4);
    crowd(&mut table, 8);
    let first = served(&table)[0];
    let mut outputs = Vec::new();
    for number in 0..BLOCKS {
        let block = table.block(0, number);
        table.say(first, Message::Request(raw(block)));
        let data = Some(Bytes::from(vec![0; 16384]));
        outputs = table.feed(Input::BlockRead { peer: first, block, data });
        outputs.extend(table.feed(Input::Sent { peer: first, bytes: 16397 }));
    }
    assert_eq!(said(&outputs, first).last(), Some(&Message::Choke));
    assert!(!served(&table).contains(&first));
    assert_eq!(served(&table).len(), START_SLOTS + 1);
}

#[test]
fn a_complete_peer_serves_those_who_snubbed_it_like_others() {
    let mut table = Table::seeder(4);
    for _ in 0..=START_SLOTS {
        let peer = table.peer(&[]);
        table.torrent.snubbed(peer);
        table.say(peer, Message::Interested);
    }
    assert_eq!(served(&table).len(), START_SLOTS + 1);
}

/// Stalled clients, or hostile ones: they want everything, have nothing and fetch nothing.
#[test]
fn who_uses_no_slot_keeps_none_from_others() {
    let mut table = Table::seeder(4);
    crowd(&mut table, START_SLOTS * 2);
    let used: Vec<_> = (0..START_SLOTS)
        .map(|_| {
            let peer = table.peer(&[0]);
            table.say(peer, Message::Interested);
            peer
        })
        .collect();
    for _ in 0..3 {
        table.pass(CHOKE_ROUND);
        for &peer in &used {
            table.say(peer, Message::Request(raw(table.block(1, 0))));
        }
    }
    assert!(used.iter().all(|peer| served(&table).contains(peer)), "{:?}", served(&table));
}
