//! The fetcher against scripted servers on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;

use proto::tracker::TrackerUrl;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `answers` in turn, one a connection; gives back where, and what the clients said.
async fn server(
    answers: Vec<String>,
    tls: Option<TlsAcceptor>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let (heads, said) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.expect("accepts");
            match &tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &answer, &heads).await;
                    }
                }
                None => serve(stream, &answer, &heads).await,
            }
        }
    });
    (addr, said)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &str,
    heads: &tokio::sync::mpsc::UnboundedSender<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    heads.send(String::from_utf8(head).expect("text")).expect("heard");
    // Whoever has enough hangs up.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn moved(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

async fn fetch(addr: SocketAddr, url: &str, trust: &TrackerTrust) -> Result<Bytes, GetError> {
    let url: TrackerUrl = url.replace("PORT", &addr.port().to_string()).parse().expect("valid");
    get(&Environment::os(Ipv4Addr::UNSPECIFIED.into()), trust, addr, &url, PATIENCE).await
}

async fn plain(addr: SocketAddr, path: &str) -> Result<Bytes, GetError> {
    fetch(addr, &format!("http://127.0.0.1:PORT{path}"), &TrackerTrust::default()).await
}

fn why(outcome: Result<Bytes, GetError>) -> String {
    outcome.expect_err("refused").to_string()
}

#[tokio::test]
async fn a_body_is_read_with_or_without_its_length() {
    let no_length = "HTTP/1.1 200 OK\r\n\r\nd3:abci1ee".to_owned();
    let blocks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nd3:\r\n2\r\nee\r\n0\r\n\r\n".to_owned();
    let old = "HTTP/1.0 200 OK\r\n\r\nde".to_owned();
    let (addr, mut said) = server(vec![ok("de"), no_length, blocks, old], None).await;
    for body in ["de", "d3:abci1ee", "d3:ee", "de"] {
        assert_eq!(plain(addr, "/announce?x=1").await, Ok(Bytes::from(body)));
    }
    let head = said.recv().await.expect("asked").to_lowercase();
    assert!(head.starts_with("get /announce?x=1 http/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: {addr}\r\n")) && head.contains("user-agent: ourtorrent/"),
        "{head}"
    );
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn redirects_are_followed_five_times() {
    let (addr, mut said) = server(vec![moved("/b?y=2"), moved("c"), ok("de")], None).await;
    assert_eq!(plain(addr, "/a?x=1").await, Ok(Bytes::from("de")));
    for path in ["/a?x=1", "/b?y=2", "/c"] {
        assert!(said.recv().await.expect("asked").starts_with(&format!("GET {path} ")));
    }
    let (addr, _said) = server(vec![moved("/again"); 6], None).await;
    assert_eq!(why(plain(addr, "/again").await), "the server redirects without end");
    let (addr, _said) = server(vec![moved("udp://t.org:1/"), moved("ftp://t.org/")], None).await;
    assert_eq!(why(plain(addr, "/").await), "the server redirects away from HTTP");
    assert!(why(plain(addr, "/").await).starts_with("the server redirects to no server: only udp://"));
}

#[test]
fn tls_is_not_given_up() {
    let url: TrackerUrl = "https://t.org/announce".parse().expect("valid");
    let error = redirected(&url, "http://t.org/announce").expect_err("refused");
    assert_eq!(error.to_string(), "the server redirects from TLS to plain text");
    assert_eq!(redirected(&url, "//u.org/x").expect("kept").to_string(), "https://u.org/x");
}

#[tokio::test]
async fn what_is_no_answer_is_told() {
    let failure = "HTTP/1.1 400 Bad\r\n\r\nd14:failure reason2:noe".to_owned();
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned();
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MAX_BODY + 1));
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
    let (addr, _said) =
        server(vec![failure, missing, long, head, "SSH-2.0\r\n".into(), String::new()], None).await;
    assert_eq!(plain(addr, "/").await, Ok(Bytes::from("d14:failure reason2:noe")));
    assert_eq!(why(plain(addr, "/").await), "the tracker answers 404 Not Found");
    assert!(why(plain(addr, "/").await).starts_with("cannot read the tracker's answer: "));
    for _ in 0..3 {
        let why = why(plain(addr, "/").await);
        assert!(why.starts_with("the server speaks no HTTP: "), "{why}");
    }
}

#[tokio::test]
async fn silence_ends_with_patience_and_a_closed_port_at_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let url: TrackerUrl = format!("http://{addr}").parse().expect("valid");
    let environment = Environment::os(Ipv4Addr::UNSPECIFIED.into());
    let short = Duration::from_millis(50);
    let trust = TrackerTrust::default();
    assert_eq!(get(&environment, &trust, addr, &url, short).await, Err(GetError::NoAnswer));
    drop(listener);
    assert!(why(plain(addr, "/").await).starts_with("cannot connect to the server: "));
}

#[tokio::test]
async fn tls_trusts_the_roots_that_it_is_given() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a good pair");
    let tls = TlsAcceptor::from(Arc::new(config));
    let (addr, _said) = server(vec![ok("de"); 3], Some(tls)).await;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let trust = TrackerTrust::with_file(&file).expect("a root");
    assert_eq!(fetch(addr, "https://localhost:PORT/", &trust).await, Ok(Bytes::from("de")));
    let error = why(fetch(addr, "https://localhost:PORT/", &TrackerTrust::default()).await);
    assert!(error.starts_with("TLS: invalid peer certificate"), "{error}");
    let error = why(fetch(addr, "https://127.0.0.1:PORT/", &trust).await);
    assert!(error.contains("not valid for name"), "{error}");

    std::fs::write(&file, "no certificate").expect("written");
    let error = TrackerTrust::with_file(&file).expect_err("empty");
    assert_eq!(error.to_string(), "no PEM certificate in it");
}
