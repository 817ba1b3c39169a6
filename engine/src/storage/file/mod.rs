//! Content as files below one folder: sparse, made lazily, read and written by position.
//!
//! Blocks wait in memory until their piece is complete (`unwritten`), then one blocking job hashes the
//! piece from memory and writes it if it is sound. Reads go by spans (`read_ahead`), the resume record has a
//! file of its own (`record`). This is the only place in the engine that uses threads.

mod audit;
mod below;
mod disk;
mod parts;
mod positioned;
mod read_ahead;
mod record;
mod room;
mod selected;
#[cfg(test)]
mod tests;
mod unwritten;

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::metainfo::{FileEntry, Metainfo, Priority};
use proto::piece::{BLOCK_LEN, Block, Geometry, PieceIndex};
use proto::resume::Stamp;
use sha1::{Digest, Sha1};
use thiserror::Error;
use tokio::task::spawn_blocking;

use self::disk::Disk;
pub use self::disk::{Access, FileError};
use self::read_ahead::{ReadAhead, SPAN_LEN, span_of};
pub use self::room::Allocation;
use self::unwritten::{Blocks, Unwritten};
use super::{Loss, Storage};

/// Why files cannot hold a torrent.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A file in the way is longer than the torrent's; it is not ours to cut.
    #[error("{} has {found} bytes, but the torrent's file only {want}; move it away", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes it has.
        found: u64,
        /// Bytes it should have.
        want: u64,
    },
    /// A file cannot be looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Two ticks of the coarsest clock that dates files on the systems we know: Linux at 100 Hz.
const CLOCK_TICKS: Duration = Duration::from_millis(20);

/// One torrent's content as files. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct FileStorage {
    shared: Arc<Shared>,
    record: Arc<Path>,
}

#[derive(Debug)]
struct Shared {
    metainfo: Arc<Metainfo>,
    disk: Disk,
    unwritten: Mutex<Unwritten>,
    /// Held while an incomplete piece goes to the files; shared by those who hash, since its blocks are in
    /// neither place for that time.
    moving: RwLock<()>,
    read_ahead: Mutex<ReadAhead>,
    /// The length of a row of zeros, and its hash.
    zeros: Mutex<Option<(u32, PieceHash)>>,
}

impl FileStorage {
    /// Looks at what lies below `root`, without reading content or making anything.
    pub fn open(root: &Path, metainfo: Arc<Metainfo>, access: Access) -> Result<Self, OpenError> {
        Self::open_with(root, metainfo, access, Allocation::default())
    }

    /// The same; `allocation` says when the disk's blocks are taken for the files that [`Storage::select`] leaves.
    pub fn open_with(
        root: &Path,
        metainfo: Arc<Metainfo>,
        access: Access,
        allocation: Allocation,
    ) -> Result<Self, OpenError> {
        let disk = Disk::new(root.to_owned(), Arc::clone(&metainfo), access, allocation)?;
        let stored = |(_, entry): &(usize, &FileEntry)| !entry.is_padding() && !entry.is_link();
        for (index, entry) in metainfo.files().iter().enumerate().filter(stored) {
            let Some(found) = disk.found(index)? else { continue };
            if found > entry.len && access == Access::ReadWrite {
                return Err(OpenError::TooLong { path: disk.path(index), found, want: entry.len });
            }
        }
        let (unwritten, moving, read_ahead) = (Mutex::default(), RwLock::default(), Mutex::default());
        let zeros = Mutex::default();
        let shared = Shared { metainfo, disk, unwritten, moving, read_ahead, zeros };
        let record = record::path(root, &shared.metainfo).into();
        Ok(Self { shared: Arc::new(shared), record })
    }

    /// Keeps the resume record in `folder` instead of beside the content.
    #[must_use]
    pub fn with_record_in(self, folder: &Path) -> Self {
        let record = record::path(folder, &self.shared.metainfo).into();
        Self { record, ..self }
    }

    /// The folder that holds the content.
    pub fn root(&self) -> &Path {
        self.shared.disk.root()
    }
}

