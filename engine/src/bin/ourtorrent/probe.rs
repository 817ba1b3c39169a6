//! `probe`: what a tracker answers, and how fast; or which rules it keeps.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use engine::Environment;
use engine::fetch::TrackerTrust;
use engine::probe::conformance::{ConformanceOptions, conformance};
use engine::probe::{ProbeError, probe};
use proto::id::InfoHash;
use proto::seed::Seed;
use serde::Serialize;
use serde_json::json;

use crate::args::ProbeArgs;
use crate::failure::{Failure, Status};
use crate::network;
use crate::runtime::{on_runtime, random_seed};
use crate::screen::print;

/// Asks the tracker and prints what it said; whatever is not answered, or breaks a rule, is a failure.
pub(crate) fn run(args: &ProbeArgs) -> Result<Status, Failure> {
    let seed = random_seed()?;
    if args.conformance { on_runtime(judge(args, seed)) } else { on_runtime(ask(args, seed)) }
}

async fn ask(args: &ProbeArgs, seed: Seed) -> Result<Status, Failure> {
    // A torrent that nobody has: the probe disturbs no swarm.
    let info_hash = args.info_hash.first().copied().unwrap_or_else(|| {
        let mut hash = InfoHash::default();
        seed.child(0).rng().fill(&mut hash.0);
        hash
    });
    let trust = trust(args)?;
    let report = probe(&environment(), &trust, &args.url, info_hash, seed.child(1)).await.map_err(failure)?;
    show(args, &report);
    if report.is_healthy() {
        return Ok(Status::Done);
    }
    Err(Failure::new(Status::Incomplete, format_args!("{} does not answer every question", report.url)))
}

async fn judge(args: &ProbeArgs, seed: Seed) -> Result<Status, Failure> {
    let what = ConformanceOptions { info_hashes: args.info_hash.clone(), rules: args.rule.clone() };
    let trust = trust(args)?;
    let report = conformance(&environment(), &trust, &args.url, &what, seed).await.map_err(failure)?;
    show(args, &report);
    match report.tally().failed {
        0 => Ok(Status::Done),
        1 => Err(Failure::new(Status::Incomplete, format_args!("{} breaks a rule", report.url))),
        failed => Err(Failure::new(Status::Incomplete, format_args!("{} breaks {failed} rules", report.url))),
    }
}

fn trust(args: &ProbeArgs) -> Result<TrackerTrust, Failure> {
    args.tracker_ca.as_deref().map_or(Ok(TrackerTrust::default()), network::trust)
}

fn environment() -> Environment<engine::transport::os::OsTransport, engine::clock::OsClock> {
    Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn show(args: &ProbeArgs, report: &(impl Display + Serialize)) {
    if args.json {
        print(format_args!("{:#}", json!(report)));
    } else {
        print(report.to_string().trim_end());
    }
}

fn failure(error: ProbeError) -> Failure {
    let advise = matches!(error, ProbeError::Refused { .. });
    let failure = Failure::new(Status::Incomplete, error);
    if advise {
        failure.advise("Name torrents that it serves and nobody uses with --info-hash.")
    } else {
        failure
    }
}
