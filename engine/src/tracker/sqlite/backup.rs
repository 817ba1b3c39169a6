//! A copy of the file while a tracker serves from it (SQLite's online backup).
//!
//! All pages are copied in one step, within one read transaction: in a write-ahead log readers hold up
//! nobody, and a copy in many steps would begin again with each of the tracker's flushes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{SqliteStore, schema, store_error};
use crate::tracker::store::StoreError;

/// Tries to begin while a migration or a checkpoint holds the file.
const TRIES: u32 = 50;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What a verified copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BackupContent {
    /// Length of the copy.
    pub bytes: u64,
    /// Torrents with a count of completed downloads.
    pub torrents: u64,
    /// Pages of swarms.
    pub swarm_pages: u64,
}

impl SqliteStore {
    /// Copies the database `from` to `to`, opens the copy and checks all of it. `to` has its old content until the new
    /// one is whole and on disk; it is refused if it exists, unless `force`.
    pub fn backup(from: &Path, to: &Path, force: bool) -> Result<BackupContent, StoreError> {
        if to.exists() && !force {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        let part = with_suffix(to, ".part");
        let copied = copy(from, &part).and_then(|()| {
            let held = verify(&part)?;
            publish(&part, to).map_err(|error| unusable(to, &error))?;
            Ok(held)
        });
        if copied.is_err() {
            // Best effort: what failed has been said already.
            let _ = fs::remove_file(&part);
        }
        copied
    }
}

fn copy(from: &Path, part: &Path) -> Result<(), StoreError> {
    let source = open_present(from)?;
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(part, &error)),
        Ok(()) | Err(_) => {}
    }
    let copied = || {
        let mut target = Connection::open(part)?;
        copy_pages(&source, &mut target)?;
        // One file, without a log of its own, and on the disk when this returns.
        target.pragma_update(None, "journal_mode", "DELETE")
    };
    copied().map_err(|error: rusqlite::Error| store_error(part, &error))
}

fn copy_pages(source: &Connection, target: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, target)?;
    for _ in 0..TRIES {
        if backup.step(-1)? == StepResult::Done {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
}

/// Opens a database of ours that must be there.
pub(super) fn open_present(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| store_error(path, &error))?;
    schema::check_owner(&connection, path)?;
    Ok(connection)
}

/// Reads the whole copy as a tracker would, and as SQLite checks it.
fn verify(part: &Path) -> Result<BackupContent, StoreError> {
    let connection = open_present(part)?;
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
    };
    let checked = || {
        let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Pages came with version 2.
        let swarm_pages = if version < 2 { 0 } else { count("swarm_page")? };
        Ok((verdict, count("completed")?, swarm_pages))
    };
    let (verdict, torrents, pages) = checked().map_err(|error: rusqlite::Error| store_error(part, &error))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged { path: part.to_owned(), reason: verdict });
    }
    let bytes = fs::metadata(part).map_err(|error| unusable(part, &error))?.len();
    Ok(BackupContent { bytes, torrents: torrents.unsigned_abs(), swarm_pages: pages.unsigned_abs() })
}

/// Puts the finished copy in its place, so that a crash leaves the old one or the new one.
fn publish(part: &Path, to: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Folders cannot be opened everywhere; where they can, the new name is made safe too.
    File::open(folder).map_or(Ok(()), |folder| folder.sync_all())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), reason: error.to_string() }
}
