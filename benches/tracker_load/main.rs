//! A load on a UDP tracker (ours or another) over loopback, and what it does to it: latency at a fixed rate, memory of
//! a known number of peers, what a restart keeps.
//!
//! It measures what `aquatic_udp_load_test` cannot: that tool sends as fast as it gets answers, so it tells how much a
//! tracker can do, but neither how long one request waits nor what comes back after a signal.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, Parser};

mod client;
mod fill;
mod open_loop;
mod restart;
mod world;

use world::World;

/// Puts a load on a UDP tracker over 127.0.0.0/8 and measures what it does. One line of JSON is the result.
#[derive(Debug, Parser)]
#[command(name = "tracker-load")]
enum Command {
    /// Announce every peer of a made-up world once, then scrape every torrent
    Fill {
        /// The tracker
        addr: SocketAddr,
        #[command(flatten)]
        world: Shape,
    },
    /// Send announces on schedule whether or not they are answered, and tell how long answers took
    Latency {
        /// The tracker
        addr: SocketAddr,
        #[command(flatten)]
        world: Shape,
        #[command(flatten)]
        pace: Pace,
    },
    /// Start a tracker, fill it, end it by a signal under load, start it again, and compare
    Restart(Restart),
}

/// The world that announces.
#[derive(Clone, Debug, Args)]
struct Shape {
    /// Torrents; each has at least one peer
    #[arg(long, default_value_t = 10_000)]
    torrents: u32,
    /// Peers of all torrents together
    #[arg(long, default_value_t = 100_000)]
    peers: u32,
    /// 1 spreads peers evenly; higher crowds them: torrent = torrents × uniform^skew
    #[arg(long, default_value_t = 1)]
    skew: u8,
}

impl Shape {
    fn world(&self) -> anyhow::Result<World> {
        ensure!(self.torrents > 0 && self.torrents <= self.peers, "every torrent needs a peer");
        Ok(World { torrents: self.torrents, first_torrent: 0, peers: self.peers, skew: self.skew })
    }
}

/// A schedule.
#[derive(Clone, Copy, Debug, Args)]
struct Pace {
    /// Announces a second
    #[arg(long, default_value_t = 100_000)]
    rate: u32,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Sockets, each at an address of its own, that the announces come from
    #[arg(long, default_value_t = 4)]
    sources: u16,
}

/// What is restarted, and how.
#[derive(Clone, Debug, Args)]
struct Restart {
    #[command(flatten)]
    world: Shape,
    #[command(flatten)]
    pace: Pace,
    /// The signal: TERM lets the tracker end in order, KILL does not
    #[arg(long, default_value = "TERM")]
    signal: String,
    /// Seconds between the last announce of the fill and the signal
    #[arg(long, default_value_t = 0)]
    wait: u64,
    /// The tracker's command; {addr} stands for the address that it must serve
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let result = match Command::parse() {
        Command::Fill { addr, world } => serde_json::to_value(fill::fill(addr, &world.world()?)?)?,
        Command::Latency { addr, world, pace } => {
            serde_json::to_value(open_loop::run(addr, &world.world()?, pace)?)?
        }
        Command::Restart(Restart { world, pace, signal, wait, command }) => {
            let wait = Duration::from_secs(wait);
            let plan = restart::Plan { world: world.world()?, pace, signal, wait, command };
            serde_json::to_value(restart::run(&plan)?)?
        }
    };
    println!("{result}");
    Ok(())
}
