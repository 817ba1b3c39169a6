//! A tracker's URL: `udp://host:port/path` (BEP 15 names the scheme, BEP 41 the use of the path).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

/// The longest URL that is looked at, in bytes; torrent files are hostile.
pub const MAX_URL_LEN: usize = 2048;

/// The longest host name that DNS allows, in bytes.
const MAX_HOST_LEN: usize = 253;

/// A `udp://` URL whose parts are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerUrl {
    host: String,
    port: u16,
    path: String,
}

/// Text that is no URL of a UDP tracker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Longer than [`MAX_URL_LEN`].
    #[error("a URL of {0} bytes is too long (the limit is {MAX_URL_LEN})")]
    TooLong(usize),
    /// Another scheme, or none.
    #[error("only udp:// trackers are supported, not {0:?}")]
    Scheme(String),
    /// No host, or one with letters that no host has.
    #[error("{0:?} is not a host name or address")]
    Host(String),
    /// No port, zero, or not a number.
    #[error("{0:?} is not a port (BEP 15 has no default port)")]
    Port(String),
}

impl TrackerUrl {
    /// The host name or address literal, IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never zero.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as they stand, perhaps empty; for BEP 41.
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
        if !scheme.eq_ignore_ascii_case("udp") {
            return Err(UrlError::Scheme(scheme.to_owned()));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let port =
            port.parse().ok().filter(|&port| port != 0).ok_or_else(|| UrlError::Port(port.to_owned()))?;
        Ok(Self { host, port, path: path.to_owned() })
    }
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
        if self.host.contains(':') {
            write!(f, "udp://[{}]:{}{}", self.host, self.port, self.path)
        } else {
            write!(f, "udp://{}:{}{}", self.host, self.port, self.path)
        }
    }
}
