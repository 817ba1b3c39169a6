//! The clients: ours, and what Debian packages. All are told to stay on loopback.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io, thread};

use crate::content::Content;
use crate::lab::{Lab, Peer, Torrent, free_address, script};
use crate::process::Process;

/// Set to `require`, a missing client is a failure, and the long transfers run.
const VARIABLE: &str = "OURTORRENT_INTEROP";

/// Who shares or fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The binaries of this package.
    Ours,
    /// libtorrent-rasterbar, through Debian's Python module.
    Libtorrent,
    /// The same, but its torrents are version 1 and 2 in one.
    LibtorrentHybrid,
    /// transmission-cli.
    Transmission,
    /// aria2c, with mktorrent for torrents.
    Aria2,
}

/// Is everything to be run, come what may?
pub(crate) fn required() -> bool {
    env::var(VARIABLE).is_ok_and(|value| value == "require")
}

/// Does `program` run? If not, says what is left out and how to get it.
pub(crate) fn has(program: &str, args: &[&str], package: &str) -> bool {
    let run = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = run.is_ok_and(|status| status.success());
    if !found {
        assert!(!required(), "{program} is missing, and {VARIABLE}=require: apt-get install {package}");
        let test = thread::current().name().unwrap_or_default().to_owned();
        let line = format!("\nNOT RUN: {test} needs {package}: sudo apt-get install {package}\n");
        // Not `eprintln`: the test harness would keep it to itself.
        let _ = io::stderr().write_all(line.as_bytes());
    }
    found
}

impl Client {
    /// Can it be run here?
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Ours => true,
            Self::Libtorrent | Self::LibtorrentHybrid => {
                has("/usr/bin/python3", &["-c", "import libtorrent"], "python3-libtorrent")
            }
            Self::Transmission => has("transmission-cli", &["--version"], "transmission-cli"),
            Self::Aria2 => {
                has("aria2c", &["--version"], "aria2") && has("which", &["mktorrent"], "mktorrent")
            }
        }
    }

    /// Makes a torrent of `content` at `out`.
    pub(crate) fn create(self, lab: &Lab, content: &Content, out: &Path) {
        let (url, path) = (lab.announce_url(), content.path());
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
                command.arg("create").arg(path).arg("-o").arg(out).args(["--tracker", &url]);
                command
            }
            Self::Libtorrent | Self::LibtorrentHybrid => {
                let version = if self == Self::Libtorrent { "v1" } else { "hybrid" };
                let mut command = libtorrent();
                command.arg("create").arg(path).arg(out).args([&url, "65536", version]);
                command
            }
            Self::Transmission => {
                let mut command = Command::new("transmission-create");
                command.args(["-t", &url, "-o"]).arg(out).arg(path);
                command
            }
            Self::Aria2 => {
                let mut command = Command::new("mktorrent");
                command.args(["-l", "17", "-a", &url, "-o"]).arg(out).arg(path);
                command
            }
        };
        Process::spawn(&mut command, &lab.subfolder("logs"), &format!("{self:?}-create")).succeed();
    }

    /// Shares what lies in `folder`.
    pub(crate) fn seed(self, lab: &Lab, torrent: &Torrent, folder: &Path) -> Peer {
        let listen = free_address();
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
                command.arg("seed").arg(&torrent.path).arg("--data").arg(folder);
                command.args(["--listen", &listen.to_string()]);
                command
            }
            Self::Libtorrent | Self::LibtorrentHybrid => {
                let mut command = libtorrent();
                command
                    .env("PEER_HOST", lab.host())
                    .arg("seed")
                    .arg(&torrent.path)
                    .arg(folder)
                    .arg(listen.port().to_string());
                command
            }
            Self::Transmission => transmission(lab, torrent, folder, listen.port(), "seed", &["-v"]),
            Self::Aria2 => aria2(lab, torrent, folder, listen.port(), &["--seed-ratio=0.0", "-V"]),
        };
        self.start(lab, &mut command, folder, "seed")
    }

    /// Fetches into `folder`.
    pub(crate) fn leech(self, lab: &Lab, torrent: &Torrent, folder: &Path) -> Peer {
        let listen = free_address();
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
                command.arg("download").arg(&torrent.path).arg("-o").arg(folder);
                command.args(["--listen", &listen.to_string()]);
                command
            }
            Self::Libtorrent | Self::LibtorrentHybrid => {
                let mut command = libtorrent();
                command
                    .env("PEER_HOST", lab.host())
                    .arg("leech")
                    .arg(&torrent.path)
                    .arg(folder)
                    .arg(listen.port().to_string());
                command
            }
            Self::Transmission => transmission(lab, torrent, folder, listen.port(), "leech", &[]),
            Self::Aria2 => aria2(lab, torrent, folder, listen.port(), &["--seed-time=0"]),
        };
        self.start(lab, &mut command, folder, "leech")
    }

    fn start(self, lab: &Lab, command: &mut Command, folder: &Path, role: &str) -> Peer {
        let process = Process::spawn(command, &lab.subfolder("logs"), &format!("{self:?}-{role}"));
        Peer { process, folder: folder.to_owned() }
    }

    /// Waits until a leecher says that it has everything.
    pub(crate) fn finish(self, peer: &mut Peer) {
        let done = peer.folder.with_extension("done");
        match self {
            Self::Ours | Self::Aria2 => peer.process.succeed(),
            Self::Libtorrent | Self::LibtorrentHybrid => {
                peer.process
                    .until("has everything", |process| process.output().lines().any(|line| line == "done"));
            }
            Self::Transmission => peer.process.until("has everything", |_| done.exists()),
        }
    }
}

