//! The admin port as an HTTP site: what each path gives, and the headers that keep browsers in bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, StatusCode, Uri};
use proto::time::Instant;
use proto::tracker::http::pairs;
use serde::Serialize;
use tokio::sync::Mutex;

use super::census::Census;
use super::{Document, Health, host, metrics};
use crate::clock::Clock;
use crate::tracker::handle::Shared;
use crate::tracker::http::{Answer, Event, Site, only_get};

/// The status page: one file, no build step, nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

/// Nothing but the page's own script, known by its hash, and requests to this port.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; \
    script-src 'sha256-Nrwup0x0SRuwaD0TkMgUX/s9M0WhHlAW7HlL9ALN5GQ='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Torrents that `/torrents` tells of if it is not told how many.
const DEFAULT_TOP: usize = 20;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The admin pages of a tracker.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct AdminSite<C>(Arc<Inner<C>>);

#[derive(Debug)]
struct Inner<C> {
    shared: Arc<Shared>,
    clock: C,
    started: Instant,
    hosts: Vec<String>,
    udp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    census: Mutex<Census>,
}

impl<C: Clock> AdminSite<C> {
    /// The pages of a tracker that starts now and answers at `udp` and `http`.
    pub(in crate::tracker) fn new(
        shared: Arc<Shared>,
        clock: C,
        hosts: Vec<String>,
        [udp, http]: [Vec<SocketAddr>; 2],
    ) -> Self {
        let started = clock.now();
        Self(Arc::new(Inner { shared, clock, started, hosts, udp, http, census: Mutex::default() }))
    }

    fn document(&self) -> Document {
        let Inner { shared, clock, started, udp, http, .. } = &*self.0;
        let now = clock.now();
        let (tracker, failing_since) = {
            let state = shared.lock();
            (state.stats(), state.store_failing_since)
        };
        let failing_for = failing_since.map(|since| now.since(since));
        Document {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: now.since(*started).as_secs(),
            time_ms: u64::try_from(clock.wall().as_millis()).unwrap_or(u64::MAX),
            udp: udp.clone(),
            http_at: http.clone(),
            health: Health::of(failing_for, tracker.registry.shed.level),
            tracker,
        }
    }

    async fn page(&self, uri: &Uri) -> Answer {
        match uri.path() {
            "/" => answer(StatusCode::OK, "text/html; charset=utf-8", PAGE),
            "/stats" => json(StatusCode::OK, &self.document()),
            "/health" => {
                let health = self.document().health;
                json(if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
            }
            "/metrics" => answer(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::render(&self.document()),
            ),
            "/torrents" => match limit(uri.query().unwrap_or_default()) {
                Some(limit) => {
                    let Inner { shared, clock, census, .. } = &*self.0;
                    json(StatusCode::OK, &census.lock().await.top(shared, clock, limit).await)
                }
                None => {
                    answer(StatusCode::BAD_REQUEST, TEXT, "limit is a number, as in /torrents?limit=10\n")
                }
            },
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are /, /health, /metrics, /stats and /torrents?limit=10 here\n",
            ),
        }
    }
}

impl<C: Clock> Site for AdminSite<C> {
    async fn answer(&self, _: IpAddr, request: Request<Incoming>) -> Answer {
        // A host that is no text is nobody's name.
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
        if !host::is_ours(host, &self.0.hosts) {
            let text = "this name is not configured: use the address, or add the name to the admin hosts\n";
            return answer(StatusCode::MISDIRECTED_REQUEST, TEXT, text);
        }
        match *request.method() {
            Method::GET | Method::HEAD => self.page(request.uri()).await,
            _ => only_get(),
        }
    }

    fn note(&self, event: Event) {
        tracing::trace!(?event, "admin connection");
    }
}

/// The `limit` in a query, or the default; nothing if it is no number.
fn limit(query: &str) -> Option<usize> {
    let mut values = pairs(query.as_bytes()).filter(|(key, _)| *key == b"limit").map(|(_, value)| value);
    values.next().map_or(Some(DEFAULT_TOP), |value| std::str::from_utf8(value).ok()?.parse().ok())
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            answer(status, JSON, body)
        }
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard base64, as a Content-Security-Policy has it.
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let group =
                three.iter().fold(0, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let digit = char::from(DIGITS[(group >> (18 - 6 * place)) as usize & 63]);
                text.push(if place <= three.len() { digit } else { '=' });
            }
        }
        text
    }

    #[test]
    fn the_policy_lets_the_pages_own_script_run_and_nothing_else() {
        use sha2::Digest;
        let script = PAGE.split("<script>").nth(1).and_then(|rest| rest.split("</script>").next());
        let hash = base64(&sha2::Sha256::digest(script.expect("a script")));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "the script has changed; its hash is {hash}");
        assert_eq!(PAGE.matches("<script").count(), 1);
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_limit_is_a_number() {
        assert_eq!(limit(""), Some(DEFAULT_TOP));
        assert_eq!(limit("limit=3&x"), Some(3));
        assert_eq!(limit("limit=-1"), None);
        assert_eq!(limit("limit="), None);
    }
}
