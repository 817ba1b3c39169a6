//! Web seeds (BEP 19): HTTP servers as sources of blocks. This file has the words; the decisions are in
//!
//! | file | decides |
//! |---|---|
//! | `answer` | which bytes of an answer are ours, or why none |
//! | `source` | what one URL is good for: its state, its back-off, blocks out of its bytes |
//! | `feed` | which gap is asked of which URL; what its news do to the torrent |
//!
//! A web seed is no peer: it has no connection slot, is not choked and does not count as a copy of a piece. To the
//! started pieces and to blame it is like one: what is on order at it is on order, what it sent has its name on it.

mod answer;
mod feed;
mod source;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

pub use self::answer::{AnswerHead, Body};
pub(super) use self::source::WebSeeds;
use crate::tracker::TrackerUrl;

/// One request over HTTP; never used twice in one torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchKey(pub u64);

/// A range of a file to ask a server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Names the answer.
    pub key: FetchKey,
    /// Which web seed, by its place among the torrent's; requests to one follow each other.
    pub seed: usize,
    /// The file's URL.
    pub url: TrackerUrl,
    /// First byte and the one after the last, in the file.
    pub range: Range<u64>,
    /// Bytes of the whole file.
    pub len: u64,
    /// Bytes to take in before [`Output::FetchMore`](super::Output::FetchMore) allows more.
    pub credit: usize,
}

/// What becomes of a [`Fetch`], in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebNews {
    /// The server answers with content; does it keep to the range, or send the whole file?
    Began {
        /// It keeps to the range.
        ranged: bool,
    },
    /// The next bytes of the range.
    Data(Bytes),
    /// The range is complete, or nothing more comes of it.
    Ended(Result<(), WebError>),
}

/// Why a web seed is of no use, at least at present.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WebError {
    /// No address, no connection, or a broken one; in the system's words.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing came for too long.
    #[error("the server is silent")]
    Silent,
    /// The answer ended before the range did.
    #[error("the answer ends too early")]
    Truncated,
    /// It answers with another status than content.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// It asks to be left alone for a while.
    #[error("the server is busy (status {status})")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// When to come back, by its own word.
        retry_after: Option<Duration>,
    },
    /// Its file is another one.
    #[error("the server's file has {got} bytes instead of {want}")]
    Length {
        /// Bytes that it says.
        got: u64,
        /// Bytes that the torrent says.
        want: u64,
    },
    /// It answers with something that makes no sense.
    #[error("{0}")]
    Answer(String),
    /// The URL, or where it leads, is not to be asked.
    #[error("{0}")]
    Refused(String),
    /// It sent content that is not the torrent's.
    #[error("the server sends wrong content")]
    WrongContent,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Try again later.
    Later,
    /// This file is not to be had there.
    NotThisFile,
    /// The URL is of no use.
    Never,
}

impl WebError {
    const fn verdict(&self) -> Verdict {
        match self {
            Self::Unreachable(_) | Self::Silent | Self::Truncated | Self::Busy { .. } | Self::Answer(_) => {
                Verdict::Later
            }
            // Request timeout, too early, too many requests: of the moment. Everything else that is said to be the
            // client's fault will be said again.
            Self::Status(400..=407 | 409..=424 | 426..=428 | 430..=499) | Self::Length { .. } => {
                Verdict::NotThisFile
            }
            Self::Status(_) => Verdict::Later,
            Self::Refused(_) | Self::WrongContent => Verdict::Never,
        }
    }
}

/// What a web seed does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSeedState {
    /// Nothing is wanted of it.
    Idle,
    /// It failed, and is asked again later.
    Waiting,
    /// It sends.
    Fetching,
    /// It is not asked any more.
    GivenUp,
}

/// A web seed at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSeedStats {
    /// As the torrent has it.
    pub url: String,
    /// What it does.
    pub state: WebSeedState,
    /// Bytes a second that it sends us.
    pub download_rate: u64,
    /// Bytes that it sent us.
    pub downloaded: u64,
    /// Why it failed last.
    pub error: Option<WebError>,
}
