//! Content in memory: for tests, and for whoever wants a swarm without a disk.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::id::PieceHash;
use proto::piece::{Block, Geometry, PieceIndex};

use super::Storage;

/// The content of one torrent in one buffer; unwritten bytes are zero.
#[derive(Debug)]
pub struct MemoryStorage {
    geometry: Geometry,
    content: Mutex<Vec<u8>>,
}

impl MemoryStorage {
    /// Nothing but zeros.
    pub fn empty(geometry: Geometry) -> Self {
        Self::with_content(geometry, Vec::new())
    }

    /// Starts with `content`, cut or filled with zeros to the torrent's length.
    pub fn with_content(geometry: Geometry, mut content: Vec<u8>) -> Self {
        content.resize(usize::try_from(geometry.len()).unwrap_or(usize::MAX), 0);
        Self { geometry, content: Mutex::new(content) }
    }

    /// A copy of all bytes.
    pub fn content(&self) -> Vec<u8> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes cannot be left half-updated in a way that their hash would not show.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        let content = self.lock();
        let range = range(self.geometry.start_of_block(block), block.len());
        content.get(range).map(Bytes::copy_from_slice).ok_or_else(foreign)
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        let mut content = self.lock();
        let range = range(self.geometry.start_of_block(block), block.len());
        let place = content.get_mut(range).filter(|place| place.len() == data.len()).ok_or_else(foreign)?;
        place.copy_from_slice(&data);
        Ok(())
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let content = self.lock();
        let range = range(self.geometry.start_of(piece), self.geometry.len_of(piece));
        content.get(range).map(PieceHash::of).ok_or_else(foreign)
    }

    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn range(start: u64, len: u32) -> std::ops::Range<usize> {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    start..start.saturating_add(len as usize)
}

fn foreign() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "the block belongs to another torrent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_hashed() {
        let geometry = Geometry::new(50_000, 32_768).expect("valid");
        let storage = MemoryStorage::empty(geometry);
        let last = geometry.piece(1).expect("two pieces");
        for block in geometry.blocks(last) {
            storage.write(block, vec![7; block.len() as usize].into()).await.expect("in range");
        }
        assert_eq!(storage.hash(last).await.expect("in range"), PieceHash::of(&vec![7; 17_232]));
        let block = geometry.block(last, 1).expect("two blocks");
        assert_eq!(storage.read(block).await.expect("in range"), vec![7; 848]);
        assert_eq!(storage.content()[..32_768], vec![0; 32_768]);
    }

    #[tokio::test]
    async fn a_block_of_another_torrent_is_an_error() {
        let storage = MemoryStorage::empty(Geometry::new(10, 10).expect("valid"));
        let other = Geometry::new(100, 50).expect("valid");
        let block = other.locate(1, 0, 50).expect("in range");
        assert_eq!(storage.read(block).await.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    }
}
