//! Tests of the UDP tracker codec: known bytes, round trips, hostile input.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::{InfoHash, PeerId};
use crate::torrent::{AnnounceEvent, Progress};

fn encoded(request: &Request<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

fn example_announce() -> AnnounceRequest<'static> {
    AnnounceRequest {
        connection: ConnectionId(0x0102_0304_0506_0708),
        transaction: TransactionId(0xaabb_ccdd),
        info_hash: InfoHash([0x11; 20]),
        peer_id: PeerId::with_tail(*b"abcdefghijkl"),
        progress: Progress { downloaded: 56, left: 64, uploaded: 72 },
        event: Some(AnnounceEvent::Started),
        key: 88,
        num_want: None,
        port: 6881,
        options: &[],
    }
}

/// Sixteen bytes a line, with their offset.
fn hex_dump(bytes: &[u8]) -> String {
    let line = |(n, line): (usize, &[u8])| {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:02}: {}", n * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn connect_is_the_magic_number_action_zero_and_the_transaction() {
    let bytes = encoded(&Request::Connect { transaction: TransactionId(0xdead_beef) });
    assert_eq!(bytes, [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn an_announce_lays_its_fields_where_bep_15_says() {
    insta::assert_snapshot!(hex_dump(&encoded(&Request::Announce(example_announce()))), @"
    00: 01 02 03 04 05 06 07 08 00 00 00 01 aa bb cc dd
    16: 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11
    32: 11 11 11 11 2d 4f 54 30 31 30 30 2d 61 62 63 64
    48: 65 66 67 68 69 6a 6b 6c 00 00 00 00 00 00 00 38
    64: 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00 48
    80: 00 00 00 02 00 00 00 00 00 00 00 58 ff ff ff ff
    96: 1a e1
    ");
}

#[test]
fn replies_lay_their_fields_where_bep_15_says() {
    let mut out = Vec::new();
    let head = AnnounceHead { transaction: TransactionId(7), interval: 1800, leechers: 2, seeders: 3 };
    Reply::Announce { head, peers: vec![SocketAddr::from(([10, 0, 0, 9], 6881))] }.encode(&mut out);
    let entry = ScrapeEntry { seeders: 3, completed: 9, leechers: 2 };
    Reply::Scrape { transaction: TransactionId(8), swarms: vec![entry] }.encode(&mut out);
    insta::assert_snapshot!(hex_dump(&out), @"
    00: 00 00 00 01 00 00 00 07 00 00 07 08 00 00 00 02
    16: 00 00 00 03 0a 00 00 09 1a e1 00 00 00 02 00 00
    32: 00 08 00 00 00 03 00 00 00 09 00 00 00 02
    ");
}

#[test]
fn longer_is_accepted_and_shorter_refused() {
    let mut bytes = encoded(&Request::Announce(example_announce()));
    assert_eq!(bytes.len(), request::ANNOUNCE_LEN);
    let short = DecodeError::Short { what: "an announce", got: 97, want: 98 };
    assert_eq!(Request::decode(&bytes[..97]), Err(short));
    bytes.extend([0; 6]);
    let padded = AnnounceRequest { options: &[0; 6], ..example_announce() };
    assert_eq!(Request::decode(&bytes), Ok(Request::Announce(padded)));
    assert_eq!(Request::decode(&[]), Err(DecodeError::Short { what: "a request", got: 0, want: 16 }));
}

#[test]
fn wrong_actions_and_protocols_are_named() {
    let mut bytes = encoded(&Request::Connect { transaction: TransactionId(1) });
    bytes[7] = 0x81;
    assert_eq!(Request::decode(&bytes), Err(DecodeError::Protocol(PROTOCOL_ID + 1)));
    bytes[11] = 3;
    assert_eq!(Request::decode(&bytes), Err(DecodeError::Action(3)));
    assert_eq!(Reply::decode(&[0, 0, 0, 9, 0, 0, 0, 0], Family::V4), Err(DecodeError::Action(9)));
}

#[test]
fn an_unknown_event_is_a_regular_announce() {
    let mut bytes = encoded(&Request::Announce(example_announce()));
    bytes[83] = 4;
    let regular = AnnounceRequest { event: None, ..example_announce() };
    assert_eq!(Request::decode(&bytes), Ok(Request::Announce(regular)));
}

#[test]
fn a_scrape_is_cut_to_what_a_reply_holds() {
    let hashes = [[9; 20]; MAX_SCRAPE + 3];
    let scrape =
        ScrapeRequest { connection: ConnectionId(1), transaction: TransactionId(2), hashes: &hashes };
    let bytes = encoded(&Request::Scrape(scrape));
    let cut = ScrapeRequest { hashes: &hashes[..MAX_SCRAPE], ..scrape };
    assert_eq!(Request::decode(&bytes), Ok(Request::Scrape(cut)));
}

#[test]
fn an_error_text_is_safe_to_print() {
    let mut bytes = vec![0, 0, 0, 3, 0, 0, 0, 5];
    bytes.extend(b"no\x1b[31m\xff");
    bytes.extend([b'x'; 400]);
    let Ok(Reply::Error { message, .. }) = Reply::decode(&bytes, Family::V4) else { panic!("no error") };
    assert!(message.starts_with("no[31m\u{fffd}xx") && message.len() <= MAX_ERROR_TEXT + 2);
}

#[test]
fn options_are_joined_and_skipped() {
    let long = "/announce?passkey=".to_owned() + &"k".repeat(300);
    assert_eq!(options::url_data(&options::with_url_data(&long)), Ok(long.into_bytes()));
    assert_eq!(options::url_data(&[1, 1, 9, 2, 7, 7, 2, 1, b'/', 0, 2]), Ok(b"/".to_vec()));
    assert_eq!(options::url_data(&[2, 5, 1]), Err(options::CutOption { kind: 2 }));
    assert_eq!(options::url_data(&[2]), Err(options::CutOption { kind: 2 }));
    assert_eq!(options::url_data(&[]), Ok(Vec::new()));
}

#[test]
fn urls_are_taken_apart() {
    let url: TrackerUrl = "UDP://Tracker.Example.org:1337/announce?x=1#part".parse().expect("valid");
    assert_eq!((url.host(), url.port(), url.path()), ("tracker.example.org", 1337, "/announce?x=1"));
    let url: TrackerUrl = "udp://[2001:db8::1]:80".parse().expect("valid");
    assert_eq!((url.host(), url.port(), url.path()), ("2001:db8::1", 80, ""));
    assert_eq!(url.to_string(), "udp://[2001:db8::1]:80");
    let url: TrackerUrl = "HTTPS://T.org/announce?x=1#part".parse().expect("valid");
    assert_eq!((url.scheme(), url.port(), url.path()), (Scheme::Https, 443, "/announce?x=1"));
    let url: TrackerUrl = "http://[::1]:8080?x=a b\r\nHost: \u{e9}".parse().expect("valid");
    assert_eq!(url.to_string(), "http://[::1]:8080/?x=a%20b%0D%0AHost:%20%C3%A9");
}

#[test]
fn wrong_urls_are_named() {
    let error = |text: &str| text.parse::<TrackerUrl>().expect_err("refused");
    assert_eq!(error("wss://t.org:80/"), UrlError::Scheme("wss".into()));
    assert_eq!(error("http://t.org:0/"), UrlError::Port("0".into()));
    assert_eq!(error("t.org:80"), UrlError::Scheme(String::new()));
    assert_eq!(error("udp://t.org/announce"), UrlError::Port(String::new()));
    assert_eq!(error("udp://t.org:0"), UrlError::Port("0".into()));
    assert_eq!(error("udp://t.org:65536"), UrlError::Port("65536".into()));
    assert_eq!(error("udp://:80"), UrlError::Host(String::new()));
    assert_eq!(error("udp://a b:80"), UrlError::Host("a b".into()));
    assert_eq!(error("udp://[::1:80"), UrlError::Host("[::1:80".into()));
    assert_eq!(error(&format!("udp://{}", "a".repeat(2048))), UrlError::TooLong(2054));
}

fn any_event() -> impl Strategy<Value = Option<AnnounceEvent>> {
    prop_oneof![
        Just(None),
        Just(Some(AnnounceEvent::Started)),
        Just(Some(AnnounceEvent::Completed)),
        Just(Some(AnnounceEvent::Stopped)),
    ]
}

prop_compose! {
    fn any_announce()(
        ids in any::<([u8; 20], [u8; 20], u64, u32)>(),
        numbers in any::<(u64, u64, u64, u32, u16)>(),
        num_want in proptest::option::of(0..=i32::MAX as u32),
        event in any_event(),
    ) -> AnnounceRequest<'static> {
        let (info_hash, peer_id, connection, transaction) = ids;
        let (uploaded, downloaded, left, key, port) = numbers;
        AnnounceRequest {
            connection: ConnectionId(connection),
            transaction: TransactionId(transaction),
            info_hash: InfoHash(info_hash),
            peer_id: PeerId(peer_id),
            progress: Progress { uploaded, downloaded, left },
            event, key, num_want, port,
            options: &[],
        }
    }
}

fn any_peers() -> impl Strategy<Value = (Family, Vec<SocketAddr>)> {
    let v4 = vec(any::<(u32, u16)>(), 0..100).prop_map(|peers| {
        let addr = |(ip, port)| SocketAddr::from((Ipv4Addr::from_bits(ip), port));
        (Family::V4, peers.into_iter().map(addr).collect())
    });
    let v6 = vec(any::<(u128, u16)>(), 0..60).prop_map(|peers| {
        let addr = |(ip, port)| SocketAddr::from((Ipv6Addr::from_bits(ip), port));
        (Family::V6, peers.into_iter().map(addr).collect())
    });
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn announces_survive_the_wire(mut announce in any_announce(), tail in vec(any::<u8>(), 0..40)) {
        announce.options = &tail;
        let bytes = encoded(&Request::Announce(announce));
        prop_assert_eq!(Request::decode(&bytes), Ok(Request::Announce(announce)));
    }

    #[test]
    fn announce_replies_survive_the_wire(
        numbers in any::<[u32; 4]>(), (family, peers) in any_peers(), spare in 0usize..6
    ) {
        let [transaction, interval, leechers, seeders] = numbers;
        let head = AnnounceHead { transaction: TransactionId(transaction), interval, leechers, seeders };
        let reply = Reply::Announce { head, peers };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        bytes.resize(bytes.len() + spare, 0);
        prop_assert_eq!(Reply::decode(&bytes, family), Ok(reply));
    }

    #[test]
    fn scrapes_survive_the_wire(
        hashes in vec(any::<[u8; 20]>(), 0..=MAX_SCRAPE), counts in vec(any::<[u32; 3]>(), 0..=MAX_SCRAPE)
    ) {
        let request = Request::Scrape(ScrapeRequest {
            connection: ConnectionId(1), transaction: TransactionId(2), hashes: &hashes,
        });
        let bytes = encoded(&request);
        prop_assert_eq!(Request::decode(&bytes), Ok(request));
        let entry = |[seeders, completed, leechers]: [u32; 3]| ScrapeEntry { seeders, completed, leechers };
        let swarms = counts.into_iter().map(entry).collect();
        let reply = Reply::Scrape { transaction: TransactionId(2), swarms };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        prop_assert_eq!(Reply::decode(&bytes, Family::V6), Ok(reply));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..300), action in 0u8..5) {
        let mut shaped = bytes.clone();
        if let Some(byte) = shaped.get_mut(11) { *byte = action; }
        for input in [&bytes, &shaped] {
            let _ = Request::decode(input);
            let _ = Reply::decode(input, Family::V4);
            let _ = Reply::decode(input, Family::V6);
            let _ = options::url_data(input);
            let _ = String::from_utf8_lossy(input).parse::<TrackerUrl>();
        }
    }

    #[test]
    fn a_url_prints_as_it_reads(host in "[a-z][a-z0-9.-]{0,20}", port in 1u16.., path in "(/[a-z?=]{0,9})?") {
        let text = format!("udp://{host}:{port}{path}");
        prop_assert_eq!(text.parse::<TrackerUrl>().expect("valid").to_string(), text);
    }
}
