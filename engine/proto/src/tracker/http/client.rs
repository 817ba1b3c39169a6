//! The client's side of an HTTP tracker: what to ask for, and how to read what comes back (BEP 3, 7, 23, 48).
//!
//! Trackers take liberties, so reading is lenient in form and strict in size: keys in any order, numbers out
//! of range cut to what they may be, peers in any of three forms, peers that make no sense left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::query::put_percent_encoded;
use crate::bencode::{BencodeError, KeyOrder, Limits, Scanned, decode, scan};
use crate::id::{InfoHash, PeerId};
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::{MAX_ERROR_TEXT, ScrapeEntry, TrackerUrl};

/// The longest body that is read, in bytes: thousands of peers as dictionaries.
pub const MAX_BODY: usize = 512 << 10;

/// The longest tracker id that is echoed, in bytes; longer ones are dropped.
const MAX_TRACKER_ID: usize = 256;

/// What a tracker that names no interval gets: BEP 3 leaves it open, and this is what most say.
const DEFAULT_INTERVAL: u32 = 1800;

const LIMITS: Limits = Limits { len: MAX_BODY, depth: 8, items: 50_000, order: KeyOrder::Any };

/// What a client tells and wants.
#[derive(Clone, Copy, Debug)]
pub struct HttpWish<'a> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Our name on the wire.
    pub peer_id: PeerId,
    /// Where we listen.
    pub port: u16,
    /// Bytes up, down and left.
    pub progress: Progress,
    /// Why, if for a reason.
    pub event: Option<AnnounceEvent>,
    /// We are a partial seed (BEP 21), which is said where no other event is.
    pub paused: bool,
    /// Names us when our address changes.
    pub key: u32,
    /// Peers wanted.
    pub num_want: u32,
    /// What the tracker said in its last reply.
    pub tracker_id: Option<&'a [u8]>,
}

/// The path and query of an announce; what the URL's own query says stays in front.
pub fn announce_path(url: &TrackerUrl, wish: &HttpWish<'_>) -> String {
    let Progress { uploaded, downloaded, left } = wish.progress;
    let mut path = with_query(url.path());
    path.push_str("info_hash=");
    put_percent_encoded(&mut path, &wish.info_hash.0);
    path.push_str("&peer_id=");
    put_percent_encoded(&mut path, &wish.peer_id.0);
    let _ = write!(path, "&port={}&uploaded={uploaded}&downloaded={downloaded}&left={left}", wish.port);
    let _ = write!(path, "&compact=1&no_peer_id=1&numwant={}&key={:08x}", wish.num_want, wish.key);
    match wish.event {
        Some(AnnounceEvent::Started) => path.push_str("&event=started"),
        Some(AnnounceEvent::Completed) => path.push_str("&event=completed"),
        Some(AnnounceEvent::Stopped) => path.push_str("&event=stopped"),
        None if wish.paused => path.push_str("&event=paused"),
        None => {}
    }
    if let Some(id) = wish.tracker_id {
        path.push_str("&trackerid=");
        put_percent_encoded(&mut path, id);
    }
    path
}

/// The path and query of a scrape; nothing if the tracker's URL says that it has none.
///
//= BEP 48: the scrape URL is found by replacing `announce` in the last path segment, which must begin with it.
pub fn scrape_path(url: &TrackerUrl, hashes: &[InfoHash]) -> Option<String> {
    let (path, query) = url.path().split_once('?').unwrap_or((url.path(), ""));
    let (folder, segment) = path.rsplit_once('/')?;
    let rest = segment.strip_prefix("announce")?;
    let question = if query.is_empty() { "" } else { "?" };
    let mut path = with_query(&format!("{folder}/scrape{rest}{question}{query}"));
    for (index, hash) in hashes.iter().enumerate() {
        path.push_str(if index == 0 { "info_hash=" } else { "&info_hash=" });
        put_percent_encoded(&mut path, &hash.0);
    }
    Some(path)
}

