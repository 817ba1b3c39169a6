//! The HTTP codec: real clients' requests, tricks with encodings, and bodies that another decoder reads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::*;
use crate::bencode::{KeyOrder, Limits, scan};
use crate::id::{InfoHash, PeerId};
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::{Family, MAX_SCRAPE, ScrapeEntry};

/// What transmission 3.00 sends, and what it means.
const TRANSMISSION: &str = "/announce?info_hash=%5e%15%9bd%be%5d%f4%b0%a7%b7%f1%c7%7f%be%cd%d6%1b%11%22%33\
    &peer_id=-TR3000-0123456789ab&port=51413&uploaded=0&downloaded=16384&left=262144&numwant=80\
    &key=1f2e3d4c&compact=1&supportcrypto=1&event=started&ipv6=2001%3adb8%3a%3a1&ip=1.2.3.4";

fn announce(target: &str) -> Result<HttpAnnounce, RequestError> {
    match HttpRequest::parse(target.as_bytes())? {
        HttpRequest::Announce(announce) => Ok(announce),
        HttpRequest::Scrape(hashes) => panic!("a scrape of {hashes:?}"),
    }
}

#[test]
fn an_announce_of_a_real_client_is_read() {
    let read = announce(TRANSMISSION).expect("good");
    assert_eq!(read.info_hash.to_string(), "5e159b64be5df4b0a7b7f1c77fbecdd61b112233");
    assert_eq!(read.peer_id, PeerId(*b"-TR3000-0123456789ab"));
    assert_eq!((read.port, read.num_want, read.is_compact), (51413, Some(80), true));
    assert_eq!(read.progress, Progress { uploaded: 0, downloaded: 16384, left: 262_144 });
    assert_eq!(read.event, Some(AnnounceEvent::Started));
    assert_eq!(read.key.as_deref(), Some(&b"1f2e3d4c"[..]));
}

#[test]
fn paths_that_trackers_have_are_known_and_others_are_not() {
    let query = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1";
    for path in ["/announce", "/announce.php", "/0123456789abcdef0123456789abcdef/announce", "/announce/x"] {
        assert!(announce(&format!("{path}?{query}")).is_ok(), "{path}");
    }
    let scrape = HttpRequest::parse(b"/x/scrape.php?info_hash=aaaaaaaaaaaaaaaaaaaa");
    assert_eq!(scrape, Ok(HttpRequest::Scrape(vec![InfoHash([b'a'; 20])])));
    for path in ["", "/", "/favicon.ico", "/announcer", "/announce/scrape", "/%61nnounce", "*", "//"] {
        assert_eq!(announce(&format!("{path}?{query}")), Err(RequestError::Path), "{path}");
    }
}

#[test]
fn what_is_missing_wrong_or_twice_is_named() {
    let with = |from: &str, to: &str| announce(&TRANSMISSION.replacen(from, to, 1)).map(|_| ());
    assert_eq!(with("info_hash", "infohash"), Err(RequestError::Missing("info_hash")));
    assert_eq!(with("info_hash", "info%5Fhash"), Err(RequestError::Missing("info_hash")));
    assert_eq!(with("%22%33&", "&"), Err(RequestError::Length { key: "info_hash", got: 18 }));
    assert_eq!(with("%22%33&", "%22%3&"), Err(RequestError::Escape("info_hash")));
    assert_eq!(with("%22%33&", "%22%&"), Err(RequestError::Escape("info_hash")));
    assert_eq!(with("%22%33&", "%22%+3&"), Err(RequestError::Escape("info_hash")));
    assert_eq!(with("peer_id", "port=1&peer_id"), Err(RequestError::Repeated("port")));
    assert_eq!(with("port=51413", "port=65536"), Err(RequestError::Number("port")));
    assert_eq!(with("port=51413", "port=+80"), Err(RequestError::Number("port")));
    assert_eq!(with("port=51413&", ""), Err(RequestError::Missing("port")));
    assert_eq!(with("left=262144", "left=-1"), Err(RequestError::Number("left")));
    assert_eq!(with("left=262144", "left=99999999999999999999"), Err(RequestError::Number("left")));
    let long = format!("/announce?{}", "x".repeat(MAX_TARGET_LEN));
    assert_eq!(announce(&long), Err(RequestError::TooLong(long.len())));
}

