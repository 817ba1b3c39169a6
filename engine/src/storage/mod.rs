//! Where a torrent's content lives.

use std::future::Future;
use std::io;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::piece::{Block, PieceIndex};

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
