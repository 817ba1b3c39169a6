//! The store in an `SQLite` file (rusqlite, bundled).
//!
//! Write-ahead log with `synchronous=NORMAL`: a flush costs no fsync, a crash of the process loses nothing
//! that was flushed, and a power cut undoes at most what was flushed since the last [`Store::sync`]. Secrets
//! and the operator's changes are committed with `FULL`. Calls block on the disk: wrap it in
//! [`Background`](super::background::Background).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::id::InfoHash;
use proto::registry::{Secrets, SwarmPage};
use rusqlite::{Connection, ErrorCode, params};

use super::store::{Batch, Control, Store, StoreError, Stored};

mod backup;
mod control;
mod schema;

#[cfg(test)]
mod tests;

pub use backup::BackupContent;
pub use control::Verdict;

/// How long a statement of a serving tracker waits for another process, such as an operator's command.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// How long a command waits for a serving tracker, whose transactions take milliseconds.
const COMMAND_WAIT: Duration = Duration::from_secs(10);

/// The tracker's database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// SQLite's count of others' commits, as of the last look.
    data_version: i64,
    /// Held while a tracker serves from the file; the system lets go of it however the process ends.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens or creates the file for a tracker that will serve from it, and brings it to the present version.
    /// A file that is not ours, is damaged, was written by a newer program or serves another tracker is
    /// refused and left alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let connection = Connection::open(path).map_err(|error| store_error(path, &error))?;
        Self::prepared(connection, path, BUSY_WAIT, Some(lock))
    }

    /// Opens the file for a command, beside a tracker that may be serving from it.
    pub fn open_beside(path: &Path) -> Result<Self, StoreError> {
        Self::prepared(backup::open_present(path)?, path, COMMAND_WAIT, None)
    }

    fn prepared(
        mut connection: Connection,
        path: &Path,
        wait: Duration,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        connection.busy_timeout(wait).map_err(|error| store_error(path, &error))?;
        schema::check_owner(&connection, path)?;
        schema::prepare(&mut connection, path)?;
        Ok(Self { connection, path: path.to_owned(), data_version: 0, _lock: lock })
    }

    fn run<R>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<R>) -> Result<R, StoreError> {
        work(&mut self.connection).map_err(|error| store_error(&self.path, &error))
    }

    /// Has another connection committed since the last call?
    fn is_changed_by_others(&mut self) -> Result<bool, StoreError> {
        let version =
            self.run(|connection| connection.pragma_query_value(None, "data_version", |row| row.get(0)))?;
        Ok(std::mem::replace(&mut self.data_version, version) != version)
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        // Before reading: what changes meanwhile is seen by the first poll.
        self.is_changed_by_others()?;
        self.run(|connection| {
            let reading = connection.transaction()?;
            let control = control::read(&reading)?;
            let mut rows = reading.prepare("SELECT info_hash, count FROM completed")?;
            let completed = rows.query_map([], |row| Ok((InfoHash(row.get(0)?), row.get(1)?)))?;
            let completed = completed.collect::<rusqlite::Result<_>>()?;
            let mut rows = reading.prepare("SELECT number, bytes FROM swarm_page")?;
            let pages =
                rows.query_map([], |row| Ok(SwarmPage { number: row.get(0)?, bytes: row.get(1)? }))?;
            let pages = pages.collect::<rusqlite::Result<_>>()?;
            Ok(Stored { control, completed, pages })
        })
    }

    fn keep_secrets(&mut self, secrets: &Secrets) -> Result<(), StoreError> {
        self.durably(|transaction| control::put_secrets(transaction, secrets))
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            put_counts(&transaction, &batch.completed)?;
            put_pages(&transaction, &batch.pages)?;
            transaction.commit()
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        // A checkpoint is the only fsync of WAL with NORMAL. A reader may keep it from being complete.
        self.run(|connection| connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
    }

    fn poll_control(&mut self) -> Result<Option<Control>, StoreError> {
        if !self.is_changed_by_others()? {
            return Ok(None);
        }
        let control = self.run(|connection| {
            let reading = connection.transaction()?;
            control::read(&reading)
        });
        // Asked again if it could not be read.
        control.inspect_err(|_| self.data_version = 0).map(Some)
    }
}

/// Writes absolute counts; zero takes the row away.
fn put_counts(connection: &Connection, counts: &[(InfoHash, u32)]) -> rusqlite::Result<()> {
    // A torrent that was forgotten and came back counts from zero; what is known to have happened stays.
    let mut put = connection.prepare_cached(
        "INSERT INTO completed (info_hash, count) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM completed WHERE info_hash = ?1")?;
    for (info_hash, count) in counts {
        let changed = if *count == 0 {
            delete.execute([info_hash.0])
        } else {
            put.execute(params![info_hash.0, count])
        };
        changed?;
    }
    Ok(())
}

/// Writes whole pages; an empty one takes the row away.
fn put_pages(connection: &Connection, pages: &[SwarmPage]) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO swarm_page (number, bytes) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET bytes = excluded.bytes",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM swarm_page WHERE number = ?1")?;
    for SwarmPage { number, bytes } in pages {
        let changed =
            if bytes.is_empty() { delete.execute([number]) } else { put.execute(params![number, bytes]) };
        changed?;
    }
    Ok(())
}

/// Keeps a second tracker away. A file beside the database: to close any handle of the database itself would
/// undo SQLite's own locks on it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push("-serving");
    let unusable =
        |error: &std::io::Error| StoreError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let file = File::create(PathBuf::from(name)).map_err(|error| unusable(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

/// What happened, in the words of whoever reads the log.
fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let reason = error.to_string();
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { path, reason },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unusable { path, reason }
        }
        Some(_) | None => StoreError::Failed(reason),
    }
}
