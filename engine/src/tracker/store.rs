//! What the tracker keeps across restarts, and the trait of what keeps it.

use std::path::PathBuf;

use proto::id::InfoHash;
use proto::registry::{Passkey, Secrets, SwarmPage};
use thiserror::Error;

/// Keeps what the tracker must not lose. Calls block and come in order.
pub trait Store: Send + 'static {
    /// What was kept; asked once, before anything else.
    fn load(&mut self) -> Result<Stored, StoreError>;

    /// Keeps the secrets at once, safe from a power cut.
    fn keep_secrets(&mut self, secrets: &Secrets) -> Result<(), StoreError>;

    /// Keeps absolute values, in one transaction. After an error the same values come again.
    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes everything flushed so far safe from a power cut.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// What somebody else changed since it was last asked, such as an operator's command on the database.
    fn poll_control(&mut self) -> Result<Option<Control>, StoreError> {
        Ok(None)
    }

    /// The last call: everything flushed must be kept when it returns.
    fn close(&mut self) -> Result<(), StoreError> {
        self.sync()
    }
}

/// What a store gives back at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// What the operator decides.
    pub control: Control,
    /// Completed downloads of each torrent.
    pub completed: Vec<(InfoHash, u32)>,
    /// Swarms, as they were at the last flush.
    pub pages: Vec<SwarmPage>,
}

/// What the operator decides, with commands while the tracker serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The secrets of connection ids; nothing on the first start.
    pub secrets: Option<Secrets>,
    /// Torrents that are listed as allowed.
    pub allowed: Vec<InfoHash>,
    /// Torrents that are listed as denied.
    pub denied: Vec<InfoHash>,
    /// Passkeys of a private tracker.
    pub passkeys: Vec<Passkey>,
}

/// What changed since the last flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Absolute counts of completed downloads, in the order of the info hashes, each once; zero forgets it.
    pub completed: Vec<(InfoHash, u32)>,
    /// Swarms, each page whole and once; an empty one is to be deleted.
    pub pages: Vec<SwarmPage>,
}

impl Batch {
    /// Nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.completed.is_empty() && self.pages.is_empty()
    }
}

/// Why a store does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The file cannot be opened or written.
    #[error("cannot use {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file is no database of ours, or a broken one. It is left as it is.
    #[error(
        "{} is not a tracker database, or it is damaged: {reason}\n  \
         It was left as it is. Move it away with its -wal and -shm files, then put a copy in its place that \
         `ourtorrent-tracker backup` made, or start with a new file: swarms come back within an announce \
         interval; counts of completed downloads, lists and passkeys come back only from a backup.",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer program wrote the file.
    #[error(
        "{} has version {found}; this program knows versions up to {known}\n  \
         Install the newer program again, or put back a backup from before the upgrade.",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A file is there that must not be overwritten.
    #[error("{} exists; choose another name, or overwrite it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such database.
    #[error("there is no database {}; a tracker makes it when it starts with --db", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another tracker serves from the file.
    #[error("another tracker serves from {}; each needs a database of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Another process holds the database.
    #[error("another process holds the database")]
    Busy,
    /// The store did not finish in time.
    #[error("the store did not finish in time")]
    TooSlow,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}