/// `path` with what keys can be appended to.
fn with_query(path: &str) -> String {
    let joint = match path.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{path}{joint}")
}

/// What a tracker answers to an announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpReply {
    /// Seconds until the next announce.
    pub interval: u32,
    /// Seconds that are waited at the least.
    pub min_interval: Option<u32>,
    /// Peers that have everything, if told.
    pub seeders: u32,
    /// Peers that still download, if told.
    pub leechers: u32,
    /// To be said in the next announce.
    pub tracker_id: Option<Vec<u8>>,
    /// For the user's eyes; the announce was processed all the same.
    pub warning: Option<String>,
    /// Peers of either family, as the tracker names them: port 0 and nonsense included. Host names, which
    /// BEP 3 allows and no tracker in use sends, are left out.
    pub peers: Vec<SocketAddr>,
}

/// A body that is no answer, or says no.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HttpReplyError {
    /// No bencoding, or of another shape: often an error page.
    #[error("the answer is not a tracker's: {0}")]
    Malformed(#[from] BencodeError),
    /// The tracker's own words, safe to print.
    #[error("{0}")]
    Failure(String),
}

#[derive(Deserialize)]
struct WirePeer {
    ip: ByteBuf,
    port: i64,
}

/// Reads the body that answers an announce.
pub fn parse_announce(body: &[u8]) -> Result<HttpReply, HttpReplyError> {
    let body = dictionary(body)?;
    let number = |key| optional::<i64>(&body, key).map(|number| number.map(clamp));
    let tracker_id = optional::<ByteBuf>(&body, b"tracker id")?.map(ByteBuf::into_vec);
    let mut peers = match body.raw_value(b"peers") {
        Some([b'l', ..]) => {
            let listed = optional::<Vec<WirePeer>>(&body, b"peers")?.unwrap_or_default();
            listed.iter().filter_map(WirePeer::addr).collect()
        }
        Some(_) => compact_v4(&optional::<ByteBuf>(&body, b"peers")?.unwrap_or_default()),
        None => Vec::new(),
    };
    peers.extend(compact_v6(&optional::<ByteBuf>(&body, b"peers6")?.unwrap_or_default()));
    Ok(HttpReply {
        interval: number(b"interval")?.unwrap_or(DEFAULT_INTERVAL),
        min_interval: number(b"min interval")?,
        seeders: number(b"complete")?.unwrap_or(0),
        leechers: number(b"incomplete")?.unwrap_or(0),
        tracker_id: tracker_id.filter(|id| id.len() <= MAX_TRACKER_ID),
        warning: optional::<ByteBuf>(&body, b"warning message")?.map(|text| printable(&text)),
        peers,
    })
}

#[derive(Deserialize)]
struct WireCounts {
    #[serde(default)]
    complete: i64,
    #[serde(default)]
    downloaded: i64,
    #[serde(default)]
    incomplete: i64,
}

/// Reads the body that answers a scrape; torrents that the tracker does not know are missing (BEP 48).
pub fn parse_scrape(body: &[u8]) -> Result<BTreeMap<InfoHash, ScrapeEntry>, HttpReplyError> {
    let body = dictionary(body)?;
    let files = optional::<BTreeMap<ByteBuf, WireCounts>>(&body, b"files")?.unwrap_or_default();
    let entry = |counts: &WireCounts| ScrapeEntry {
        seeders: clamp(counts.complete),
        completed: clamp(counts.downloaded),
        leechers: clamp(counts.incomplete),
    };
    Ok(files.iter().filter_map(|(hash, counts)| Some((InfoHash::from_slice(hash)?, entry(counts)))).collect())
}

/// A body that is a dictionary and no refusal.
///
//= BEP 3: if a response has a key `failure reason`, no other keys are required.
fn dictionary(body: &[u8]) -> Result<Scanned<'_>, HttpReplyError> {
    let scanned = scan(body, LIMITS).map_err(BencodeError::from)?;
    if !body.starts_with(b"d") {
        return Err(BencodeError::Shape("no dictionary".to_owned()).into());
    }
    match optional::<ByteBuf>(&scanned, b"failure reason")? {
        Some(reason) => Err(HttpReplyError::Failure(printable(&reason))),
        None => Ok(scanned),
    }
}

