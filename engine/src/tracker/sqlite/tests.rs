//! Tests of the database: what it keeps, refuses, survives, and lets others do beside it.

use std::fs;

use proto::registry::{Passkey, Secret};

use super::*;

/// The tables as the first release made them.
const VERSION_1: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 0x4f545452;
    CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE completed (
        info_hash BLOB PRIMARY KEY CHECK (length(info_hash) = 20),
        count INTEGER NOT NULL CHECK (count BETWEEN 0 AND 4294967295)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO secret VALUES ('connection-id', x'09090909090909090909090909090909');
    INSERT INTO completed VALUES (x'0101010101010101010101010101010101010101', 7);
    PRAGMA user_version = 1;
";

/// A new database in a folder of its own.
fn created() -> (tempfile::TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tracker.db");
    let store = SqliteStore::open(&path).expect("created");
    (folder, path, store)
}

fn hash(byte: u8) -> InfoHash {
    InfoHash([byte; 20])
}

fn batch(rows: impl IntoIterator<Item = (u8, u32)>, pages: &[(u16, &str)]) -> Batch {
    let page = |(number, text): &(u16, &str)| SwarmPage { number: *number, bytes: text.as_bytes().to_vec() };
    let completed = rows.into_iter().map(|(byte, count)| (hash(byte), count)).collect();
    Batch { completed, pages: pages.iter().map(page).collect() }
}

fn many(rows: u32) -> Batch {
    let name = |n: u32| InfoHash(std::array::from_fn(|at| n.to_be_bytes()[at % 4]));
    Batch { completed: (1..=rows).map(|n| (name(n), n)).collect(), pages: Vec::new() }
}

#[test]
fn it_gives_back_what_it_got() {
    let (_folder, path, mut store) = created();
    assert_eq!(store.load(), Ok(Stored::default()));
    let secrets = Secrets { current: Secret([9; 16]), previous: Some(Secret([8; 16])) };
    store.keep_secrets(&secrets).expect("kept");
    store.flush(&batch([(1, 10), (2, u32::MAX), (3, 3)], &[(0, "a"), (4095, "b")])).expect("flushed");
    store.flush(&batch([(1, 11)], &[(0, "aa"), (4095, "")])).expect("flushed");
    store.flush(&batch([(2, 1), (3, 0)], &[])).expect("flushed");
    // Killed here: what was flushed stands, without sync or close.
    let copy = SqliteStore::open_beside(&path).expect("opened").load().expect("loaded");
    assert_eq!(copy.control, Control { secrets: Some(secrets), ..Control::default() });
    let due = batch([(1, 11), (2, u32::MAX)], &[(0, "aa")]);
    assert_eq!((copy.completed, copy.pages), (due.completed, due.pages));
    store.close().expect("closed");
}

#[test]
fn a_file_of_the_first_release_is_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tracker.db");
    Connection::open(&path).and_then(|old| old.execute_batch(VERSION_1)).expect("an old file");
    for _ in 0..2 {
        let stored = SqliteStore::open(&path).and_then(|mut store| store.load()).expect("migrated");
        assert_eq!(stored.control.secrets, Some(Secret([9; 16]).into()));
        assert_eq!(stored.completed, [(hash(1), 7)]);
        assert_eq!(stored.pages, []);
    }
    let mut store = SqliteStore::open(&path).expect("opened");
    store.flush(&batch([(1, 8)], &[(5, "new")])).expect("the new tables are there");
    assert_eq!(store.run(|open| open.pragma_query_value(None, "user_version", |row| row.get(0))), Ok(2));
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let refusal = |path: &Path| SqliteStore::open(path).map(|_| ()).expect_err("refused");

    let text = "these are my holiday notes; ".repeat(100);
    fs::write(file("notes.txt"), &text).expect("written");
    assert!(matches!(refusal(&file("notes.txt")), StoreError::Damaged { .. }));
    assert_eq!(fs::read_to_string(file("notes.txt")).expect("read"), text);

    let foreign = Connection::open(file("foreign.db")).expect("created");
    foreign.execute_batch("CREATE TABLE mine (x)").expect("a table");
    assert!(matches!(refusal(&file("foreign.db")), StoreError::Damaged { .. }));

    drop(SqliteStore::open(&file("newer.db")).expect("created"));
    let newer = Connection::open(file("newer.db")).expect("opened");
    newer.pragma_update(None, "user_version", 99).expect("set");
    let due = StoreError::Newer { path: file("newer.db"), found: 99, known: schema::known() };
    assert_eq!(refusal(&file("newer.db")), due);
    assert!(due.to_string().contains("Install the newer program again"));

    assert!(matches!(refusal(&file("no/such/folder.db")), StoreError::Unusable { .. }));
    let missing = SqliteStore::open_beside(&file("none.db")).map(|_| ());
    assert_eq!(missing, Err(StoreError::Missing { path: file("none.db") }));
    assert!(!file("none.db").exists());
}

