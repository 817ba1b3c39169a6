//! The tables of the file, whose file it is, and how an older one is brought up to date.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, store_error};

/// Marks the file as ours: "OTTR".
const APPLICATION_ID: i64 = 0x4f54_5452;

/// Each step takes a file from version n to n + 1; steps are only ever added.
///
/// Pages have a row id: their rows are thousands of bytes long, for which `WITHOUT ROWID` is the wrong shape.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE secret (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE completed (
        info_hash BLOB PRIMARY KEY CHECK (length(info_hash) = 20),
        count INTEGER NOT NULL CHECK (count BETWEEN 0 AND 4294967295)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE torrent (
        info_hash BLOB PRIMARY KEY CHECK (length(info_hash) = 20),
        verdict TEXT NOT NULL CHECK (verdict IN ('allow', 'deny'))
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passkey (
        value BLOB PRIMARY KEY CHECK (length(value) = 16),
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE swarm_page (
        number INTEGER PRIMARY KEY CHECK (number BETWEEN 0 AND 65535),
        bytes BLOB NOT NULL
    ) STRICT;
",
];

/// Bytes to which the write-ahead log is cut after a checkpoint, when a burst has made it longer.
const WAL_LIMIT: u32 = 64 << 20;

/// Refuses somebody else's database before anything is written to it.
pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = || {
        let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(owner == APPLICATION_ID || (owner == 0 && tables == 0))
    };
    if read().map_err(|error| store_error(path, &error))? {
        return Ok(());
    }
    let reason = "it belongs to another program".to_owned();
    Err(StoreError::Damaged { path: path.to_owned(), reason })
}

/// The version that this program writes.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of the file, refused if a newer program made it.
fn version(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let known = known();
    let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let found = found.map_err(|error| store_error(path, &error))?;
    match usize::try_from(found) {
        Ok(version) if found <= known => Ok(version),
        Ok(_) | Err(_) => Err(StoreError::Newer { path: path.to_owned(), found, known }),
    }
}

/// Write-ahead log, and the missing steps of the schema.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    version(connection, path)?;
    let prepared = || {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", WAL_LIMIT)?;
        let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if owner == 0 { connection.pragma_update(None, "application_id", APPLICATION_ID) } else { Ok(()) }
    };
    prepared().map_err(|error: rusqlite::Error| store_error(path, &error))?;
    migrate(connection, path)
}

/// All missing steps or none: two programs that start at once must not both take them.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    if version(connection, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(|error| store_error(path, &error))?;
    let found = version(&transaction, path)?;
    let steps = MIGRATIONS.get(found..).unwrap_or_default();
    let migrated = steps.iter().try_for_each(|step| transaction.execute_batch(step));
    let marked = migrated.and_then(|()| transaction.pragma_update(None, "user_version", known()));
    marked.and_then(|()| transaction.commit()).map_err(|error| store_error(path, &error))
}
