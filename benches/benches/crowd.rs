//! How the simulator scales: the flash crowd of a thousand at other sizes, each run in a process of its own.
//!
//! Says what a run costs in processor time, packets and memory, so that whatever grows faster than the number of peers
//! shows. Arguments are numbers of leechers; none: 50 to 2,000. Linux only, as `/proc` is where the figures are from.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use mimalloc::MiMalloc;
use sim::report::Verdict;
use sim::run::run;
use sim::scenario::Scenario;

/// As in the `sim` binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/flash_crowd_1000.toml");

/// A quarter of the scenario's own: the largest crowd is to take minutes.
const CONTENT: &str = "torrent.size=4 MiB";

/// Leechers in each run of the curve.
const CURVE: [&str; 6] = ["50", "100", "200", "500", "1000", "2000"];

/// The argument by which the benchmark starts itself for one row.
const ROW: &str = "--row";

const SEED: u64 = 1;

/// Linux counts a process's time in hundredths of a second.
const TICKS: f64 = 100.0;

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [row, leechers] = words.as_slice()
        && row == ROW
    {
        return measure(leechers);
    }
    println!(
        "| leechers | tick | simulated s | CPU s | million packets | µs a packet | MiB | MiB a peer | efficiency |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let asked: Vec<_> = words.iter().map(String::as_str).filter(|word| word.parse::<u32>().is_ok()).collect();
    for leechers in if asked.is_empty() { CURVE.to_vec() } else { asked } {
        let status = Command::new(std::env::current_exe()?).args([ROW, leechers]).status()?;
        if !status.success() {
            bail!("{leechers} leechers: {status}");
        }
    }
    Ok(())
}

fn measure(leechers: &str) -> Result<()> {
    let text = std::fs::read_to_string(SCENARIO).with_context(|| SCENARIO.to_owned())?;
    let sets = [format!("peers.leecher.count={leechers}"), CONTENT.to_owned()];
    let plan = Scenario::parse(SCENARIO, &text, &sets)?.expand(SEED);
    let (empty, before) = (resident_peak()?, processor_seconds()?);
    let record = run(&plan, &mut |_| ())?;
    let (seconds, mib) = (processor_seconds()? - before, (resident_peak()? - empty) / 1024.0);
    let (packets, peers) = (record.packets.sent as f64, plan.peers.len() as f64);
    let (tick, simulated) = (plan.run.tick.as_millis(), record.end.as_secs_f64());
    let efficiency = Verdict::of(record).efficiency;
    println!(
        "| {leechers} | {tick} ms | {simulated:.0} | {seconds:.1} | {:.2} | {:.1} | {mib:.0} | {:.2} | {efficiency:.3} |",
        packets / 1e6,
        seconds * 1e6 / packets,
        mib / peers,
    );
    Ok(())
}

/// KiB that this process has had in memory at the most.
fn resident_peak() -> Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.context("no VmHWM in /proc/self/status")
}

/// Time of all threads, in user and kernel mode.
fn processor_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the process may contain spaces.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()? as f64 / TICKS)
}
