//! What a client asks of an HTTP tracker, read from the target of its GET (BEP 3, BEP 48).

use thiserror::Error;

use super::query::{MAX_TARGET_LEN, pairs, percent_decode};
use crate::id::{ID_LEN, InfoHash, PeerId};
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::MAX_SCRAPE;

/// An HTTP request that a tracker serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpRequest {
    /// A peer tells of itself and asks for others.
    Announce(HttpAnnounce),
    /// The counts of these torrents, 1 to [`MAX_SCRAPE`], are asked for.
    Scrape(Vec<InfoHash>),
}

/// An announce (BEP 3). Its source is the connection's address: an `ip` in the query is anybody's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnnounce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The peer's name; nothing hangs on it.
    pub peer_id: PeerId,
    /// Where the peer listens.
    pub port: u16,
    /// Bytes; a client that does not say what is `left` is taken for a leecher.
    pub progress: Progress,
    /// Why, if for a reason. Unknown events are none (BEP 21's `paused`).
    pub event: Option<AnnounceEvent>,
    /// Peers wanted. Clients say -1 for "as many as you like".
    pub num_want: Option<u32>,
    /// Are peers wanted as 6 or 18 bytes each (BEP 23)? Yes unless refused with `compact=0`.
    pub is_compact: bool,
    /// Told by the client to recognise itself from another address; raw bytes, at most
    /// [`MAX_TARGET_LEN`].
    pub key: Option<Vec<u8>>,
}

/// A target that cannot be served, in words for the user of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Neither an announce nor a scrape: an error of HTTP, not of the tracker.
    #[error("there is no tracker at this path; announce to /announce")]
    Path,
    /// Longer than [`MAX_TARGET_LEN`]. Transmission asks for fewer torrents when it reads these words.
    #[error("Request-URI Too Long: {0} bytes, and {MAX_TARGET_LEN} are allowed")]
    TooLong(usize),
    /// A key that is needed.
    #[error("the request has no {0}")]
    Missing(&'static str),
    /// A key that may stand only once: two answers to one question are a trick or a fault.
    #[error("the request has {0} twice")]
    Repeated(&'static str),
    /// A `%` without two hexadecimal digits.
    #[error("{0} is not percent-encoded correctly")]
    Escape(&'static str),
    /// Not the 20 bytes of an identifier.
    #[error("{key} has {got} bytes after percent-decoding, not 20")]
    Length {
        /// The key.
        key: &'static str,
        /// Bytes after decoding.
        got: usize,
    },
    /// Not a decimal number, or one beyond its type.
    #[error("{0} is not a number in range")]
    Number(&'static str),
    /// A scrape of everything.
    #[error("a scrape needs an info_hash: this tracker does not list its torrents")]
    NoHashes,
    /// More than [`MAX_SCRAPE`].
    #[error("Request-URI Too Long: a scrape may have {MAX_SCRAPE} info hashes at the most")]
    TooManyHashes,
}

impl HttpRequest {
    /// Reads `target`, path and query as they stand in the request line. Unknown keys are ignored.
    pub fn parse(target: &[u8]) -> Result<Self, RequestError> {
        if target.len() > MAX_TARGET_LEN {
            return Err(RequestError::TooLong(target.len()));
        }
        let (path, query) = split_query(target);
        match Kind::of(path)? {
            Kind::Announce => HttpAnnounce::parse(query).map(Self::Announce),
            Kind::Scrape => hashes(query).map(Self::Scrape),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Announce,
    Scrape,
}

impl Kind {
    /// The kind that `path` names in one of its segments: beside it may stand a passkey, and behind its
    /// name what BEP 48 lets follow (`/announce.php`).
    fn of(path: &[u8]) -> Result<Self, RequestError> {
        let named = |segment: &[u8]| {
            let name = segment.split(|&byte| byte == b'.').next();
            match name {
                Some(b"announce") => Some(Self::Announce),
                Some(b"scrape") => Some(Self::Scrape),
                _ => None,
            }
        };
        let mut kinds = path.split(|&byte| byte == b'/').filter_map(named);
        kinds.next().filter(|_| kinds.next().is_none()).ok_or(RequestError::Path)
    }
}

fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).unwrap_or((target, &[]));
    (path, query.get(1..).unwrap_or_default())
}

impl HttpAnnounce {
    fn parse(query: &[u8]) -> Result<Self, RequestError> {
        let event = match value(query, "event")?.as_deref() {
            Some(b"started") => Some(AnnounceEvent::Started),
            Some(b"completed") => Some(AnnounceEvent::Completed),
            Some(b"stopped") => Some(AnnounceEvent::Stopped),
            _ => None,
        };
        let progress = Progress {
            uploaded: number(query, "uploaded")?.unwrap_or(0),
            downloaded: number(query, "downloaded")?.unwrap_or(0),
            left: number(query, "left")?.unwrap_or(u64::MAX),
        };
        let port = number(query, "port")?.ok_or(RequestError::Missing("port"))?;
        Ok(Self {
            info_hash: InfoHash(identifier(query, "info_hash")?),
            peer_id: PeerId(identifier(query, "peer_id")?),
            port: u16::try_from(port).map_err(|_| RequestError::Number("port"))?,
            progress,
            event,
            num_want: number(query, "numwant").ok().flatten().and_then(|number| u32::try_from(number).ok()),
            is_compact: value(query, "compact")?.as_deref() != Some(b"0"),
            key: value(query, "key")?,
        })
    }
}

/// The decoded value of `key`, which stands once at the most.
fn value(query: &[u8], key: &'static str) -> Result<Option<Vec<u8>>, RequestError> {
    let mut values = pairs(query).filter(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value);
    let first = values.next().map(|value| percent_decode(value).ok_or(RequestError::Escape(key)));
    if values.next().is_some() {
        return Err(RequestError::Repeated(key));
    }
    first.transpose()
}

/// The decimal number that `key` has; an empty value is none.
fn number(query: &[u8], key: &'static str) -> Result<Option<u64>, RequestError> {
    let Some(digits) = value(query, key)?.filter(|digits| !digits.is_empty()) else { return Ok(None) };
    let digits = std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map(Some).ok_or(RequestError::Number(key))
}

fn identifier(query: &[u8], key: &'static str) -> Result<[u8; ID_LEN], RequestError> {
    let bytes = value(query, key)?.ok_or(RequestError::Missing(key))?;
    bytes.as_slice().try_into().map_err(|_| RequestError::Length { key, got: bytes.len() })
}

/// The hashes of a scrape, each once, in the order of a bencoded dictionary.
fn hashes(query: &[u8]) -> Result<Vec<InfoHash>, RequestError> {
    let mut hashes = Vec::new();
    for (_, value) in pairs(query).filter(|(name, _)| *name == b"info_hash") {
        if hashes.len() == MAX_SCRAPE {
            return Err(RequestError::TooManyHashes);
        }
        let bytes = percent_decode(value).ok_or(RequestError::Escape("info_hash"))?;
        let wrong = RequestError::Length { key: "info_hash", got: bytes.len() };
        hashes.push(InfoHash::from_slice(&bytes).ok_or(wrong)?);
    }
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() { Err(RequestError::NoHashes) } else { Ok(hashes) }
}
