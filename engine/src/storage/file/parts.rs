//! The part file: what pieces hold of files that nobody wants, so that those files are never made.
//!
//! A piece at the border of a wanted file has bytes of its neighbours, and without them it can be neither checked
//! nor shared. One hidden file a torrent, `.<info hash>.parts`, keeps them beside the content until the neighbour
//! is wanted too; the last one that moves out removes it. Numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 7 | `OTPARTS1` |
//! | 8 to 27 | the info hash |
//! | 28 to 31 | the piece length |
//! | 32 to 35 | the number of pieces |
//! | 36 on | 4 bytes a piece: the number of its slot, from 1, or 0 for none |
//! | from the next multiple of 4096 | slots, each as long as a piece; only bytes of unwanted files count |
//!
//! A crash between a slot's entry and its bytes leaves a piece that fails its hash, as in any file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::metainfo::Metainfo;
use proto::piece::PieceIndex;
use proto::resume::Stamp;

use super::below::{self, Purpose};
use super::disk::{Access, FileError};
use super::positioned::{read_exact_at, write_all_at};
use super::record::stamp;

const MAGIC: &[u8; 8] = b"OTPARTS1";

/// Bytes before the table of slots.
const HEAD_LEN: u64 = 36;

/// Slots begin at a multiple of this: a page of most disks.
const ALIGNMENT: u64 = 4096;

/// One torrent's part file, which need not exist.
#[derive(Debug)]
pub(super) struct Parts {
    root: PathBuf,
    name: String,
    head: Vec<u8>,
    pieces: u32,
    piece_len: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    slots: BTreeMap<u32, u32>,
    /// Slots that were given back.
    free: Vec<u32>,
    /// Slots that the file has had.
    count: u32,
    dirty: bool,
}

