//! Who is dialled, who may stay, and how a connection is kept alive.

use super::extended::{extension_bit, introduce};
use super::*;
use crate::torrent::limits::{
    DIAL_BACKOFF, FIRST_INTEREST, IDLE_TIMEOUT, KEEP_ALIVE, MAX_DIAL_FAILURES, MAX_PEER_ADDRS,
    RECONNECT_AFTER,
};
use crate::wire::extension::ExtensionHandshake;

fn outgoing(table: &mut Table, name: u8) -> PeerKey {
    table.arrive(name, Direction::Outgoing).0
}

#[test]
fn every_candidate_is_dialled_once() {
    let mut table = Table::new(4, &[]);
    let addrs = vec![address(1), address(2), address(1)];
    let mut dialled = dials(&table.feed(Input::Candidates(Source::Tracker, addrs.clone())));
    dialled.sort();
    assert_eq!(dialled, [address(1), address(2)]);
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, addrs))), []);
}

#[test]
fn dials_stop_at_the_limit_of_half_open_connections() {
    let config = TorrentConfig { max_dialling: 3, ..TorrentConfig::default() };
    let mut table = Table::configured(4, &[], config);
    let many: Vec<_> = (1..=20).map(address).collect();
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, many))).len(), 3);
}

#[test]
fn a_failed_dial_is_repeated_ever_later_and_then_given_up() {
    let mut table = Table::new(4, &[]);
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, vec![address(1)]))), [address(1)]);
    let mut wait = DIAL_BACKOFF;
    for _ in 1..MAX_DIAL_FAILURES {
        table.feed(Input::ConnectFailed { addr: address(1) });
        assert_eq!(dials(&table.pass(wait.saturating_sub(MOMENT))), []);
        assert_eq!(dials(&table.pass(MOMENT)), [address(1)]);
        wait *= 2;
    }
    table.feed(Input::ConnectFailed { addr: address(1) });
    assert_eq!(dials(&table.pass(wait * 4)), []);
}

#[test]
fn a_lost_peer_is_dialled_again_after_a_while() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    let peer = outgoing(&mut table, 1);
    table.feed(Input::Disconnected { peer });
    assert_eq!(dials(&table.pass(RECONNECT_AFTER)), [address(1)]);
}

#[test]
fn the_port_of_an_incoming_connection_is_never_dialled() {
    let mut table = Table::new(4, &[]);
    let peer = table.peer(&[0]);
    table.feed(Input::Disconnected { peer });
    assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), []);
}

#[test]
fn a_connection_to_itself_is_closed_and_never_tried_again() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    let id = table.torrent.peer_id();
    let (peer, addr, direction) = (PeerKey(1), address(1), Direction::Outgoing);
    let outputs = table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction });
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::SelfConnection)]);
    assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), []);
}

#[test]
fn of_two_simultaneous_dials_both_ends_keep_the_same_one() {
    // Our id starts with '-', so name 1 is smaller and name 255 larger.
    let mut table = Table::new(4, &[]);
    let kept = outgoing(&mut table, 1);
    let (second, outputs) = table.arrive(1, Direction::Incoming);
    assert_eq!(closes(&outputs), [(second, DisconnectReason::DuplicatePeer)]);
    assert!(table.torrent.peers.contains_key(&kept));

    let first = outgoing(&mut table, 255);
    let (kept, outputs) = table.arrive(255, Direction::Incoming);
    assert_eq!(closes(&outputs), [(first, DisconnectReason::DuplicatePeer)]);
    assert!(table.torrent.peers.contains_key(&kept));
}

/// A connection to the peer whose id is full of `name`.
fn twin(table: &mut Table, key: u64, name: u8, addr: SocketAddr, direction: Direction) -> Vec<Output> {
    let (peer, id) = (PeerKey(key), PeerId([name; 20]));
    table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction })
}

#[test]
fn of_connections_over_both_families_one_stays_in_whatever_order_they_come() {
    let v6 = |name: u8| SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(name)], 6881));
    // Our id starts with '-', so that 255 is larger and its dials come first; of two dials, the one over IPv6.
    let ranks = [
        (address(255), Direction::Outgoing),
        (v6(255), Direction::Outgoing),
        (address(255), Direction::Incoming),
        (v6(255), Direction::Incoming),
    ];
    for (low, high) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        for (first, second) in [(low, high), (high, low)] {
            let mut table = Table::new(4, &[]);
            table.feed(Input::Candidates(Source::Tracker, vec![address(255), v6(255)]));
            twin(&mut table, 10 + first as u64, 255, ranks[first].0, ranks[first].1);
            let outputs = twin(&mut table, 10 + second as u64, 255, ranks[second].0, ranks[second].1);
            let gone = PeerKey(10 + low as u64);
            assert_eq!(closes(&outputs), [(gone, DisconnectReason::DuplicatePeer)], "{first} {second}");
            assert!(table.torrent.peers.contains_key(&PeerKey(10 + high as u64)));
            table.feed(Input::Disconnected { peer: gone });
            assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), [], "{first} {second}: dialled again");
        }
    }
}

