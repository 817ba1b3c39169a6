//! The admin port as a browser, a scraper and an attacker see it, over streams in memory.

use std::sync::Arc;
use std::time::Duration;

use proto::id::InfoHash;
use proto::registry::Announce;
use proto::time::Instant;
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::tracker::handle::Shared;
use crate::tracker::http::lab::{Street, registry};

struct Lab {
    shared: Arc<Shared>,
    street: Street,
}

impl Lab {
    fn new() -> Self {
        let shared = Arc::new(Shared::new(registry()));
        let addrs = [vec!["192.0.2.1:6969".parse().expect("an address")], Vec::new()];
        let site = |clock| AdminSite::new(Arc::clone(&shared), clock, vec!["tracker".to_owned()], addrs);
        let street = Street::to(AdminConfig::seats(), site);
        Self { shared, street }
    }

    /// Members of the torrent named by `byte`.
    fn announce(&self, byte: u8, members: u16) {
        for port in 1..=members {
            let request = Announce {
                info_hash: InfoHash([byte; 20]),
                addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::from([192, 0, 2, byte])), port),
                left: u64::from(port % 2),
                event: None,
                num_want: None,
                passkey: None,
            };
            let announced = self.shared.lock().registry.announce(Instant::ZERO, &request, &mut Vec::new());
            announced.expect("room");
        }
    }

    /// Head and body, as they came.
    async fn get(&self, path: &str, headers: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.0\r\n{headers}\r\n");
        let reply = self.street.exchange("127.0.0.1", request.as_bytes()).await;
        let (head, body) = reply.split_once("\\r\\n\\r\\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (head, body) = self.get(path, "").await;
        assert!(head.contains("content-type: application/json"), "{head}");
        // Quotes are escaped, and the line ends.
        let body = body.replace("\\\"", "\"").replace("\\n", "");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

#[tokio::test(start_paused = true)]
async fn every_path_has_its_answer_and_no_other_origin_may_read_it() {
    let lab = Lab::new();
    let paths = [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP ourtorrent_tracker_build_info "),
        ("/health", "application/json", "{"),
        ("/stats", "application/json", "{"),
        ("/torrents?limit=1", "application/json", "{"),
    ];
    for (path, content_type, opening) in paths {
        let (head, body) = lab.get(path, "Host: 127.0.0.1:6970\r\nOrigin: http://evil.example\r\n").await;
        assert!(head.starts_with("HTTP/1.0 200 OK"), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {content_type}\\r\\n")), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src \\'none\\'"), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        assert!(!head.contains("access-control"), "{path}: {head}");
        assert!(body.starts_with(opening), "{path}: {body}");
    }
    let (head, body) = lab.get("/nowhere", "").await;
    assert!(head.starts_with("HTTP/1.0 404") && body.contains("/health"), "{head} {body}");
    assert!(lab.get("/torrents?limit=x", "").await.0.starts_with("HTTP/1.0 400"));
    let posted = lab.street.exchange("127.0.0.1", b"POST /stats HTTP/1.0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.0 405"), "{posted}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_pointed_at_us_gets_nothing() {
    let lab = Lab::new();
    for host in ["evil.example:6970", "evil.example", "\u{e9}"] {
        let (head, body) = lab.get("/stats", &format!("Host: {host}\r\n")).await;
        assert!(head.starts_with("HTTP/1.0 421"), "{host}: {head}");
        assert!(!body.contains("announces"), "{body}");
    }
    assert!(lab.get("/stats", "Host: tracker:6970\r\n").await.0.contains("200 OK"));
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_a_store_that_keeps_failing_until_it_works() {
    let lab = Lab::new();
    assert_eq!(lab.json("/health").await, serde_json::json!({ "ok": true, "reasons": [] }));
    lab.shared.lock().store_failing_since = Some(lab.street.clock.now());
    assert!(lab.get("/health", "").await.0.starts_with("HTTP/1.0 200"), "not at once");
    tokio::time::sleep(Duration::from_secs(42)).await;
    let (head, body) = lab.get("/health", "").await;
    assert!(head.starts_with("HTTP/1.0 503") && body.contains("failing for 42 s"), "{head} {body}");
    assert_eq!(lab.json("/stats").await["health"]["ok"], false);
    assert!(lab.get("/metrics", "").await.1.contains("ourtorrent_tracker_healthy 0"));
    lab.shared.lock().store_failing_since = None;
    assert!(lab.get("/health", "").await.0.starts_with("HTTP/1.0 200"));
}

/// What the status page and other readers rely on.
#[tokio::test(start_paused = true)]
async fn the_statistics_have_what_the_page_reads() {
    let lab = Lab::new();
    lab.announce(1, 3);
    tokio::time::sleep(Duration::from_secs(7)).await;
    let stats = lab.json("/stats").await;
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&stats["uptime_s"], &stats["announces"], &stats["torrents"]),
        (&7.into(), &3.into(), &1.into())
    );
    assert_eq!(stats["udp"], serde_json::json!(["192.0.2.1:6969"]));
    let read = include_str!("page.html").split("<script>").nth(1).unwrap_or_default();
    let fields = |object: &str| {
        let object = format!("{object}.");
        let uses = read.split(&object).skip(1);
        let name = |rest: &str| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().map(str::to_owned)
        };
        uses.filter_map(name).collect::<std::collections::BTreeSet<_>>()
    };
    for field in fields("stats") {
        assert!(stats.get(&field).is_some(), "the page reads `{field}`");
    }
    for field in fields(" http").into_iter().chain(fields("(http")) {
        assert!(stats["http"].get(&field).is_some(), "the page reads `http.{field}`");
    }
    assert!(fields("stats").len() > 15 && fields("(http").len() > 5);
}

#[tokio::test(start_paused = true)]
async fn the_largest_torrents_are_counted_now_and_then() {
    let lab = Lab::new();
    for (byte, members) in [(1, 2), (2, 9), (3, 5)] {
        lab.announce(byte, members);
    }
    let top = lab.json("/torrents?limit=2").await;
    assert_eq!(top["torrents"][0]["info_hash"], "02".repeat(20));
    assert_eq!((&top["torrents"][0]["seeders"], &top["torrents"][0]["leechers"]), (&4.into(), &5.into()));
    assert_eq!(top["torrents"][1]["info_hash"], "03".repeat(20));
    assert_eq!(top["torrents"].as_array().map(Vec::len), Some(2));
    lab.announce(4, 20);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let same = lab.json("/torrents?limit=1").await;
    assert_eq!((&same["age_s"], &same["torrents"][0]["info_hash"]), (&5.into(), &"02".repeat(20).into()));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(lab.json("/torrents").await["torrents"][0]["info_hash"], "04".repeat(20));
}

#[test]
fn a_port_alone_is_on_loopback() {
    let bind = |text: &str| text.parse().map(|config: AdminConfig| config.bind.to_string());
    assert_eq!(bind("6970").as_deref(), Ok("127.0.0.1:6970"));
    assert_eq!(bind("0.0.0.0:1").as_deref(), Ok("0.0.0.0:1"));
    assert_eq!(bind("[::1]:1").as_deref(), Ok("[::1]:1"));
    for wrong in ["", "localhost:1", "70000", ":6970"] {
        assert_eq!(bind(wrong), Err(AdminError(wrong.to_owned())));
    }
}
