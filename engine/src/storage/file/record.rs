//! The resume record's file: hidden, named by the info hash, and replaced as a whole.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use proto::metainfo::Metainfo;
use proto::resume::{MAX_RECORD_LEN, Stamp};

use super::FileError;

/// Where the record of this torrent lies in `folder`.
pub(super) fn path(folder: &Path, metainfo: &Metainfo) -> PathBuf {
    folder.join(format!(".{}.resume", metainfo.info_hash()))
}

/// The record's bytes, if there is one of a sensible length.
pub(super) fn load(path: &Path) -> io::Result<Option<Bytes>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(|error| blame("open", path, error))?,
    };
    let mut bytes = Vec::new();
    let most = MAX_RECORD_LEN as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(|error| blame("read", path, error))?;
    Ok(Some(bytes.into()))
}

/// Replaces the record: written beside it, made safe, and then given its name.
pub(super) fn keep(path: &Path, record: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension("resume-new");
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut file = File::create(&beside)?;
        file.write_all(record)?;
        file.sync_all()
    });
    written.map_err(|error| blame("write", &beside, error))?;
    let renamed = fs::rename(&beside, path).and_then(|()| sync_folder(folder));
    renamed.map_err(|error| blame("write", path, error))
}

/// Length and time of a file, unless it was written at a time that no number tells.
pub(super) fn stamp(found: &Metadata) -> Option<Stamp> {
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Stamp { len: found.len(), modified: i64::try_from(since.as_nanos()).ok()? })
}

/// Makes the names in `folder` survive a power cut. Where a folder cannot be opened as a file, the system
/// sees to that itself.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn blame(action: &'static str, path: &Path, reason: io::Error) -> io::Error {
    FileError { action, path: path.to_owned(), reason }.into()
}
