//! The torrent of a plan: its content, drawn from the seed, and the file that describes it.

use std::sync::Arc;

use proto::metainfo::Metainfo;
use proto::metainfo::create::{self, Draft};
use proto::piece::Geometry;

use super::RunError;
use crate::scenario::Plan;
use crate::scenario::expand::keyed;
use crate::storage::Content;

/// Draws the content and makes its torrent file, with the tracker at `announce`.
pub(super) fn make(plan: &Plan, announce: String) -> Result<(Arc<Content>, Arc<Metainfo>), RunError> {
    let piece_length = plan.torrent.piece_length;
    let geometry = Geometry::new(plan.torrent.size, u64::from(piece_length))?;
    let content = Content::generate(geometry, keyed(plan.seed, "content", ""));
    let lens = plan.torrent.file_lens().into_iter().enumerate();
    let files = if plan.torrent.files == 1 {
        create::Content::Single(plan.torrent.size)
    } else {
        create::Content::Multi(lens.map(|(index, len)| (vec![format!("{index:05}")], len)).collect())
    };
    let mut draft = Draft::new("content", files, Some(piece_length))?;
    draft.trackers = vec![vec![announce]];
    draft.private = plan.torrent.private;
    let metainfo = Metainfo::parse(&draft.finish(content.hashes())?)?;
    Ok((content, Arc::new(metainfo)))
}
