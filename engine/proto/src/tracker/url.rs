//! A tracker's URL: `udp://host:port/path` (BEP 15 names the scheme, BEP 41 the use of the path), `http` and
//! `https` (BEP 3).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

use super::http::put_percent_encoded;

/// The longest URL that is looked at, in bytes; torrent files are hostile.
pub const MAX_URL_LEN: usize = 2048;

/// The longest host name that DNS allows, in bytes.
const MAX_HOST_LEN: usize = 253;

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// BEP 15.
    Udp,
    /// BEP 3.
    Http,
    /// The same over TLS.
    Https,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    //= BEP 15 names no default port.
    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Udp => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

/// A tracker's URL whose parts are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

/// Text that is no URL of a tracker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Longer than [`MAX_URL_LEN`].
    #[error("a URL of {0} bytes is too long (the limit is {MAX_URL_LEN})")]
    TooLong(usize),
    /// Another scheme, or none.
    #[error("only udp://, http:// and https:// trackers are supported, not {0:?}")]
    Scheme(String),
    /// No host, or one with letters that no host has.
    #[error("{0:?} is not a host name or address")]
    Host(String),
    /// No port, zero, or not a number.
    #[error("{0:?} is not a port (BEP 15 has no default port)")]
    Port(String),
}

impl TrackerUrl {
    /// How it is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The same tracker with another path and query.
    #[must_use]
    pub fn with_path(&self, path: String) -> Self {
        Self { path, ..self.clone() }
    }

    /// The host name or address literal, IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never zero.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a `Host` header has them: the port only if it is not the scheme's own.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let port = Some(self.port).filter(|&port| Some(port) != self.scheme.default_port());
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{open}{}{close}{port}", self.host)
    }

    /// Path and query: as they stand and perhaps empty for BEP 41, ready for a request line for HTTP.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for TrackerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_LEN {
            return Err(UrlError::TooLong(text.len()));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let known = [Scheme::Udp, Scheme::Http, Scheme::Https];
        let named = known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.name()));
        let scheme = named.ok_or_else(|| UrlError::Scheme(scheme.to_owned()))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let default = scheme.default_port().filter(|_| port.is_empty());
        let port = default.or_else(|| port.parse().ok().filter(|&port| port != 0));
        let port = port.ok_or_else(|| UrlError::Port(text_of_port(authority).to_owned()))?;
        let path = if scheme == Scheme::Udp { path.to_owned() } else { request_path(path) };
        Ok(Self { scheme, host, port, path })
    }
}

fn text_of_port(authority: &str) -> &str {
    let behind_literal = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    behind_literal.rsplit_once(':').map_or("", |(_, port)| port)
}

/// `path` as a request line may carry it: it begins with a slash, and what is no visible ASCII is escaped, so
/// that no torrent can write a line of its own into a request.
fn request_path(path: &str) -> String {
    let mut request = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        request.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            request.push(char::from(byte));
        } else {
            put_percent_encoded(&mut request, &[byte]);
        }
    }
    request
}

/// Host and port text; the brackets of an IPv6 literal are checked and removed.
fn split_authority(authority: &str) -> Result<(String, &str), UrlError> {
    let wrong_host = || UrlError::Host(authority.to_owned());
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (literal, rest) = bracketed.split_once(']').ok_or_else(wrong_host)?;
        let addr: Ipv6Addr = literal.parse().map_err(|_| wrong_host())?;
        return Ok((addr.to_string(), rest.strip_prefix(':').unwrap_or(rest)));
    }
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > MAX_HOST_LEN || !host.bytes().all(known) {
        return Err(UrlError::Host(host.to_owned()));
    }
    Ok((host.to_ascii_lowercase(), port))
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}
