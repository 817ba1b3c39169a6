//! What is kept of addresses, and what a user is told of peers.

use super::extended::{extension_bit, introduce, private_table};
use super::*;
use crate::torrent::limits::{
    DIAL_BACKOFF, INACTIVITY, MAX_BACKOFF, MAX_CANDIDATES, MAX_DIAL_FAILURES, RECONNECT_AFTER,
};
use crate::wire::extension::ExtensionHandshake;

fn host(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 6881))
}

#[test]
fn who_once_was_a_peer_is_never_given_up() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    let (peer, _) = table.arrive(1, Direction::Outgoing);
    table.feed(Input::Disconnected { peer });
    assert_eq!(dials(&table.pass(RECONNECT_AFTER)), [address(1)]);
    for _ in 0..2 * MAX_DIAL_FAILURES {
        table.feed(Input::ConnectFailed { addr: address(1) });
        let mut waited = Duration::ZERO;
        while dials(&table.pass(DIAL_BACKOFF)).is_empty() {
            waited += DIAL_BACKOFF;
            assert!(waited < MAX_BACKOFF, "it is tried again");
        }
    }
}

#[test]
fn a_full_book_makes_room_for_a_tracker_and_never_for_a_rumour() {
    let config = TorrentConfig { dial_below: 0, ..TorrentConfig::default() };
    let mut table = Table::configured(4, &[], config);
    let book = |table: &Table| table.torrent.stats(table.now).known;
    let from = |table: &mut Table, source, range: std::ops::Range<usize>| {
        table.feed(Input::Candidates(source, range.map(host).collect()));
    };
    from(&mut table, Source::Tracker, 0..MAX_CANDIDATES - 1);
    let gossip = address(200).ip();
    table.torrent.candidates.offer_rumour(host(50_000), gossip);
    assert_eq!(book(&table), MAX_CANDIDATES);
    table.torrent.candidates.offer_rumour(host(50_001), gossip);
    from(&mut table, Source::Tracker, 60_000..60_001);
    assert_eq!(book(&table), MAX_CANDIDATES);
    let next = table.torrent.candidates.source_at(host(60_000));
    assert_eq!(next, Some(Source::Tracker), "in the place of the rumour");
    assert_eq!(table.torrent.candidates.source_at(host(50_000)), None);
    assert_eq!(table.torrent.candidates.source_at(host(50_001)), None);
    from(&mut table, Source::Tracker, 60_001..60_002);
    assert_eq!(table.torrent.candidates.source_at(host(60_001)), None, "untried addresses stay");
}

#[test]
fn a_peer_that_changes_its_port_is_dialled_at_the_new_one() {
    let mut table = Table::new(4, &[]);
    let (peer, _) = table.arrive_with(1, Direction::Incoming, extension_bit());
    for port in [5000, 6000] {
        introduce(&mut table, peer, &ExtensionHandshake { port: Some(port), ..Default::default() });
    }
    table.feed(Input::Disconnected { peer });
    assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), [SocketAddr::new(address(1).ip(), 6000)]);
}

#[test]
fn one_address_with_a_new_id_and_one_id_at_a_new_address_are_welcome() {
    let mut table = Table::new(4, &[]);
    let connect = |table: &mut Table, key, id, addr| {
        let (peer, id, direction) = (PeerKey(key), PeerId([id; 20]), Direction::Incoming);
        closes(&table.feed(Input::Connected { peer, addr, id, reserved: [0; 8], direction }))
    };
    assert_eq!(connect(&mut table, 1, 7, address(1)), []);
    table.feed(Input::Disconnected { peer: PeerKey(1) });
    assert_eq!(connect(&mut table, 2, 8, address(1)), [], "a client that was restarted");
    assert_eq!(connect(&mut table, 3, 7, address(2)), [], "a laptop that was carried home");
}

#[test]
fn a_connection_without_use_ends_when_others_want_it_and_only_then() {
    for (max_peers, ends) in [(1, true), (2, false)] {
        let config = TorrentConfig { max_peers, ..TorrentConfig::default() };
        let mut table = Table::configured(4, &[], config);
        let peer = table.peer(&[]);
        let mut closed = Vec::new();
        for _ in 0..INACTIVITY.as_secs() / 50 + 3 {
            table.say(peer, Message::KeepAlive);
            closed.extend(closes(&table.pass(Duration::from_secs(50))));
        }
        let expected = [(peer, DisconnectReason::Useless)];
        assert_eq!(closed, if ends { &expected[..] } else { &[] });
    }
}

