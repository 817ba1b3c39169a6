//! The blocking half of the file storage: a torrent's content laid over files below one folder.
//!
//! Paths have been made safe by the metainfo; this half also refuses to go through a symbolic link below the
//! root, which would lead out of it whatever the torrent says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use proto::metainfo::{FileEntry, FileKind, Metainfo, Span};
use proto::piece::PieceIndex;
use proto::resume::Stamp;
use thiserror::Error;

use super::audit::{Seen, Sights, Touched};
use super::below::{self, Purpose};
use super::parts::Parts;
use super::positioned::{read_exact_at, write_all_at};
use super::record::{stamp, sync_folder};
use super::room::{self, Allocation};

/// Files held open at a time. Descriptors are scarce (1,024 is a common limit) and sockets need them too.
const OPEN_FILES: usize = 128;

/// What may be done with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is ever changed: seeding and verifying.
    ReadOnly,
    /// Files and folders are made as content arrives.
    ReadWrite,
}

/// What to do about a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    Fail,
    Create,
}

/// A file that could not be used, and why.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {reason}", path.display())]
pub struct FileError {
    /// What was tried: `open`, `create`, `read`, `write`, …
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub reason: io::Error,
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(error.reason.kind(), error)
    }
}

/// Content as files.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) root: PathBuf,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) access: Access,
    pub(super) allocation: Allocation,
    pub(super) parts: Parts,
    /// Which files are not wanted and not there: what comes of them goes to the part file. Held by whoever moves
    /// bytes, alone by who changes it.
    pub(super) aside: RwLock<Vec<bool>>,
    open: Mutex<OpenFiles>,
}

/// Where a span's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Zeros need no place.
    Nowhere,
    Parts,
    File,
}

#[derive(Debug, Default)]
struct OpenFiles {
    files: BTreeMap<usize, (u64, Arc<File>)>,
    /// Counts uses; the file with the smallest count is closed first.
    uses: u64,
    /// Written since the last flush, by us or, if it was there when we came, by whoever was here before.
    dirty: BTreeSet<usize>,
    /// Written since the last audit.
    touched: Touched,
    /// What the last audit saw.
    sights: Sights,
    /// Folders with an entry made since the last flush.
    new_entries: BTreeSet<PathBuf>,
}

impl Disk {
    pub(super) fn new(
        root: PathBuf,
        metainfo: Arc<Metainfo>,
        access: Access,
        allocation: Allocation,
    ) -> io::Result<Self> {
        let parts = Parts::open(&root, &metainfo, access)?;
        let (aside, open) = (RwLock::new(vec![false; metainfo.files().len()]), Mutex::default());
        Ok(Self { root, metainfo, access, allocation, parts, aside, open })
    }

