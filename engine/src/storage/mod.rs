//! Where a torrent's content lives.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::piece::{Block, PieceIndex};

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

    /// Makes everything written so far survive a crash.
    fn flush(&self) -> impl Future<Output = io::Result<()>> + Send;
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
}
