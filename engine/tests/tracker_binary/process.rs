//! `ourtorrent-tracker` as a process: started, listened to, signalled, killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running tracker; killed if a test fails before it ends it.
pub struct Tracker {
    pub child: Child,
    pub addr: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
}

impl Tracker {
    /// Starts one at `bind` and waits until it says where it listens.
    pub fn start(bind: &str, db: &Path) -> Self {
        Self::of(&mut serving(bind, db))
    }

    /// Starts `command` and waits until it says where it listens.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("listening at udp://") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("readable"), 0, "it ended before it listened");
        }
        let addr = line.rsplit("udp://").next().and_then(|addr| addr.trim().parse().ok());
        Self { child, addr: addr.expect("an address"), log }
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Reads its log until a line contains `word`.
    pub fn wait_for(&mut self, word: &str) -> String {
        let mut log = String::new();
        while !log.contains(word) {
            assert_ne!(
                self.log.read_line(&mut log).expect("readable"),
                0,
                "it ended without {word:?}:\n{log}"
            );
        }
        log
    }

    /// Kills it as the system does when memory is short.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Ends it in order; its exit status, standard output and the rest of its log.
    pub fn terminate(mut self) -> (Option<i32>, String, String) {
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

/// The binary, with a log that does not depend on where the test runs.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
    command.env("NO_COLOR", "1").env_remove("OURTORRENT_LOG");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A tracker to be.
pub fn serving(bind: &str, db: &Path) -> Command {
    let mut command = binary();
    command.args(["--bind", bind, "--json", "--db"]).arg(db);
    command
}

/// Runs a command to its end: status, standard output, standard error.
pub fn run<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> (Option<i32>, String, String) {
    let output = binary().args(args).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
