//! Asks HTTP trackers: one GET over any transport, with the limits that a stranger's server calls for.
//!
//! hyper speaks the protocol over a [`Transport`]'s streams, rustls the encryption. What to ask and what the
//! body means is decided in the core ([`proto::tracker::http`]); here are redirects, time and size.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proto::announce::GetError;
use proto::tracker::http::MAX_BODY;
use proto::tracker::{Scheme, TrackerUrl};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::{Clock, within};
use crate::environment::Environment;
use crate::transport::Transport;

mod tls;

pub use tls::TrackerTrust;

/// Times that a tracker may send us elsewhere.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Headers of a response.
pub(crate) const MAX_HEADERS: usize = 64;

/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("OurTorrent/", env!("CARGO_PKG_VERSION"));

/// Asks for `url` at `addr` and reads the body.
///
/// Redirects are followed at addresses of the same family, never from TLS to plain text, and never from
/// elsewhere to this machine. Nobody answers for longer than `patience`.
pub async fn get<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    addr: SocketAddr,
    url: &TrackerUrl,
    patience: Duration,
) -> Result<Bytes, GetError> {
    // Boxed, for the state of a TLS handshake is large.
    let work = Box::pin(follow(environment, trust, addr, url));
    let outcome = within(&environment.clock, patience, work).await;
    outcome.unwrap_or(Err(GetError::NoAnswer))
}

async fn follow<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    mut addr: SocketAddr,
    url: &TrackerUrl,
) -> Result<Bytes, GetError> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        match ask(environment, trust, addr, &url).await? {
            Answer::Body(body) => return Ok(body),
            Answer::Elsewhere(location) => {
                let next = redirected(&url, &location)?;
                if (next.host(), next.port()) != (url.host(), url.port()) {
                    addr = resolve(environment, &next, addr).await?;
                }
                url = next;
            }
        }
    }
    Err(http("the server redirects without end"))
}

/// What one request gave.
enum Answer {
    Body(Bytes),
    Elsewhere(String),
}

/// One request over a connection of its own: announces are half an hour apart.
async fn ask<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    addr: SocketAddr,
    url: &TrackerUrl,
) -> Result<Answer, GetError> {
    exchange(open(environment, trust, addr, url).await?, url).await
}

/// Bytes in both directions, encrypted on the way or not.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A stream to the tracker of `url` at `addr`, which speaks HTTP over it.
pub async fn open<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    addr: SocketAddr,
    url: &TrackerUrl,
) -> Result<Box<dyn Duplex>, GetError> {
    let stream = environment.transport.connect(addr).await;
    let stream = stream.map_err(|error| http(format_args!("cannot connect to the server: {error}")))?;
    let stream = tokio::io::join(stream.reader, stream.writer);
    secure(environment, trust, url, stream).await
}

/// Speaks TLS over `stream` if `url` asks for it.
pub(crate) async fn secure<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    url: &TrackerUrl,
    stream: impl Duplex + 'static,
) -> Result<Box<dyn Duplex>, GetError> {
    match url.scheme() {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => {
            let stream = trust.secure(&environment.clock, url.host(), stream).await;
            Ok(Box::new(stream.map_err(|error| http(format_args!("TLS: {error}")))?))
        }
        Scheme::Udp => Err(http("a udp:// URL is not asked over HTTP")),
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    url: &TrackerUrl,
) -> Result<Answer, GetError> {
    // No compression: a small body may unpack to a large one.
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| http(format_args!("the URL cannot be asked for: {error}")))?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let broken = |error: hyper::Error| http(format_args!("the server speaks no HTTP: {error}"));
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let talk = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        read(response).await
    };
    drive(talk, connection).await
}

/// Polls the connection for as long as the conversation over it lasts.
async fn drive<V>(talk: impl Future<Output = V>, connection: impl Future) -> V {
    let (mut talk, connection) = (pin!(talk), pin!(connection));
    tokio::select! {
        biased;
        outcome = &mut talk => return outcome,
        _ = connection => {}
    }
    // What the connection has received by its end is still to be read.
    talk.await
}

async fn read(response: Response<Incoming>) -> Result<Answer, GetError> {
    let status = response.status();
    if status.is_redirection()
        && let Some(location) = response.headers().get(LOCATION)
    {
        let location = location.to_str().map_err(|_| http("the server redirects to no URL"))?;
        return Ok(Answer::Elsewhere(location.to_owned()));
    }
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| http(format_args!("cannot read the tracker's answer: {error}")))?;
    let body = body.to_bytes();
    // Some trackers put their reason into a page of another status.
    if status.is_success() || body.starts_with(b"d") {
        return Ok(Answer::Body(body));
    }
    Err(http(format_args!("the tracker answers {status}")))
}

/// Where `location` leads from `url`.
pub(crate) fn redirected(url: &TrackerUrl, location: &str) -> Result<TrackerUrl, GetError> {
    let scheme = if url.scheme() == Scheme::Https { "https" } else { "http" };
    let target = if location.contains("://") {
        location.to_owned()
    } else if let Some(elsewhere) = location.strip_prefix("//") {
        format!("{scheme}://{elsewhere}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", url.authority())
    } else {
        let folder = url.path().split('?').next().and_then(|path| path.rsplit_once('/'));
        format!("{scheme}://{}{}/{location}", url.authority(), folder.map_or("", |(folder, _)| folder))
    };
    let next: TrackerUrl =
        target.parse().map_err(|error| http(format_args!("the server redirects to no server: {error}")))?;
    match (url.scheme(), next.scheme()) {
        (_, Scheme::Udp) => Err(http("the server redirects away from HTTP")),
        (Scheme::Https, Scheme::Http) => Err(http("the server redirects from TLS to plain text")),
        _ => Ok(next),
    }
}

/// An address of `url` in the family of `before`.
async fn resolve<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    url: &TrackerUrl,
    before: SocketAddr,
) -> Result<SocketAddr, GetError> {
    let found = environment.transport.resolve(url.host(), url.port()).await.unwrap_or_default();
    let addr = found.into_iter().find(|addr| addr.is_ipv4() == before.is_ipv4());
    let addr = addr
        .ok_or_else(|| http(format_args!("the server redirects to {}, which has no address", url.host())))?;
    if addr.ip().is_loopback() && !before.ip().is_loopback() {
        return Err(http("the server redirects to this machine"));
    }
    Ok(addr)
}

fn http(why: impl std::fmt::Display) -> GetError {
    GetError::Http(why.to_string())
}

#[cfg(test)]
mod tests;
