//! The clients: ours, and what Debian packages. The foreign ones run as they are shipped (encryption preferred, uTP
//! tried first, peer exchange on), but for what would reach beyond loopback: no DHT, no local discovery, no port
//! forwarding.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io, thread};

use crate::content::Content;
use crate::lab::{Lab, Peer, Torrent, script};
use crate::process::Process;
use crate::transmission;

/// Set to `require`, a missing client is a failure, and the long transfers run; set to `skip`, foreign clients are
/// left alone.
const VARIABLE: &str = "OURTORRENT_INTEROP";

/// Who shares or fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The binaries of this package.
    Ours,
    /// libtorrent-rasterbar, through Debian's Python module.
    Libtorrent,
    /// transmission-daemon.
    Transmission,
    /// aria2c, with mktorrent for torrents.
    Aria2,
}

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It shares what it has.
    Seed,
    /// It fetches what it has not.
    Leech,
}

/// Is everything to be run, come what may?
pub(crate) fn required() -> bool {
    env::var(VARIABLE).is_ok_and(|value| value == "require")
}

/// Says aloud what is left out, and why.
pub(crate) fn not_run(why: &str) {
    let test = thread::current().name().unwrap_or_default().to_owned();
    // Not `eprintln`: the test harness would keep it to itself.
    let _ = io::stderr().write_all(format!("\nNOT RUN: {test}: {why}\n").as_bytes());
}

/// Does `program` run? If not, says what is left out and how to get it.
pub(crate) fn has(program: &str, args: &[&str], package: &str) -> bool {
    if env::var(VARIABLE).is_ok_and(|value| value == "skip") {
        return false;
    }
    let run = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = run.is_ok_and(|status| status.success());
    if !found {
        assert!(!required(), "{program} is missing, and {VARIABLE}=require: apt-get install {package}");
        not_run(&format!("it needs {package}: sudo apt-get install {package}"));
    }
    found
}

impl Client {
    /// Can it be run here?
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Ours => true,
            Self::Libtorrent => has("/usr/bin/python3", &["-c", "import libtorrent"], "python3-libtorrent"),
            Self::Transmission => {
                has("transmission-daemon", &["--version"], "transmission-daemon")
                    && has("transmission-remote", &["--version"], "transmission-cli")
            }
            Self::Aria2 => {
                has("aria2c", &["--version"], "aria2") && has("which", &["mktorrent"], "mktorrent")
            }
        }
    }

    /// Does it make files without bytes? Transmission does not until version 4.
    pub(crate) fn makes_empty_files(self) -> bool {
        self != Self::Transmission
    }

    /// What makes its torrents private (BEP 27).
    pub(crate) fn private(self) -> &'static str {
        match self {
            Self::Ours | Self::Libtorrent => "--private",
            Self::Transmission | Self::Aria2 => "-p",
        }
    }

    /// Makes a torrent of `content` at `out`; `more` are words of its own command line.
    pub(crate) fn create(self, lab: &Lab, content: &Content, out: &Path, more: &[&str]) {
        let (url, path) = (lab.announce_url(), content.path());
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
                command.arg("create").arg(path).arg("-o").arg(out).args(["--tracker", &url]).args(more);
                command
            }
            Self::Libtorrent => {
                let mut command = libtorrent();
                command.arg("create").arg(path).arg(out).args([&url, "65536"]).args(more);
                command
            }
            Self::Transmission => {
                let mut command = Command::new("transmission-create");
                command.args(["-t", &url, "-o"]).arg(out).args(more).arg(path);
                command
            }
            Self::Aria2 => {
                let mut command = Command::new("mktorrent");
                command.args(["-l", "17", "-a", &url, "-o"]).arg(out).args(more).arg(path);
                command
            }
        };
        Process::spawn(&mut command, &lab.subfolder("logs"), &format!("{self:?}-create")).succeed();
    }

    /// Starts a peer at `listen` that keeps its files in `folder`; `more` are words of its own command line.
    pub(crate) fn start(
        self,
        lab: &Lab,
        role: Role,
        listen: SocketAddr,
        (torrent, folder): (&Torrent, &Path),
        more: &[&str],
    ) -> Peer {
        let name = format!("{self:?}-{role:?}-{}", listen.port());
        let logs = lab.subfolder("logs");
        let mut command = match self {
            Self::Ours => ours(role, torrent, folder, listen),
            Self::Libtorrent => {
                let mode = if role == Role::Seed { "seed" } else { "leech" };
                let mut command = libtorrent();
                command.env("PEER_HOST", lab.host()).arg(mode).arg(&torrent.path).arg(folder);
                command.arg(listen.port().to_string());
                command
            }
            Self::Transmission => return transmission::start(lab, &name, (torrent, folder), listen, more),
            Self::Aria2 => aria2(lab, role, torrent, folder, listen.port()),
        };
        let process = Process::spawn(command.args(more), &logs, &name);
        Peer { client: self, process, folder: folder.to_owned(), listen }
    }
}

impl Peer {
    /// Waits until a leecher says that it has everything.
    pub(crate) fn finish(&mut self) {
        match self.client {
            Client::Ours | Client::Aria2 => self.process.succeed(),
            Client::Libtorrent => {
                self.process
                    .until("has everything", |process| process.output().lines().any(|line| line == "done"));
            }
            Client::Transmission => {
                let done = self.folder.with_extension("done");
                self.process.until("has everything", |_| done.exists());
            }
        }
    }
}

fn ours(role: Role, torrent: &Torrent, folder: &Path, listen: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
    match role {
        Role::Seed => command.arg("seed").arg(&torrent.path).arg("--data").arg(folder),
        Role::Leech => command.arg("download").arg(&torrent.path).arg("-o").arg(folder),
    };
    command.args(["--peers", "--json", "--log-level", "info,engine::peer=debug"]);
    command.args(["--listen", &listen.to_string()]);
    command
}

fn libtorrent() -> Command {
    // Debian's own interpreter: another one on the path lacks the module.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script("libtorrent_peer.py"));
    command
}

/// aria2 speaks to UDP trackers only while its DHT is on; it knows no node, so nothing leaves the machine.
fn aria2(lab: &Lab, role: Role, torrent: &Torrent, folder: &Path, port: u16) -> Command {
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
    command.args(["--bt-enable-lpd=false", "--file-allocation=none"]);
    command
        .arg(format!("--interface={}", lab.host()))
        .args(["--show-console-readout=false", "--summary-interval=0"]);
    command.arg(format!("--stop-with-process={}", std::process::id()));
    command.arg(format!("--dir={}", folder.display()));
    match role {
        Role::Seed => command.args(["--seed-ratio=0.0", "--check-integrity=true"]),
        Role::Leech => command.arg("--seed-time=0"),
    };
    command.arg(&torrent.path);
    command
}

/// A script of one line.
pub(crate) fn executable(path: &Path, line: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{line}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our file");
    path.to_owned()
}
