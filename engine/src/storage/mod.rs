//! Where a torrent's content lives.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::metainfo::Priority;
use proto::piece::{Block, PieceIndex};
use proto::resume::Stamp;

pub mod file;
pub mod memory;

/// The content of one torrent.
pub trait Storage: Send + Sync + 'static {
    /// Reads a block.
    fn read(&self, block: Block) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// Writes a block; `data` is exactly as long.
    fn write(&self, block: Block, data: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Hashes a whole piece as it is stored.
    fn hash(&self, piece: PieceIndex) -> impl Future<Output = io::Result<PieceHash>> + Send;

    /// Makes everything written so far survive a crash, whichever process wrote it.
    fn flush(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// How many pieces are worth hashing at once: as many as there are cores to do it.
    fn parallelism(&self) -> usize {
        1
    }

    /// What can be seen of each file without reading it, in the torrent's order. A storage that cannot tell
    /// has none, and then no record is believed.
    fn stamps(&self) -> impl Future<Output = io::Result<Vec<Option<Stamp>>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Looks whether the files are still what they were when this was asked last; cheap, for nothing is read. A
    /// storage without files never loses any.
    fn audit(&self) -> impl Future<Output = io::Result<Vec<Loss>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The resume record as it was last kept ([`proto::resume`]); nothing if there is none.
    fn load_record(&self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send {
        async { Ok(None) }
    }

    /// Replaces the resume record: whatever happens, the next run finds the old one or the new one, and once
    /// this has ended, the new one. A storage that keeps none is as good as one that loses it.
    fn keep_record(&self, record: Bytes) -> impl Future<Output = io::Result<()>> + Send {
        drop(record);
        async { Ok(()) }
    }

    /// Says how much each file is wanted, by its number, before anything is read and whenever that changes. What
    /// this does not reach is normal. A storage without files need not care.
    fn select(&self, of_files: Vec<Priority>) -> impl Future<Output = io::Result<()>> + Send {
        drop(of_files);
        async { Ok(()) }
    }
}

/// A file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub path: PathBuf,
    /// What happened to it, as in "the file … is gone".
    pub what: &'static str,
    /// The pieces that have bytes in it.
    pub pieces: Vec<PieceIndex>,
}

/// A shared storage is a storage, so that whoever started an engine can look at its content.
impl<S: Storage> Storage for Arc<S> {
    fn read(&self, block: Block) -> impl Future<Output = io::Result<Bytes>> + Send {
        S::read(self, block)
    }

    fn write(&self, block: Block, data: Bytes) -> impl Future<Output = io::Result<()>> + Send {
        S::write(self, block, data)
    }

    fn hash(&self, piece: PieceIndex) -> impl Future<Output = io::Result<PieceHash>> + Send {
        S::hash(self, piece)
    }

    fn flush(&self) -> impl Future<Output = io::Result<()>> + Send {
        S::flush(self)
    }

    fn parallelism(&self) -> usize {
        S::parallelism(self)
    }

    fn stamps(&self) -> impl Future<Output = io::Result<Vec<Option<Stamp>>>> + Send {
        S::stamps(self)
    }

    fn audit(&self) -> impl Future<Output = io::Result<Vec<Loss>>> + Send {
        S::audit(self)
    }

    fn load_record(&self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send {
        S::load_record(self)
    }

    fn keep_record(&self, record: Bytes) -> impl Future<Output = io::Result<()>> + Send {
        S::keep_record(self, record)
    }

    fn select(&self, of_files: Vec<Priority>) -> impl Future<Output = io::Result<()>> + Send {
        S::select(self, of_files)
    }
}
