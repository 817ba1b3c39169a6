//! The simulated disk: a thousand peers hold the same content, and memory holds it once.
//!
//! Content is drawn from the scenario's seed. A block that equals the canonical bytes, compared byte for
//! byte, is remembered as one bit; a block that differs is kept as it is, for that peer alone. Hashing is
//! the real SHA-1 of what is stored; only for a piece that was found equal to the canonical one is the result
//! remembered. What a disk loses at a power cut and how it fails is in `durable`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use engine::clock::Clock;
use engine::storage::Storage;
use proto::bitfield::Bitfield;
use proto::id::PieceHash;
use proto::piece::{BLOCK_LEN, Block, Geometry, PieceIndex};
use proto::resume::Stamp;
use proto::seed::Seed;

mod durable;
mod hold;
#[cfg(test)]
mod tests;

pub use durable::Loss;
use durable::{Durable, Faults};
use hold::Hold;

/// What is shared: the bytes that every seeder starts with.
#[derive(Debug)]
pub struct Content {
    geometry: Geometry,
    bytes: Bytes,
    hashes: Vec<PieceHash>,
}

impl Content {
    /// Draws content of this shape.
    pub fn generate(geometry: Geometry, seed: Seed) -> Arc<Self> {
        let mut bytes = vec![0; usize::try_from(geometry.len()).unwrap_or(usize::MAX)];
        seed.rng().fill(&mut bytes);
        let pieces = bytes.chunks(geometry.piece_len() as usize);
        let hashes = pieces.map(PieceHash::of).collect();
        Arc::new(Self { geometry, bytes: bytes.into(), hashes })
    }

    /// Lengths and piece arithmetic.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The hash of each piece, in order.
    pub fn hashes(&self) -> &[PieceHash] {
        &self.hashes
    }

    fn slice(&self, at: u64, len: usize) -> Bytes {
        let at = at as usize;
        self.bytes.slice(at..at + len)
    }
}

/// What one peer has stored, in cells of 16 KiB (the last of a piece may be shorter). A cell that was never
/// written reads as zeros, like a hole in a file.
#[derive(Debug)]
struct Disk {
    /// One bit for each cell that holds the canonical bytes.
    canonical: Vec<u64>,
    /// Cells that hold anything else.
    differing: BTreeMap<usize, Box<[u8]>>,
    durable: Durable,
    faults: Faults,
}

impl Disk {
    fn is_canonical(&self, cell: usize) -> bool {
        self.canonical.get(cell / 64).is_some_and(|word| word & (1 << (cell % 64)) != 0)
    }

    fn is_hole(&self, cell: usize) -> bool {
        !self.is_canonical(cell) && !self.differing.contains_key(&cell)
    }

    fn set_canonical(&mut self, cell: usize, yes: bool) {
        if let Some(word) = self.canonical.get_mut(cell / 64) {
            let bit = 1 << (cell % 64);
            *word = if yes { *word | bit } else { *word & !bit };
        }
    }
}

/// One peer's disk. Clones are the same disk: it survives the crash of its host.
#[derive(Clone, Debug)]
pub struct SharedStorage {
    content: Arc<Content>,
    disk: Arc<Mutex<Disk>>,
    hold: Arc<Hold>,
}

impl SharedStorage {
    /// A disk that holds nothing.
    pub fn empty(content: Arc<Content>) -> Self {
        let cells = content.geometry.pieces() as usize * content.cells_per_piece();
        let disk = Disk {
            canonical: vec![0; cells.div_ceil(64)],
            differing: BTreeMap::new(),
            durable: Durable::default(),
            faults: Faults::default(),
        };
        Self { content, disk: Arc::new(Mutex::new(disk)), hold: Arc::default() }
    }

    /// A disk that holds everything.
    pub fn full(content: Arc<Content>) -> Self {
        let storage = Self::empty(content);
        storage.disk().canonical.fill(u64::MAX);
        storage
    }

