//! One web seed's line: a kept connection, one request after the other, redirects, and a body that is passed on only
//! as fast as the core gives credit.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HOST, HeaderName, LOCATION,
    RANGE, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proto::announce::GetError;
use proto::torrent::{AnswerHead, Body, Fetch, FetchKey, WebError, WebNews};
use proto::tracker::{Scheme, TrackerUrl};
use tokio::sync::{Semaphore, mpsc};

use super::WebTerms;
use crate::clock::{Clock, within};
use crate::fetch::{AGENT, MAX_HEADERS, MAX_REDIRECTS, redirected, secure};
use crate::paced::Paced;
use crate::throttle::Pace;
use crate::transport::{Stream, Transport};

/// A connection with nothing to do is closed after this long; servers do so after 5 to 75 s.
const KEEP: Duration = Duration::from_secs(15);

/// Room for the head of an answer and for one read of its body, in bytes.
const BUFFER: usize = 128 << 10;

/// Addresses of one server that are tried.
const MAX_ADDRS: usize = 4;

/// How long one address may take until it is connected.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Bytes that are passed on at once; less than any credit.
const PORTION: usize = 64 << 10;

/// Of the bytes that come before ours, the core hears this often, so that it does not take us for silent.
const SKIP_NEWS: u64 = 1 << 20;

/// A request, and how many bytes the core takes at present.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) fetch: Fetch,
    pub(super) credit: Arc<Semaphore>,
}

/// A connection that speaks HTTP.
struct Open {
    to: (Scheme, String, u16),
    sender: SendRequest<Empty<Bytes>>,
    /// Moves the bytes while it is polled; nothing once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// What a URL's task works with.
pub(super) struct Line<T: Transport, C: Clock, N> {
    terms: WebTerms<T, C>,
    tell: N,
    open: Option<Open>,
    /// Where the server of the torrent's URL is.
    home: Option<IpAddr>,
}

impl<T: Transport, C: Clock, N: Fn(FetchKey, WebNews) + Send> Line<T, C, N> {
    pub(super) const fn new(terms: WebTerms<T, C>, tell: N) -> Self {
        Self { terms, tell, open: None, home: None }
    }

    /// Works until nothing has been ordered for a while.
    pub(super) async fn serve(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let clock = self.terms.environment.clock.clone();
        while let Some(Some(order)) = within(&clock, KEEP, orders.recv()).await {
            // Boxed, for the state of a TLS handshake is large.
            let outcome = Box::pin(self.fetch(&order)).await;
            if outcome.is_err() {
                self.open = None;
            }
            (self.tell)(order.fetch.key, WebNews::Ended(outcome));
        }
    }

    async fn fetch(&mut self, order: &Order) -> Result<(), WebError> {
        let mut url = order.fetch.url.clone();
        self.home = None;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url, &order.fetch).await?;
            let Some(location) = location(&response)? else { return self.receive(response, order).await };
            url = redirected(&url, &location).map_err(refused)?;
        }
        Err(WebError::Answer("the server redirects without end".to_owned()))
    }

    /// One request, over the connection that is open, or over a new one.
    async fn ask(&mut self, url: &TrackerUrl, fetch: &Fetch) -> Result<Response<Incoming>, WebError> {
        let to = (url.scheme(), url.host().to_owned(), url.port());
        if let Some(open) = self.open.as_mut().filter(|open| open.to == to && !open.sender.is_closed())
            && let Ok(response) = open.ask(url, fetch).await
        {
            return Ok(response);
        }
        // A server may close a kept connection at any time: that is no failure of its own.
        self.open = None;
        let mut open = self.connect(url, to).await?;
        let response = open.ask(url, fetch).await?;
        self.open = Some(open);
        Ok(response)
    }

    async fn connect(&mut self, url: &TrackerUrl, to: (Scheme, String, u16)) -> Result<Open, WebError> {
        let environment = &self.terms.environment;
        let found = environment.transport.resolve(url.host(), url.port()).await;
        let addrs = found.map_err(|error| WebError::Unreachable(format!("no address is known: {error}")))?;
        let mut failure = WebError::Unreachable("the server has no address".to_owned());
        for addr in addrs.into_iter().take(MAX_ADDRS) {
            may_ask(url, addr, self.home)?;
            match within(&environment.clock, CONNECT_WAIT, environment.transport.connect(addr)).await {
                Some(Ok(stream)) => {
                    self.home = self.home.or(Some(addr.ip()));
                    return Open::speak(&self.terms, url, to, stream).await;
                }
                Some(Err(error)) => {
                    failure = WebError::Unreachable(format!("cannot connect to {addr}: {error}"));
                }
                None => failure = WebError::Unreachable(format!("{addr} does not answer")),
            }
        }
        Err(failure)
    }

    /// Passes the bytes on that were asked for.
    async fn receive(&mut self, response: Response<Incoming>, order: &Order) -> Result<(), WebError> {
        let body = head(&response).judge(&order.fetch)?;
        let tell = |news| (self.tell)(order.fetch.key, news);
        let Some(open) = &mut self.open else { return Err(WebError::Truncated) };
        tell(WebNews::Began { ranged: body.ranged });
        let ended =
            along(copy(response.into_body(), body, &order.credit, tell), &mut open.connection).await?;
        if !ended {
            // More would come than anybody wants.
            self.open = None;
        }
        Ok(())
    }
}

