//! `ourtorrent-tracker` as users run it: a process, a database file, signals, commands.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::client::Client;
use crate::process::{Tracker, serving};

mod client;
mod control;
mod durability;
mod process;

#[test]
fn kill_9_loses_at_most_one_flush_and_no_connection_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let tracker = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&tracker);
    for port in 1..=20 {
        client.download(1, port);
    }
    // A flush is due every second.
    std::thread::sleep(Duration::from_millis(2500));
    let id_of_before = client.connect();
    for port in 21..=25 {
        client.download(1, port);
    }
    let addr = tracker.addr.to_string();
    tracker.kill();

    let again = Tracker::start(&addr, &db);
    let completed = client.completed(id_of_before, 1);
    assert!((20..=25).contains(&completed), "{completed} completed after kill -9");
    client.download(1, 26);
    let (status, stdout, log) = again.terminate();
    assert_eq!(status, Some(0), "{log}");
    assert!(stdout.contains("\"completed\":1,"), "{stdout}");

    let third = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&third);
    assert_eq!(client.completed(client.connect(), 1), completed + 1, "SIGTERM keeps everything");
}

/// Runs it to its end; status and the line that says why.
fn refusal(bind: &str, db: &Path) -> (Option<i32>, String) {
    let output = serving(bind, db).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
    (output.status.code(), line.to_owned())
}

#[test]
fn what_it_cannot_use_is_one_clear_line_and_status_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let tracker = Tracker::start("127.0.0.1:0", &db);
    let addr = tracker.addr.to_string();
    let (status, line) = refusal(&addr, &folder.path().join("other.db"));
    assert_eq!(status, Some(1));
    assert!(line.starts_with(&format!("error: cannot listen at {addr}: Address already in use")), "{line}");

    let missing = folder.path().join("no/such/tracker.db");
    let (status, line) = refusal("127.0.0.1:0", &missing);
    assert_eq!(status, Some(1));
    assert!(line.starts_with(&format!("error: cannot use {}: ", missing.display())), "{line}");

    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "not a database, but long enough to look at ".repeat(50)).expect("written");
    let (status, line) = refusal("127.0.0.1:0", &notes);
    assert_eq!(status, Some(1));
    let due = format!("error: {} is not a tracker database, or it is damaged: ", notes.display());
    assert!(line.starts_with(&due), "{line}");

    assert_eq!(refusal("nonsense", &db).0, Some(2));
}

#[test]
fn both_families_are_served_on_one_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let tracker = Tracker::start("127.0.0.1:0", &folder.path().join("one.db"));
    let port = tracker.addr.port();
    let any_v6 = format!("[::]:{port}");
    let Ok(probe) = UdpSocket::bind("[::1]:0") else {
        println!("not run: this machine has no IPv6 loopback");
        return;
    };
    let second = Tracker::start(&any_v6, &folder.path().join("two.db"));
    probe.connect(("::1", port)).expect("connects");
    probe.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let client = Client(probe);
    client.connect();
    Client::of(&tracker).connect();
    let (status, stdout, _) = second.terminate();
    assert_eq!(status, Some(0));
    assert!(stdout.contains("\"connects\":1,"), "{stdout}");
}

#[test]
#[cfg(unix)]
fn a_socket_of_the_service_manager_is_taken_over() {
    use std::os::fd::OwnedFd;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let addr = socket.local_addr().expect("bound").to_string();
    // The service manager's way: the socket is descriptor 3, and the environment says that there is one.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 exec \"$0\" \"$@\""]);
    let tracker = serving(&addr, &folder.path().join("tracker.db"));
    command.arg(tracker.get_program()).args(tracker.get_args()).env("NO_COLOR", "1");
    command.stdin(OwnedFd::from(socket.try_clone().expect("cloned")));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let tracker = Tracker::of(&mut command);
    assert_eq!(
        tracker.addr.to_string(),
        addr,
        "an address that is in use, by the socket that was handed over"
    );
    assert_eq!(Client::of(&tracker).join(1, 1, &[]), Ok(()));
    assert_eq!(tracker.terminate().0, Some(0));
}
