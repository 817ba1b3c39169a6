//! Reading a torrent file.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use proto::metainfo::{MAX_TORRENT_LEN, Metainfo};

use crate::failure::{Failure, Status};

/// Reads and checks the torrent file at `path`.
pub(crate) fn read(path: &Path) -> Result<Arc<Metainfo>, Failure> {
    let bytes = read_bytes(path).map_err(|error| {
        let what = format_args!("cannot read the torrent {}: {error}", path.display());
        Failure::new(Status::BadTorrent, what)
    })?;
    let metainfo = Metainfo::parse(&bytes).map_err(|error| {
        let failure = Failure::new(Status::BadTorrent, format_args!("{}: {error}", path.display()));
        failure.advise("Nothing was touched. Get the torrent file again from where it came from.")
    })?;
    Ok(Arc::new(metainfo))
}

/// Reads one byte more than allowed at the most: the path may be any file.
fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_TORRENT_LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