    /// Fills `buffer` from byte `offset` of the content on, all of it in one piece.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner);
        let (mut rest, mut at) = (buffer, offset);
        for span in self.metainfo.spans(offset, rest.len() as u64) {
            let (part, more) = rest.split_at_mut_checked(span.len as usize).ok_or(ErrorKind::InvalidInput)?;
            match self.place(&aside, span) {
                Place::Nowhere => part.fill(0),
                Place::Parts => {
                    let (piece, within) = self.locate(at)?;
                    self.parts.read(piece, within, part)?;
                }
                Place::File => {
                    let file = self.file(span.file, Absent::Fail)?;
                    let read = read_exact_at(&file, part, span.offset);
                    read.map_err(|error| self.blame("read", span.file, error))?;
                }
            }
            (rest, at) = (more, at + span.len);
        }
        if rest.is_empty() { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) }
    }

    /// Writes `bytes` from byte `offset` of the content on, all of them in one piece.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner);
        let (mut rest, mut at) = (bytes, offset);
        for span in self.metainfo.spans(offset, bytes.len() as u64) {
            let (part, more) = rest.split_at_checked(span.len as usize).ok_or(ErrorKind::InvalidInput)?;
            match self.place(&aside, span) {
                Place::Nowhere => {}
                Place::Parts => {
                    let (piece, within) = self.locate(at)?;
                    self.parts.write(piece, within, part)?;
                }
                Place::File => self.write_file(span, part)?,
            }
            (rest, at) = (more, at + span.len);
        }
        if rest.is_empty() { Ok(()) } else { Err(ErrorKind::InvalidInput.into()) }
    }

    /// Writes to a file, which is made if it is missing.
    pub(super) fn write_file(&self, span: Span, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(span.file, Absent::Create)?;
        self.touch(span.file);
        write_all_at(&file, bytes, span.offset).map_err(|error| self.blame("write", span.file, error))
    }

    /// Is the disk known to hold nothing but zeros from byte `offset` of the content on?
    pub(super) fn is_hole(&self, offset: u64, len: u64) -> bool {
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner);
        self.metainfo.spans(offset, len).all(|span| match self.place(&aside, span) {
            Place::Nowhere => true,
            Place::Parts => false,
            Place::File => self
                .file(span.file, Absent::Fail)
                .is_ok_and(|file| room::is_hole(&file, span.offset, span.len)),
        })
    }

    //= BEP 47: padding files are not to be written to disk.
    fn place(&self, aside: &[bool], span: Span) -> Place {
        match self.metainfo.files().get(span.file) {
            Some(entry) if entry.is_padding() => Place::Nowhere,
            _ if aside.get(span.file) == Some(&true) => Place::Parts,
            _ => Place::File,
        }
    }

    /// The piece that byte `at` of the content lies in, and the byte's place in it.
    pub(super) fn locate(&self, at: u64) -> io::Result<(PieceIndex, u32)> {
        let geometry = self.metainfo.geometry();
        let piece = geometry.piece((at / u64::from(geometry.piece_len())) as u32);
        let piece = piece.ok_or(ErrorKind::InvalidInput)?;
        Ok((piece, (at - geometry.start_of(piece)) as u32))
    }

    /// Makes what was written survive a power cut, the names of new files included; also makes the files that
    /// have no content.
    pub(super) fn flush(&self) -> io::Result<()> {
        let dirty = std::mem::take(&mut self.lock().dirty);
        for &index in &dirty {
            let synced = self
                .file(index, Absent::Fail)
                .and_then(|file| file.sync_data().map_err(|error| self.blame("save", index, error)));
            match synced {
                // Somebody else's content; systems differ in whether a reader may save it.
                Ok(()) | Err(_) if self.access == Access::ReadOnly => {}
                synced => synced.inspect_err(|_| self.lock().dirty.extend(&dirty))?,
            }
        }
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        self.parts.flush()?;
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_empty =
            |(index, entry): &(usize, &FileEntry)| entry.len == 0 && aside.get(*index) != Some(&true);
        for (index, entry) in self.metainfo.files().iter().enumerate().filter(is_empty) {
            match &entry.kind {
                FileKind::Link(target) => self.link(index, target)?,
                FileKind::Padding => {}
                FileKind::Plain | FileKind::Executable => drop(self.file(index, Absent::Create)?),
            }
        }
        let folders = std::mem::take(&mut self.lock().new_entries);
        folders.iter().try_for_each(|folder| sync_folder(folder)).inspect_err(|_| {
            self.lock().new_entries.extend(folders);
        })
    }

    /// Bytes that file `index` has on the disk, or nothing if there is no such file. The next flush includes it:
    /// whoever wrote it may have been killed before it was safe.
    pub(super) fn found(&self, index: usize) -> io::Result<Option<u64>> {
        let found = self.look_at(index)?;
        if found.is_some() {
            self.lock().dirty.insert(index);
        }
        Ok(found.map(|found| found.len()))
    }

    /// Length and time of every file.
    pub(super) fn stamps(&self) -> io::Result<Vec<Option<Stamp>>> {
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner).clone();
        let files = self.metainfo.files().iter().enumerate();
        let stamp = |(index, entry): (usize, &FileEntry)| match &entry.kind {
            // Nobody can have changed what is nowhere.
            FileKind::Padding | FileKind::Link(_) => Ok(Some(Stamp { len: entry.len, modified: 0 })),
            // Its bytes are in the part file.
            _ if aside.get(index) == Some(&true) => self.parts.stamp(),
            FileKind::Plain | FileKind::Executable => {
                Ok(self.look_at(index)?.and_then(|found| stamp(&found)))
            }
        };
        files.map(stamp).collect()
    }

    pub(super) fn look_at(&self, index: usize) -> io::Result<Option<Metadata>> {
        let path = self.path(index);
        match self.refuse_links(index).and_then(|()| fs::symlink_metadata(&path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.blame("look at", index, error)),
        }
    }

    /// File `index` changes, and by our hand.
    pub(super) fn touch(&self, index: usize) {
        let mut open = self.lock();
        open.dirty.insert(index);
        open.touched.insert(index);
    }

    /// The files that we wrote to since this was asked last.
    pub(super) fn take_touched(&self) -> Touched {
        std::mem::take(&mut self.lock().touched)
    }

    /// Did we write to file `index` since the last audit?
    pub(super) fn is_touched(&self, index: usize) -> bool {
        self.lock().touched.contains(&index)
    }

    /// Notes what file `index` looks like; returns what it looked like before.
    pub(super) fn saw(&self, index: usize, found: Option<Seen>) -> Option<Seen> {
        let sights = &mut self.lock().sights;
        match found {
            Some(found) => sights.insert(index, found),
            None => sights.remove(&index),
        }
    }

    /// Forgets the open file `index`: its name stands for another one, or for none.
    pub(super) fn close(&self, index: usize) {
        self.lock().files.remove(&index);
    }

    fn lock(&self) -> MutexGuard<'_, OpenFiles> {
        // No code that may panic runs under this lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self, index: usize, absent: Absent) -> io::Result<Arc<File>> {
        let mut open = self.lock();
        open.uses += 1;
        let now = open.uses;
        if let Some((used, file)) = open.files.get_mut(&index) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        drop(open);
        let file = Arc::new(self.open(index, absent).map_err(|error| self.blame("open", index, error))?);
        let mut open = self.lock();
        if open.files.len() >= OPEN_FILES
            && let Some((&oldest, _)) = open.files.iter().min_by_key(|(_, (used, _))| *used)
        {
            open.files.remove(&oldest);
        }
        open.files.insert(index, (now, Arc::clone(&file)));
        Ok(file)
    }

    fn open(&self, index: usize, absent: Absent) -> io::Result<File> {
        self.refuse_links(index)?;
        let path = self.components(index);
        let purpose = if self.access == Access::ReadOnly { Purpose::Read } else { Purpose::Write };
        match below::open(&self.root, path, purpose) {
            Err(error) if error.kind() == ErrorKind::NotFound && absent == Absent::Create => {}
            outcome => return outcome,
        }
        let kind = self.metainfo.files().get(index).map(|entry| &entry.kind);
        let executable = kind == Some(&FileKind::Executable);
        let made = below::open(&self.root, path, Purpose::Create { executable })?;
        self.name_made(index);
        Ok(made)
    }

    /// A name was made in the folder of file `index`, and perhaps the folders above it.
    pub(super) fn name_made(&self, index: usize) {
        let path = self.path(index);
        let ours = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
        self.lock().new_entries.extend(ours.map(Path::to_owned));
    }

    /// Refuses file `index` if it or a folder above it, up to the root, is a symbolic link.
    pub(super) fn refuse_links(&self, index: usize) -> io::Result<()> {
        let mut path = self.root.clone();
        for component in self.components(index) {
            path.push(component);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let why =
                        format!("{} is a symbolic link, and torrents do not follow those", path.display());
                    return Err(io::Error::new(ErrorKind::PermissionDenied, why));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn components(&self, index: usize) -> &[String] {
        self.metainfo.files().get(index).map_or(&[], |entry| &entry.path)
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        self.components(index).iter().fold(self.root.clone(), |path, component| path.join(component))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn blame(&self, action: &'static str, index: usize, reason: io::Error) -> io::Error {
        FileError { action, path: self.path(index), reason }.into()
    }
}
