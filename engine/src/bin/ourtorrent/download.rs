//! `download`: fetches a torrent until it is complete and verified.

use std::sync::Arc;

use engine::storage::file::{Access, Allocation, FileStorage};

use crate::args::{Allocate, DownloadArgs};
use crate::failure::{Failure, Status};
use crate::report::Report;
use crate::transfer::{Goal, Transfer, on_runtime, random_seed};
use crate::{network, selection};

/// Downloads, and seeds afterwards if that is wanted.
pub(crate) fn run(args: &DownloadArgs) -> Result<Status, Failure> {
    on_runtime(download(args))
}

async fn download(args: &DownloadArgs) -> Result<Status, Failure> {
    let (mut config, seed) = (network::config(&args.network)?, random_seed()?);
    let Some(metainfo) = args.torrent.open(&mut config, seed).await? else { return Ok(Status::Interrupted) };
    let chosen = selection::priorities(&args.files, &metainfo)?;
    if !chosen.is_empty() {
        config.priorities = chosen;
    }
    let allocation = match args.files.allocate {
        Allocate::Sparse => Allocation::Sparse,
        Allocate::Full => Allocation::Full,
    };
    let storage = FileStorage::open_with(&args.output, Arc::clone(&metainfo), Access::ReadWrite, allocation)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let storage = network::with_record(&args.network.resume, storage);
    let goal = if args.seed { Goal::CompleteThenSeed } else { Goal::Complete };
    let report = Report::new(&args.network);
    Transfer { metainfo, storage, config, goal, report, seed }.run().await
}
