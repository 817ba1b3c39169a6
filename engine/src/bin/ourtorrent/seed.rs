//! `seed`: shares complete data until interrupted.

use std::path::Path;
use std::sync::Arc;

use engine::storage::file::{Access, FileStorage};
use engine::{EngineConfig, TorrentOptions};
use proto::metainfo::Priority;

use crate::args::SeedArgs;
use crate::failure::{Failure, Status};
use crate::network;
use crate::report::Report;
use crate::runtime::{on_runtime, random_seed};
use crate::session::Session;
use crate::torrent_file;
use crate::transfer::{Goal, Plan};

/// Checks the data and shares it; the files are never changed.
pub(crate) fn run(args: &SeedArgs) -> Result<Status, Failure> {
    let mut config = network::config(&args.network)?;
    config.torrent.super_seeding = args.super_seed;
    let plans = args.torrents.iter().map(|path| plan(args, &config, path)).collect::<Result<Vec<_>, _>>()?;
    let report = Report::new(&args.network, plans.len() > 1);
    let seed = random_seed()?;
    on_runtime(Session { plans, config, goal: Goal::Seed, report, seed }.run())
}

fn plan(args: &SeedArgs, config: &EngineConfig, path: &Path) -> Result<Plan, Failure> {
    let metainfo = torrent_file::read(path)?;
    let storage = FileStorage::open(&args.data, Arc::clone(&metainfo), Access::ReadOnly)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let storage = network::with_record(&args.network.resume, storage);
    let options = TorrentOptions {
        torrent: config.torrent,
        // Whoever only reads fetches nothing, even if a file is lost.
        priorities: vec![Priority::Skip; metainfo.files().len()],
        peers: config.peers.clone(),
        resume: config.resume.clone(),
        limits: None,
    };
    Ok(Plan { metainfo, storage, options })
}
