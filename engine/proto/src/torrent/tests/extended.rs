//! BEP 10 in the machine, and the metadata that it serves (BEP 9).

use super::*;
use crate::metainfo::create::Draft;
use crate::torrent::limits::{METADATA_ROUNDS, RECONNECT_AFTER};
use crate::wire::Feature;
use crate::wire::extension::{Extension, ExtensionHandshake, METADATA_BLOCK_LEN, MetadataMessage};

pub(super) fn extension_bit() -> [u8; 8] {
    Feature::EXTENSION_PROTOCOL.add_to([0; 8])
}

/// A private torrent's table.
pub(super) fn private_table() -> Table {
    let mut draft = Draft::new("content", Content::Single(u64::from(BLOCK_LEN)), Some(BLOCK_LEN)).unwrap();
    draft.private = true;
    let metainfo = Metainfo::parse(&draft.finish(&[PieceHash([1; 20])]).unwrap()).unwrap();
    Table::of(metainfo, &[], TorrentConfig::default())
}

/// A peer that speaks BEP 10 has dialled us; returns how we introduce ourselves.
pub(super) fn guest(table: &mut Table) -> (PeerKey, ExtensionHandshake) {
    let name = table.connections as u8 + 1;
    let (peer, outputs) = table.arrive_with(name, Direction::Incoming, extension_bit());
    let hello = said(&outputs, peer).into_iter().find_map(|message| {
        let Message::Extended { id: 0, payload } = message else { return None };
        Some(ExtensionHandshake::decode(&payload).unwrap())
    });
    (peer, hello.unwrap())
}

pub(super) fn introduce(table: &mut Table, peer: PeerKey, hello: &ExtensionHandshake) -> Vec<Output> {
    table.say(peer, Message::Extended { id: 0, payload: hello.encode() })
}

fn ask(table: &mut Table, peer: PeerKey, block: u32) -> Vec<(u8, MetadataMessage)> {
    let payload = MetadataMessage::Request { block }.encode();
    let outputs = table.say(peer, Message::Extended { id: Extension::Metadata.ours(), payload });
    let answer = |message| {
        let Message::Extended { id, payload } = message else { return None };
        Some((id, MetadataMessage::decode(&payload).unwrap()))
    };
    said(&outputs, peer).into_iter().filter_map(answer).collect()
}

#[test]
fn we_introduce_ourselves_only_to_who_speaks_it() {
    let mut table = Table::new(4, &[0]);
    table.feed(Input::Ours(vec![SocketAddr::from(([0, 0, 0, 0], 51413))]));
    let (_, outputs) = table.arrive(1, Direction::Incoming);
    assert_eq!(outputs.len(), 1, "a bitfield and nothing else");
    let (_, hello) = guest(&mut table);
    let want = ExtensionHandshake {
        pex: Some(Extension::Pex.ours()),
        metadata: Some(Extension::Metadata.ours()),
        client: Some(concat!("OurTorrent ", env!("CARGO_PKG_VERSION")).to_owned()),
        port: Some(51413),
        reqq: Some(2000),
        your_ip: Some([10, 0, 0, 2].into()),
        metadata_size: Some(table.metainfo.info().len() as u32),
        upload_only: None,
    };
    assert_eq!(hello, want);
    assert_eq!(guest(&mut Table::seeder(1)).1.upload_only, Some(true));
}

#[test]
fn a_repeated_handshake_adds_to_what_was_said() {
    let mut table = Table::new(4, &[]);
    let (peer, _) = guest(&mut table);
    let said = |table: &Table| table.torrent.peers[&peer].extended.as_ref().unwrap().said.clone();
    let first = ExtensionHandshake { pex: Some(7), reqq: Some(20), ..Default::default() };
    introduce(&mut table, peer, &first);
    let second = ExtensionHandshake { pex: Some(0), metadata: Some(9), ..Default::default() };
    introduce(&mut table, peer, &second);
    assert_eq!(said(&table), ExtensionHandshake { reqq: Some(20), ..second });
    let extended = table.torrent.peers[&peer].extended.as_ref().unwrap();
    assert_eq!((extended.theirs(Extension::Pex), extended.theirs(Extension::Metadata)), (None, Some(9)));
}

