//! Malformed announces, and HTTP as clients and strangers speak it (BEP 3, RFC 9112).

use bytes::Bytes;
use proto::announce::GetError;
use proto::bencode::{Limits, byte_string, scan};
use proto::tracker::http::MAX_BODY;
use tokio::io::AsyncWriteExt;

use super::super::rule::{Check, Outcome, Trouble, broken, checks, ensure};
use super::session::{PATIENCE, Query, SEGMENT_PAUSE, Session, Talk, glimpse, read};
use crate::clock::Clock;
use crate::transport::Transport;

/// Info hashes that are none; the last three are broken escapes.
const BAD_HASHES: [&str; 8] = [
    "",
    "a",
    "aaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaa%",
    "aaaaaaaaaaaaaaaaaaa%a",
    "aaaaaaaaaaaaaaaaaaa%zz",
];

/// A target that no tracker needs to read.
const LONG_TARGET: usize = 64 << 10;

/// Connections that say nothing sensible, and how many bytes each.
const GARBAGE: usize = 30;
const GARBAGE_LEN: usize = 600;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    let mut all = checks! { "BEP 3":
        Must Alone "http.hash-malformed" hash_malformed,
            "an info_hash that is missing, broken or not of 20 bytes is refused, and the tracker lives";
        Should Shared "http.failure" failure,
            "a refusal is a dictionary with a readable `failure reason`, which clients show";
        Should Shared "http.failure-alone" failure_alone,
            "a `failure reason` stands alone: no interval, no peers";
    };
    all.extend(checks! { "RFC9112":
        Must Shared "http.split" split,
            "a request that comes in many segments is answered";
        Must Shared "http.keep-alive" keep_alive,
            "a second request on a connection is answered, or the connection is closed";
        Should Shared "http.version-1-0" version,
            "a request of HTTP/1.0 without Host is answered, and the connection is closed";
        Must Alone "http.long-target" long_target,
            "a request of 64 KiB does not stop the tracker";
        Must Alone "http.garbage" garbage,
            "random bytes and half requests do not stop the tracker";
    });
    all
}

/// An announce without an info hash, or with a bad one.
fn bad_announce<T: Transport, C: Clock>(session: &Session<T, C>, hash: Option<&str>) -> String {
    let peer = format!("peer_id={}&{}", session.peer_id_text(), Query::leecher(6500));
    session.path_with(&hash.map_or_else(|| peer.clone(), |hash| format!("info_hash={hash}&{peer}")))
}

async fn hash_malformed<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    for hash in BAD_HASHES.map(Some).into_iter().chain([None]) {
        let path = bad_announce(session, hash);
        if let Ok(body) = session.get(&path).await
            && let Ok(announced) = read(body)
        {
            return Err(broken(format_args!("GET {path}"), announced));
        }
        session.expect_alive(&format!("GET {path}")).await?;
    }
    Ok(())
}

async fn failure<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = bad_announce(session, Some("a"));
    let body = session.expect(&path).await?;
    let reason = failure_reason(&body).map(str::from_utf8);
    let readable = matches!(reason, Some(Ok(text)) if !text.is_empty() && !text.contains(char::is_control));
    ensure(readable, format_args!("GET {path}"), glimpse(&body))
}

fn failure_reason(body: &[u8]) -> Option<&[u8]> {
    scan(body, Limits::message(MAX_BODY)).ok()?.raw_value(b"failure reason").and_then(byte_string)
}

async fn failure_alone<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = bad_announce(session, Some("a"));
    let body = session.get(&path).await.unwrap_or_else(|_: GetError| Bytes::new());
    if failure_reason(&body).is_none() {
        return Err(Trouble::Skipped("the tracker gives no failure reason".to_owned()));
    }
    let scanned = scan(&body, Limits::message(MAX_BODY));
    // What a client may be told beside it (BEP 31).
    let alone = scanned.is_ok_and(|body| {
        body.entries().all(|(key, _)| matches!(key, b"failure reason" | b"failure code" | b"retry in"))
    });
    ensure(alone, format_args!("GET {path}"), glimpse(&body))
}

/// A request for `path` as clients write it.
fn head<T: Transport, C: Clock>(session: &Session<T, C>, path: &str, connection: &str) -> String {
    let host = session.bench.url.authority();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: conformance\r\nConnection: {connection}\r\n\r\n"
    )
}

/// Is this an answer of HTTP with a tracker's body?
fn is_answer(bytes: &[u8]) -> bool {
    let ok = bytes.starts_with(b"HTTP/1.") && bytes.get(8..12) == Some(b" 200");
    ok && bytes.windows(8).any(|window| window == b"interval")
}

async fn split<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.announce_path(session.torrent().await?, &Query::leecher(6510));
    let request = head(session, &path, "close");
    let parts: Vec<_> = request.as_bytes().chunks(request.len() / 6).collect();
    let Talk { bytes, .. } = session.talk(&parts, SEGMENT_PAUSE).await?;
    ensure(is_answer(&bytes), format_args!("GET {path}, in {} segments", parts.len()), glimpse(&bytes))
}

async fn keep_alive<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.announce_path(session.torrent().await?, &Query::leecher(6515));
    let (first, last) = (head(session, &path, "keep-alive"), head(session, &path, "close"));
    let Talk { bytes, has_ended } = session.talk(&[first.as_bytes(), last.as_bytes()], PATIENCE).await?;
    let got = format!("{}{}", glimpse(&bytes), if has_ended { "" } else { " and no end" });
    ensure(is_answer(&bytes) && has_ended, format_args!("GET {path}, twice on one connection"), got)
}

async fn version<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.announce_path(session.torrent().await?, &Query::leecher(6520));
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    let Talk { bytes, has_ended } = session.talk(&[request.as_bytes()], PATIENCE).await?;
    let got = format!("{}{}", glimpse(&bytes), if has_ended { "" } else { " and no end" });
    ensure(is_answer(&bytes) && has_ended, format_args!("GET {path} HTTP/1.0, without Host"), got)
}

async fn long_target<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.path_with(&format!("x={}", "a".repeat(LONG_TARGET)));
    session.talk(&[head(session, &path, "close").as_bytes()], PATIENCE).await?;
    session.expect_alive("a GET of 64 KiB").await
}

async fn garbage<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    for _ in 0..GARBAGE {
        let noise = session.noise(GARBAGE_LEN);
        for bytes in [&noise[..], b"GET /announce?info_hash=%"] {
            // Sent and hung up on. Whether the tracker still accepts is asked at the end.
            let Ok(mut stream) = session.connect().await else { break };
            let _ = stream.write_all(bytes).await;
        }
    }
    session.expect_alive("random bytes and half requests").await
}