#[test]
fn an_impostor_cannot_close_the_connection_of_the_peer_whose_name_it_uses() {
    // Of the honest peer's connection and the impostor's, the second would always rank higher.
    for (name, direction) in [(1, Direction::Outgoing), (255, Direction::Incoming)] {
        let honest = if direction == Direction::Outgoing { Direction::Incoming } else { Direction::Outgoing };
        let mut table = Table::new(4, &[]);
        table.feed(Input::Candidates(Source::Tracker, vec![address(name), address(77)]));
        twin(&mut table, 10, name, address(name), honest);
        let outputs = twin(&mut table, 11, name, address(77), direction);
        assert_eq!(closes(&outputs), [(PeerKey(11), DisconnectReason::DuplicatePeer)]);
        assert!(table.torrent.peers.contains_key(&PeerKey(10)));
        let outputs = twin(&mut table, 12, name, address(name), direction);
        assert_eq!(
            closes(&outputs),
            [(PeerKey(10), DisconnectReason::DuplicatePeer)],
            "from its own address"
        );
    }
}

#[test]
fn who_was_refused_for_its_name_is_dialled_once_the_name_is_free() {
    let mut table = Table::new(4, &[]);
    let addrs = vec![address(1), address(2)];
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, addrs))).len(), 2);
    twin(&mut table, 10, 99, address(1), Direction::Outgoing);
    let outputs = twin(&mut table, 11, 99, address(2), Direction::Outgoing);
    assert_eq!(closes(&outputs), [(PeerKey(11), DisconnectReason::DuplicatePeer)]);
    let mut outputs = table.feed(Input::Disconnected { peer: PeerKey(10) });
    outputs.extend(table.pass(MOMENT));
    assert_eq!(dials(&outputs), [address(2)], "and whose connection ended waits for its turn");
    assert_eq!(dials(&table.pass(RECONNECT_AFTER)), [address(1)]);
}

#[test]
fn a_peer_with_endless_addresses_fills_no_list() {
    let mut table = Table::new(4, &[]);
    for name in 1..=20 {
        table.feed(Input::Candidates(Source::Tracker, vec![address(name)]));
        twin(&mut table, u64::from(name), 99, address(name), Direction::Outgoing);
    }
    let peers: Vec<_> = table.torrent.peers.values().collect();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].listens_at.len(), MAX_PEER_ADDRS);
}

#[test]
fn our_own_addresses_are_not_dialled() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Ours(vec![address(1)]));
    assert_eq!(
        dials(&table.feed(Input::Candidates(Source::Tracker, vec![address(1), address(2)]))),
        [address(2)]
    );
}

#[test]
fn a_second_address_of_a_peer_is_not_lost_to_the_book() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Candidates(Source::Tracker, vec![address(1), address(2)]));
    let kept = outgoing(&mut table, 1);
    let (peer, addr, id) = (PeerKey(99), address(2), PeerId([1; 20]));
    let direction = Direction::Outgoing;
    let outputs = table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction });
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::DuplicatePeer)]);
    assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), [], "both belong to a peer that is connected");
    let mut dialled = dials(&table.feed(Input::Disconnected { peer: kept }));
    dialled.extend(dials(&table.pass(RECONNECT_AFTER)));
    dialled.sort();
    assert_eq!(dialled, [address(1), address(2)]);
}

#[test]
fn a_full_house_turns_newcomers_away() {
    let config = TorrentConfig { max_peers: 2, ..TorrentConfig::default() };
    let mut table = Table::configured(4, &[], config);
    table.peer(&[]);
    table.peer(&[]);
    let (third, outputs) = table.arrive(3, Direction::Incoming);
    assert_eq!(closes(&outputs), [(third, DisconnectReason::TooManyPeers)]);
}

