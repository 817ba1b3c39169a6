//! `seed`: shares complete data until interrupted.

use std::sync::Arc;

use engine::storage::file::{Access, FileStorage};
use proto::metainfo::Priority;

use crate::args::SeedArgs;
use crate::failure::{Failure, Status};
use crate::network;
use crate::report::Report;
use crate::torrent_file;
use crate::transfer::{Goal, Transfer, on_runtime, random_seed};

/// Checks the data and shares it; the files are never changed.
pub(crate) fn run(args: &SeedArgs) -> Result<Status, Failure> {
    let metainfo = torrent_file::read(&args.torrent)?;
    let storage = FileStorage::open(&args.data, Arc::clone(&metainfo), Access::ReadOnly)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let storage = network::with_record(&args.network.resume, storage);
    let mut config = network::config(&args.network)?;
    // Whoever only reads fetches nothing, even if a file is lost.
    config.priorities = vec![Priority::Skip; metainfo.files().len()];
    config.torrent.super_seeding = args.super_seed;
    let report = Report::new(&args.network);
    let seed = random_seed()?;
    on_runtime(Transfer { metainfo, storage, config, goal: Goal::Seed, report, seed }.run())
}
