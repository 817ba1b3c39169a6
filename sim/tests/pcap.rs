//! Captured packets, read by tshark: BitTorrent without a malformed packet, and as much of it as there was.
//!
//! If tshark is not there, the tests say so and pass; with `OURTORRENT_INTEROP=require`, as in CI, that is a failure,
//! and with `skip` they leave it alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Links with room for everything: what is sent arrives, and all of it before the end.
const CALM: &str = "# Three homes of two families get a file from one seeder.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[links.home]
up = \"4 Mbit/s\"
down = \"16 Mbit/s\"
latency = \"10 ms\"
queue = \"2 MB\"
[[peers]]
role = \"seeder\"
link = \"home\"
family = \"dual\"
[[peers]]
role = \"leecher\"
count = 3
link = \"home\"
family = \"dual\"
arrival = { uniform = \"2 s\" }
[run]
at_least = \"40 s\"
";

struct Run(tempfile::TempDir);

impl Run {
    /// Runs a scenario and captures all leechers.
    fn of(scenario: &str) -> Self {
        let run = Self(tempfile::tempdir().expect("a folder"));
        fs::write(run.path("run.toml"), scenario).expect("written");
        run.sim(&["run.toml", "--out", "out", "--pcap", "leecher"]);
        run
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn sim(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        let output = command.args(args).current_dir(self.0.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// These fields of the packets of `leecher-1` that the filter lets through, a line each.
    fn tshark(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut command = Command::new(TSHARK);
        command.arg("-r").arg(self.path("out/leecher-1.pcapng")).args(["-2", "-Y", filter, "-T", "fields"]);
        for option in ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"] {
            command.args(["-o", &format!("{option}:TRUE")]);
        }
        command.args(["-o", "tcp.reassemble_out_of_order:TRUE"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// What `sim trace` has of `leecher-1`.
    fn trace(&self, more: &[&str]) -> Vec<Value> {
        let out = self.sim(&[&["trace", "run.toml", "--json", "--peer", "leecher-1"], more].concat());
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

const TSHARK: &str = "/usr/bin/tshark";

fn is_there() -> bool {
    let is_there = Path::new(TSHARK).exists();
    let wish = std::env::var("OURTORRENT_INTEROP").unwrap_or_default();
    assert!(is_there || wish != "require", "tshark is missing: apt-get install tshark");
    if wish == "skip" {
        eprintln!("captures are not read: OURTORRENT_INTEROP=skip");
    } else if !is_there {
        eprintln!("tshark is missing, so captures are not read: apt-get install tshark");
    }
    is_there && wish != "skip"
}

/// Numbers of BitTorrent's messages, and their names in a trace.
const MESSAGES: [(&str, &str); 6] =
    [("0", "choke"), ("1", "unchoke"), ("2", "interested"), ("4", "have"), ("6", "request"), ("7", "block")];

#[test]
fn tshark_reads_as_many_messages_as_were_said() {
    if !is_there() {
        return;
    }
    let run = Run::of(CALM);
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for kind in run.tshark("bittorrent", &["bittorrent.msg.type"]).iter().flat_map(|line| line.split(',')) {
        *read.entry(kind.to_owned()).or_default() += 1;
    }
    let said = run.trace(&[]);
    // What was said to it: of two connections to one peer it closes one, and hears no more of what came on that.
    let is_one = |entry: &&Value, name: &str| entry["message"] == name && entry["event"] == "said";
    let count = |name: &str| said.iter().filter(|entry| is_one(entry, name)).count();
    for (kind, name) in MESSAGES {
        assert!(name == "choke" || count(name) > 0, "a trace without {name}");
        assert_eq!(read.get(kind).copied().unwrap_or_default(), count(name), "{name}: {read:?}");
    }
    assert_eq!(run.tshark("bittorrent.info_hash", &["frame.number"]).len(), count("handshake"));
    assert_eq!(count("block"), count("request"), "each request was answered once");
}

#[test]
fn nothing_is_malformed_and_every_checksum_holds() {
    if !is_there() {
        return;
    }
    let run = Run::of(CALM);
    let wrong =
        "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0";
    assert_eq!(run.tshark(wrong, &["frame.number"]), [""; 0]);
    let good = run.tshark("tcp.checksum.status == 1 || udp.checksum.status == 1", &["frame.number"]).len();
    assert_eq!(good, run.tshark("frame", &["frame.number"]).len(), "all were looked at");
    for analysis in
        ["tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment", "tcp.analysis.out_of_order"]
    {
        assert_eq!(run.tshark(analysis, &["frame.number"]), [""; 0], "{analysis} on links without loss");
    }
    assert!(!run.tshark("ipv6 && bittorrent", &["frame.number"]).is_empty(), "both families were used");
}

#[test]
fn the_udp_tracker_is_in_it_and_times_are_simulated_ones() {
    if !is_there() {
        return;
    }
    let run = Run::of(CALM);
    let datagrams =
        run.tshark("udp.port == 6969", &["udp.payload", "frame.time_epoch", "frame.interface_name"]);
    let packets = run.trace(&["--packets"]);
    let to_and_from = |entry: &&Value| {
        entry["event"] == "delivered" && (entry["host"] == "tracker" || entry["peer"] == "tracker")
    };
    assert_eq!(datagrams.len(), packets.iter().filter(to_and_from).count());
    let first: Vec<_> = datagrams.first().expect("it announces").split('\t').collect();
    // BEP 15: the protocol's magic number and action 0 ask for a connection.
    assert!(first[0].starts_with("0000041727101980"), "{first:?}");
    let arrival: f64 = first[1].parse().expect("seconds");
    assert!((0.0..3.0).contains(&arrival), "{arrival}");
    assert_eq!(first[2], "leecher-1");
}

#[test]
fn lost_packets_say_why_and_names_are_known() {
    if !is_there() {
        return;
    }
    let run = Run::of(&CALM.replace("queue = \"2 MB\"", "queue = \"15 kB\"\nloss = \"1 %\""));
    let comments = run.tshark("frame.comment", &["frame.comment"]);
    for why in ["lost: lost at random", "lost: the sender's queue was full"] {
        assert!(comments.iter().any(|comment| comment == why), "{why}: {comments:?}");
    }
    assert_eq!(run.tshark("_ws.malformed", &["frame.number"]), [""; 0]);
    assert!(!run.tshark("tcp.analysis.retransmission", &["frame.number"]).is_empty());
    let mut command = Command::new(TSHARK);
    command.arg("-r").arg(run.path("out/leecher-1.pcapng")).args(["-N", "n", "-Y", "udp", "-c", "400"]);
    let text = String::from_utf8_lossy(&command.output().expect("it runs").stdout).into_owned();
    assert!(text.contains("leecher-1") && text.contains("tracker"), "{text}");
}

#[test]
fn names_that_nobody_has_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("run.toml"), CALM).expect("written");
    let sim = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        let output = command.args(args).current_dir(folder.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, error) = sim(&["run.toml", "--out", "out", "--pcap", "leacher-1"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("no peer or group leacher-1; did you mean leecher-1?"), "{error}");
    assert!(!folder.path().join("out").exists());
    let (status, error) = sim(&["run.toml", "--pcap", "leecher-1"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("--out"), "{error}");
}
