//! Looking through what a storage holds: the pieces that are there and sound.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use proto::bitfield::Bitfield;
use proto::metainfo::Metainfo;
use proto::piece::PieceIndex;
use tokio::task::JoinSet;

use crate::storage::Storage;

/// Pieces hashed at once while the storage is looked through: one for each core of a small machine.
const PARALLEL_CHECKS: usize = 2;

/// Hashes every piece that the storage has.
pub async fn check<S: Storage>(storage: &Arc<S>, metainfo: &Arc<Metainfo>) -> io::Result<Bitfield> {
    let mut have = Bitfield::empty(metainfo.geometry().pieces());
    let mut pieces = metainfo.geometry().all_pieces();
    let mut checks: JoinSet<io::Result<(PieceIndex, bool)>> = JoinSet::new();
    loop {
        while checks.len() < PARALLEL_CHECKS
            && let Some(piece) = pieces.next()
        {
            checks.spawn(is_there(Arc::clone(storage), Arc::clone(metainfo), piece));
        }
        match checks.join_next().await {
            None => return Ok(have),
            Some(outcome) => {
                let (piece, sound) = outcome.map_err(io::Error::other)??;
                if sound {
                    have.set(piece);
                }
            }
        }
    }
}

async fn is_there<S: Storage>(
    storage: Arc<S>,
    metainfo: Arc<Metainfo>,
    piece: PieceIndex,
) -> io::Result<(PieceIndex, bool)> {
    match storage.hash(piece).await {
        Ok(hash) => Ok((piece, hash == metainfo.hash_of(piece))),
        // No such file, or not so long yet: simply not there.
        Err(error) if [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&error.kind()) => {
            Ok((piece, false))
        }
        Err(error) => Err(error),
    }
}
