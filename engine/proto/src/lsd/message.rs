//! The announcement of BEP 14: a request line of its own and headers like HTTP's.

use std::fmt::Write as _;

use thiserror::Error;

use super::{MAX_COOKIE, MAX_HEADERS, MAX_READ, group};
use crate::id::InfoHash;
use crate::tracker::Family;

const REQUEST_LINE: &str = "BT-SEARCH * HTTP/1.1";

/// "I am in these swarms, at this port."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where the sender accepts peers; its address is the datagram's source.
    pub port: u16,
    /// The torrents, one at least.
    pub hashes: Vec<InfoHash>,
    /// By which the sender knows its own announcements when they come back.
    pub cookie: Option<String>,
}

/// Why a datagram is no announcement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// More bytes than are read.
    #[error("{0} bytes, and {MAX_READ} are read")]
    TooLong(usize),
    /// Not text, or another protocol's.
    #[error("no announcement of local service discovery")]
    Foreign,
    /// A header without a colon.
    #[error("a header without a colon")]
    Header,
    /// A port that is no number from 1 to 65535.
    #[error("no port that one can dial")]
    Port,
    /// No torrent that we could know: none at all, or none of version 1.
    #[error("it names no torrent")]
    NoTorrent,
}

impl Announcement {
    /// The datagram for the group of `family`.
    pub fn encode(&self, family: Family) -> String {
        let mut text = format!("{REQUEST_LINE}\r\nHost: {}\r\nPort: {}\r\n", group(family), self.port);
        for hash in &self.hashes {
            let _ = write!(text, "Infohash: {hash}\r\n");
        }
        if let Some(cookie) = &self.cookie {
            let _ = write!(text, "cookie: {cookie}\r\n");
        }
        text + "\r\n\r\n"
    }

    /// Reads one datagram. Headers may stand in any order and case.
    ///
    //= BEP 14: "any additional headers that [are] not understood by a client should be ignored."
    pub fn decode(datagram: &[u8]) -> Result<Self, MessageError> {
        if datagram.len() > MAX_READ {
            return Err(MessageError::TooLong(datagram.len()));
        }
        let text = std::str::from_utf8(datagram).map_err(|_| MessageError::Foreign)?;
        let mut lines = text.lines();
        if lines.next() != Some(REQUEST_LINE) {
            return Err(MessageError::Foreign);
        }
        let (mut port, mut hashes, mut cookie) = (None, Vec::new(), None);
        for line in lines.take_while(|line| !line.is_empty()).take(MAX_HEADERS) {
            let (name, value) = line.split_once(':').ok_or(MessageError::Header)?;
            let value = value.trim();
            match name.trim() {
                name if name.eq_ignore_ascii_case("port") => port = value.parse().ok(),
                // A longer one is of a torrent of version 2, which we do not know.
                name if name.eq_ignore_ascii_case("infohash") => hashes.extend(InfoHash::from_hex(value)),
                name if name.eq_ignore_ascii_case("cookie") && value.len() <= MAX_COOKIE => {
                    cookie = Some(value.to_owned());
                }
                _ => {}
            }
        }
        let port = port.filter(|&port| port != 0).ok_or(MessageError::Port)?;
        if hashes.is_empty() { Err(MessageError::NoTorrent) } else { Ok(Self { port, hashes, cookie }) }
    }
}
