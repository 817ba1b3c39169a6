//! Configuration, reloads, and commands on the database of a tracker that serves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::client::Client;
use crate::process::{Tracker, binary, run, serving};

/// Tries until `is_so`, for as long as a tracker may take to see a change: two seconds, and time to spare.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let seen = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        is_so()
    });
    assert!(seen, "not within ten seconds: {what}");
}

/// Info hash of the torrent named by `byte`, in hexadecimal.
fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(20)
}

/// Runs a command on `db` that must work; its standard output.
fn command(db: &Path, args: &[&str]) -> String {
    let db = db.to_str().expect("a plain name");
    let (status, stdout, stderr) = run(args.iter().copied().chain(["--db", db]));
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

#[test]
fn a_wrong_configuration_is_status_2_and_shows_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracker.toml");
    fs::write(&file, "[rules]\ninterval = \"30 min\"\nintervall = 5\n").expect("written");
    let name = file.to_str().expect("a plain name");
    let due = format!(
        "error: {name}:3:1: unknown key `intervall` in [rules]\n   |\n 3 | intervall = 5\n   | ^^^^^^^^^\n   \
         = did you mean `interval`?\n"
    );
    for args in
        [&["--config", name][..], &["--config", name, "--check-config"], &["rotate", "--config", name]]
    {
        assert_eq!(run(args), (Some(2), String::new(), due.clone()));
    }
    let (status, _, stderr) = run(["--interval", "soon"]);
    assert_eq!(status, Some(2));
    assert!(stderr.starts_with("error: --interval: `soon` is not a duration"), "{stderr}");
    assert_eq!(run(["--no-such-flag"]).0, Some(2));
}

#[test]
fn what_is_printed_is_a_configuration_that_means_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracker.toml");
    let name = file.to_str().expect("a plain name");
    let (status, printed, _) =
        run(["--print-config", "--interval", "90", "--private", "true", "--db", "a.db"]);
    assert_eq!(status, Some(0));
    fs::write(&file, &printed).expect("written");
    assert_eq!(run(["--config", name, "--print-config"]), (Some(0), printed.clone(), String::new()));
    assert_eq!(run(["--config", name, "--check-config"]).0, Some(0));
    let (_, flags_win, _) = run(["--config", name, "--print-config", "--interval", "2min"]);
    assert_eq!(flags_win, printed.replace("interval = \"90 s\"", "interval = \"2 min\""));
}

#[test]
fn a_reload_takes_what_it_can_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, deny) = (folder.path().join("tracker.toml"), folder.path().join("deny.txt"));
    let write = |text: &str| fs::write(&file, text).expect("written");
    fs::write(&deny, "").expect("written");
    let listed = format!("access.deny_files = [{deny:?}]\n");
    write(&listed);
    let mut tracker = Tracker::of(binary().args(["--bind", "127.0.0.1:0", "--config"]).arg(&file));
    let client = Client::of(&tracker);
    assert_eq!(client.join(1, 1, &[]), Ok(()));

    fs::write(&deny, hex(1)).expect("written");
    tracker.signal("-HUP");
    tracker.wait_for("settings read again");
    assert_eq!(client.join(1, 1, &[]), Err("torrent not allowed on this tracker".to_owned()));

    write(&format!("{listed}listen.workers = 2\nstore.db = \"other.db\"\n"));
    tracker.signal("-HUP");
    let log = tracker.wait_for("settings read again");
    for key in ["listen.workers", "store.db"] {
        assert!(log.contains(&format!("{key} has changed, which takes effect at the next start")), "{log}");
    }

    write("access.mode = \"opn\"\n");
    tracker.signal("-HUP");
    let log = tracker.wait_for("did you mean");
    assert!(log.contains("the settings stay as they are"), "{log}");
    assert!(client.join(1, 1, &[]).is_err(), "still denied");
    assert_eq!(client.join(2, 1, &[]), Ok(()), "still serving");
    assert_eq!(tracker.terminate().0, Some(0));
}