    /// The pieces that are byte-identical to the canonical ones.
    pub fn canonical_pieces(&self) -> Bitfield {
        let geometry = self.content.geometry;
        let mut pieces = Bitfield::empty(geometry.pieces());
        let disk = self.disk();
        for piece in geometry.all_pieces().filter(|&piece| self.content.is_canonical(&disk, piece)) {
            pieces.set(piece);
        }
        pieces
    }

    /// The numbers of those pieces.
    pub(crate) fn sound_pieces(&self) -> Vec<u32> {
        let (geometry, disk) = (self.content.geometry, self.disk());
        let sound = geometry.all_pieces().filter(|&piece| self.content.is_canonical(&disk, piece));
        sound.map(PieceIndex::get).collect()
    }

    /// The hash that the torrent file has for a piece.
    pub(crate) fn right_hash(&self, piece: PieceIndex) -> PieceHash {
        self.content.hashes.get(piece.as_usize()).copied().unwrap_or_default()
    }

    /// Is there a block that was never written, and are all of those `these`, by their pieces and first bytes?
    pub(crate) fn lacks_only(&self, these: impl Fn((u32, u32)) -> bool) -> bool {
        let (geometry, disk) = (self.content.geometry, self.disk());
        let cells = |piece: PieceIndex| self.content.cells_of(piece).zip(0_u32..);
        let blocks = geometry.all_pieces().flat_map(|piece| cells(piece).map(move |cell| (piece, cell)));
        let mut lacking = blocks.filter(|(_, (cell, _))| disk.is_hole(*cell)).peekable();
        lacking.peek().is_some()
            && lacking.all(|(piece, (_, number))| these((piece.get(), number * BLOCK_LEN)))
    }

    /// Holds it still for an instant.
    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Bytes kept for this peer alone.
    pub fn own_bytes(&self) -> usize {
        self.disk().differing.values().map(|bytes| bytes.len()).sum()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A panic elsewhere leaves a disk as it was between two writes.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SharedStorage {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        self.ready(false).await?;
        Ok(self.content.read(&self.disk(), block.piece(), block.offset(), block.len()))
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        if data.len() != block.len() as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "data of another length than its block"));
        }
        self.ready(true).await?;
        self.content.write(&mut self.disk(), block, &data);
        Ok(())
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        self.ready(false).await?;
        let hash = self.content.hash(&self.disk(), piece)?;
        if hash == self.right_hash(piece) {
            self.hold.pass(piece).await;
        }
        Ok(hash)
    }

    async fn flush(&self) -> io::Result<()> {
        let flush = self.disk().begin_flush();
        self.ready(false).await?;
        self.disk().end_flush(&flush);
        Ok(())
    }

    async fn stamps(&self) -> io::Result<Vec<Option<Stamp>>> {
        self.ready(false).await?;
        Ok(vec![self.disk().stamp(self.content.geometry)])
    }

    async fn load_record(&self) -> io::Result<Option<Bytes>> {
        self.ready(false).await?;
        Ok(self.disk().record())
    }

    async fn keep_record(&self, record: Bytes) -> io::Result<()> {
        self.ready(true).await?;
        self.disk().set_record(record);
        Ok(())
    }
}

impl SharedStorage {
    /// Waits as long as a slow disk takes, and fails if the disk does; `grows` if it needs room.
    async fn ready(&self, grows: bool) -> io::Result<()> {
        let latency = self.disk().faults.latency.clone();
        if let Some((clock, latency)) = latency {
            clock.sleep_until(clock.now() + latency).await;
        }
        let disk = self.disk();
        if disk.faults.failing {
            return Err(io::Error::other("the simulated disk fails"));
        }
        if grows && disk.faults.full {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full"));
        }
        Ok(())
    }
}

/// A stretch of one cell.
struct Part {
    cell: usize,
    /// First byte of the cell in the content.
    start: u64,
    /// Bytes of the cell.
    len: usize,
    /// The stretch, from the cell's first byte.
    from: usize,
    to: usize,
}