#[test]
fn what_clients_leave_open_has_a_meaning() {
    let with = |from: &str, to: &str| announce(&TRANSMISSION.replacen(from, to, 1)).expect("good");
    assert_eq!(with("numwant=80", "numwant=-1").num_want, None);
    assert_eq!(with("&left=262144", "").progress.left, u64::MAX, "taken for a leecher");
    assert_eq!(with("event=started", "event=").event, None);
    assert_eq!(with("event=started", "event=paused").event, None);
    assert!(with("compact=1&", "").is_compact);
    assert!(!with("compact=1", "compact=0").is_compact);
    let plus = with("0123456789ab", "0123+56789%2bb").peer_id;
    assert_eq!(plus, PeerId(*b"-TR3000-0123+56789+b"), "`+` is no space");
}

#[test]
fn a_scrape_names_its_torrents() {
    let hashes = |count: usize| {
        let each = |i: usize| format!("info_hash=%{:02x}{}", i, "a".repeat(19));
        (0..count).rev().map(each).collect::<Vec<_>>().join("&")
    };
    let parse = |query: &str| HttpRequest::parse(format!("/scrape?{query}").as_bytes());
    let Ok(HttpRequest::Scrape(most)) = parse(&hashes(MAX_SCRAPE)) else { panic!("within the limit") };
    assert_eq!(most.len(), MAX_SCRAPE);
    assert!(most.is_sorted());
    assert_eq!(parse(&hashes(MAX_SCRAPE + 1)), Err(RequestError::TooManyHashes));
    assert_eq!(parse(&format!("{0}&{0}", hashes(1))), parse(&hashes(1)), "each once");
    assert_eq!(parse(""), Err(RequestError::NoHashes));
    assert_eq!(parse("info_hash="), Err(RequestError::Length { key: "info_hash", got: 0 }));
}

#[derive(Deserialize)]
struct Announced {
    complete: u32,
    downloaded: u32,
    incomplete: u32,
    interval: u32,
    #[serde(rename = "min interval")]
    min_interval: u32,
    peers: ByteBuf,
    peers6: Option<ByteBuf>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Peer {
    ip: String,
    port: u16,
}

#[derive(Deserialize)]
struct AnnouncedDictionaries {
    peers: Vec<Peer>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Counts {
    complete: u32,
    downloaded: u32,
    incomplete: u32,
}

/// Strict: sorted keys, nothing twice, nothing behind.
const LIMITS: Limits = Limits { len: 1 << 20, depth: 4, items: 10_000, order: KeyOrder::Strict };

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> T {
    let scanned = scan(body, LIMITS).unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()));
    scanned.decode().expect("the shape that clients read")
}

fn answer(family: Family, peers: &[u8], is_compact: bool) -> HttpAnnounced<'_> {
    let counts = ScrapeEntry { seeders: 3, completed: 7, leechers: 2 };
    HttpAnnounced { interval: 1800, min_interval: 900, counts, family, peers, is_compact }
}

#[test]
fn replies_read_as_the_beps_have_them() {
    let mut body = Vec::new();
    put_announce(&mut body, &answer(Family::V4, &[127, 0, 0, 1, 0x1a, 0xe1], true));
    let due = b"d8:completei3e10:downloadedi7e10:incompletei2e8:intervali1800e12:min intervali900e\
        5:peers6:\x7f\0\0\x01\x1a\xe1e";
    assert_eq!(body.escape_ascii().to_string(), due.escape_ascii().to_string());

    let peers = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 0, 80]].concat();
    body.clear();
    put_announce(&mut body, &answer(Family::V6, &peers, false));
    let read: AnnouncedDictionaries = decode(&body);
    assert_eq!(read.peers, [Peer { ip: "2001:db8::1".into(), port: 80 }]);

    body.clear();
    put_failure(&mut body, "no");
    assert_eq!(body, b"d14:failure reason2:noe");
    body.clear();
    put_scrape(&mut body, []);
    assert_eq!(body, b"d5:filesdee");
}

