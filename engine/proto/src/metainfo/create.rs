//! Making a torrent file (BEP 3, 12, 27, 47): pure, so that the caller hashes its content as it likes.
//!
//! Validate the list of files first ([`Draft::new`]), hash the pieces that [`Draft::geometry`] tells, then
//! [`Draft::finish`]. The same draft and hashes always give the same bytes.

use serde::Serialize;
use serde_bytes::{ByteBuf, Bytes as ByteStr};
use thiserror::Error;

use super::{Metainfo, MetainfoError, Notes};
use crate::bencode;
use crate::id::PieceHash;
use crate::piece::{BLOCK_LEN, Geometry, GeometryError};

/// Pieces that an automatic piece length aims for at most: some 40 KiB of hashes.
const AUTOMATIC_PIECES: u64 = 2048;

/// The longest automatic piece, in bytes: 16 MiB. Longer ones make a swarm sluggish.
const MAX_AUTOMATIC_PIECE_LEN: u64 = 16 << 20;

/// Why no torrent could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CreateError {
    /// Lengths that make no torrent.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The piece length is not a power of two from 16 KiB, which many clients refuse.
    #[error("a piece length of {0} bytes: it must be a power of two and at least 16384")]
    PieceLength(u32),
    /// Another number of hashes than pieces.
    #[error("{got} piece hashes, where {want} are due")]
    Hashes {
        /// Hashes given.
        got: usize,
        /// Pieces of the content.
        want: u32,
    },
    /// We would refuse the result ourselves.
    #[error("such a torrent would be refused: {0}")]
    Refused(#[from] MetainfoError),
    /// The path is not safe on every disk, so whoever downloads gets another one.
    #[error("{path:?} would be saved as {saved:?} by those who download it; rename it first")]
    Renamed {
        /// The path given.
        path: String,
        /// The path that a download would have.
        saved: String,
    },
}

/// The content of a torrent to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One file, called like the torrent, of so many bytes.
    Single(u64),
    /// A folder, called like the torrent: path components below it, and bytes, in order.
    Multi(Vec<(Vec<String>, u64)>),
}

impl Content {
    fn len(&self) -> u64 {
        match self {
            Self::Single(len) => *len,
            Self::Multi(files) => files.iter().fold(0, |sum: u64, (_, len)| sum.saturating_add(*len)),
        }
    }
}

/// A torrent to be, before its pieces are hashed.
#[derive(Clone, Debug)]
pub struct Draft {
    name: String,
    content: Content,
    /// Zeros behind each file, if it is padded.
    padding: Vec<u64>,
    geometry: Geometry,
    /// Announce URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// URLs at which HTTP servers have the content (BEP 19).
    pub web_seeds: Vec<String>,
    /// BEP 27: peers come from the tracker only.
    pub private: bool,
    /// Comment, creator and date.
    pub notes: Notes,
}

impl Draft {
    /// Takes the name, the files and the piece length in bytes ([`piece_len_for`] if there is none).
    pub fn new(name: &str, content: Content, piece_len: Option<u32>) -> Result<Self, CreateError> {
        let piece_len = piece_len.unwrap_or_else(|| piece_len_for(content.len()));
        if !piece_len.is_power_of_two() || piece_len < BLOCK_LEN {
            return Err(CreateError::PieceLength(piece_len));
        }
        let geometry = Geometry::new(content.len(), u64::from(piece_len))?;
        let (trackers, web_seeds, private, notes) = (Vec::new(), Vec::new(), false, Notes::default());
        let (name, padding) = (name.to_owned(), Vec::new());
        let draft = Self { name, content, padding, geometry, trackers, web_seeds, private, notes };
        // Refuse bad names now and not after an hour of hashing.
        draft.encode(&vec![PieceHash::default(); geometry.pieces() as usize])?;
        Ok(draft)
    }

    /// The same with zeros between its files, so that each begins with a piece (BEP 47): then no piece belongs
    /// to two of them, and what two torrents have in common has the same pieces.
    pub fn padded(mut self) -> Result<Self, CreateError> {
        let piece_len = u64::from(self.geometry.piece_len());
        let Content::Multi(files) = &self.content else { return Ok(self) };
        let with_content = files.iter().rposition(|(_, len)| *len > 0).unwrap_or(0);
        let gap = |(index, (_, len)): (usize, &(Vec<String>, u64))| {
            if index < with_content { len.next_multiple_of(piece_len) - len } else { 0 }
        };
        self.padding = files.iter().enumerate().map(gap).collect();
        let len = self.padding.iter().fold(self.content.len(), |sum, gap| sum.saturating_add(*gap));
        self.geometry = Geometry::new(len, piece_len)?;
        self.encode(&vec![PieceHash::default(); self.geometry.pieces() as usize])?;
        Ok(self)
    }

