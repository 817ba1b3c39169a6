//! What the tracker keeps across restarts, and the trait of what keeps it.
//!
//! Swarms are not among it: clients announce again within an interval. Counts of completed downloads and
//! the secret of connection ids cannot be had again.

use std::path::PathBuf;

use proto::id::InfoHash;
use proto::registry::Secret;
use thiserror::Error;

/// Keeps what the tracker must not lose. Calls block and come in order.
pub trait Store: Send + 'static {
    /// What was kept; asked once, before anything else.
    fn load(&mut self) -> Result<Stored, StoreError>;

    /// Keeps the secret at once, safe from a power cut.
    fn keep_secret(&mut self, secret: Secret) -> Result<(), StoreError>;

    /// Keeps absolute values, in one transaction. After an error the same values come again.
    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes everything flushed so far safe from a power cut.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// The last call: everything flushed must be kept when it returns.
    fn close(&mut self) -> Result<(), StoreError> {
        self.sync()
    }
}

/// What a store gives back at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The secret of connection ids; nothing on the first start.
    pub secret: Option<Secret>,
    /// Completed downloads of each torrent.
    pub completed: Vec<(InfoHash, u32)>,
}

/// What changed since the last flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Absolute counts of completed downloads, in the order of the info hashes, each once.
    pub completed: Vec<(InfoHash, u32)>,
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
    #[error("{} is not a tracker database, or it is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A newer program wrote the file.
    #[error("{} has version {found}; this program knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// Ours.
        known: i64,
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
