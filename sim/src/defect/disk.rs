//! A disk with a defect between it and the engine.

use std::io;

use bytes::Bytes;
use engine::storage::Storage;
use proto::id::PieceHash;
use proto::piece::{Block, PieceIndex};
use proto::resume::Stamp;

use super::SharedDefect;
use crate::storage::SharedStorage;

/// A simulated disk, seen through a defect.
#[derive(Clone, Debug)]
pub(crate) struct TamperedStorage {
    pub(crate) inner: SharedStorage,
    pub(crate) defect: SharedDefect,
}

impl Storage for TamperedStorage {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        let data = self.inner.read(block).await?;
        Ok(self.defect.lock().reads(block, data))
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        self.inner.write(block, data).await
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let stored = self.inner.hash(piece).await?;
        let right = self.inner.right_hash(piece);
        Ok(self.defect.lock().hashes(piece, stored, right))
    }

    async fn flush(&self) -> io::Result<()> {
        let flushes = self.defect.lock().flushes();
        if flushes { self.inner.flush().await } else { Ok(()) }
    }

    async fn stamps(&self) -> io::Result<Vec<Option<Stamp>>> {
        self.inner.stamps().await
    }

    async fn load_record(&self) -> io::Result<Option<Bytes>> {
        self.inner.load_record().await
    }

    async fn keep_record(&self, record: Bytes) -> io::Result<()> {
        self.inner.keep_record(record).await
    }
}
