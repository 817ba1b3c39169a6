//! `verify`: hashes data on disk and says what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use engine::check;
use engine::storage::file::{Access, FileStorage};
use indicatif::BinaryBytes;
use proto::bitfield::Bitfield;
use proto::metainfo::Metainfo;
use serde_json::json;

use crate::args::VerifyArgs;
use crate::failure::{Failure, Status};
use crate::report::hashing_bar;
use crate::runtime::on_runtime;
use crate::screen::print;
use crate::show::printable;
use crate::torrent_file;

/// A file of which something is missing.
struct Gap {
    path: PathBuf,
    missing: u64,
    len: u64,
}

/// Prints a verdict and, for each incomplete file, how much of it is missing.
pub(crate) fn run(args: &VerifyArgs) -> Result<Status, Failure> {
    let metainfo = torrent_file::read(&args.torrent)?;
    let storage = FileStorage::open(&args.data, Arc::clone(&metainfo), Access::ReadOnly)
        .map_err(|error| Failure::new(Status::Storage, error))?;
    let have = on_runtime(hash_all(&metainfo, storage))?;
    let gaps = gaps(&metainfo, &have);
    if args.json {
        print_json(&have, &gaps);
    } else {
        print_text(&metainfo, &have, &gaps);
    }
    Ok(if have.is_full() { Status::Done } else { Status::Incomplete })
}

async fn hash_all(metainfo: &Arc<Metainfo>, storage: FileStorage) -> Result<Bitfield, Failure> {
    let geometry = metainfo.geometry();
    let bar = hashing_bar(geometry.len());
    let done = |piece| bar.inc(geometry.len_of(piece).into());
    let have = check::hash_all(&Arc::new(storage), metainfo, done).await;
    bar.finish_and_clear();
    Ok(have)
}

/// The files that a missing piece touches, with the bytes of such pieces in them.
fn gaps(metainfo: &Metainfo, have: &Bitfield) -> Vec<Gap> {
    let geometry = metainfo.geometry();
    let mut missing = vec![0; metainfo.files().len()];
    for piece in geometry.all_pieces().filter(|&piece| !have.has(piece)) {
        for span in metainfo.spans(geometry.start_of(piece), geometry.len_of(piece).into()) {
            if let Some(sum) = missing.get_mut(span.file) {
                *sum += span.len;
            }
        }
    }
    let files = metainfo.files().iter().zip(missing).filter(|(_, missing)| *missing > 0);
    files.map(|(file, missing)| Gap { path: file.path.iter().collect(), missing, len: file.len }).collect()
}

fn print_text(metainfo: &Metainfo, have: &Bitfield, gaps: &[Gap]) {
    for Gap { path, missing, len } in gaps {
        let (missing, len) = (BinaryBytes(*missing), BinaryBytes(*len));
        print(format_args!("missing {missing} of {len}  {}", printable(&path.display().to_string())));
    }
    let verdict = if have.is_full() { "complete" } else { "incomplete" };
    let name = printable(metainfo.name());
    print(format_args!(
        "{name}: {verdict}, {} of {} pieces are there and sound",
        have.count(),
        have.pieces()
    ));
}

fn print_json(have: &Bitfield, gaps: &[Gap]) {
    let gap = |gap: &Gap| json!({ "path": gap.path, "missing": gap.missing, "len": gap.len });
    let verdict = json!({
        "complete": have.is_full(),
        "have": have.count(),
        "pieces": have.pieces(),
        "files": gaps.iter().map(gap).collect::<Vec<_>>(),
    });
    print(format_args!("{verdict:#}"));
}