#[test]
fn no_more_requests_are_kept_than_the_peer_takes() {
    let mut table = Table::new(40, &[]);
    let (peer, _) = guest(&mut table);
    introduce(&mut table, peer, &ExtensionHandshake { reqq: Some(2), ..Default::default() });
    let has = Bitfield::full(40).to_wire();
    table.say(peer, Message::Bitfield(has));
    assert_eq!(requests(&table.say(peer, Message::Unchoke)).len(), 2);
    // Nobody can mean zero.
    introduce(&mut table, peer, &ExtensionHandshake { reqq: Some(0), ..Default::default() });
    table.say(peer, Message::Choke);
    assert_eq!(requests(&table.say(peer, Message::Unchoke)).len(), 1);
}

#[test]
fn garbage_ends_the_connection_and_unknown_ids_do_not() {
    let mut table = Table::new(4, &[]);
    let (peer, _) = guest(&mut table);
    let garbage = Bytes::from_static(b"garbage");
    assert_eq!(table.say(peer, Message::Extended { id: 99, payload: garbage.clone() }), []);
    let outputs = table.say(peer, Message::Extended { id: 0, payload: garbage.clone() });
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BadExtension)]);
    let (plain, _) = table.arrive(9, Direction::Incoming);
    assert_eq!(table.say(plain, Message::Extended { id: 0, payload: garbage }), []);
}

#[test]
fn a_guest_can_be_dialled_at_the_port_that_it_names() {
    let mut table = Table::new(4, &[]);
    let (peer, _) = guest(&mut table);
    introduce(&mut table, peer, &ExtensionHandshake { port: Some(7000), ..Default::default() });
    let addr = SocketAddr::from(([10, 0, 0, 1], 7000));
    assert_eq!(dials(&table.feed(Input::Candidates(Source::Tracker, vec![addr]))), [], "it is connected");
    table.feed(Input::Disconnected { peer });
    assert_eq!(dials(&table.pass(RECONNECT_AFTER)), [addr]);
}

#[test]
fn a_seeder_stays_with_a_peer_that_only_says_that_it_is_complete() {
    let mut table = Table::seeder(2);
    let (peer, _) = guest(&mut table);
    table.say(peer, Message::Bitfield(bits(&table.metainfo, &[0]).to_wire()));
    let partial_seed = ExtensionHandshake { upload_only: Some(true), ..Default::default() };
    assert_eq!(closes(&introduce(&mut table, peer, &partial_seed)), []);
    let outputs = table.say(peer, Message::Have { piece: 1 });
    assert_eq!(closes(&outputs), [(peer, DisconnectReason::BothComplete)]);
}

#[test]
fn metadata_is_served_in_blocks_under_their_id_and_not_for_ever() {
    let mut table = Table::new(1000, &[]);
    let info = table.metainfo.info().clone();
    let (total, first) = (Some(info.len() as u32), METADATA_BLOCK_LEN as usize);
    let (peer, hello) = guest(&mut table);
    assert_eq!(hello.metadata_size, total);
    assert_eq!(ask(&mut table, peer, 0), [], "it gave no id to answer under");
    introduce(&mut table, peer, &ExtensionHandshake { metadata: Some(77), ..Default::default() });
    let data = MetadataMessage::Data { block: 0, total, data: info.slice(..first) };
    assert_eq!(ask(&mut table, peer, 0), [(77, data)]);
    let last = info.len() as u32 / METADATA_BLOCK_LEN;
    let data = info.slice(last as usize * first..);
    assert_eq!(ask(&mut table, peer, last), [(77, MetadataMessage::Data { block: last, total, data })]);
    for outside in [last + 1, u32::MAX] {
        assert_eq!(ask(&mut table, peer, outside), [(77, MetadataMessage::Reject { block: outside })]);
    }
    let allowed = METADATA_ROUNDS * (last + 1);
    (2..allowed).for_each(|_| drop(ask(&mut table, peer, 1)));
    assert_eq!(ask(&mut table, peer, 1), [(77, MetadataMessage::Reject { block: 1 })]);
}

#[test]
fn a_private_torrent_leaks_neither_metadata_nor_peers() {
    let mut table = private_table();
    let (peer, hello) = guest(&mut table);
    assert_eq!((hello.metadata, hello.metadata_size, hello.pex), (None, None, None));
    introduce(&mut table, peer, &ExtensionHandshake { metadata: Some(3), ..Default::default() });
    assert_eq!(ask(&mut table, peer, 0), [(3, MetadataMessage::Reject { block: 0 })]);
    let named = Input::Candidates(Source::User, vec![address(77)]);
    assert_eq!(dials(&table.feed(named)), []);
    let tracked = Input::Candidates(Source::Tracker, vec![address(77)]);
    assert_eq!(dials(&table.feed(tracked)), [address(77)]);
}
