//! The HTTP server on streams in memory and on virtual time: who is served, and who is cut, and when.

use std::sync::Arc;
use std::time::Duration;

use proto::time::Instant;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

use super::lab::{Street, registry, text};
use super::*;
use crate::clock::Clock;
use crate::tracker::handle::Shared;

const ANNOUNCE: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881";
const SCRAPE: &str = "GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n";

/// A tracker that is served over streams in memory.
struct Lab {
    shared: Arc<Shared>,
    street: Street,
}

impl Lab {
    fn with(config: &HttpConfig) -> Self {
        let shared = Arc::new(Shared::new(registry()));
        let proxies = config.trusted_proxies.clone();
        let street = Street::to(config.seats(), |clock| TrackerSite::new(shared.clone(), clock, &proxies));
        Self { shared, street }
    }

    fn new() -> Self {
        Self::with(&HttpConfig::default())
    }

    fn connect(&self, ip: &str, window: usize) -> DuplexStream {
        self.street.connect(ip, window)
    }

    async fn exchange(&self, ip: &str, request: &[u8]) -> String {
        self.street.exchange(ip, request).await
    }

    fn stats(&self) -> HttpStats {
        self.shared.lock().counters.http
    }

    fn seconds(&self) -> u64 {
        self.street.clock.now().since(Instant::ZERO).as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn announces_and_scrapes_are_answered() {
    let lab = Lab::new();
    let request = format!("{ANNOUNCE}&left=0 HTTP/1.0\r\n\r\n");
    let reply = lab.exchange("192.0.2.1", request.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.0 200 OK\\r\\n"), "{reply}");
    assert!(reply.contains("d8:completei1e10:downloadedi0e10:incompletei0e8:intervali"), "{reply}");
    assert!(reply.ends_with("5:peers0:e"), "{reply}");
    let request = format!("{ANNOUNCE}&left=9&ip=10.1.1.1 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let reply = lab.exchange("192.0.2.2", request.as_bytes()).await;
    assert!(reply.ends_with("5:peers6:\\xc0\\x00\\x02\\x01\\x1a\\xe1e"), "{reply}");
    let request = format!("{ANNOUNCE}&left=0&compact=0 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let reply = lab.exchange("192.0.2.3", request.as_bytes()).await;
    assert!(reply.ends_with("5:peersld2:ip9:192.0.2.24:porti6881eeee"), "{reply}");
    let reply = lab.exchange("192.0.2.3", SCRAPE.replace("1.1", "1.0").as_bytes()).await;
    let due = "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei2e10:downloadedi0e10:incompletei1eeee";
    assert!(reply.ends_with(due), "{reply}");
    let stats = lab.stats();
    assert_eq!((stats.requests, stats.announces, stats.scrapes, stats.malformed), (4, 3, 1, 0));
    assert_eq!((stats.connections, stats.open, stats.cut), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_ipv6_has_peers6() {
    let lab = Lab::new();
    for (ip, left) in [("2001:db8::1", 0), ("192.0.2.7", 0), ("2001:db8::2", 9)] {
        let request = format!("{ANNOUNCE}&left={left} HTTP/1.0\r\n\r\n");
        let reply = lab.exchange(ip, request.as_bytes()).await;
        if left == 9 {
            let due = format!("5:peers0:6:peers618: \\x01\\r\\xb8{}\\x01\\x1a\\xe1e", "\\x00".repeat(11));
            assert!(reply.ends_with(&due), "{reply}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_to_the_client_and_what_is_no_tracker_to_people() {
    let lab = Lab::new();
    let reply = lab.exchange("192.0.2.1", b"GET /announce?port=1 HTTP/1.0\r\n\r\n").await;
    assert!(
        reply.contains("200 OK") && reply.contains("d14:failure reason28:the request has no info_hash"),
        "{reply}"
    );
    let request = format!("{} HTTP/1.0\r\n\r\n", ANNOUNCE.replace("port=6881", "port=0"));
    let reply = lab.exchange("192.0.2.1", request.as_bytes()).await;
    assert!(reply.ends_with("d14:failure reason6:port 0e"), "{reply}");
    let reply = lab.exchange("192.0.2.1", b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(reply.contains("404 Not Found") && reply.contains("announce URL ends in /announce"), "{reply}");
    let reply = lab.exchange("192.0.2.1", b"POST /announce HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").await;
    assert!(reply.contains("405 Method Not Allowed") && reply.contains("allow: GET, HEAD"), "{reply}");
    let request = SCRAPE.replace("GET", "HEAD").replace("1.1", "1.0");
    let reply = lab.exchange("192.0.2.1", request.as_bytes()).await;
    assert!(reply.contains("content-length: 11") && reply.ends_with("\\r\\n\\r\\n"), "{reply}");
    let stats = lab.stats();
    assert_eq!((stats.malformed, stats.refused, stats.strays), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_trusted_proxy_speaks_for_its_clients_and_a_stranger_for_himself() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    let lab = Lab::with(&HttpConfig { trusted_proxies, ..HttpConfig::default() });
    let request = format!("{ANNOUNCE}&left=0 HTTP/1.0\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n");
    lab.exchange("10.0.0.1", request.as_bytes()).await;
    lab.exchange("192.0.2.1", request.as_bytes()).await;
    let reply = lab.exchange("192.0.2.2", format!("{ANNOUNCE}&left=9 HTTP/1.0\r\n\r\n").as_bytes()).await;
    assert!(
        reply.contains("peers12:") && reply.contains("\\xc63d\\t") && reply.contains("\\xc0\\x00\\x02\\x01"),
        "{reply}"
    );
    let reply = lab.exchange("10.0.0.1", format!("{ANNOUNCE} HTTP/1.0\r\n\r\n").as_bytes()).await;
    assert!(reply.contains("does not send a usable X-Forwarded-For"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn requests_in_one_packet_are_answered_in_their_order() {
    let lab = Lab::new();
    let three = [
        SCRAPE,
        "GET /nowhere HTTP/1.1\r\n\r\n",
        &SCRAPE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
    ];
    let reply = lab.exchange("192.0.2.1", three.concat().as_bytes()).await;
    let statuses: Vec<_> =
        reply.match_indices("HTTP/1.1 ").filter_map(|(at, _)| reply.get(at + 9..at + 12)).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut() {
    let lab = Lab::new();
    let mut stream = lab.connect("192.0.2.1", 64);
    for byte in SCRAPE.bytes().cycle() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!((15..=17).contains(&lab.seconds()), "{} s", lab.seconds());
    assert_eq!((lab.stats().cut, lab.stats().open, lab.stats().requests), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn silence_is_cut_before_the_first_request_and_after_it() {
    let lab = Lab::new();
    assert_eq!(lab.exchange("192.0.2.1", b"").await, "");
    assert!((15..=16).contains(&lab.seconds()), "{} s", lab.seconds());
    let reply = lab.exchange("192.0.2.1", SCRAPE.as_bytes()).await;
    assert!(reply.contains("200 OK"), "{reply}");
    assert!((30..=32).contains(&lab.seconds()), "{} s", lab.seconds());
    assert_eq!(lab.stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_never_reads_is_cut() {
    let lab = Lab::new();
    let mut stream = lab.connect("192.0.2.1", 256);
    let mut asked = 0_u64;
    while stream.write_all(SCRAPE.as_bytes()).await.is_ok() {
        asked += 1;
    }
    assert!((10..=30).contains(&lab.seconds()), "{} s", lab.seconds());
    assert_eq!((lab.stats().cut, lab.stats().open), (1, 0));
    assert!(lab.stats().requests <= asked);
    assert!(lab.stats().bytes_out < 64 << 10, "what waits for a reader is bounded: {:?}", lab.stats());
}

#[tokio::test(start_paused = true)]
async fn nobody_holds_a_connection_for_ever_by_asking_now_and_then() {
    let lab = Lab::new();
    let mut stream = lab.connect("192.0.2.1", 1 << 16);
    while stream.write_all(SCRAPE.as_bytes()).await.is_ok() {
        sleep(Duration::from_secs(5)).await;
    }
    assert!((120..=130).contains(&lab.seconds()), "{} s", lab.seconds());
    assert_eq!(lab.stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn oversized_heads_and_garbage_end_the_connection() {
    let lab = Lab::new();
    let long = format!("GET /announce?{} HTTP/1.1\r\n\r\n", "x".repeat(7000));
    let reply = lab.exchange("192.0.2.1", format!("{long}{long}").as_bytes()).await;
    assert!(reply.contains("Request-URI Too Long"), "{reply}");
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    let reply = lab.exchange("192.0.2.1", huge.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let reply = lab.exchange("192.0.2.1", many.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    for garbage in
        [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..], &[0; 9000], b"GET / HTTP/9.9\r\n\r\n", b"\r\n"]
    {
        lab.exchange("192.0.2.1", garbage).await;
    }
    let both = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let reply = lab.exchange("192.0.2.1", format!("{both}{SCRAPE}").as_bytes()).await;
    assert!(!reply.contains("5:files"), "nothing is smuggled in behind a body: {reply}");
    assert_eq!(lab.stats().open, 0);
    assert!(lab.exchange("192.0.2.1", SCRAPE.replace("1.1", "1.0").as_bytes()).await.contains("5:files"));
}

#[tokio::test(start_paused = true)]
async fn one_source_and_all_together_stay_within_their_caps() {
    let lab = Lab::with(&HttpConfig { max_connections: 60, ..HttpConfig::default() });
    let mine: Vec<_> = (0..2000).map(|_| lab.connect("192.0.2.1", 64)).collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!((lab.stats().open, lab.stats().full), (40, 1960));
    let reply = lab.exchange("192.0.2.2", SCRAPE.as_bytes()).await;
    assert!(!reply.contains("connection: close"), "{reply}");
    let others: Vec<_> = (0..200).map(|i| lab.connect(&format!("198.51.100.{i}"), 64)).collect();
    sleep(Duration::from_millis(1)).await;
    assert!(lab.stats().open <= 60, "{:?}", lab.stats());
    drop((mine, others));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.stats().open, 0, "seats come back");
}

#[tokio::test(start_paused = true)]
async fn a_crowded_listener_does_not_keep_connections() {
    let lab = Lab::with(&HttpConfig { max_connections: 8, ..HttpConfig::default() });
    let held: Vec<_> = (0..6).map(|_| lab.connect("192.0.2.1", 64)).collect();
    let mut asking = lab.connect("192.0.2.2", 1 << 16);
    asking.write_all(SCRAPE.as_bytes()).await.expect("taken");
    let reply = text(&mut asking).await;
    assert!(reply.contains("connection: close"), "{reply}");
    assert_eq!(lab.seconds(), 0, "closed at once");
    drop(held);
}

#[test]
fn a_default_listener_fits_the_descriptors_of_a_default_process() {
    let config = HttpConfig::default();
    assert!(config.max_connections < 1024 - 100);
}