#[test]
fn a_snapshot_says_what_stands_between_us() {
    let mut table = Table::new(4, &[0]);
    let (server, _) = table.server(&[0, 1, 2]);
    let asker = table.peer(&[1]);
    table.say(asker, Message::Interested);
    let stats = table.torrent.stats(table.now);
    let flags: Vec<_> = stats.peers.iter().map(PeerStats::flags).collect();
    assert_eq!(flags, ["DI", "dUI"]);
    assert_eq!(stats.availability, 75, "piece 3 is nowhere, the three others are somewhere");
    assert!(stats.overhead_down > 0 && stats.overhead_up > 0);
    table.feed(Input::Disconnected { peer: server });
    assert_eq!(table.torrent.stats(table.now).peers.len(), 1);
}

#[test]
fn a_private_torrent_drops_the_peers_of_the_tracker_that_failed() {
    let mut table = private_table();
    let named = |source, names: &[u8]| Input::Candidates(source, names.iter().map(|&n| address(n)).collect());
    assert_eq!(dials(&table.feed(named(Source::Tracker, &[1, 2, 3]))).len(), 3);
    let (connected, _) = table.arrive(1, Direction::Outgoing);
    let (guest, _) = table.arrive(9, Direction::Incoming);
    let outputs = table.feed(Input::TrackerSwitched);
    let reason = DisconnectReason::TrackerSwitched;
    let parted = [connected, guest].map(|peer| Output::Disconnect { peer, reason });
    assert!(parted.iter().all(|output| outputs.contains(output)), "{outputs:?}");
    // One that was being dialled comes too late; the other is named by the new tracker as well.
    table.feed(named(Source::Tracker, &[3]));
    let (late, outputs) = table.arrive(2, Direction::Outgoing);
    assert_eq!(outputs, [Output::Disconnect { peer: late, reason }]);
    let (_, outputs) = table.arrive(3, Direction::Outgoing);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Disconnect { .. })), "{outputs:?}");
    assert_eq!(table.torrent.stats(table.now).dialling, 0);
    let later = dials(&table.pass(MAX_BACKOFF));
    assert!(later.iter().all(|addr| *addr == address(3)), "the old tracker's peers are forgotten: {later:?}");
    assert_eq!(dials(&table.feed(named(Source::Tracker, &[4]))), [address(4)]);
}

#[test]
fn a_dial_that_was_abandoned_is_not_tried_again() {
    let mut table = private_table();
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    table.feed(Input::TrackerSwitched);
    table.feed(Input::ConnectFailed { addr: address(1) });
    assert_eq!(dials(&table.pass(MAX_BACKOFF)), []);
    assert_eq!(table.torrent.stats(table.now).known, 0);
}

#[test]
fn a_public_torrent_keeps_its_peers_whichever_tracker_answers() {
    let mut table = Table::new(4, &[]);
    table.arrive(1, Direction::Outgoing);
    assert_eq!(table.feed(Input::TrackerSwitched), []);
}

#[test]
fn a_private_torrent_dials_those_whom_its_tracker_named_and_nobody_else() {
    let mut table = private_table();
    for source in [Source::User, Source::Pex, Source::Incoming, Source::Resume, Source::Lsd] {
        assert_eq!(dials(&table.feed(Input::Candidates(source, vec![address(1)]))), [], "{source:?}");
    }
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, vec![address(1)]))), [address(1)]);
}

#[test]
fn a_local_network_fills_the_book_and_takes_no_place() {
    let config = TorrentConfig { dial_below: 0, lsd: true, ..TorrentConfig::default() };
    let mut table = Table::configured(4, &[], config);
    table.feed(Input::Candidates(Source::Lsd, (0..MAX_CANDIDATES - 1).map(host).collect()));
    table.torrent.candidates.offer_rumour(host(50_000), address(200).ip());
    table.feed(Input::Candidates(Source::Lsd, vec![host(60_000)]));
    assert_eq!(table.torrent.candidates.source_at(host(0)), Some(Source::Lsd));
    assert_eq!(table.torrent.candidates.source_at(host(50_000)), Some(Source::Pex));
    assert_eq!(table.torrent.candidates.source_at(host(60_000)), None);
    assert!(!Table::new(4, &[]).torrent.admits(Source::Lsd), "only who wants it");
}
