//! `probe`: what a tracker answers, and how fast.

use std::net::{IpAddr, Ipv4Addr};

use engine::Environment;
use engine::probe::{ProbeReport, probe};
use proto::id::InfoHash;
use proto::seed::Seed;
use serde_json::json;

use crate::args::ProbeArgs;
use crate::failure::{Failure, Status};
use crate::screen::print;
use crate::transfer::{on_runtime, random_seed};

/// Asks the tracker and prints what it said; whatever is not answered is a failure.
pub(crate) fn run(args: &ProbeArgs) -> Result<Status, Failure> {
    let seed = random_seed()?;
    let report = on_runtime(ask(args, seed))?;
    if args.json {
        print(format_args!("{:#}", json!(report)));
    } else {
        print(report.to_string().trim_end());
    }
    if report.is_healthy() {
        return Ok(Status::Done);
    }
    Err(Failure::new(Status::Incomplete, format_args!("{} does not answer every question", report.url)))
}

async fn ask(args: &ProbeArgs, seed: Seed) -> Result<ProbeReport, Failure> {
    let environment = Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    // A torrent that nobody has: the probe disturbs no swarm.
    let info_hash = args.info_hash.unwrap_or_else(|| {
        let mut hash = InfoHash::default();
        seed.child(0).rng().fill(&mut hash.0);
        hash
    });
    let report = probe(&environment, &args.url, info_hash, seed.child(1)).await;
    report.map_err(|error| Failure::new(Status::Incomplete, error))
}
