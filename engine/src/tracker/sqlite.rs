//! The store in an `SQLite` file (rusqlite, bundled).
//!
//! Write-ahead log with `synchronous=NORMAL`: a flush costs no fsync, a crash of the process loses nothing
//! that was flushed, and a power cut undoes at most what was flushed since the last [`Store::sync`]. The
//! secret is committed with `FULL`. Calls block on the disk: wrap it in
//! [`Background`](super::background::Background).

use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::id::InfoHash;
use proto::registry::Secret;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::store::{Batch, Store, StoreError, Stored};

/// Marks the file as ours: "OTTR".
const APPLICATION_ID: i64 = 0x4f54_5452;

/// Each step takes a file from version n to n + 1; steps are only ever added.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE secret (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE completed (
        info_hash BLOB PRIMARY KEY CHECK (length(info_hash) = 20),
        count INTEGER NOT NULL CHECK (count BETWEEN 0 AND 4294967295)
    ) STRICT, WITHOUT ROWID;
"];

/// How long a statement waits for another process, such as a backup.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// The tracker's database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens or creates the file and brings it to the present version. A file that is not ours, is damaged
    /// or was written by a newer program is refused and left alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(|error| store_error(path, &error))?;
        let mut store = Self { connection, path: path.to_owned() };
        store.check_owner()?;
        store.prepare().map_err(|error| store_error(path, &error))?;
        store.migrate()?;
        Ok(store)
    }

    /// Refuses somebody else's database before anything is written to it.
    fn check_owner(&self) -> Result<(), StoreError> {
        let read = || {
            let owner: i64 = self.connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
            let tables: i64 =
                self.connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            Ok(owner == APPLICATION_ID || (owner == 0 && tables == 0))
        };
        match read().map_err(|error| store_error(&self.path, &error)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Damaged {
                path: self.path.clone(),
                reason: "it belongs to another program".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(BUSY_WAIT)?;
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.connection.pragma_update(None, "application_id", APPLICATION_ID)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let wrap = |path: &Path, error: &rusqlite::Error| store_error(path, error);
        let found: i64 = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|error| wrap(&self.path, &error))?;
        if !(0..=known).contains(&found) {
            return Err(StoreError::Newer { path: self.path.clone(), found, known });
        }
        for (version, step) in (1..).zip(MIGRATIONS).skip(found.unsigned_abs() as usize) {
            let migrated = self.connection.transaction().and_then(|transaction| {
                transaction.execute_batch(step)?;
                transaction.pragma_update(None, "user_version", version)?;
                transaction.commit()
            });
            migrated.map_err(|error| wrap(&self.path, &error))?;
        }
        Ok(())
    }

    fn run<R>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<R>) -> Result<R, StoreError> {
        work(&mut self.connection).map_err(|error| store_error(&self.path, &error))
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.run(|connection| {
            let secret = connection
                .query_row("SELECT value FROM secret WHERE name = 'connection-id'", [], |row| row.get(0))
                .optional()?;
            let mut rows = connection.prepare("SELECT info_hash, count FROM completed")?;
            let completed = rows
                .query_map([], |row| Ok((InfoHash(row.get(0)?), row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Stored { secret: secret.map(Secret), completed })
        })
    }

    fn keep_secret(&mut self, secret: Secret) -> Result<(), StoreError> {
        self.run(|connection| {
            connection.pragma_update(None, "synchronous", "FULL")?;
            let kept = connection.execute(
                "INSERT INTO secret (name, value) VALUES ('connection-id', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                params![secret.0],
            );
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            kept.map(drop)
        })
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut upsert = transaction.prepare_cached(
                    "INSERT INTO completed (info_hash, count) VALUES (?1, ?2)
                     ON CONFLICT (info_hash) DO UPDATE SET count = max(count, excluded.count)",
                )?;
                for (info_hash, count) in &batch.completed {
                    upsert.execute(params![info_hash.0, count])?;
                }
            }
            transaction.commit()
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        // A checkpoint is the only fsync of WAL with NORMAL. A reader may keep it from being complete.
        self.run(|connection| connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("tracker.db")).expect("created");
        (folder, store)
    }

    fn batch(rows: u32) -> Batch {
        let hash = |n: u32| std::array::from_fn(|at| n.to_be_bytes()[at % 4]);
        Batch { completed: (0..rows).map(|n| (InfoHash(hash(n)), n)).collect() }
    }

    #[test]
    fn a_full_disk_undoes_the_flush_and_nothing_else() {
        let (_folder, mut store) = opened();
        store.flush(&batch(10)).expect("flushed");
        // SQLite gives the same error for its own limit as for the disk's.
        let limit = |store: &SqliteStore, pages: u32| {
            store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        };
        limit(&store, 8).expect("set");
        assert_eq!(store.flush(&batch(10_000)), Err(StoreError::Full));
        assert_eq!(store.load().map(|stored| stored.completed.len()), Ok(10));
        limit(&store, 100_000).expect("set");
        store.flush(&batch(10_000)).expect("flushed");
        assert_eq!(store.load().map(|stored| stored.completed.len()), Ok(10_000));
    }

    #[test]
    fn a_locked_database_is_busy_until_it_is_not() {
        let (folder, mut store) = opened();
        let other = Connection::open(folder.path().join("tracker.db")).expect("opened");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        assert_eq!(store.flush(&batch(1)), Err(StoreError::Busy));
        other.execute_batch("COMMIT").expect("released");
        store.flush(&batch(1)).expect("flushed");
        store.sync().expect("a checkpoint");
    }
}
