//! `ourtorrent-tracker` as users run it: a process, a database file, signals.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeRequest, TransactionId};

/// A running tracker; killed if a test fails before it ends it.
struct Tracker {
    child: Child,
    addr: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
}

impl Tracker {
    /// Starts one at `bind` and waits until it says where it listens.
    fn start(bind: &str, db: &Path) -> Self {
        let mut child = command(bind, db).spawn().expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("listening at udp://") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("readable"), 0, "it ended before it listened");
        }
        let addr = line.rsplit("udp://").next().and_then(|addr| addr.trim().parse().ok());
        Self { child, addr: addr.expect("an address"), log }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it in order; its exit status, standard output and the rest of its log.
    fn terminate(mut self) -> (Option<i32>, String, String) {
        self.signal("-TERM");
        let (mut stdout, mut log) = (String::new(), String::new());
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        self.log.read_to_string(&mut log).expect("text");
        (self.child.wait().expect("ends").code(), stdout, log)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(bind: &str, db: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
    command
        .args(["--bind", bind, "--json", "--db"])
        .arg(db)
        .env("OURTORRENT_LOG", "info")
        .env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Client(UdpSocket);

impl Client {
    fn of(tracker: &Tracker) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.connect(tracker.addr).expect("connects");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        Self(socket)
    }

    fn ask(&self, request: Request<'_>) -> Reply {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.0.send(&bytes).expect("sends");
        let mut buffer = [0; 2048];
        let len = self.0.recv(&mut buffer).expect("an answer");
        Reply::decode(&buffer[..len], Family::V4).expect("a reply")
    }

    fn connect(&self) -> ConnectionId {
        let reply = self.ask(Request::Connect { transaction: TransactionId(1) });
        let Reply::Connect { connection, .. } = reply else { panic!("{reply:?}") };
        connection
    }

    /// A whole download of the torrent named by `byte`, by a peer at `port`.
    fn download(&self, byte: u8, port: u16) {
        let connection = self.connect();
        let events =
            [(AnnounceEvent::Started, 1), (AnnounceEvent::Completed, 0), (AnnounceEvent::Stopped, 0)];
        for (event, left) in events {
            let request = AnnounceRequest {
                connection,
                transaction: TransactionId(2),
                info_hash: InfoHash([byte; 20]),
                peer_id: PeerId([1; 20]),
                progress: Progress { uploaded: 0, downloaded: 0, left },
                event: Some(event),
                key: 0,
                num_want: None,
                port,
                options: &[],
            };
            let reply = self.ask(Request::Announce(request));
            assert!(matches!(reply, Reply::Announce { .. }), "{reply:?}");
        }
    }

    /// Completed downloads, asked with an id that may be an old one.
    fn completed(&self, connection: ConnectionId, byte: u8) -> u32 {
        let request = ScrapeRequest { connection, transaction: TransactionId(3), hashes: &[[byte; 20]] };
        let reply = self.ask(Request::Scrape(request));
        let Reply::Scrape { swarms, .. } = reply else { panic!("{reply:?}") };
        swarms[0].completed
    }
}

#[test]
fn kill_9_loses_at_most_one_flush_and_no_connection_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let mut tracker = Tracker::start("127.0.0.1:0", &db);
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
    tracker.child.kill().expect("killed");
    tracker.child.wait().expect("ended");

    let again = Tracker::start(&tracker.addr.to_string(), &db);
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
    let output = command(bind, db).output().expect("the binary runs");
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
