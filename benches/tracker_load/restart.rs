//! What a restart costs and keeps: fill, end by a signal under load, start again, count.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::Pace;
use crate::client::{Client, now};
use crate::fill::{Filled, fill, held};
use crate::open_loop;
use crate::world::World;

/// How long a tracker may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The load goes on for this long before the signal.
const BEFORE: Duration = Duration::from_secs(1);

/// Where the question "are you there" comes from.
const ASKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What announces.
    pub world: World,
    /// The load during the signal; its torrents are others than the world's.
    pub pace: Pace,
    /// As `kill -s` takes it.
    pub signal: String,
    /// Between fill and signal.
    pub wait: Duration,
    /// The tracker's, with `{addr}`.
    pub command: Vec<String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Restarted {
    /// The fill, with what was held just before the signal.
    filled: Filled,
    /// Resident bytes of the empty and of the filled tracker.
    rss: [u64; 2],
    /// Resident bytes that each peer added.
    bytes_per_peer: f64,
    /// From the signal to the end of the process.
    seconds_to_end: f64,
    /// From the new process to its first answer.
    seconds_to_serve: f64,
    /// Share of the peers that are there again.
    peers_restored: f64,
    /// Share of the finished downloads that are still counted.
    completed_restored: f64,
    /// Resident bytes of the new process.
    rss_after: u64,
}

/// Carries out `plan`.
pub fn run(plan: &Plan) -> anyhow::Result<Restarted> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (mut tracker, _) = plan.start(addr)?;
    let empty = resident(&tracker)?;
    let mut filled = fill(addr, &plan.world)?;
    let full = resident(&tracker)?;
    thread::sleep(plan.wait);
    filled.held = held(addr, &plan.world)?;
    let (seconds_to_end, is_success) = plan.end(addr, &mut tracker)?;
    ensure!(is_success || plan.signal == "KILL", "the tracker ended with an error");
    let (mut tracker, seconds_to_serve) = plan.start(addr)?;
    let after = held(addr, &plan.world)?;
    let rss_after = resident(&tracker)?;
    tracker.kill()?;
    tracker.wait()?;
    Ok(Restarted {
        filled,
        rss: [empty, full],
        bytes_per_peer: full.saturating_sub(empty) as f64 / filled.accepted.max(1) as f64,
        seconds_to_end,
        seconds_to_serve,
        peers_restored: after.peers as f64 / filled.held.peers as f64,
        completed_restored: after.completed as f64 / filled.held.completed as f64,
        rss_after,
    })
}

impl Plan {
    /// Starts the tracker; gives back the seconds to its first answer as well.
    fn start(&self, addr: SocketAddr) -> anyhow::Result<(Child, f64)> {
        let [program, arguments @ ..] = self.command.as_slice() else { bail!("no command") };
        let arguments = arguments.iter().map(|argument| argument.replace("{addr}", &addr.to_string()));
        let start = now();
        let child =
            Command::new(program).args(arguments).spawn().with_context(|| format!("cannot run {program}"))?;
        Client::connect(ASKER, addr, PATIENCE)?;
        Ok((child, start.elapsed().as_secs_f64()))
    }

    /// Signals the tracker while it is busy; gives back the seconds until it has ended, and whether it liked it.
    fn end(&self, addr: SocketAddr, tracker: &mut Child) -> anyhow::Result<(f64, bool)> {
        let pace = self.pace;
        // Peers of its own torrents: what the world holds is not changed.
        let other = World { torrents: 1, first_torrent: u32::MAX, peers: 64, skew: 1 };
        let load = (pace.rate > 0).then(|| thread::spawn(move || open_loop::run(addr, &other, pace)));
        thread::sleep(BEFORE);
        let signalled = now();
        let sent = Command::new("kill").args(["-s", &self.signal, &tracker.id().to_string()]).status()?;
        ensure!(sent.success(), "cannot send {}", self.signal);
        let ended = loop {
            if let Some(status) = tracker.try_wait()? {
                break status;
            }
            ensure!(signalled.elapsed() < PATIENCE, "the tracker does not end");
            thread::sleep(Duration::from_millis(1));
        };
        let seconds = signalled.elapsed().as_secs_f64();
        if let Some(Err(panic)) = load.map(thread::JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        Ok((seconds, ended.success()))
    }
}

/// Resident bytes of a process (Linux).
fn resident(process: &Child) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