#[test]
fn a_damaged_file_is_told_not_mended() {
    let (_folder, path, mut store) = created();
    store.flush(&batch((0..200).map(|n| (n, 1)), &[])).expect("flushed");
    drop(store);
    let mut bytes = fs::read(&path).expect("read");
    bytes[4096..].fill(0x5a);
    fs::write(&path, &bytes).expect("written");
    let error = SqliteStore::open(&path).and_then(|mut store| store.load()).expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("put a copy in its place that `ourtorrent-tracker backup` made"));
    assert_eq!(fs::read(&path).expect("read"), bytes, "not a byte was changed");
    let backup = SqliteStore::backup(&path, &path.with_extension("copy"), false);
    assert!(matches!(backup, Err(StoreError::Damaged { .. })), "{backup:?}");
}

#[test]
fn a_full_disk_undoes_the_flush_and_nothing_else() {
    let (_folder, _, mut store) = created();
    store.flush(&many(10)).expect("flushed");
    // SQLite gives the same error for its own limit as for the disk's.
    let limit = |store: &SqliteStore, pages: u32| {
        store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    };
    limit(&store, 8).expect("set");
    assert_eq!(store.flush(&many(10_000)), Err(StoreError::Full));
    assert_eq!(store.load().map(|stored| stored.completed.len()), Ok(10));
    limit(&store, 100_000).expect("set");
    store.flush(&many(10_000)).expect("flushed");
    assert_eq!(store.load().map(|stored| stored.completed.len()), Ok(10_000));
}

#[test]
fn a_locked_database_is_busy_until_it_is_not() {
    let (_folder, path, mut store) = created();
    let other = Connection::open(path).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    assert_eq!(store.flush(&many(1)), Err(StoreError::Busy));
    other.execute_batch("COMMIT").expect("released");
    store.flush(&many(1)).expect("flushed");
    store.sync().expect("a checkpoint");
}

#[test]
fn two_trackers_do_not_serve_from_one_file() {
    let (_folder, path, store) = created();
    assert_eq!(SqliteStore::open(&path).map(|_| ()), Err(StoreError::InUse { path: path.clone() }));
    drop(store);
    SqliteStore::open(&path).expect("free again");
}

#[test]
fn what_commands_change_is_seen_by_the_tracker_once() {
    let (_folder, path, mut store) = created();
    store.keep_secrets(&Secret([1; 16]).into()).expect("kept");
    store.load().expect("loaded");
    let mut command = SqliteStore::open_beside(&path).expect("opened beside");
    assert_eq!(store.poll_control(), Ok(None));
    store.flush(&many(3)).expect("flushed");
    assert_eq!(store.poll_control(), Ok(None), "its own changes are no news");

    assert_eq!(command.judge(&[hash(1), hash(2)], Some(Verdict::Deny)), Ok(2));
    assert_eq!(command.judge(&[hash(2), hash(3)], Some(Verdict::Allow)), Ok(2));
    assert_eq!(command.judge(&[hash(2)], Some(Verdict::Allow)), Ok(0), "it was so");
    command.add_passkey(Passkey([4; 16]), "Ann").expect("added");
    command.add_passkey(Passkey([5; 16]), "Bob").expect("added");
    command.rotate(Secret([2; 16])).expect("rotated");
    let control = Control {
        secrets: Some(Secrets { current: Secret([2; 16]), previous: Some(Secret([1; 16])) }),
        allowed: vec![hash(2), hash(3)],
        denied: vec![hash(1)],
        passkeys: vec![Passkey([4; 16]), Passkey([5; 16])],
    };
    assert_eq!(store.poll_control(), Ok(Some(control)));
    assert_eq!(store.poll_control(), Ok(None));

    assert_eq!(command.judge(&[hash(1), hash(9)], None), Ok(1));
    assert_eq!(command.judged(), Ok(vec![(hash(2), Verdict::Allow), (hash(3), Verdict::Allow)]));
    assert_eq!(command.revoke_passkey(Passkey([4; 16])), Ok(true));
    assert_eq!(command.revoke_passkey(Passkey([4; 16])), Ok(false));
    assert_eq!(command.passkeys(), Ok(vec![(Passkey([5; 16]), "Bob".to_owned())]));
    let control = store.poll_control().expect("read").expect("changed");
    assert_eq!((control.denied, control.passkeys), (vec![], vec![Passkey([5; 16])]));
}

