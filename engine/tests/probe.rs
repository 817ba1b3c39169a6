//! `ourtorrent probe` against our own tracker, opentracker and silence.
//!
//! opentracker is not part of a build; without it that test says so and ends, unless the environment has
//! `OURTORRENT_INTEROP=require`.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ends the process when a test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Exit status, standard output and standard error.
fn probe(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ourtorrent")).arg("probe").args(args).output();
    let output = output.expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A port that is free on both transports, as far as one can know.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// Our tracker at a port of `ip`, and its URL.
fn our_tracker(ip: &str) -> (Running, String) {
    started_at(&format!("{ip}:0"), &["--bind"], "udp://")
}

/// The same over HTTP.
fn our_http_tracker(ip: &str) -> (Running, String) {
    started_at(&format!("{ip}:0"), &["--bind", "127.0.0.1:0", "--http"], "http://")
}

/// Our tracker with `addr` behind `args`; its URL of this scheme.
fn started_at(addr: &str, args: &[&str], scheme: &str) -> (Running, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
    command.args(args).arg(addr).env("NO_COLOR", "1").stderr(Stdio::piped());
    let mut tracker = Running(command.spawn().expect("the binary runs"));
    let mut log = BufReader::new(tracker.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let found = log.find_map(|line| Some(line.split_once(scheme)?.1.to_owned()));
    // Whoever writes to a closed pipe ends.
    std::thread::spawn(move || log.for_each(drop));
    let found = found.expect("it says where it listens");
    (tracker, format!("{scheme}{}/announce", found.trim_end_matches("/announce")))
}

/// The rules that are not a PASS, each behind its verdict.
fn blemishes(report: &str) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
    let findings = report["sections"][0]["findings"].as_array().expect("findings");
    assert!(findings.len() > 40, "{report:#}");
    let line = |finding: &serde_json::Value| {
        let [verdict, id] = ["verdict", "id"].map(|key| finding[key].as_str().expect("text").to_owned());
        (verdict != "pass").then(|| format!("{verdict} {id}"))
    };
    findings.iter().filter_map(line).collect()
}

#[test]
fn our_tracker_answers_every_question() {
    let (_tracker, url) = our_tracker("127.0.0.1");
    let (status, table, _) = probe(&[&url]);
    assert_eq!(status, Some(0), "{table}");
    assert!(table.contains("seeders 0, leechers 1, 0 peers named"), "{table}");

    let (status, report, _) = probe(&[&url, "--json", "--info-hash", &"ab".repeat(20)]);
    assert_eq!(status, Some(0));
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["info_hash"], "ab".repeat(20));
    assert_eq!(report["steps"][2]["answer"], "scraped");
    assert_eq!(report["steps"][2]["leechers"], 1);
}

#[test]
fn our_tracker_keeps_every_rule() {
    let (_tracker, url) = our_tracker("127.0.0.1");
    let (status, report, error) = probe(&["--conformance", &url, "--json"]);
    assert_eq!((status, &error[..]), (Some(0), ""));
    assert_eq!(blemishes(&report), [""; 0], "{report}");
    let (status, table, _) = probe(&["--conformance", &url, "--rule", "short.empty", "--rule", "garbage"]);
    assert_eq!(status, Some(0));
    assert!(table.ends_with(": 2 PASS, 0 FAIL, 0 WARN, 0 SKIP\n"), "{table}");
    let (status, _, error) = probe(&["--conformance", &url, "--rule", "politeness"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("no such rule; there are connect.reply, "), "{error}");
}

#[test]
fn our_tracker_keeps_every_rule_over_http() {
    let (_tracker, url) = our_http_tracker("127.0.0.1");
    let (status, report, error) = probe(&["--conformance", &url, "--json"]);
    assert_eq!(blemishes(&report), [""; 0], "{report}");
    assert_eq!((status, &error[..]), (Some(0), ""));
    let (status, table, _) = probe(&["--conformance", &url, "--rule", "http.scrape-url"]);
    assert_eq!(status, Some(0));
    assert!(table.ends_with(": 1 PASS, 0 FAIL, 0 WARN, 0 SKIP\n"), "{table}");
    let (status, _, error) = probe(&["--conformance", &url, "--rule", "scrape.reply"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("is not judged by scrape.reply: rules of http://"), "{error}");
}

#[test]
fn our_tracker_keeps_every_rule_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        let _ = writeln!(std::io::stderr(), "NOT RUN: a test that needs IPv6 on loopback");
        return;
    }
    let (_tracker, url) = our_tracker("[::1]");
    let (status, report, _) = probe(&["--conformance", &url, "--json"]);
    // Loopback has one address of this family.
    assert_eq!(blemishes(&report), ["skip connect.id-foreign", "skip connect.id-unguessable"], "{report}");
    assert_eq!(status, Some(0));
    let (_tracker, url) = our_http_tracker("[::1]");
    let (status, report, _) = probe(&["--conformance", &url, "--json"]);
    assert_eq!((blemishes(&report), status), (vec![], Some(0)), "{report}");
}