fn optional<T: DeserializeOwned>(body: &Scanned<'_>, key: &[u8]) -> Result<Option<T>, BencodeError> {
    body.raw_value(key).map(|value| decode(value, LIMITS)).transpose()
}

fn clamp(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

impl WirePeer {
    fn addr(&self) -> Option<SocketAddr> {
        let ip: IpAddr = str::from_utf8(&self.ip).ok()?.parse().ok()?;
        Some(SocketAddr::new(ip, u16::try_from(self.port).ok()?))
    }
}

/// A cut peer at the end is dropped.
fn compact_v4(bytes: &[u8]) -> Vec<SocketAddr> {
    let addr = |&[a, b, c, d, high, low]: &[u8; 6]| {
        SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
    };
    bytes.as_chunks().0.iter().map(addr).collect()
}

fn compact_v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.as_chunks::<18>().0.iter().filter_map(|peer| {
        let (ip, port) = peer.split_first_chunk::<16>()?;
        Some(SocketAddr::from((Ipv6Addr::from(*ip), u16::from_be_bytes(port.try_into().ok()?))))
    })
}

/// Text of a stranger, safe to print.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..MAX_ERROR_TEXT).unwrap_or(bytes)).into_owned();
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{HttpAnnounced, HttpRequest, put_announce, put_failure, put_scrape};
    use super::*;
    use crate::tracker::Family;

    fn url(text: &str) -> TrackerUrl {
        text.parse().expect("valid")
    }

    fn wish() -> HttpWish<'static> {
        HttpWish {
            info_hash: InfoHash(*b"\x00\x7f\xff aaaaaaaaaaaaaa%&"),
            peer_id: PeerId::with_tail(*b"bbbbbbbbbbbb"),
            port: 6881,
            progress: Progress { uploaded: 1, downloaded: 2, left: 3 },
            event: Some(AnnounceEvent::Started),
            paused: false,
            key: 0xab,
            num_want: 50,
            tracker_id: Some(b"a&b"),
        }
    }

    #[test]
    fn an_announce_keeps_the_urls_own_query_and_reads_back() {
        let path = announce_path(&url("http://t.org/announce?passkey=x"), &wish());
        assert!(path.starts_with("/announce?passkey=x&info_hash=%00%7F%FF%20aaaaaaaaaaaaaa%25%26&peer_id="));
        assert!(path.ends_with("&key=000000ab&event=started&trackerid=a%26b"), "{path}");
        let Ok(HttpRequest::Announce(read)) = HttpRequest::parse(path.as_bytes()) else { panic!("{path}") };
        assert_eq!((read.info_hash, read.port, read.num_want), (wish().info_hash, 6881, Some(50)));
        assert_eq!((read.progress, read.event), (wish().progress, wish().event));
        assert!(announce_path(&url("http://t.org"), &wish()).starts_with("/?info_hash="));
        assert!(announce_path(&url("http://t.org/a?"), &wish()).starts_with("/a?info_hash="));
    }

    #[test]
    fn the_scrape_url_follows_bep_48() {
        let scrape = |text: &str| scrape_path(&url(text), &[InfoHash([b'a'; 20])]);
        let hash = format!("info_hash={}", "a".repeat(20));
        assert_eq!(scrape("http://t.org/announce"), Some(format!("/scrape?{hash}")));
        assert_eq!(
            scrape("http://t.org/x/announce.php?x=2%0644"),
            Some(format!("/x/scrape.php?x=2%0644&{hash}"))
        );
        assert_eq!(scrape("http://t.org/announce/x"), None);
        assert_eq!(scrape("http://t.org/a"), None);
        let Some(path) = scrape("http://t.org/announce") else { panic!("a scrape") };
        assert!(HttpRequest::parse(path.as_bytes()).is_ok());
    }

    fn ours(family: Family, peers: &[u8], is_compact: bool) -> HttpReply {
        let counts = ScrapeEntry { seeders: 3, completed: 7, leechers: 2 };
        let reply = HttpAnnounced { interval: 1800, min_interval: 900, counts, family, peers, is_compact };
        let mut body = Vec::new();
        put_announce(&mut body, &reply);
        parse_announce(&body).expect("our own")
    }

    #[test]
    fn what_our_tracker_writes_is_read() {
        let v4 = [127, 0, 0, 1, 0x1a, 0xe1];
        let mut v6 = [0; 18];
        (v6[15], v6[17]) = (1, 80);
        for is_compact in [true, false] {
            let reply = ours(Family::V4, &v4, is_compact);
            assert_eq!((reply.interval, reply.min_interval), (1800, Some(900)));
            assert_eq!((reply.seeders, reply.leechers), (3, 2));
            assert_eq!(reply.peers, ["127.0.0.1:6881".parse().expect("valid")]);
            let reply = ours(Family::V6, &v6, is_compact);
            assert_eq!(reply.peers, ["[::1]:80".parse().expect("valid")]);
        }
        let (mut body, hash) = (Vec::new(), InfoHash([0xff; 20]));
        let counts = ScrapeEntry { seeders: 1, completed: 2, leechers: 3 };
        put_scrape(&mut body, [(hash, counts)]);
        assert_eq!(parse_scrape(&body), Ok(BTreeMap::from([(hash, counts)])));
        body.clear();
        put_failure(&mut body, "go\x07 away");
        assert_eq!(parse_announce(&body), Err(HttpReplyError::Failure("go away".into())));
        assert_eq!(parse_scrape(&body), Err(HttpReplyError::Failure("go away".into())));
    }

    #[test]
    fn liberties_of_foreign_trackers_are_taken_well() {
        let body =
            b"d5:peersld2:ip9:localhost4:porti1eed2:ip3:::17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti80eee\
            10:tracker id3:a&b15:warning message4:slow8:completei-5e8:intervali99999999999ee";
        let reply = parse_announce(body).expect("read");
        assert_eq!(reply.peers, ["[::1]:80".parse().expect("valid")]);
        assert_eq!((reply.interval, reply.seeders, reply.min_interval), (u32::MAX, 0, None));
        assert_eq!(reply.tracker_id.as_deref(), Some(&b"a&b"[..]));
        assert_eq!(reply.warning.as_deref(), Some("slow"));
        assert_eq!(parse_announce(b"de").expect("empty").interval, DEFAULT_INTERVAL);
        assert_eq!(parse_announce(b"d5:peers7:\x7f\0\0\x01\0\x50\x7fe").expect("cut").peers.len(), 1);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for body in [&b"<html>"[..], b"", b"le", b"i1e", b"d8:interval1:xe", b"d5:peersi1ee", b"de garbage"] {
            assert!(matches!(parse_announce(body), Err(HttpReplyError::Malformed(_))), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(body: Vec<u8>, tail in ".*") {
            let _ = parse_announce(&body);
            let _ = parse_scrape(&body);
            let _ = parse_announce(format!("d5:peers{tail}e").as_bytes());
        }

        #[test]
        fn every_announce_is_read_as_it_was_meant(hash: [u8; 20], port: u16, path in "(/[!-~]{0,20})?") {
            let wish = HttpWish { info_hash: InfoHash(hash), port, ..wish() };
            let base = url(&format!("http://t.org/announce{}", path.replace(['#', '?', '/'], "")));
            let path = announce_path(&base, &wish);
            let query = path.split_once('?').map_or("", |(_, query)| query);
            let read = HttpRequest::parse(format!("/announce?{query}").as_bytes());
            let Ok(HttpRequest::Announce(read)) = read else { panic!("{path}") };
            prop_assert_eq!((read.info_hash, read.port), (wish.info_hash, wish.port));
        }
    }
}
