//! The tracker as an HTTP site: a request's target in, a bencoded body out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode};
use ipnet::IpNet;
use proto::id::InfoHash;
use proto::registry::{Announce, Announced, Passkey};
use proto::time::Instant;
use proto::tracker::Family;
use proto::tracker::http::{
    HttpAnnounce, HttpAnnounced, HttpRequest, RequestError, put_announce, put_failure, put_scrape,
};

use super::forwarded::{NoClient, X_FORWARDED_FOR, client};
use super::server::{Answer, Event, Site};
use crate::clock::Clock;
use crate::tracker::handle::{Shared, State};

/// For a person who looks at the address with a browser.
const NOT_FOUND: &str = "\
This is a BitTorrent tracker, and there is no page here.
Its announce URL ends in /announce: put that into a torrent or into your client.
";

/// Announce and scrape on a registry.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct TrackerSite<C> {
    shared: Arc<Shared>,
    clock: C,
    trusted_proxies: Arc<[IpNet]>,
}

impl<C: Clock> TrackerSite<C> {
    pub(in crate::tracker) fn new(shared: Arc<Shared>, clock: C, trusted_proxies: &[IpNet]) -> Self {
        Self { shared, clock, trusted_proxies: trusted_proxies.into() }
    }

    /// The body for a request to `target`; nothing if there is no tracker there.
    fn body(&self, source: Result<IpAddr, NoClient>, target: &[u8]) -> Option<Vec<u8>> {
        let request = HttpRequest::parse(target);
        let mut body = Vec::new();
        // Microseconds, and no await inside.
        let mut state = self.shared.lock();
        state.counters.http.requests += 1;
        match (request, source) {
            (Err(RequestError::Path), _) => {
                state.counters.http.strays += 1;
                return None;
            }
            (Err(error), _) => {
                state.counters.http.malformed += 1;
                put_failure(&mut body, &error.to_string());
            }
            (Ok(_), Err(error)) => {
                state.counters.http.malformed += 1;
                put_failure(&mut body, &error.to_string());
            }
            (Ok(HttpRequest::Announce(announce)), Ok(ip)) => {
                state.counters.http.announces += 1;
                let passkey = Passkey::find_in(target);
                put_outcome(&mut state, self.clock.now(), ip, &announce, passkey, &mut body);
            }
            (Ok(HttpRequest::Scrape(hashes)), Ok(_)) => {
                state.counters.http.scrapes += 1;
                put_counts(&mut state, hashes, Passkey::find_in(target), &mut body);
            }
        }
        state.counters.http.bytes_out += body.len() as u64;
        Some(body)
    }
}

/// Appends the counts of the torrents that are known, or why there are none.
fn put_counts(state: &mut State, hashes: Vec<InfoHash>, passkey: Option<Passkey>, body: &mut Vec<u8>) {
    if let Err(refusal) = state.registry.admit_scrape(passkey) {
        state.counters.http.refused += 1;
        return put_failure(body, &refusal.to_string());
    }
    let counts = |hash| state.registry.scrape(hash).map(|counts| (hash, counts));
    let known: Vec<_> = hashes.into_iter().filter_map(counts).collect();
    put_scrape(body, known);
}

/// Announces, and appends what came of it.
fn put_outcome(
    state: &mut State,
    now: Instant,
    ip: IpAddr,
    announce: &HttpAnnounce,
    passkey: Option<Passkey>,
    body: &mut Vec<u8>,
) {
    let addr = SocketAddr::new(ip, announce.port);
    let HttpAnnounce { info_hash, event, num_want, is_compact, .. } = *announce;
    let request = Announce { info_hash, addr, left: announce.progress.left, event, num_want, passkey };
    let mut peers = Vec::new();
    match state.registry.announce(now, &request, &mut peers) {
        Ok(Announced { interval, min_interval, counts }) => {
            let (family, peers) = (Family::of(addr), &peers[..]);
            put_announce(body, &HttpAnnounced { interval, min_interval, counts, family, peers, is_compact });
        }
        Err(refusal) => {
            state.counters.http.refused += 1;
            put_failure(body, &refusal.to_string());
        }
    }
}

impl<C: Clock> Site for TrackerSite<C> {
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            self.shared.lock().counters.http.strays += 1;
            return only_get();
        }
        let headers = request.headers().get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
        let source = client(peer, headers, &self.trusted_proxies);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        match self.body(source, target.as_bytes()) {
            Some(body) => text(StatusCode::OK, body),
            None => text(StatusCode::NOT_FOUND, NOT_FOUND),
        }
    }

    fn note(&self, event: Event) {
        self.shared.lock().counters.http.note(event);
    }
}

/// An answer of a type that browsers show and never run.
fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Refuses a method.
pub(in crate::tracker) fn only_get() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}
