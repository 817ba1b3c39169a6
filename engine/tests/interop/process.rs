//! Child processes that cannot outlive a test, and waits that cannot outlast it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait for anything: transmission takes 11 s before its first byte, and machines are slow.
const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes of a log that a failure shows.
const TAIL: usize = 8192;

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

/// A child with its output in a file; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `<folder>/<name>.log`.
    pub(crate) fn spawn(command: &mut Command, folder: &Path, name: &str) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).expect("a log file");
        let err = out.try_clone().expect("a second handle");
        // Its standard input is a pipe of ours: those that watch it end with us, even if we are killed.
        command.stdin(Stdio::piped()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// What it has printed.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The lines of it that are JSON, as our client's reports are (`engine/docs/statistics.md`).
    pub(crate) fn reports(&self) -> Vec<serde_json::Value> {
        self.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it ends of its own accord.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(&format!("{} ends", self.name), &self.log.clone(), || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Waits until it ends, which must be in success.
    pub(crate) fn succeed(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{}: {status}\n{}", self.name, self.output());
    }

    /// Waits until `condition` holds; fails at once if the process ends first.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        wait_until(&format!("{}: {what}", self.name), &self.log.clone(), || {
            if let Some(status) = self.child.try_wait().expect("our child") {
                assert!(condition(self), "{}: {what}: {status}\n{}", self.name, self.output());
            }
            condition(self)
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is all we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at `condition` until it holds, and fails with the tail of `log` when patience ends.
pub(crate) fn wait_until(what: &str, log: &Path, mut condition: impl FnMut() -> bool) {
    let start = now();
    while !condition() {
        if now() - start > PATIENCE {
            let text = fs::read(log).unwrap_or_default();
            let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL)..]).into_owned();
            panic!("waited {PATIENCE:?} until {what}; {}:\n{tail}", log.display());
        }
        thread::sleep(STEP);
    }
}

#[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
fn now() -> Instant {
    Instant::now()
}