    /// Zeros to hash behind file `index` of the content.
    pub fn padding_after(&self, index: usize) -> u64 {
        self.padding.get(index).copied().unwrap_or(0)
    }

    /// Lengths and pieces, for hashing.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The bytes of the torrent file.
    pub fn finish(&self, hashes: &[PieceHash]) -> Result<Vec<u8>, CreateError> {
        if hashes.len() != self.geometry.pieces() as usize {
            return Err(CreateError::Hashes { got: hashes.len(), want: self.geometry.pieces() });
        }
        self.encode(hashes)
    }

    /// Encodes, and reads the result back as a downloader would.
    fn encode(&self, hashes: &[PieceHash]) -> Result<Vec<u8>, CreateError> {
        let bytes = bencode::encode(&self.outer(hashes)).map_err(MetainfoError::from)?;
        let metainfo = Metainfo::parse(&bytes)?;
        let saved = metainfo.files().iter().filter(|file| !file.is_padding()).map(|file| file.path.join("/"));
        let changed = |(path, saved): &(String, String)| path != saved;
        match self.paths().zip(saved).find(changed) {
            Some((path, saved)) => Err(CreateError::Renamed { path, saved }),
            None => Ok(bytes),
        }
    }

    fn paths(&self) -> impl Iterator<Item = String> + '_ {
        let (single, multi) = match &self.content {
            Content::Single(_) => (Some(self.name.clone()), &[][..]),
            Content::Multi(files) => (None, files.as_slice()),
        };
        single.into_iter().chain(multi.iter().map(|(path, _)| format!("{}/{}", self.name, path.join("/"))))
    }

    fn outer(&self, hashes: &[PieceHash]) -> Outer<'_> {
        let lone = self.trackers.len() == 1 && self.trackers.iter().all(|tier| tier.len() == 1);
        Outer {
            announce: self.trackers.iter().flatten().next().map(String::as_str),
            announce_list: (!lone && !self.trackers.is_empty()).then_some(self.trackers.as_slice()),
            comment: self.notes.comment.as_deref(),
            created_by: self.notes.created_by.as_deref(),
            creation_date: self.notes.creation_date,
            info: self.info(hashes),
            url_list: (!self.web_seeds.is_empty()).then_some(self.web_seeds.as_slice()),
        }
    }

    fn info(&self, hashes: &[PieceHash]) -> Info<'_> {
        let (length, files) = match &self.content {
            Content::Single(len) => (Some(*len), None),
            Content::Multi(files) => {
                let entries = files.iter().enumerate().flat_map(|(index, (path, len))| {
                    let gap = self.padding_after(index);
                    let padding = (gap > 0).then(|| File::padding(gap));
                    [File { attr: None, length: *len, path: path.clone() }].into_iter().chain(padding)
                });
                (None, Some(entries.collect()))
            }
        };
        Info {
            files,
            length,
            name: ByteStr::new(self.name.as_bytes()),
            piece_len: self.geometry.piece_len(),
            pieces: ByteBuf::from(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<u8>>()),
            private: self.private.then_some(1),
        }
    }
}

/// The piece length for content of `len` bytes: the power of two from 16 KiB to 16 MiB that makes at most
/// 2048 pieces, or the nearest.
pub fn piece_len_for(len: u64) -> u32 {
    let wanted = len.div_ceil(AUTOMATIC_PIECES).clamp(u64::from(BLOCK_LEN), MAX_AUTOMATIC_PIECE_LEN);
    wanted.next_power_of_two() as u32
}

#[derive(Serialize)]
struct Outer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    announce: Option<&'a str>,
    #[serde(rename = "announce-list", skip_serializing_if = "Option::is_none")]
    announce_list: Option<&'a [Vec<String>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(rename = "created by", skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(rename = "creation date", skip_serializing_if = "Option::is_none")]
    creation_date: Option<i64>,
    info: Info<'a>,
    #[serde(rename = "url-list", skip_serializing_if = "Option::is_none")]
    url_list: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Info<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<File>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    name: &'a ByteStr,
    #[serde(rename = "piece length")]
    piece_len: u32,
    pieces: ByteBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<u8>,
}

#[derive(Serialize)]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    attr: Option<&'static str>,
    length: u64,
    path: Vec<String>,
}

impl File {
    //= BEP 47: the path of padding "is `[".pad", <number>]`, where the number is its length".
    fn padding(length: u64) -> Self {
        Self { attr: Some("p"), length, path: vec![".pad".to_owned(), length.to_string()] }
    }
}