impl Content {
    fn cells_per_piece(&self) -> usize {
        self.geometry.piece_len().div_ceil(BLOCK_LEN) as usize
    }

    fn cells_of(&self, piece: PieceIndex) -> std::ops::Range<usize> {
        let first = piece.as_usize() * self.cells_per_piece();
        first..first + self.geometry.blocks_of(piece) as usize
    }

    fn is_canonical(&self, disk: &Disk, piece: PieceIndex) -> bool {
        self.cells_of(piece).all(|cell| disk.is_canonical(cell))
    }

    fn hash(&self, disk: &Disk, piece: PieceIndex) -> io::Result<PieceHash> {
        if self.cells_of(piece).all(|cell| disk.is_hole(cell)) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was ever written there"));
        }
        if self.is_canonical(disk, piece) {
            return Ok(self.hashes.get(piece.as_usize()).copied().unwrap_or_default());
        }
        Ok(PieceHash::of(&self.read(disk, piece, 0, self.geometry.len_of(piece))))
    }

    /// The cells that `len` bytes of `piece` from `offset` touch.
    fn parts(&self, piece: PieceIndex, offset: u32, len: u32) -> impl Iterator<Item = Part> + use<> {
        let first = piece.as_usize() * self.cells_per_piece();
        let (piece_start, piece_len) = (self.geometry.start_of(piece), self.geometry.len_of(piece));
        (offset / BLOCK_LEN..(offset + len).div_ceil(BLOCK_LEN)).map(move |number| {
            let start = number * BLOCK_LEN;
            let end = piece_len.min(start + BLOCK_LEN);
            Part {
                cell: first + number as usize,
                start: piece_start + u64::from(start),
                len: (end - start) as usize,
                from: (offset.max(start) - start) as usize,
                to: ((offset + len).min(end) - start) as usize,
            }
        })
    }

    fn read(&self, disk: &Disk, piece: PieceIndex, offset: u32, len: u32) -> Bytes {
        let mut parts = self.parts(piece, offset, len);
        if parts.all(|part| disk.is_canonical(part.cell)) {
            return self.slice(self.geometry.start_of(piece) + u64::from(offset), len as usize);
        }
        let mut bytes = BytesMut::with_capacity(len as usize);
        for part in self.parts(piece, offset, len) {
            bytes.extend_from_slice(&self.cell(disk, &part)[part.from..part.to]);
        }
        bytes.freeze()
    }

    /// All bytes of a part's cell.
    fn cell(&self, disk: &Disk, part: &Part) -> Bytes {
        if disk.is_canonical(part.cell) {
            return self.slice(part.start, part.len);
        }
        disk.differing
            .get(&part.cell)
            .map_or_else(|| Bytes::from(vec![0; part.len]), |bytes| Bytes::copy_from_slice(bytes))
    }

    fn write(&self, disk: &mut Disk, block: Block, data: &[u8]) {
        let mut rest = data;
        for part in self.parts(block.piece(), block.offset(), block.len()) {
            let (new, after) = rest.split_at(part.to - part.from);
            rest = after;
            disk.note_write(part.cell);
            let canonical = self.slice(part.start, part.len);
            if new == &canonical[..] {
                disk.differing.remove(&part.cell);
                disk.set_canonical(part.cell, true);
                continue;
            }
            let mut cell = self.cell(disk, &part).to_vec();
            cell[part.from..part.to].copy_from_slice(new);
            self.put(disk, &part, cell);
        }
    }

    /// Makes `bytes` all of a part's cell.
    fn put(&self, disk: &mut Disk, part: &Part, bytes: Vec<u8>) {
        let same = bytes == self.slice(part.start, part.len);
        disk.set_canonical(part.cell, same);
        if same {
            disk.differing.remove(&part.cell);
        } else {
            disk.differing.insert(part.cell, bytes.into());
        }
    }
}