impl Storage for FileStorage {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        let shared = &self.shared;
        if let Some(data) = lock(&shared.unwritten).find(block) {
            return Ok(data);
        }
        let geometry = shared.metainfo.geometry();
        let Some(within) = span_of(&geometry, block) else {
            return self.read_range(geometry.start_of_block(block), block.len()).await;
        };
        let span = lock(&shared.read_ahead).span(block.piece(), within.start);
        let start = geometry.start_of(block.piece()) + u64::from(within.start);
        let bytes = span.get_or_try_init(|| self.read_range(start, within.len)).await?;
        let offset = within.offset as usize;
        Ok(bytes.slice(offset..offset + block.len() as usize))
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        if data.len() != block.len() as usize {
            return Err(ErrorKind::InvalidInput.into());
        }
        let surplus = lock(&self.shared.unwritten).insert(block, data);
        match surplus {
            None => Ok(()),
            Some(piece) => self.blocking(move |shared| shared.make_room(piece)).await,
        }
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        self.blocking(move |shared| shared.settle(piece)).await
    }

    async fn flush(&self) -> io::Result<()> {
        self.blocking(|shared| shared.disk.flush()).await
    }

    async fn audit(&self) -> io::Result<Vec<Loss>> {
        let losses = self.blocking(|shared| Ok(shared.disk.audit())).await?;
        let lost = losses.iter().flat_map(|loss| &loss.pieces);
        lost.for_each(|&piece| lock(&self.shared.read_ahead).forget(piece));
        Ok(losses)
    }

    fn parallelism(&self) -> usize {
        available_parallelism().map_or(1, NonZeroUsize::get)
    }

    async fn stamps(&self) -> io::Result<Vec<Option<Stamp>>> {
        self.blocking(|shared| {
            let before = shared.disk.stamps()?;
            // A write within a tick of the clock that dates files leaves a file's time as it was. What comes in until
            // that clock has moved on is hashed at the next start all the same: either the record says that its piece
            // is unchecked, or its file gets no stamp. A later write shows.
            std::thread::sleep(CLOCK_TICKS);
            let after = shared.disk.stamps()?;
            Ok(before.into_iter().zip(after).map(|(then, now)| then.filter(|_| then == now)).collect())
        })
        .await
    }

    async fn load_record(&self) -> io::Result<Option<Bytes>> {
        let path = Arc::clone(&self.record);
        self.blocking(move |_| record::load(&path)).await
    }

    async fn keep_record(&self, record: Bytes) -> io::Result<()> {
        let path = Arc::clone(&self.record);
        self.blocking(move |_| record::keep(&path, &record)).await
    }

    async fn select(&self, of_files: Vec<Priority>) -> io::Result<()> {
        self.blocking(move |shared| shared.disk.select(&of_files)).await
    }
}

impl FileStorage {
    async fn read_range(&self, offset: u64, len: u32) -> io::Result<Bytes> {
        self.blocking(move |shared| {
            let mut buffer = vec![0; len as usize];
            shared.disk.read(offset, &mut buffer)?;
            Ok(buffer.into())
        })
        .await
    }

    /// Runs `job` on a thread that may block.
    async fn blocking<T, J>(&self, job: J) -> io::Result<T>
    where
        T: Send + 'static,
        J: FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || job(&shared)).await.map_err(io::Error::other)?
    }
}

impl Shared {
    /// Hashes a piece: from memory if all of it is there, and then writes it if it is sound; otherwise from
    /// the files, after what memory holds of it.
    fn settle(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let _still = self.moving.read().unwrap_or_else(PoisonError::into_inner);
        let geometry = self.metainfo.geometry();
        let Some(blocks) = lock(&self.unwritten).take(piece) else { return self.hash_files(piece) };
        if !blocks.cover(geometry.len_of(piece)) {
            self.write_out(piece, blocks)?;
            return self.hash_files(piece);
        }
        let mut hasher = Sha1::new();
        blocks.iter().for_each(|(_, data)| hasher.update(data));
        let hash = PieceHash(hasher.finalize().into());
        if hash == self.metainfo.hash_of(piece) {
            self.write_out(piece, blocks)?;
        }
        Ok(hash)
    }

    /// Writes what memory holds of `piece`, although more of it is to come.
    fn make_room(&self, piece: PieceIndex) -> io::Result<()> {
        let _alone = self.moving.write().unwrap_or_else(PoisonError::into_inner);
        let blocks = lock(&self.unwritten).take(piece);
        blocks.map_or(Ok(()), |blocks| self.write_out(piece, blocks))
    }

    /// Writes blocks to their files; on failure they go back to memory, so that nothing is lost.
    fn write_out(&self, piece: PieceIndex, blocks: Blocks) -> io::Result<()> {
        let start = self.metainfo.geometry().start_of(piece);
        let written =
            blocks.iter().try_for_each(|(offset, data)| self.disk.write(start + u64::from(offset), data));
        if written.is_err() {
            lock(&self.unwritten).put_back(piece, blocks);
        }
        lock(&self.read_ahead).forget(piece);
        written
    }

    fn hash_files(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let geometry: Geometry = self.metainfo.geometry();
        let (start, len) = (geometry.start_of(piece), geometry.len_of(piece));
        if self.disk.is_hole(start, len.into()) {
            return Ok(self.hash_zeros(len));
        }
        let mut hasher = Sha1::new();
        let mut buffer = vec![0; len.min(SPAN_LEN) as usize];
        for offset in (0..len).step_by(SPAN_LEN as usize) {
            let part = buffer.get_mut(..(len - offset).min(SPAN_LEN) as usize).unwrap_or_default();
            self.disk.read(start + u64::from(offset), part)?;
            hasher.update(part);
        }
        Ok(PieceHash(hasher.finalize().into()))
    }
}

impl Shared {
    /// The hash of `len` zeros: a new file has nothing else, and its pieces all have the same length.
    fn hash_zeros(&self, len: u32) -> PieceHash {
        let mut known = lock(&self.zeros);
        match *known {
            Some((of, hash)) if of == len => hash,
            _ => {
                let mut hasher = Sha1::new();
                let block = [0; BLOCK_LEN as usize];
                for at in (0..len).step_by(block.len()) {
                    hasher.update(block.get(..(len - at).min(BLOCK_LEN) as usize).unwrap_or_default());
                }
                let hash = PieceHash(hasher.finalize().into());
                *known = Some((len, hash));
                hash
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is whole between any two statements that could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
