//! The torrent file (BEP 3, attributes of BEP 47): info dictionary, file layout, path safety, creation.
//!
//! A [`Metainfo`] comes only from [`Metainfo::parse`] (or [`Metainfo::from_info`], for an info dictionary
//! that peers sent), so holding one proves that its paths are safe and its lengths fit together.

pub mod create;
mod error;
mod layout;
pub mod magnet;
mod parse;
mod path;
mod selection;
#[cfg(test)]
mod tests;
pub mod web_seed;

use bytes::Bytes;

pub use error::{MetainfoError, UnsafePath};
pub use layout::Span;
pub use magnet::{Magnet, MagnetError};
pub use parse::MAX_TORRENT_LEN;
pub use selection::Priority;

use crate::id::{InfoHash, PieceHash};
use crate::piece::{Geometry, PieceIndex};

/// A torrent as its file describes it; every rule of BEP 3 has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metainfo {
    pub(crate) info_hash: InfoHash,
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
    pub(crate) hashes: Vec<PieceHash>,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) trackers: Vec<Vec<String>>,
    pub(crate) web_seeds: Vec<String>,
    pub(crate) private: bool,
    pub(crate) info: Bytes,
    pub(crate) notes: Notes,
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Safe path components, relative to the download folder; a multi-file torrent's begin with its name.
    pub path: Vec<String>,
    /// Bytes.
    pub len: u64,
    /// First byte in the torrent's content.
    pub offset: u64,
    /// What it is besides a plain file (BEP 47).
    pub kind: FileKind,
}

/// What an entry of the list of files stands for (BEP 47).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    #[default]
    Plain,
    /// A file that may be run.
    Executable,
    /// Zeros that make the next file begin with a piece: never stored, never offered for selection.
    Padding,
    /// A symbolic link, without content, to this path; like [`FileEntry::path`], which it cannot leave.
    Link(Vec<String>),
}

impl FileEntry {
    /// Is it nothing but zeros between two files?
    pub fn is_padding(&self) -> bool {
        self.kind == FileKind::Padding
    }

    /// Is it a symbolic link?
    pub fn is_link(&self) -> bool {
        matches!(self.kind, FileKind::Link(_))
    }
}

/// What a torrent file says for people to read; nothing depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Free text.
    pub comment: Option<String>,
    /// The program that made the file.
    pub created_by: Option<String>,
    /// When, in seconds since the Unix epoch.
    pub creation_date: Option<i64>,
}

impl Metainfo {
    /// SHA-1 over the original bytes of the info dictionary.
    pub const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The sanitised suggested name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lengths and piece arithmetic.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The hash that `piece` must have.
    pub fn hash_of(&self, piece: PieceIndex) -> PieceHash {
        self.hashes.get(piece.as_usize()).copied().unwrap_or_default()
    }

    /// The files in order; their bytes, one after the other, are the content.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Announce URLs in tiers (BEP 12), not shuffled yet; one tier of one for a lone `announce`.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// BEP 27: peers come from the tracker only.
    pub const fn private(&self) -> bool {
        self.private
    }

    /// The original bytes of the info dictionary (BEP 9 serves them).
    pub const fn info(&self) -> &Bytes {
        &self.info
    }

    /// Comment, creator and date.
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }
}
