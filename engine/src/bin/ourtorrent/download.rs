//! `download`: fetches a torrent until it is complete and verified.

use std::sync::Arc;

use engine::storage::file::{Access, FileStorage};

use crate::args::DownloadArgs;
use crate::failure::{Failure, Status};
use crate::network;
use crate::report::Report;
use crate::torrent_file;
use crate::transfer::{Goal, Transfer, on_runtime};

/// Downloads, and seeds afterwards if that is wanted.
pub(crate) fn run(args: &DownloadArgs) -> Result<Status, Failure> {
    let metainfo = torrent_file::read(&args.torrent)?;
    if metainfo.trackers().is_empty() && args.network.peer.is_empty() {
        let what = format_args!("{} names no tracker", args.torrent.display());
        return Err(Failure::new(Status::Incomplete, what).advise("Name a peer with --peer IP:PORT."));
    }
    let storage = FileStorage::open(&args.output, Arc::clone(&metainfo), Access::ReadWrite)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let config = network::config(&args.network);
    let goal = if args.seed { Goal::CompleteThenSeed } else { Goal::Complete };
    let report = Report::new(&metainfo, args.network.json);
    on_runtime(Transfer { metainfo, storage, config, goal, report }.run())
}
