//! BEP 11, sentence by sentence.

use super::extended::{extension_bit, guest, introduce, private_table};
use super::*;
use crate::torrent::limits::{MAX_EARLY_GOSSIP, MAX_RUMOURS, PEX_FIRST, PEX_INTERVAL};
use crate::wire::extension::{Extension, ExtensionHandshake, MAX_PEX_PEERS, Pex, PexPeer};

const THEIRS: u8 = 9;

fn gossips() -> ExtensionHandshake {
    ExtensionHandshake { pex: Some(THEIRS), ..Default::default() }
}

/// A table that dials nobody, so that the book is all there is.
fn table() -> Table {
    let config = TorrentConfig { max_peers: 200, dial_below: 0, ..TorrentConfig::default() };
    Table::configured(4, &[], config)
}

/// A guest that wants to hear of others and listens at a port.
fn listener(table: &mut Table, port: u16) -> PeerKey {
    let (peer, _) = guest(table);
    introduce(table, peer, &ExtensionHandshake { port: Some(port), ..gossips() });
    peer
}

fn heard(outputs: &[Output], peer: PeerKey) -> Vec<Pex> {
    let pex = |message| {
        let Message::Extended { id: THEIRS, payload } = message else { return None };
        Some(Pex::decode(&payload).unwrap())
    };
    said(outputs, peer).into_iter().filter_map(pex).collect()
}

fn tell(table: &mut Table, peer: PeerKey, addrs: impl IntoIterator<Item = SocketAddr>) -> Vec<Output> {
    let added = addrs.into_iter().map(|addr| PexPeer { addr, upload_only: false, reachable: true }).collect();
    let payload = Pex { added, dropped: Vec::new() }.encode();
    table.say(peer, Message::Extended { id: Extension::Pex.ours(), payload })
}

#[test]
fn a_peer_hears_of_the_others_where_they_listen_and_not_of_itself() {
    let mut table = table();
    let peer = listener(&mut table, 7001);
    listener(&mut table, 7002);
    let (_, outputs) = table.arrive_with(3, Direction::Outgoing, extension_bit());
    assert!(!outputs.is_empty());
    // One that does not say where it listens is of no use to anybody.
    guest(&mut table);
    let news = heard(&table.pass(PEX_FIRST), peer);
    let other = SocketAddr::from(([10, 0, 0, 2], 7002));
    let added = vec![
        PexPeer { addr: other, upload_only: false, reachable: false },
        PexPeer { addr: address(3), upload_only: false, reachable: true },
    ];
    assert_eq!(news, [Pex { added, dropped: Vec::new() }]);
}

#[test]
fn news_go_out_once_a_minute_and_only_if_there_are_any() {
    let mut table = table();
    let peer = listener(&mut table, 7001);
    let second = listener(&mut table, 7002);
    assert_eq!(heard(&table.pass(PEX_FIRST), peer).len(), 1);
    let third = listener(&mut table, 7003);
    table.feed(Input::Disconnected { peer: second });
    assert_eq!(heard(&table.pass(PEX_INTERVAL.saturating_sub(MOMENT)), peer), []);
    let news = heard(&table.pass(MOMENT), peer);
    assert_eq!(news[0].added.iter().map(|peer| peer.addr.port()).collect::<Vec<_>>(), [7003]);
    assert_eq!(news[0].dropped, [SocketAddr::from(([10, 0, 0, 2], 7002))]);
    // Whoever came and went between two messages is not mentioned: dropped must follow added.
    let brief = listener(&mut table, 7004);
    table.feed(Input::Disconnected { peer: brief });
    assert_eq!(heard(&table.pass(PEX_INTERVAL), peer), []);
    table.say(peer, Message::KeepAlive);
    table.feed(Input::Disconnected { peer: third });
    assert_eq!(heard(&table.pass(PEX_INTERVAL), peer).len(), 1);
}

#[test]
fn one_message_names_fifty_at_the_most_and_the_next_one_the_rest() {
    let mut table = table();
    let peer = listener(&mut table, 7000);
    for port in 8000..8070 {
        listener(&mut table, port);
    }
    assert_eq!(heard(&table.pass(PEX_FIRST), peer)[0].added.len(), MAX_PEX_PEERS);
    assert_eq!(heard(&table.pass(PEX_INTERVAL), peer)[0].added.len(), 70 - MAX_PEX_PEERS);
}

#[test]
fn who_switches_it_off_hears_no_more() {
    let mut table = table();
    let peer = listener(&mut table, 7001);
    listener(&mut table, 7002);
    introduce(&mut table, peer, &ExtensionHandshake { pex: Some(0), ..Default::default() });
    assert_eq!(said(&table.pass(PEX_INTERVAL), peer), []);
}

#[test]
fn rumours_are_dialled_and_capped_for_each_source() {
    let mut table = Table::new(4, &[]);
    let (peer, _) = guest(&mut table);
    let outputs = tell(&mut table, peer, [address(100), "[2001:db8::1]:6881".parse().unwrap()]);
    assert_eq!(dials(&outputs).len(), 2);

    let mut table = self::table();
    let (peer, _) = guest(&mut table);
    for batch in 0..4 {
        tell(&mut table, peer, (0..50).map(|n| SocketAddr::from(([10, 1, batch, n], 1))));
        table.pass(PEX_INTERVAL);
    }
    assert_eq!(table.torrent.candidates.known(), MAX_RUMOURS);
    // What a tracker confirms is no rumour any more and makes room.
    table.feed(Input::Candidates(Source::Tracker, vec![SocketAddr::from(([10, 1, 0, 0], 1))]));
    tell(&mut table, peer, [address(100), address(101)]);
    assert_eq!(table.torrent.candidates.known(), MAX_RUMOURS + 1);
}

#[test]
fn messages_that_come_too_soon_are_not_read_and_a_flood_of_them_ends_it() {
    let mut table = table();
    let (peer, _) = guest(&mut table);
    tell(&mut table, peer, [address(100)]);
    for _ in 0..MAX_EARLY_GOSSIP {
        assert_eq!(closes(&tell(&mut table, peer, [address(101)])), []);
    }
    assert_eq!(table.torrent.candidates.known(), 1);
    let outputs = tell(&mut table, peer, [address(101)]);
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::GossipFlood)]);
}

#[test]
fn we_do_not_dial_ourselves_on_a_rumour() {
    let mut table = Table::new(4, &[]);
    table.feed(Input::Ours(vec![SocketAddr::from(([0, 0, 0, 0], 6881))]));
    let (peer, _) = guest(&mut table);
    let our_ip = ExtensionHandshake { your_ip: Some([10, 0, 0, 200].into()), ..Default::default() };
    introduce(&mut table, peer, &our_ip);
    assert_eq!(dials(&tell(&mut table, peer, [address(200), address(201)])), [address(201)]);
}

#[test]
fn a_private_torrent_neither_tells_nor_listens() {
    let mut table = private_table();
    let peer = listener(&mut table, 7001);
    listener(&mut table, 7002);
    assert_eq!(dials(&tell(&mut table, peer, [address(100)])), []);
    assert_eq!(said(&table.pass(PEX_INTERVAL), peer), []);
}
