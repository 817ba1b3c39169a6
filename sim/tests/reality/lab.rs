//! A corner of the machine that vanishes: a shell in namespaces of its own, which runs what it is told. It ends with
//! its standard input, so at the latest with the test, even if that is killed; and with it, the first process of its
//! namespace, goes every other process there, every network and the disk in memory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use proto::seed::Seed;
use sim::scenario::Plan;
use tempfile::TempDir;

/// `require`: not being able to is a failure; `skip`: it is left out; `measure`: as the published table is made.
const VARIABLE: &str = "OURTORRENT_REALITY";

/// The longest wait for one thing: beginnings and ends take a second, a whole run less than one minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Bytes of a log that a failure shows.
const TAIL: usize = 4096;

/// What a lab does first: a disk in memory for data, a place for the names of networks, loopback.
const FURNISH: &str = "
mount -t tmpfs tmpfs data
mount -t tmpfs tmpfs /run
ip link set lo up
";

/// What it must be able to do besides.
const TRY: &str = "
ip netns add there
ip link add name here type bridge
ip link add name near type veth peer name far netns there
tc qdisc add dev near root stab overhead -14 linklayer ethernet tbf rate 8mbit burst 3100 limit 60000
ip netns exec there true
";

/// Is the published table to be made?
pub(crate) fn is_measuring() -> bool {
    is_set_to("measure")
}

fn is_set_to(value: &str) -> bool {
    env::var(VARIABLE).is_ok_and(|set| set == value)
}

/// Can it be done here? If not, says why, and what to do.
pub(crate) fn is_possible() -> bool {
    if is_set_to("skip") {
        return false;
    }
    let Err(why) = unshare() else { return true };
    let why = format!(
        "networks of its own are refused here ({}). It needs iproute2 (apt-get install iproute2), the kernel's bridge, \
         veth and tbf, and root or unprivileged user namespaces",
        why.trim()
    );
    assert!(env::var_os(VARIABLE).is_none(), "{VARIABLE} is set, and {why}");
    // Not `eprintln`: the test harness would keep it to itself.
    let test = thread::current().name().unwrap_or_default().to_owned();
    let _ = io::stderr().write_all(format!("\nNOT RUN: {test}: {why}\n").as_bytes());
    false
}

/// How this machine lets us make namespaces: as root, or as everybody's own root.
fn unshare() -> Result<Command, String> {
    let mut why = String::new();
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(more).args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
            command
        };
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let mut attempt = unshare();
        attempt.args(["sh", "-ec", &format!("{FURNISH}{TRY}")]).current_dir(folder.path());
        match attempt.output() {
            Ok(tried) if tried.status.success() => return Ok(unshare()),
            Ok(tried) => why = String::from_utf8_lossy(&tried.stderr).into_owned(),
            Err(error) => return Err(format!("unshare: {error}")),
        }
    }
    Err(why)
}

/// One such corner, with the torrent of a plan in it.
pub(crate) struct Lab {
    folder: TempDir,
    shell: Child,
    /// What it is told; closed to end it.
    orders: Option<ChildStdin>,
}

impl Lab {
    /// Opens one, with the content of `plan` as `content.bin`.
    pub(crate) fn open(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["data", "logs"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let mut content = vec![0; usize::try_from(plan.torrent.size).expect("it fits")];
        Seed::from_u64(plan.seed).rng().fill(&mut content);
        fs::write(folder.path().join("content.bin"), content).expect("written");

        let log = |name| File::create(folder.path().join("logs").join(name)).expect("a log");
        let mut command = unshare().expect("it has been tried");
        command.args(["sh", "-e"]).current_dir(folder.path());
        command.env("peer", binary("ourtorrent")).env("tracker", binary("ourtorrent-tracker"));
        command.stdin(Stdio::piped()).stdout(log("shell.out")).stderr(log("shell.err"));
        let mut shell = command.spawn().expect("it has been tried");
        let orders = shell.stdin.take();
        let mut lab = Self { folder, shell, orders };
        lab.tell(FURNISH);
        lab
    }

    /// Has the shell run `script` once it is done with what it was told before. If that fails, the lab is closed,
    /// which the next wait finds out.
    pub(crate) fn tell(&mut self, script: &str) {
        if let Some(orders) = &mut self.orders {
            // A closed lab says why where it is waited for.
            let _ = orders.write_all(format!("{script}\n").as_bytes()).and_then(|()| orders.flush());
        }
    }

    /// What `name` has printed.
    pub(crate) fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path(name)).unwrap_or_default()).into_owned()
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// The lines of a log that are JSON objects with this `event`.
    pub(crate) fn events(&self, name: &str, event: &str) -> Vec<serde_json::Value> {
        let log = self.log(&format!("{name}.out"));
        let lines = log.lines().filter(|line| line.contains(event));
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|said: &serde_json::Value| said["event"] == event)
            .collect()
    }

    /// Waits until `condition` holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let start = now();
        while !condition(self) {
            let ended = self.shell.try_wait().expect("our child");
            let is_over = ended.is_some() || now() - start > PATIENCE;
            assert!(!is_over, "waited until {what}; the shell: {ended:?}{}", self.logs());
            thread::sleep(STEP);
        }
    }

    /// The ends of all logs.
    fn logs(&self) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(self.folder.path().join("logs")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let log = fs::read(self.log_path(&name)).unwrap_or_default();
            let end = String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).into_owned();
            let _ = write!(all, "\n--- {name}:\n{end}");
        }
        all
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.orders.take());
        if thread::panicking() {
            // It may hang in whatever went wrong. `unshare` takes it along.
            let _ = self.shell.kill();
        }
        // Otherwise it ends at once, and `unshare` waits for it, so that the folder is not in use any more.
        let _ = self.shell.wait();
    }
}

/// The program of the engine's called `name`, as the last build left it. Refuses one that is older than its source.
fn binary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_sim")).with_file_name(name);
    let built = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim lies in the workspace");
    let newest = ["engine/src", "engine/proto/src"].iter().filter_map(|dir| newest(&root.join(dir))).max();
    assert!(
        built.is_some() && built >= newest,
        "{} is missing or older than its source: run `cargo test --workspace --no-run` first",
        path.display()
    );
    path
}

/// When the youngest source below `dir` was written.
fn newest(dir: &Path) -> Option<std::time::SystemTime> {
    let entries = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let age = |path: PathBuf| {
        if path.is_dir() { newest(&path) } else { fs::metadata(path).and_then(|file| file.modified()).ok() }
    };
    entries.filter_map(age).max()
}

#[expect(clippy::disallowed_methods, reason = "real processes run on real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