#[test]
fn opentracker_answers_every_question() {
    let hash = "ab".repeat(20);
    let folder = tempfile::tempdir().expect("a folder");
    // Debian builds it to serve listed torrents only.
    std::fs::write(folder.path().join("list"), format!("{hash}\n")).expect("written");
    let Some((_tracker, port)) = opentracker(folder.path()) else { return };
    let url = format!("udp://127.0.0.1:{port}/announce");
    let (status, table, error) = probe(&[&url, "--info-hash", &hash]);
    assert_eq!(status, Some(0), "{table}{error}");
    assert!(table.contains("seeders 0, leechers 1"), "{table}");

    let url = format!("http://127.0.0.1:{port}/announce");
    let (status, table, error) = probe(&[&url, "--info-hash", &hash]);
    assert_eq!(status, Some(0), "{table}{error}");
    assert!(!table.contains("connect") && table.contains("seeders 0, leechers 1"), "{table}");
}

/// What the suite says of a foreign tracker, known to the rule: so the suite itself is checked.
#[test]
fn opentracker_keeps_the_rules_that_it_is_known_to_keep() {
    let hashes: Vec<String> = (0..8).map(|n| format!("{n}{n}").repeat(20)).collect();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("list"), hashes.join("\n") + "\n").expect("written");
    let Some((_tracker, port)) = opentracker(folder.path()) else { return };
    let url = format!("udp://127.0.0.1:{port}/announce");
    let mut args = vec!["--conformance", &url, "--json"];
    args.extend(hashes.iter().flat_map(|hash| ["--info-hash", hash]));
    let (status, report, _) = probe(&args);
    let known = [
        "warn peers.not-self",
        "warn peers.seeder",
        "warn peers.port-zero",
        "warn completed.stranger",
        "warn scrape.ragged",
        "warn error.text",
        "warn unverified.bytes",
    ];
    assert_eq!(blemishes(&report), known, "{report}");
    assert_eq!(status, Some(0));
    let (status, _, error) = probe(&["--conformance", &url, "--info-hash", &"ff".repeat(20)]);
    assert_eq!(status, Some(1));
    assert!(error.contains("refuses") && error.contains("--info-hash"), "{error}");

    let url = format!("http://127.0.0.1:{port}/announce");
    args[1] = &url;
    let (status, report, _) = probe(&args);
    let known = [
        // It refuses `compact=0`, and tells what it refuses by a status of HTTP.
        "warn http.compact-off",
        "warn http.not-self",
        "warn http.port-zero",
        "warn http.port-range",
        "warn http.scrape-sorted",
        "warn http.completed-stranger",
        "warn http.failure",
        "skip http.failure-alone",
    ];
    assert_eq!(blemishes(&report), known, "{report}");
    assert_eq!(status, Some(0));
    let (status, _, error) = probe(&["--conformance", &url, "--info-hash", &"ff".repeat(20)]);
    assert_eq!(status, Some(1));
    assert!(error.contains("refuses") && error.contains("--info-hash"), "{error}");
}

/// A running opentracker and its port, if it is installed.
fn opentracker(folder: &Path) -> Option<(Running, u16)> {
    let port = free_port();
    let number = port.to_string();
    let mut command = Command::new("opentracker");
    command.args(["-i", "127.0.0.1", "-p", &number, "-P", &number, "-w", "list", "-d"]).arg(folder);
    // It drops its privileges and must still read the list.
    Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status().expect("chmod runs");
    let spawned = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = spawned else {
        let required = std::env::var("OURTORRENT_INTEROP").is_ok_and(|value| value == "require");
        assert!(!required, "opentracker is missing: apt-get install opentracker");
        // Not `println`: the test harness would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: a test that needs opentracker: apt-get install opentracker"
        );
        return None;
    };
    // Whoever binds its port finds it taken once it is up.
    for _ in 0..200 {
        if UdpSocket::bind(("127.0.0.1", port)).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((Running(child), port))
}

#[test]
fn silence_and_wrong_urls_are_one_clear_message() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let addr = silent.local_addr().expect("an address");
    let (status, table, error) = probe(&[&format!("udp://{addr}")]);
    assert_eq!((status, &table[..]), (Some(1), ""));
    assert_eq!(error, format!("ourtorrent: udp://{addr} does not answer (asked 3 times at {addr})\n"));

    let (status, _, error) = probe(&["wss://127.0.0.1:80/announce"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("only udp://, http:// and https:// trackers are supported"), "{error}");

    let url = format!("http://127.0.0.1:{}/announce", free_port());
    let (status, _, error) = probe(&["--conformance", &url]);
    assert_eq!(status, Some(1));
    assert!(error.contains("cannot connect to the server: "), "{error}");
}
