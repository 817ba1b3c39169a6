//! `ourtorrent-tracker`'s TCP side as users run it: announces over HTTP, the admin port, and clients that
//! want too much.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// A running tracker; killed if a test fails before it ends it.
struct Tracker {
    child: Child,
    log: BufReader<ChildStderr>,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Tracker {
    /// Starts one on free ports and waits until it says where it is.
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
        command.args(["--bind", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(args);
        command
            .env("NO_COLOR", "1")
            .env_remove("OURTORRENT_LOG")
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let http = after(&mut log, "listening at http://").trim_end_matches("/announce").parse();
        let admin = after(&mut log, "the status page is at http://").trim_end_matches('/').parse();
        Self { child, log, http: http.expect("an address"), admin: admin.expect("an address") }
    }

    /// Ends it in order; how it ended and what it still said.
    fn terminate(mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let mut log = String::new();
        self.log.read_to_string(&mut log).expect("text");
        (self.child.wait().expect("ends").code(), log)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What follows `mark` in the next line of `log` that has it.
fn after(log: &mut BufReader<ChildStderr>, mark: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).expect("readable"), 0, "it ended before it said {mark:?}");
        if let Some((_, rest)) = line.split_once(mark) {
            return rest.trim().to_owned();
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream
}

/// Everything that comes back for a GET, unprintable bytes escaped.
fn get(addr: SocketAddr, target: &str) -> String {
    let mut stream = connect(addr);
    stream.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).expect("sent");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("answered");
    reply.escape_ascii().to_string()
}

fn announce(tracker: &Tracker, port: u16, more: &str) -> String {
    let names =
        "info_hash=%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa&peer_id=-XX0001-0123456789ab";
    get(tracker.http, &format!("/announce?{names}&port={port}{more}"))
}

#[test]
fn peers_meet_over_http_and_operators_see_them() {
    let tracker = Tracker::start(&[]);
    let first = announce(&tracker, 1001, "&left=0&event=started");
    assert!(first.contains("200 OK") && first.ends_with("5:peers0:e"), "{first}");
    let second = announce(&tracker, 1002, "&left=7&event=started");
    assert!(second.ends_with("5:peers6:\\x7f\\x00\\x00\\x01\\x03\\xe9e"), "{second}");
    assert!(announce(&tracker, 1002, "&left=0&event=completed").contains("10:downloadedi1e"));

    assert!(
        get(tracker.admin, "/health")
            .ends_with("{\"ok\":true,\"reasons\":[]}\\n".replace('"', "\\\"").as_str())
    );
    let metrics = get(tracker.admin, "/metrics");
    for line in [
        "ourtorrent_tracker_requests_total{transport=\\\"http\\\",kind=\\\"announce\\\"} 3\\n",
        "ourtorrent_tracker_peers{family=\\\"ipv4\\\"} 2\\n",
        "ourtorrent_tracker_completed_total 1\\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(get(tracker.admin, "/torrents").contains(&format!("{}\\\",\\\"seeders\\\":2", "aa".repeat(20))));
    assert!(get(tracker.admin, "/").contains("<title>OurTorrent tracker</title>"));
    assert!(get(tracker.http, "/").contains("404 Not Found"));
}

#[test]
fn a_private_tracker_reads_passkeys_from_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.sqlite").to_string_lossy().into_owned();
    let tracker = Tracker::start(&["--private", "true", "--db", &db]);
    assert!(announce(&tracker, 1, "&left=0").contains("passkey missing"), "refused with a reason");
    let unknown = announce(&tracker, 1, &format!("&left=0&passkey={}", "0".repeat(32)));
    assert!(
        unknown.contains("200 OK") && unknown.contains("14:failure reason15:passkey unknown"),
        "{unknown}"
    );
    assert!(get(tracker.admin, "/metrics").contains("refused_total{reason=\\\"passkey_unknown\\\"} 1\\n"));
    let scrape = get(tracker.http, &format!("/scrape?info_hash={}", "a".repeat(20)));
    assert!(scrape.contains("failure reason47:passkey missing"), "{scrape}");
}

/// A counter of `/stats`.
fn number(stats: &str, name: &str) -> u64 {
    let rest = stats.split(&format!("\"{name}\":")).nth(1).expect(name);
    rest.split([',', '}']).next().and_then(|digits| digits.parse().ok()).expect("a number")
}

#[test]
fn one_source_cannot_have_all_connections_and_open_ones_do_not_delay_the_end() {
    let tracker = Tracker::start(&["--http-connections-per-source", "20"]);
    let mut held = Vec::new();
    for _ in 0..1500 {
        held.push(connect(tracker.http));
        // Descriptors are ours to save as well.
        if held.len() > 200 {
            held.drain(30..);
        }
    }
    for stream in &mut held[..20] {
        stream.write_all(b"GET /announce?info_").expect("held open");
    }
    // Refused connections are counted as they are accepted, which may take a moment.
    let deadline = now() + Duration::from_secs(20);
    let open = loop {
        let stats = get(tracker.admin, "/stats").replace("\\\"", "\"");
        if number(&stats, "full") >= 1400 {
            break number(&stats, "open");
        }
        assert!(now() < deadline, "{stats}");
    };
    assert!(open <= 20, "{open} are open");
    let start = now();
    let (status, log) = tracker.terminate();
    assert_eq!(status, Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(5), "half a request delays nothing");
}

#[test]
fn an_admin_port_that_others_can_reach_is_warned_of() {
    let mut tracker = Tracker::start(&[]);
    let mut second = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
    second.args(["--bind", "127.0.0.1:0", "--admin", "0.0.0.0:0"]).stderr(Stdio::piped());
    let mut second = second.spawn().expect("the binary runs");
    let mut log = BufReader::new(second.stderr.take().expect("piped"));
    let line = after(&mut log, "the admin port is open to the network");
    assert!(line.contains("0.0.0.0"), "{line}");
    second.kill().expect("killed");
    second.wait().expect("ended");

    let taken = tracker.admin.to_string();
    let refused = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"))
        .args(["--bind", "127.0.0.1:0", "--admin", &taken])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text.contains(&format!("error: cannot listen at http://{taken}: Address already in use")),
        "{text}"
    );
    tracker.child.kill().expect("killed");
}

#[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
