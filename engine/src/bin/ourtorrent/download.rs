//! `download`: fetches torrents until each is complete and verified.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::storage::file::{Access, Allocation, FileStorage};
use engine::{EngineConfig, TorrentOptions};

use crate::args::{Allocate, DownloadArgs};
use crate::failure::{Failure, Status};
use crate::report::Report;
use crate::runtime::{on_runtime, random_seed};
use crate::session::Session;
use crate::show::printable;
use crate::source::Opened;
use crate::transfer::{Goal, Plan};
use crate::{network, selection};

/// Downloads, and seeds afterwards if that is wanted.
pub(crate) fn run(args: &DownloadArgs) -> Result<Status, Failure> {
    on_runtime(download(args))
}

async fn download(args: &DownloadArgs) -> Result<Status, Failure> {
    let (config, seed) = (network::config(&args.network)?, random_seed()?);
    let (mut plans, mut places) = (Vec::new(), BTreeMap::new());
    for source in &args.torrents {
        let Some(opened) = source.open(&config, seed).await? else { return Ok(Status::Interrupted) };
        let name = opened.metainfo.name().to_owned();
        // Two torrents in one place would spoil each other.
        if let Some(other) = places.insert(name.clone(), source) {
            let place = printable(&args.output.join(name).display().to_string());
            let what = format_args!("{other} and {source} would both be stored in {place}");
            return Err(Failure::new(Status::Usage, what).advise("Download one of them into another folder."));
        }
        plans.push(plan(args, &config, opened)?);
    }
    let goal = if args.seed { Goal::CompleteThenSeed } else { Goal::Complete };
    let report = Report::new(&args.network, plans.len() > 1);
    for plan in plans.iter().filter(|plan| plan.metainfo.private() && !args.network.peer.is_empty()) {
        let name = printable(plan.metainfo.name());
        report.say(&format!("{name} is private: its peers come from its trackers, and --peer is not used"));
    }
    Session { plans, config, goal, report, seed }.run().await
}

/// One torrent with its place on the disk.
fn plan(args: &DownloadArgs, config: &EngineConfig, opened: Opened) -> Result<Plan, Failure> {
    let Opened { metainfo, peers, priorities } = opened;
    let chosen = selection::priorities(&args.files, &metainfo)?;
    let priorities = if chosen.is_empty() { priorities } else { chosen };
    let allocation = match args.files.allocate {
        Allocate::Sparse => Allocation::Sparse,
        Allocate::Full => Allocation::Full,
    };
    let storage = FileStorage::open_with(&args.output, Arc::clone(&metainfo), Access::ReadWrite, allocation)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let storage = network::with_record(&args.network.resume, storage);
    let options = TorrentOptions {
        torrent: config.torrent,
        priorities,
        peers,
        resume: config.resume.clone(),
        limits: None,
    };
    Ok(Plan { metainfo, storage, options })
}
