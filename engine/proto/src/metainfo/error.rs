//! Why a torrent file is refused, in words that tell its user what to do.

use thiserror::Error;

use crate::bencode::BencodeError;
use crate::piece::GeometryError;

/// A torrent file that we do not accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetainfoError {
    /// Not bencoding, cut off, or a key is missing or has the wrong type.
    #[error("not a valid torrent file: {0}")]
    Bencode(#[from] BencodeError),
    /// Bencoding, but not of a torrent.
    #[error("not a torrent file: it has no info dictionary")]
    NoInfo,
    /// A torrent of BEP 52 only, or of a version that nobody has defined yet.
    #[error("this is a version {0} torrent; only version 1 and hybrid torrents are supported")]
    Version(i64),
    /// Both `length` and `files`, or neither.
    #[error("the info dictionary must have either `length` or `files`, and has {0}")]
    SingleOrMulti(&'static str),
    /// A file of fewer than zero bytes.
    #[error("the file {path:?} has a negative length ({len})")]
    NegativeLength {
        /// The file.
        path: String,
        /// Its `length`.
        len: i64,
    },
    /// An entry of `files` that is no link and says nothing of its length.
    #[error("the file {path:?} has no length")]
    NoLength {
        /// The file.
        path: String,
    },
    /// All files together have more than 2^63 bytes.
    #[error("the files are longer than any storage")]
    ContentTooLong,
    /// `pieces` is no row of 20-byte hashes.
    #[error("`pieces` has {0} bytes, which is not a multiple of 20")]
    PiecesLength(usize),
    /// `pieces` does not cover the content.
    #[error("`pieces` holds {got} hashes, but the content has {want} pieces")]
    PiecesCount {
        /// Hashes in the file.
        got: u32,
        /// Pieces that length and piece length make.
        want: u32,
    },
    /// Lengths that make no torrent.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A path that could leave the download folder, or that no file can have.
    #[error("refusing the path {path:?}: {reason}")]
    Path {
        /// The path as the torrent has it, components joined by `/`.
        path: String,
        /// What is wrong with it.
        reason: UnsafePath,
    },
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnsafePath {
    /// No components, or one without characters.
    #[error("a file or folder without a name")]
    Empty,
    /// A component that is `.`.
    #[error("`.` is no name")]
    Current,
    /// A component that is `..` or hides it between separators.
    #[error("`..` would leave the download folder")]
    Parent,
    /// A component that begins with a separator or a drive.
    #[error("an absolute path would leave the download folder")]
    Absolute,
    /// A component with a zero byte.
    #[error("a name with a zero byte")]
    Nul,
    /// More than a hundred folders inside one another.
    #[error("too many folders inside one another")]
    TooDeep,
}