impl Parts {
    /// What an earlier run left, if it is this torrent's.
    pub(super) fn open(root: &Path, metainfo: &Metainfo, access: Access) -> io::Result<Self> {
        let (geometry, name) = (metainfo.geometry(), format!(".{}.parts", metainfo.info_hash()));
        let mut head = MAGIC.to_vec();
        head.extend(metainfo.info_hash().as_bytes());
        head.extend(geometry.piece_len().to_be_bytes());
        head.extend(geometry.pieces().to_be_bytes());
        let (pieces, piece_len) = (geometry.pieces(), geometry.piece_len());
        let parts = Self { root: root.to_owned(), name, head, pieces, piece_len, state: Mutex::default() };
        match parts.open_file(if access == Access::ReadOnly { Purpose::Read } else { Purpose::Write }) {
            Ok(file) => *parts.lock() = parts.load(file).map_err(|error| parts.blame("read", error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(parts.blame("open", error)),
        }
        Ok(parts)
    }

    /// Nothing is kept here.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().slots.is_empty()
    }

    /// The pieces of which something is kept here.
    pub(super) fn pieces(&self) -> Vec<u32> {
        self.lock().slots.keys().copied().collect()
    }

    /// Fills `buffer` from byte `offset` of `piece` on.
    pub(super) fn read(&self, piece: PieceIndex, offset: u32, buffer: &mut [u8]) -> io::Result<()> {
        let (file, slot) = {
            let state = self.lock();
            let slot = state.slots.get(&piece.get()).copied();
            match (&state.file, slot) {
                (Some(file), Some(slot)) => (Arc::clone(file), slot),
                _ => return Err(ErrorKind::NotFound.into()),
            }
        };
        let at = self.start_of(slot) + u64::from(offset);
        read_exact_at(&file, buffer, at).map_err(|error| self.blame("read", error))
    }

    /// Keeps `bytes`, which begin at byte `offset` of `piece`.
    pub(super) fn write(&self, piece: PieceIndex, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let placed = self
            .slot_for(piece)
            .and_then(|(file, slot)| write_all_at(&file, bytes, self.start_of(slot) + u64::from(offset)));
        placed.map_err(|error| self.blame("write", error))
    }

    /// Keeps nothing more of these pieces; without any, the file goes.
    pub(super) fn forget(&self, pieces: impl IntoIterator<Item = u32>) -> io::Result<()> {
        let mut state = self.lock();
        let Some(file) = state.file.clone() else { return Ok(()) };
        for piece in pieces {
            if let Some(slot) = state.slots.remove(&piece) {
                state.free.push(slot);
                write_all_at(&file, &[0; 4], entry_of(piece)).map_err(|error| self.blame("write", error))?;
            }
        }
        if state.slots.is_empty() {
            *state = State::default();
            fs::remove_file(self.path()).map_err(|error| self.blame("remove", error))?;
        }
        Ok(())
    }

    /// Makes what is kept survive a power cut.
    pub(super) fn flush(&self) -> io::Result<()> {
        let file = {
            let mut state = self.lock();
            state.file.clone().filter(|_| std::mem::take(&mut state.dirty))
        };
        let Some(file) = file else { return Ok(()) };
        file.sync_all().map_err(|error| self.blame("save", error)).inspect_err(|_| self.lock().dirty = true)
    }

    /// Its length and time, if it is there.
    pub(super) fn stamp(&self) -> io::Result<Option<Stamp>> {
        match fs::symlink_metadata(self.path()) {
            Ok(found) => Ok(stamp(&found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.blame("look at", error)),
        }
    }

    /// Where it lies, or would.
    pub(super) fn path(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, purpose: Purpose) -> io::Result<File> {
        below::open(&self.root, std::slice::from_ref(&self.name), purpose)
    }

    /// The table of a file that is there; one that is not ours or is damaged holds nothing.
    fn load(&self, file: File) -> io::Result<State> {
        let mut bytes = vec![0; HEAD_LEN as usize + self.pieces as usize * 4];
        match read_exact_at(&file, &mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(State::default()),
            outcome => outcome?,
        }
        let Some(table) = bytes.strip_prefix(self.head.as_slice()) else { return Ok(State::default()) };
        let entries = table.as_chunks::<4>().0.iter().map(|entry| u32::from_be_bytes(*entry));
        let slots: BTreeMap<u32, u32> = (0..).zip(entries).filter(|&(_, slot)| slot != 0).collect();
        let used: BTreeSet<u32> = slots.values().copied().collect();
        let count = used.last().copied().unwrap_or(0);
        if used.len() < slots.len() || count > self.pieces {
            return Ok(State::default());
        }
        let free = (1..=count).filter(|slot| !used.contains(slot)).collect();
        Ok(State { file: Some(Arc::new(file)), slots, free, count, dirty: true })
    }

    /// The slot of `piece`, given to it now if it has none.
    fn slot_for(&self, piece: PieceIndex) -> io::Result<(Arc<File>, u32)> {
        let mut state = self.lock();
        state.dirty = true;
        let file = match state.file.clone() {
            Some(file) => file,
            None => self.make()?,
        };
        state.file = Some(Arc::clone(&file));
        if let Some(&slot) = state.slots.get(&piece.get()) {
            return Ok((file, slot));
        }
        let slot = state.free.pop().unwrap_or(state.count + 1);
        // All of it must be readable, though some of it is never written.
        let len = file.metadata()?.len().max(self.start_of(slot + 1));
        file.set_len(len)?;
        write_all_at(&file, &slot.to_be_bytes(), entry_of(piece.get()))?;
        state.count = state.count.max(slot);
        state.slots.insert(piece.get(), slot);
        Ok((file, slot))
    }

    /// An empty part file; whatever was in its place was not ours.
    fn make(&self) -> io::Result<Arc<File>> {
        let file = self.open_file(Purpose::Create { executable: false })?;
        file.set_len(0)?;
        file.set_len(self.start_of(1))?;
        write_all_at(&file, &self.head, 0)?;
        Ok(Arc::new(file))
    }

    fn start_of(&self, slot: u32) -> u64 {
        let table = (HEAD_LEN + u64::from(self.pieces) * 4).next_multiple_of(ALIGNMENT);
        table + u64::from(slot - 1) * u64::from(self.piece_len)
    }

    fn blame(&self, action: &'static str, reason: io::Error) -> io::Error {
        FileError { action, path: self.path(), reason }.into()
    }
}

fn entry_of(piece: u32) -> u64 {
    HEAD_LEN + u64::from(piece) * 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::id::PieceHash;
    use proto::metainfo::create::{Content, Draft};
    use tempfile::TempDir;

    use super::*;

    const PIECE_LEN: u32 = 16 * 1024;

    fn torrent() -> Metainfo {
        let draft =
            Draft::new("set", Content::Single(6 * u64::from(PIECE_LEN)), Some(PIECE_LEN)).expect("valid");
        Metainfo::parse(&draft.finish(&[PieceHash::default(); 6]).expect("complete")).expect("our own")
    }

    fn open(root: &TempDir, metainfo: &Metainfo) -> Parts {
        Parts::open(root.path(), metainfo, Access::ReadWrite).expect("nothing in the way")
    }

    #[test]
    fn a_foreign_or_damaged_file_holds_nothing_and_is_replaced() {
        let (root, metainfo) = (TempDir::new().expect("a folder"), torrent());
        let piece = metainfo.geometry().piece(3).expect("in range");
        let path = open(&root, &metainfo).path();
        fs::write(&path, vec![1; 5000]).expect("written");
        let parts = open(&root, &metainfo);
        assert!(parts.is_empty() && parts.read(piece, 0, &mut [0]).is_err());
        parts.write(piece, 5, b"bytes").expect("room");
        let again = open(&root, &metainfo);
        let mut bytes = [9; 11];
        again.read(piece, 2, &mut bytes).expect("kept");
        assert_eq!(&bytes, b"\0\0\0bytes\0\0\0");
        again.forget([3]).expect("forgotten");
        assert!(!path.exists(), "nothing is left to keep");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_kept_comes_back_whatever_else_goes_and_whoever_restarts(
            acts in prop::collection::vec((0u32..6, 0u32..4, any::<u8>()), 1..40)
        ) {
            let (root, metainfo) = (TempDir::new().expect("a folder"), torrent());
            let mut parts = open(&root, &metainfo);
            let mut model: BTreeMap<u32, u8> = BTreeMap::new();
            for (piece, act, byte) in acts {
                match act {
                    0 => {
                        parts.forget([piece]).expect("forgotten");
                        model.remove(&piece);
                    }
                    1 => parts = open(&root, &metainfo),
                    _ => {
                        let index = metainfo.geometry().piece(piece).expect("in range");
                        parts.write(index, 0, &vec![byte; PIECE_LEN as usize]).expect("room");
                        model.insert(piece, byte);
                    }
                }
                prop_assert_eq!(parts.pieces(), model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(parts.path().exists(), !model.is_empty());
                for (&piece, &byte) in &model {
                    let mut found = vec![0; PIECE_LEN as usize];
                    let index = metainfo.geometry().piece(piece).expect("in range");
                    parts.read(index, 0, &mut found).expect("kept");
                    prop_assert!(found.iter().all(|&found| found == byte));
                }
            }
        }
    }
}