#[test]
fn an_idle_peer_of_low_priority_makes_room_for_one_of_high_priority() {
    let config = TorrentConfig { max_peers: 8, ..TorrentConfig::default() };
    let survivors = |order: &mut dyn Iterator<Item = u8>| {
        let mut table = Table::configured(4, &[], config);
        table.feed(Input::Ours(vec![SocketAddr::from(([0, 0, 0, 0], 6881))]));
        for name in order {
            let (peer, _) = table.arrive_with(name, Direction::Incoming, extension_bit());
            let told = ExtensionHandshake { your_ip: Some([10, 0, 0, 99].into()), ..Default::default() };
            introduce(&mut table, peer, &told);
        }
        let mut addrs: Vec<_> = table.torrent.peers.values().map(|peer| peer.addr).collect();
        addrs.sort();
        addrs
    };
    // Whatever the order in which they come, the same stay.
    let (up, down) = (survivors(&mut (1..=40)), survivors(&mut (1..=40).rev()));
    assert_eq!((up.len(), &up), (8, &down));
}

#[test]
fn one_address_does_not_take_every_connection() {
    let mut table = Table::new(4, &[]);
    let most = TorrentConfig::default().max_per_address as u64;
    let arrive = |table: &mut Table, number: u64| {
        let (addr, id) =
            (SocketAddr::from(([10, 0, 0, 1], 1000 + number as u16)), PeerId([number as u8; 20]));
        let (peer, direction) = (PeerKey(number), Direction::Incoming);
        closes(&table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction }))
    };
    assert!((0..most).all(|number| arrive(&mut table, number).is_empty()));
    assert_eq!(arrive(&mut table, most), [(PeerKey(most), DisconnectReason::TooManyFromAddress)]);
}

#[test]
fn complete_peers_part() {
    let mut table = Table::seeder(2);
    let (peer, _) = table.arrive(1, Direction::Incoming);
    let outputs = table.say(peer, Message::Bitfield(bits(&table.metainfo, &[0, 1]).to_wire()));
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BothComplete)]);
    // Peers tell us late of pieces that we have, so one that wants nothing is taken to be complete.
    let silent = table.peer(&[0]);
    assert_eq!(closes(&table.pass(FIRST_INTEREST.saturating_sub(MOMENT))), []);
    assert_eq!(closes(&table.pass(MOMENT)), [(silent, DisconnectReason::BothComplete)]);
}

#[test]
fn a_quiet_connection_is_kept_alive_and_a_dead_one_closed() {
    let mut table = Table::new(4, &[]);
    let peer = table.peer(&[]);
    let outputs = table.pass(KEEP_ALIVE);
    assert_eq!(said(&outputs, peer), [Message::KeepAlive]);
    let outputs = table.pass(IDLE_TIMEOUT.saturating_sub(KEEP_ALIVE));
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::Idle)]);
}

#[test]
fn the_tracker_is_asked_again_once_nobody_is_left_to_dial() {
    let mut table = Table::new(4, &[]);
    let asks =
        |outputs: &[Output]| outputs.iter().filter(|output| **output == Output::Announce(None)).count();
    assert_eq!(asks(&table.pass(Duration::from_secs(29))), 0);
    assert_eq!(asks(&table.pass(Duration::from_secs(60))), 2);
    let mut table = Table::seeder(4);
    assert_eq!(asks(&table.pass(Duration::from_secs(100))), 0);
}

#[test]
fn stopping_says_so_and_closes_everything() {
    let mut table = Table::new(4, &[0]);
    let peer = table.peer(&[1]);
    let outputs = table.feed(Input::Stop);
    assert_eq!(outputs[0], Output::Announce(Some(AnnounceEvent::Stopped)));
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::Stopping)]);
    assert_eq!(table.feed(Input::Stop), []);
    assert_eq!(table.torrent.poll_timeout(), None);
    let (late, outputs) = table.arrive(9, Direction::Incoming);
    assert_eq!(closes(&outputs), [(late, DisconnectReason::Stopping)]);
}

#[test]
fn a_connection_that_others_need_is_the_one_of_least_use() {
    let mut table = Table::new(4, &[0]);
    let (busy, old, young) = (table.peer(&[1, 2, 3]), table.peer(&[]), table.peer(&[]));
    table.say(busy, Message::Unchoke);
    for lost in [young, old, busy] {
        let parted = Output::Disconnect { peer: lost, reason: DisconnectReason::Shared };
        assert!(table.feed(Input::Part).contains(&parted));
    }
    assert_eq!(table.feed(Input::Part), []);
}
