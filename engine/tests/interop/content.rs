//! Content to transfer: pseudo-random bytes, the same in every run.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use proto::metainfo::{FileKind, Metainfo};

/// A file or a folder.
pub(crate) struct Content {
    path: PathBuf,
}

impl Content {
    /// One file of `len` bytes, called `payload.bin`.
    pub(crate) fn file(folder: &Path, len: u64) -> Self {
        let path = folder.join("payload.bin");
        fill(&path, len, 1);
        Self { path }
    }

    /// A folder: odd sizes, pieces that cross files, an empty file, names that are not ASCII.
    pub(crate) fn folder(folder: &Path) -> Self {
        let path = folder.join("Größe & Träume [2026]");
        let files = [
            ("01 – первый.flac", 1_234_567),
            ("02 日本語.flac", 65_536),
            ("empty.nfo", 0),
            ("scans/cover.jpg", 300_001),
            ("scans/back/1.txt", 1),
            ("z.bin", 2_097_152),
        ];
        for (seed, (name, len)) in (2..).zip(files) {
            fill(&path.join(name), len, seed);
        }
        Self { path }
    }

    /// The file or folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder it lies in.
    pub(crate) fn parent(&self) -> &Path {
        self.path.parent().expect("it lies in a folder")
    }

    /// How what was downloaded into `folder` differs from the original, if it does.
    pub(crate) fn difference(&self, metainfo: &Metainfo, folder: &Path, with_empty: bool) -> Option<String> {
        // No original has padding (BEP 47).
        let real = metainfo.files().iter().filter(|file| file.kind != FileKind::Padding);
        let real = real.filter(|file| with_empty || file.len > 0);
        real.map(|file| file.path.iter().collect::<PathBuf>())
            .find(|path| !same(&self.parent().join(path), &folder.join(path)))
            .map(|path| format!("{} differs", path.display()))
    }

    /// Is the file of the original that a torrent names by `path` in `folder` as well?
    pub(crate) fn has(&self, path: &Path, folder: &Path) -> bool {
        same(&self.parent().join(path), &folder.join(path))
    }
}

/// Writes a file of `len` bytes that depend on `seed` (`SplitMix64`).
fn fill(path: &Path, len: u64, seed: u64) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let mut state = seed << 56;
    let mut rest = len;
    while rest > 0 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let count = rest.min(8);
        out.write_all(&(mixed ^ (mixed >> 31)).to_le_bytes()[..count as usize]).expect("room on disk");
        rest -= count;
    }
    out.flush().expect("room on disk");
}

/// Are both there and equal, byte for byte?
fn same(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (File::open(one), File::open(other)) else { return false };
    let len = |file: &File| file.metadata().expect("an open file").len();
    if len(&one) != len(&other) {
        return false;
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = one.read(&mut left).expect("readable");
        other.read_exact(&mut right[..count]).expect("as long");
        if left[..count] != right[..count] {
            return false;
        }
        if count == 0 {
            return true;
        }
    }
}