fn libtorrent() -> Command {
    // Debian's own interpreter: another one on the path lacks the module.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script("libtorrent_peer.py"));
    command
}

/// It creates `<folder>.done` once it has everything.
fn transmission(
    lab: &Lab,
    torrent: &Torrent,
    folder: &Path,
    port: u16,
    role: &str,
    args: &[&str],
) -> Command {
    let home = lab.subfolder(&format!("transmission-{role}"));
    let settings = format!(
        r#"{{ "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1", "peer-port": {port}, "encryption": 0,
              "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
              "port-forwarding-enabled": false, "rpc-enabled": false, "blocklist-enabled": false }}"#
    );
    fs::write(home.join("settings.json"), settings).expect("a file");
    let finished = executable(
        &home.join("finished.sh"),
        &format!("touch '{}'", folder.with_extension("done").display()),
    );
    let mut command = Command::new("transmission-cli");
    command.env("HOME", &home).arg("-g").arg(&home).arg("-w").arg(folder).args([
        "-p",
        &port.to_string(),
        "-M",
        "-et",
    ]);
    command.arg("-f").arg(finished).args(args).arg(&torrent.path);
    command
}

fn executable(path: &Path, line: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{line}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our file");
    path.to_owned()
}

/// aria2 speaks to UDP trackers only while its DHT is on; it knows no node, so nothing leaves the machine.
fn aria2(lab: &Lab, torrent: &Torrent, folder: &Path, port: u16, args: &[&str]) -> Command {
    let home = lab.subfolder(&format!("aria2-{port}"));
    let mut command = Command::new("aria2c");
    command.env("HOME", &home).args([
        "--no-conf",
        "--enable-dht=true",
        "--enable-dht6=false",
        "--disable-ipv6=true",
    ]);
    command.arg(format!("--dht-file-path={}", home.join("dht.dat").display()));
    command.args([format!("--dht-listen-port={port}"), format!("--listen-port={port}")]);
    command.args(["--bt-enable-lpd=false", "--enable-peer-exchange=false", "--file-allocation=none"]);
    command.args(["--interface=127.0.0.1", "--show-console-readout=false", "--summary-interval=0"]);
    command.arg(format!("--stop-with-process={}", std::process::id()));
    command.arg(format!("--dir={}", folder.display())).args(args).arg("-T").arg(&torrent.path);
    command
}