impl Open {
    /// Begins to speak HTTP over a stream, and TLS under it if the URL asks for it.
    async fn speak<T: Transport, C: Clock>(
        terms: &WebTerms<T, C>,
        url: &TrackerUrl,
        to: (Scheme, String, u16),
        stream: Stream<T::Reader, T::Writer>,
    ) -> Result<Self, WebError> {
        let WebTerms { torrent, environment, trust, throttle, keys } = terms;
        let connection = (*torrent, keys.next());
        let pace = Pace::new(throttle.clone(), connection, &stream.peer_addr, environment.clock.clone());
        let stream = Paced::new(tokio::io::join(stream.reader, stream.writer), pace);
        let stream = secure(environment, trust, url, stream).await;
        let stream = stream.map_err(|error| WebError::Unreachable(error.to_string()))?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER).max_headers(MAX_HEADERS);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(connection.await) });
        Ok(Self { to, sender, connection: Some(connection) })
    }

    async fn ask(&mut self, url: &TrackerUrl, fetch: &Fetch) -> Result<Response<Incoming>, WebError> {
        let request = Request::get(url.path())
            .header(HOST, url.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(ACCEPT_ENCODING, "identity")
            .header(RANGE, format!("bytes={}-{}", fetch.range.start, fetch.range.end.saturating_sub(1)))
            .body(Empty::new())
            .map_err(|error| WebError::Refused(format!("the URL cannot be asked for: {error}")))?;
        let sender = &mut self.sender;
        let talk = async move {
            sender.ready().await.map_err(broken)?;
            sender.send_request(request).await.map_err(broken)
        };
        along(talk, &mut self.connection).await
    }
}

/// Passes on what is ours of `body`; true if nothing follows it.
async fn copy(
    mut body: Incoming,
    part: Body,
    credit: &Semaphore,
    tell: impl Fn(WebNews),
) -> Result<bool, WebError> {
    let Body { ranged, mut skip, mut take } = part;
    let mut unsaid = 0;
    while take > 0 {
        let frame = body.frame().await.and_then(Result::ok).ok_or(WebError::Truncated)?;
        let Ok(mut data) = frame.into_data() else { continue };
        let skipped = skip.min(data.len() as u64);
        skip -= skipped;
        unsaid += skipped;
        if unsaid >= SKIP_NEWS {
            unsaid = 0;
            tell(WebNews::Began { ranged });
        }
        drop(data.split_to(skipped as usize));
        data.truncate(usize::try_from(take).unwrap_or(usize::MAX));
        take -= data.len() as u64;
        while !data.is_empty() {
            let portion = data.split_to(data.len().min(PORTION));
            // Never closed.
            if let Ok(permits) = credit.acquire_many(portion.len() as u32).await {
                permits.forget();
            }
            tell(WebNews::Data(portion));
        }
    }
    // Of a body that is over, its end is at hand.
    Ok(ranged && body.frame().await.is_none())
}

/// Runs `talk` and, for as long, the connection under it.
async fn along<V>(
    talk: impl Future<Output = V>,
    connection: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
) -> V {
    let mut talk = pin!(talk);
    poll_fn(|cx| {
        if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
            *connection = None;
        }
        talk.as_mut().poll(cx)
    })
    .await
}

/// What is told of a server that breaks off, or that speaks something else.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn broken(error: hyper::Error) -> WebError {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return WebError::Truncated;
    }
    WebError::Unreachable(format!("the server speaks no HTTP: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: GetError) -> WebError {
    WebError::Refused(error.to_string())
}

/// Where a redirect leads.
fn location(response: &Response<Incoming>) -> Result<Option<String>, WebError> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let location = header(response, LOCATION);
    location.map(|text| Some(text.to_owned())).ok_or(WebError::Status(response.status().as_u16()))
}

fn header<B>(response: &Response<B>, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn head<B>(response: &Response<B>) -> AnswerHead<'_> {
    AnswerHead {
        status: response.status().as_u16(),
        content_range: header(response, CONTENT_RANGE),
        content_length: header(response, CONTENT_LENGTH),
        content_encoding: header(response, CONTENT_ENCODING),
        retry_after: header(response, RETRY_AFTER),
    }
}

/// A torrent is a stranger's: its URLs must not make us a tool against who trusts our address. A server of the local
/// network is asked for files, but not with a query, and nobody from outside sends us to one.
fn may_ask(url: &TrackerUrl, addr: SocketAddr, home: Option<IpAddr>) -> Result<(), WebError> {
    let refused = |why: &str| Err(WebError::Refused(why.to_owned()));
    if !is_local(addr.ip()) {
        return Ok(());
    }
    if home.is_some_and(|home| !is_local(home)) {
        return refused("the server redirects into the local network");
    }
    if url.path().contains('?') {
        return refused("a URL of the local network may not have a query");
    }
    Ok(())
}

fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}