#[test]
fn torrents_are_denied_and_forgotten_while_it_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let tracker = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&tracker);
    assert_eq!(client.join(1, 1, &[]), Ok(()));
    assert_eq!(command(&db, &["torrent", "deny", &hex(1), &hex(2)]), "2 changed\n");
    soon("denied", || client.join(1, 1, &[]).is_err());
    assert_eq!(client.join(3, 1, &[]), Ok(()));
    assert_eq!(command(&db, &["torrent", "allow", &hex(2)]), "1 changed\n");
    assert_eq!(command(&db, &["torrent", "list"]), format!("deny {}\nallow {}\n", hex(1), hex(2)));
    let json = command(&db, &["torrent", "list", "--json"]);
    assert!(json.starts_with(&format!("[{{\"info_hash\":\"{}\",\"verdict\":\"deny\"}}", hex(1))), "{json}");
    assert_eq!(command(&db, &["torrent", "forget", &hex(1), "--json"]), "{\"changed\":1}\n");
    soon("allowed again", || client.join(1, 1, &[]).is_ok());
    let (status, _, stderr) = run(["torrent", "deny", "xyz"]);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("an info hash is 40 hexadecimal digits"), "{stderr}");
}

#[test]
fn a_private_tracker_serves_who_has_a_passkey() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let tracker = Tracker::of(serving("127.0.0.1:0", &db).args(["--private", "true"]));
    let client = Client::of(&tracker);
    assert!(client.join(1, 1, &[]).expect_err("refused").starts_with("passkey missing"));
    let passkey = command(&db, &["passkey", "add", "--note", "Ann"]);
    let passkey = passkey.trim();
    assert_eq!(passkey.len(), 32);
    // BEP 41: option 2, the URL's path.
    let path = format!("/announce/{passkey}");
    let options = [&[2, path.len() as u8][..], path.as_bytes()].concat();
    soon("let in", || client.join(1, 1, &options).is_ok());
    assert_eq!(command(&db, &["passkey", "list"]), format!("{passkey} Ann\n"));
    assert_eq!(command(&db, &["passkey", "revoke", passkey]), "revoked\n");
    soon("not let in", || client.join(1, 1, &options) == Err("passkey unknown".to_owned()));
    assert_eq!(command(&db, &["passkey", "revoke", passkey]), "it was not known\n");
}

#[test]
fn secrets_are_rotated_without_a_client_noticing() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let mut tracker = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&tracker);
    let before = client.connect();
    command(&db, &["rotate"]);
    tracker.wait_for("the secret of connection ids was rotated");
    assert_ne!(client.connect(), before);
    assert_eq!(client.completed(before, 1), 0, "an old id is answered");
    assert_eq!(client.join(1, 1, &[]), Ok(()));
    let addr = tracker.addr.to_string();
    assert_eq!(tracker.terminate().0, Some(0));
    let again = Tracker::start(&addr, &db);
    assert_eq!(client.completed(before, 1), 0, "also after a restart");
    assert_eq!(client.seeders(1), 1, "and the swarms are where they were");
    drop(again);
}

#[test]
fn a_backup_is_made_while_it_serves_and_serves_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, copy) = (folder.path().join("tracker.db"), folder.path().join("copy.db"));
    let tracker = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&tracker);
    client.download(1, 1);
    let to = copy.to_str().expect("a plain name");
    soon("counted", || command(&db, &["backup", "--json", "--force", to]).contains("\"torrents\":1"));
    let (status, _, stderr) = run(["backup", "--db", db.to_str().expect("a plain name"), to]);
    assert_eq!(status, Some(1));
    assert_eq!(stderr, format!("error: {to} exists; choose another name, or overwrite it with --force\n"));

    let second = Tracker::start("127.0.0.1:0", &copy);
    let client = Client::of(&second);
    assert_eq!(client.completed(client.connect(), 1), 1);
    let twice = serving("127.0.0.1:0", &copy).output().expect("runs");
    assert_eq!(twice.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("another tracker serves from"));
}

#[test]
fn commands_say_what_they_need() {
    let (status, _, stderr) = run(["rotate"]);
    assert_eq!(status, Some(1));
    assert_eq!(stderr, "error: which database? Name it with --db, or a configuration with --config\n");
    let (status, _, stderr) = run(["torrent", "list", "--db", "/no/such/tracker.db"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("error: there is no database /no/such/tracker.db; "), "{stderr}");
}

#[test]
fn the_log_is_text_or_json_and_obeys_its_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let start = |flags: &[&str]| {
        let child = serving("127.0.0.1:0", &db).args(flags).spawn().expect("runs");
        std::thread::sleep(Duration::from_secs(1));
        let id = child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).expect("text")
    };
    let log = start(&["--log-format", "json"]);
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert!(lines.iter().any(|line| line["message"] == "stopping"), "{log}");
    assert_eq!(start(&["--log-level", "error"]), "");
}
