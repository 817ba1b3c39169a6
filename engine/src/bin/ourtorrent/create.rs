//! `create`: a torrent file from a file or folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use proto::id::PieceHash;
use proto::metainfo::create::{Content, CreateError, Draft};
use proto::metainfo::{Metainfo, Notes};
use proto::piece::Geometry;

use crate::args::CreateArgs;
use crate::failure::{Failure, Status};
use crate::report::hashing_bar;
use crate::screen::print;

/// What a torrent is made from: its name, and its files with their path in the torrent and their length.
struct Source {
    name: String,
    single: bool,
    files: Vec<(PathBuf, Vec<String>, u64)>,
}

/// Hashes the content and writes the torrent file.
pub(crate) fn run(args: &CreateArgs) -> Result<Status, Failure> {
    let source = Source::find(&args.path)?;
    let refused = |error: CreateError| {
        Failure::new(Status::Incomplete, format_args!("no torrent of {}: {error}", args.path.display()))
    };
    let mut draft = Draft::new(&source.name, source.content(), args.piece_length).map_err(refused)?;
    if args.pad {
        draft = draft.padded().map_err(refused)?;
    }
    // One tier for each tracker: they are asked in the order in which they were given (BEP 12).
    draft.trackers = args.tracker.iter().map(|url| vec![url.clone()]).collect();
    draft.web_seeds.clone_from(&args.web_seed);
    draft.private = args.private;
    let created_by = Some(concat!("OurTorrent/", env!("CARGO_PKG_VERSION")).to_owned());
    draft.notes = Notes { comment: args.comment.clone(), created_by, creation_date: None };
    let hashes = source.hash(&draft)?;
    let bytes = draft.finish(&hashes).map_err(refused)?;
    fs::write(&args.output, &bytes).map_err(|error| Failure::of_file("write", &args.output, &error))?;
    if let Ok(metainfo) = Metainfo::parse(&bytes) {
        let (geometry, size) = (metainfo.geometry(), BinaryBytes(metainfo.geometry().len()));
        print(format_args!("{}: {size} in {} pieces", args.output.display(), geometry.pieces()));
        print(format_args!("info hash {}", metainfo.info_hash()));
    }
    Ok(Status::Done)
}

impl Source {
    fn find(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::of_file("read", path, &error);
        let whole = path.canonicalize().map_err(failed)?;
        let name = whole.file_name().ok_or_else(|| {
            Failure::new(Status::Incomplete, format_args!("{} has no name to share it under", path.display()))
        })?;
        let name = utf8(name, path)?;
        let found = fs::metadata(&whole).map_err(failed)?;
        if found.is_file() {
            return Ok(Self { name, single: true, files: vec![(whole, Vec::new(), found.len())] });
        }
        let mut files = Vec::new();
        walk(&whole, &mut Vec::new(), &mut files)?;
        Ok(Self { name, single: false, files })
    }

    fn content(&self) -> Content {
        match self.files.as_slice() {
            [(_, _, len)] if self.single => Content::Single(*len),
            files => Content::Multi(files.iter().map(|(_, path, len)| (path.clone(), *len)).collect()),
        }
    }

    fn hash(&self, draft: &Draft) -> Result<Vec<PieceHash>, Failure> {
        let bar = hashing_bar(draft.geometry().len());
        let mut pieces = Pieces::new(draft.geometry());
        for (index, (path, _, len)) in self.files.iter().enumerate() {
            let failed = |error: io::Error| Failure::of_file("read", path, &error);
            let mut file = File::open(path).map_err(failed)?;
            pieces.fill(*len, |part| {
                bar.inc(part.len() as u64);
                file.read_exact(part).map_err(failed)
            })?;
            pieces.fill(draft.padding_after(index), |part| {
                part.fill(0);
                Ok(())
            })?;
        }
        bar.finish_and_clear();
        Ok(pieces.hashes)
    }
}

/// Pieces that are hashed one after the other, as their bytes come.
struct Pieces {
    geometry: Geometry,
    piece: Vec<u8>,
    filled: usize,
    hashes: Vec<PieceHash>,
}

impl Pieces {
    fn new(geometry: Geometry) -> Self {
        Self { geometry, piece: vec![0; geometry.piece_len() as usize], filled: 0, hashes: Vec::new() }
    }

    /// Takes `rest` bytes, which `read` puts where they belong.
    fn fill(
        &mut self,
        mut rest: u64,
        mut read: impl FnMut(&mut [u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while rest > 0 {
            let piece = self.geometry.piece(self.hashes.len() as u32);
            self.piece.truncate(piece.map_or(0, |piece| self.geometry.len_of(piece) as usize));
            let room = self.piece.get_mut(self.filled..).unwrap_or_default();
            let most = room.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
            read(room.get_mut(..most).unwrap_or_default())?;
            (self.filled, rest) = (self.filled + most, rest - most as u64);
            if self.filled == self.piece.len() {
                self.hashes.push(PieceHash::of(&self.piece));
                self.filled = 0;
            }
        }
        Ok(())
    }
}

/// Collects the files below `folder` in the order of their names, so that the same folder gives the same
/// torrent.
fn walk(
    folder: &Path,
    below: &mut Vec<String>,
    files: &mut Vec<(PathBuf, Vec<String>, u64)>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::of_file("read", folder, &error);
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(failed)?.collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let found = fs::symlink_metadata(&path).map_err(|error| Failure::of_file("read", &path, &error))?;
        below.push(utf8(&entry.file_name(), &path)?);
        if found.is_dir() {
            walk(&path, below, files)?;
        } else if found.is_file() {
            files.push((path, below.clone(), found.len()));
        } else {
            let what = format_args!("{} is neither a file nor a folder", path.display());
            return Err(Failure::new(Status::Storage, what).advise("Move links and devices elsewhere first."));
        }
        below.pop();
    }
    Ok(())
}

fn utf8(name: &std::ffi::OsStr, path: &Path) -> Result<String, Failure> {
    let text = name.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Failure::new(Status::Storage, format_args!("{} is not UTF-8; rename it", path.display()))
    })
}