#[test]
fn a_backup_of_a_database_in_use_is_whole_and_overwrites_nothing() {
    let (folder, path, mut store) = created();
    store.flush(&batch([(1, 1), (2, 2)], &[(3, "page")])).expect("flushed");
    let to = folder.path().join("copy.db");
    let made = SqliteStore::backup(&path, &to, false).expect("copied");
    assert_eq!((made.torrents, made.swarm_pages), (2, 1));
    assert_eq!(made.bytes, fs::metadata(&to).expect("there").len());
    store.flush(&batch([(4, 4)], &[])).expect("it goes on");

    assert_eq!(SqliteStore::backup(&path, &to, false), Err(StoreError::Exists { path: to.clone() }));
    assert_eq!(SqliteStore::backup(&path, &to, true).map(|made| made.torrents), Ok(3));
    assert_eq!(SqliteStore::open(&to).and_then(|mut copy| copy.load()), store.load());
    let none = folder.path().join("none.db");
    assert_eq!(SqliteStore::backup(&none, &to, true), Err(StoreError::Missing { path: none }));
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).expect("read").flatten().map(|entry| entry.file_name()).collect();
    left.retain(|name| name.to_string_lossy().contains("part"));
    assert!(left.is_empty(), "{left:?}");
}

/// Opens what a crash left; the round of its counts, which must be one whole flush with its pages.
fn round_after_crash(path: &Path, file: &[u8], log: &[u8]) -> u32 {
    fs::write(path, file).expect("written");
    fs::write(format!("{}-wal", path.display()), log).expect("written");
    let stored = SqliteStore::open(path).and_then(|mut store| store.load()).expect("opens");
    let counts: Vec<u32> = stored.completed.iter().map(|(_, count)| *count).collect();
    let round = counts.first().copied().unwrap_or_default();
    assert_eq!(counts, vec![round; if round == 0 { 0 } else { 50 }], "one flush, whole");
    let page = round.to_string().repeat(3000).into_bytes();
    assert!(stored.pages.iter().all(|stored| stored.bytes == page), "with its pages");
    round
}

/// A power cut leaves the file as the last checkpoint made it and the log cut anywhere; one in the middle of
/// a checkpoint leaves the whole log and a file that is half new.
#[test]
fn any_crash_leaves_one_whole_flush() {
    let (folder, path, mut store) = created();
    let (wal, crashed) = (folder.path().join("tracker.db-wal"), |name| folder.path().join(name));
    for round in 1..=12_u32 {
        let text = round.to_string().repeat(3000);
        store.flush(&batch((0..50).map(|n| (n, round)), &[(1, &text), (2, &text)])).expect("flushed");
        let (file, log) = (fs::read(&path).expect("read"), fs::read(&wal).expect("read"));
        let synced = (round - 1) / 5 * 5;
        for eighth in 0..=8 {
            let name = crashed(format!("{round}-{eighth}.db"));
            let found = round_after_crash(&name, &file, &log[..log.len() * eighth / 8]);
            assert!((synced..=round).contains(&found), "{found} after {round}, cut {eighth}/8");
            assert!(eighth < 8 || found == round, "a kill loses nothing that was flushed");
        }
        if round % 5 == 0 {
            store.sync().expect("a checkpoint");
            let mut half = fs::read(&path).expect("read");
            let middle = (half.len() / 8192 * 4096).min(file.len());
            half.truncate(middle);
            half.extend(&file[middle..]);
            assert_eq!(round_after_crash(&crashed(format!("{round}-half.db")), &half, &log), round);
        }
    }
}