proptest! {
    #[test]
    fn parsing_never_panics(target: Vec<u8>, query in "[a-z_]{0,9}(=|%|&|info_hash|\\PC){0,40}") {
        let _ = HttpRequest::parse(&target);
        let _ = HttpRequest::parse(&[b"/announce?", &target[..]].concat());
        let _ = HttpRequest::parse(&[b"/scrape?info_hash=", query.as_bytes()].concat());
    }

    #[test]
    fn percent_encoding_is_undone(bytes: Vec<u8>) {
        let mut text = String::new();
        put_percent_encoded(&mut text, &bytes);
        prop_assert_eq!(percent_decode(text.as_bytes()), Some(bytes));
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
    }

    #[test]
    fn every_announce_is_read_as_it_was_meant(
        hash: [u8; 20], peer: [u8; 20], port: u16, left: u64, want: Option<u32>, key: Option<Vec<u8>>,
    ) {
        let mut target = format!("/announce?port={port}&left={left}&event=completed&info_hash=");
        put_percent_encoded(&mut target, &hash);
        target += "&peer_id=";
        put_percent_encoded(&mut target, &peer);
        if let Some(want) = want {
            target.extend(["&numwant=", &want.to_string()]);
        }
        if let Some(key) = &key {
            target += "&key=";
            put_percent_encoded(&mut target, key);
        }
        let read = announce(&target).expect("good");
        prop_assert_eq!((read.info_hash, read.peer_id), (InfoHash(hash), PeerId(peer)));
        prop_assert_eq!((read.port, read.progress.left, read.num_want, read.key), (port, left, want, key));
        prop_assert_eq!(read.event, Some(AnnounceEvent::Completed));
    }

    #[test]
    fn serde_reads_every_announce_reply(peers: Vec<[u8; 18]>, is_v6: bool, numbers: [u32; 5]) {
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        let peers: Vec<u8> = peers.iter().flat_map(|peer| &peer[..family.peer_len()]).copied().collect();
        let [interval, min_interval, seeders, completed, leechers] = numbers;
        let counts = ScrapeEntry { seeders, completed, leechers };
        let reply = HttpAnnounced { interval, min_interval, counts, family, peers: &peers, is_compact: true };
        let mut body = Vec::new();
        put_announce(&mut body, &reply);
        let read: Announced = decode(&body);
        prop_assert_eq!([read.interval, read.min_interval, read.complete, read.downloaded, read.incomplete], numbers);
        let (own, other) = if is_v6 { (read.peers6.unwrap_or_default(), read.peers.into_vec()) } else { (read.peers, vec![]) };
        prop_assert_eq!(own.into_vec(), peers.clone());
        prop_assert_eq!(other, Vec::<u8>::new());
        body.clear();
        put_announce(&mut body, &HttpAnnounced { is_compact: false, ..reply });
        let read: AnnouncedDictionaries = decode(&body);
        prop_assert_eq!(read.peers.len(), peers.len() / family.peer_len());
    }

    #[test]
    fn serde_reads_every_scrape_reply(files: BTreeMap<[u8; 20], [u32; 3]>) {
        let entries = files.iter().map(|(hash, [seeders, completed, leechers])| {
            let counts = ScrapeEntry { seeders: *seeders, completed: *completed, leechers: *leechers };
            (InfoHash(*hash), counts)
        });
        let mut body = Vec::new();
        put_scrape(&mut body, entries);
        let read: BTreeMap<ByteBuf, BTreeMap<ByteBuf, Counts>> = decode(&body);
        let due = files.iter().map(|(hash, [complete, downloaded, incomplete])| {
            (ByteBuf::from(hash), Counts { complete: *complete, downloaded: *downloaded, incomplete: *incomplete })
        });
        prop_assert_eq!(&read[&ByteBuf::from("files")], &due.collect::<BTreeMap<_, _>>());
    }
}
