//! What an operator changes with commands, also while a tracker serves from the file.
//!
//! Each change is committed with `FULL`: it is safe from a power cut when the command ends. A serving tracker
//! sees it within two seconds, by SQLite's `data_version`.

use proto::id::InfoHash;
use proto::registry::{Passkey, Secret, Secrets};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{SqliteStore, StoreError};
use crate::tracker::store::Control;

/// The names of the secrets.
const CURRENT: &str = "connection-id";
const PREVIOUS: &str = "connection-id-previous";

/// What the operator says of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may be tracked.
    Allow,
    /// It must not be tracked.
    Deny,
}

impl Verdict {
    /// As it stands in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl SqliteStore {
    /// Lists the torrents with `verdict`, or takes them off the list; how many rows that changed.
    pub fn judge(&mut self, torrents: &[InfoHash], verdict: Option<Verdict>) -> Result<usize, StoreError> {
        self.durably(|transaction| {
            let mut changed = 0;
            for torrent in torrents {
                changed += match verdict {
                    Some(verdict) => transaction.execute(
                        "INSERT INTO torrent (info_hash, verdict) VALUES (?1, ?2)
                         ON CONFLICT DO UPDATE SET verdict = excluded.verdict WHERE verdict != excluded.verdict",
                        params![torrent.0, verdict.word()],
                    )?,
                    None => transaction.execute("DELETE FROM torrent WHERE info_hash = ?1", [torrent.0])?,
                };
            }
            Ok(changed)
        })
    }

    /// The listed torrents, in order.
    pub fn judged(&mut self) -> Result<Vec<(InfoHash, Verdict)>, StoreError> {
        self.run(|connection| {
            let mut rows = connection.prepare("SELECT info_hash, verdict = 'allow' FROM torrent")?;
            let verdict = |allows| if allows { Verdict::Allow } else { Verdict::Deny };
            let rows = rows.query_map([], |row| Ok((InfoHash(row.get(0)?), verdict(row.get(1)?))))?;
            rows.collect()
        })
    }

    /// Lets the holder of `passkey` in; the note is for the operator.
    pub fn add_passkey(&mut self, passkey: Passkey, note: &str) -> Result<(), StoreError> {
        self.durably(|transaction| {
            let sql = "INSERT INTO passkey (value, note) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET note = excluded.note";
            transaction.execute(sql, params![passkey.0, note]).map(drop)
        })
    }

    /// Lets the holder of `passkey` in no more; false if it was not known.
    pub fn revoke_passkey(&mut self, passkey: Passkey) -> Result<bool, StoreError> {
        self.durably(|transaction| {
            Ok(transaction.execute("DELETE FROM passkey WHERE value = ?1", [passkey.0])? > 0)
        })
    }

    /// All passkeys with their notes.
    pub fn passkeys(&mut self) -> Result<Vec<(Passkey, String)>, StoreError> {
        self.run(|connection| {
            let mut rows = connection.prepare("SELECT value, note FROM passkey")?;
            rows.query_map([], |row| Ok((Passkey(row.get(0)?), row.get(1)?)))?.collect()
        })
    }

    /// Makes `new` the secret; ids of the present one stay good as long as they would have been.
    pub fn rotate(&mut self, new: Secret) -> Result<(), StoreError> {
        self.durably(|transaction| {
            let previous = secret(transaction, CURRENT)?;
            put_secrets(transaction, &Secrets { current: new, previous })
        })
    }

    /// Runs `work` in a transaction that is safe from a power cut when this returns.
    pub(super) fn durably<R>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>,
    ) -> Result<R, StoreError> {
        self.run(|connection| {
            connection.pragma_update(None, "synchronous", "FULL")?;
            let done = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(
                |transaction| {
                    let result = work(&transaction)?;
                    transaction.commit()?;
                    Ok(result)
                },
            );
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            done
        })
    }
}

/// Everything that the operator decides.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Control> {
    let current = secret(connection, CURRENT)?;
    let previous = secret(connection, PREVIOUS)?;
    let listed = |verdict: Verdict| {
        let mut rows = connection.prepare("SELECT info_hash FROM torrent WHERE verdict = ?1")?;
        rows.query_map([verdict.word()], |row| row.get(0).map(InfoHash))?.collect::<rusqlite::Result<_>>()
    };
    let mut passkeys = connection.prepare("SELECT value FROM passkey")?;
    let passkeys = passkeys.query_map([], |row| row.get(0).map(Passkey))?.collect::<rusqlite::Result<_>>()?;
    Ok(Control {
        secrets: current.map(|current| Secrets { current, previous }),
        allowed: listed(Verdict::Allow)?,
        denied: listed(Verdict::Deny)?,
        passkeys,
    })
}

/// Replaces the secrets.
pub(super) fn put_secrets(connection: &Connection, secrets: &Secrets) -> rusqlite::Result<()> {
    let put = "INSERT INTO secret (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(put, params![CURRENT, secrets.current.0])?;
    match secrets.previous {
        Some(previous) => connection.execute(put, params![PREVIOUS, previous.0])?,
        None => connection.execute("DELETE FROM secret WHERE name = ?1", [PREVIOUS])?,
    };
    Ok(())
}

fn secret(connection: &Connection, name: &str) -> rusqlite::Result<Option<Secret>> {
    let value = connection.query_row("SELECT value FROM secret WHERE name = ?1", [name], |row| row.get(0));
    Ok(value.optional()?.map(Secret))
}
