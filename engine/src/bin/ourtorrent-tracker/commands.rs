//! Commands on the database, also while a tracker serves from it: lists, passkeys, secrets, backup.
//!
//! A serving tracker sees what they change within two seconds, without a signal.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use engine::tracker::{SqliteStore, Verdict};
use proto::id::InfoHash;
use proto::registry::{Passkey, Secret};
use serde_json::{Value, json};

/// Torrents of one command at the most: its transaction must not hold up a serving tracker.
const MAX_TORRENTS: usize = 10_000;

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Allow and deny torrents by info hash
    #[command(subcommand)]
    Torrent(Torrent),
    /// Let users of a private tracker in and out
    #[command(subcommand)]
    Passkey(Users),
    /// Replace the secret of connection ids
    ///
    /// Ids of the old one stay good for their time, so that clients notice nothing. Done twice, they are
    /// worthless at once.
    Rotate,
    /// Copy the database while the tracker serves, and check the copy
    Backup {
        /// Where to
        to: PathBuf,
        /// Replace what is there
        #[arg(long)]
        force: bool,
    },
}

/// Commands on the lists of torrents.
#[derive(Debug, Subcommand)]
pub(crate) enum Torrent {
    /// List as allowed; counts with access = allow
    Allow {
        /// 40 hexadecimal digits each
        #[arg(required = true, num_args = 1..=MAX_TORRENTS)]
        info_hash: Vec<InfoHash>,
    },
    /// List as denied; counts unless access = open
    Deny {
        /// 40 hexadecimal digits each
        #[arg(required = true, num_args = 1..=MAX_TORRENTS)]
        info_hash: Vec<InfoHash>,
    },
    /// Take off the list
    Forget {
        /// 40 hexadecimal digits each
        #[arg(required = true, num_args = 1..=MAX_TORRENTS)]
        info_hash: Vec<InfoHash>,
    },
    /// Show the list
    List,
}

/// Commands on passkeys.
#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Let a user in, and print the passkey; without one a random one is made
    Add {
        /// 32 hexadecimal digits
        passkey: Option<Passkey>,
        /// Whose it is
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let a user in no more
    Revoke {
        /// 32 hexadecimal digits
        passkey: Passkey,
    },
    /// Show all passkeys with their notes
    List,
}

/// What a command has to say: for people, and for scripts.
struct Said {
    text: String,
    json: Value,
}

impl Said {
    fn new(text: impl Display, json: Value) -> Self {
        Self { text: text.to_string(), json }
    }
}

/// Carries out `command` on the database `db`.
pub(crate) fn run(command: &Command, db: Option<&Path>, as_json: bool) -> anyhow::Result<()> {
    let db = db.context("which database? Name it with --db, or a configuration with --config")?;
    let said = match command {
        Command::Torrent(command) => torrent(command, db)?,
        Command::Passkey(command) => passkey(command, db)?,
        Command::Rotate => {
            SqliteStore::open_beside(db)?.rotate(Secret(random()?))?;
            Said::new("the secret is replaced", json!({ "rotated": true }))
        }
        Command::Backup { to, force } => backup(db, to, *force)?,
    };
    if as_json {
        println!("{}", said.json);
    } else if !said.text.is_empty() {
        println!("{}", said.text);
    }
    Ok(())
}

fn torrent(command: &Torrent, db: &Path) -> anyhow::Result<Said> {
    let mut store = SqliteStore::open_beside(db)?;
    let (torrents, verdict) = match command {
        Torrent::Allow { info_hash } => (info_hash, Some(Verdict::Allow)),
        Torrent::Deny { info_hash } => (info_hash, Some(Verdict::Deny)),
        Torrent::Forget { info_hash } => (info_hash, None),
        Torrent::List => {
            let listed = store.judged()?;
            let line = |(torrent, verdict): &(InfoHash, Verdict)| format!("{} {torrent}", verdict.word());
            let json = |(torrent, verdict): &(InfoHash, Verdict)| json!({ "info_hash": torrent.to_string(), "verdict": verdict.word() });
            return Ok(Said::new(lines(&listed, line), listed.iter().map(json).collect()));
        }
    };
    let changed = store.judge(torrents, verdict)?;
    Ok(Said::new(format_args!("{changed} changed"), json!({ "changed": changed })))
}

fn passkey(command: &Users, db: &Path) -> anyhow::Result<Said> {
    let mut store = SqliteStore::open_beside(db)?;
    match command {
        Users::Add { passkey, note } => {
            let passkey = passkey.map_or_else(|| random().map(Passkey), Ok)?;
            store.add_passkey(passkey, note)?;
            Ok(Said::new(passkey, json!({ "passkey": passkey.to_string(), "note": note })))
        }
        Users::Revoke { passkey } => {
            let revoked = store.revoke_passkey(*passkey)?;
            let text = if revoked { "revoked" } else { "it was not known" };
            Ok(Said::new(text, json!({ "revoked": revoked })))
        }
        Users::List => {
            let users = store.passkeys()?;
            let line =
                |(passkey, note): &(Passkey, String)| format!("{passkey} {note}").trim_end().to_owned();
            let json =
                |(passkey, note): &(Passkey, String)| json!({ "passkey": passkey.to_string(), "note": note });
            Ok(Said::new(lines(&users, line), users.iter().map(json).collect()))
        }
    }
}

fn backup(db: &Path, to: &Path, force: bool) -> anyhow::Result<Said> {
    let made = SqliteStore::backup(db, to, force)?;
    let text = format!(
        "{}: {} bytes, {} torrents counted, {} pages of swarms; checked",
        to.display(),
        made.bytes,
        made.torrents,
        made.swarm_pages
    );
    Ok(Said::new(text, serde_json::to_value(made)?))
}

fn lines<T>(rows: &[T], line: impl Fn(&T) -> String) -> String {
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
