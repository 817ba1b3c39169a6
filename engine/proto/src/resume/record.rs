//! The record as bytes: an envelope of version and checksum around a bencoded dictionary (BEP 3's encoding).
//!
//! The envelope is `{ checksum: SHA-1 of record, record: bytes, version: 1 }`. Keys that this version does not
//! know are left alone, so that a selection can join without a new version.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::bencode::{self, BencodeError, KeyOrder, Limits};
use crate::bitfield::Bitfield;
use crate::id::InfoHash;
use crate::metainfo::Metainfo;

/// The format's version. Another one, older or newer, is not read: everything is hashed instead.
pub const VERSION: i64 = 1;

/// Bytes of a record at the most: the largest torrents that can be opened need less.
pub const MAX_RECORD_LEN: usize = 32 << 20;

/// Peers that a record names at the most: enough to be connected again before a tracker has answered.
pub const MAX_PEERS: usize = 50;

/// Values in a record besides those of its files: its keys, with room for later ones.
const OTHER_ITEMS: usize = 256;

/// Values for each file: a list of two numbers.
const ITEMS_A_FILE: usize = 3;

/// What can be seen of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub len: u64,
    /// When it was last written, in nanoseconds since the Unix epoch; only compared for equality.
    pub modified: i64,
}

/// What one run leaves to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub info_hash: InfoHash,
    /// Pieces that were verified, and flushed since.
    pub claimed: Bitfield,
    /// Pieces to hash whatever the files look like: a check was interrupted, or they were coming in.
    pub unchecked: Bitfield,
    /// Every file as it was when its pieces were claimed; nothing for one that was not there or is in doubt.
    pub files: Vec<Option<Stamp>>,
    /// Payload bytes sent in all runs.
    pub uploaded: u64,
    /// Payload bytes received in all runs.
    pub downloaded: u64,
    /// Peers that were connected, [`MAX_PEERS`] at the most.
    pub peers: Vec<SocketAddr>,
}

/// Why a record is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// No record at all, or cut off.
    #[error("the resume data are damaged: {0}")]
    Malformed(#[from] BencodeError),
    /// Bytes have changed since it was written.
    #[error("the resume data are damaged: their checksum does not fit")]
    Checksum,
    /// Another program's, or another release's.
    #[error("the resume data have version {0}, and this program reads version {VERSION}")]
    Version(i64),
    /// Of another torrent.
    #[error("the resume data belong to the torrent {0}")]
    Foreign(InfoHash),
    /// It contradicts its torrent or itself.
    #[error("the resume data do not fit the torrent: {0}")]
    Unfit(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(with = "serde_bytes")]
    checksum: Vec<u8>,
    #[serde(with = "serde_bytes")]
    record: Vec<u8>,
    version: i64,
}

/// The version alone: what else another version's envelope has is its own affair.
#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(with = "serde_bytes")]
    claimed: Vec<u8>,
    downloaded: i64,
    /// Length and time of each file; an empty list for one without.
    files: Vec<Vec<i64>>,
    #[serde(with = "serde_bytes", rename = "info hash")]
    info_hash: Vec<u8>,
    #[serde(with = "serde_bytes")]
    peers: Vec<u8>,
    #[serde(with = "serde_bytes")]
    peers6: Vec<u8>,
    #[serde(with = "serde_bytes")]
    unchecked: Vec<u8>,
    uploaded: i64,
}

impl Record {
    /// The record as bytes.
    ///
    /// # Errors
    /// None that a record of this shape can meet; the encoder's type has one.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let stamp = |stamp: &Option<Stamp>| {
            stamp.map_or_else(Vec::new, |stamp| vec![number(stamp.len), stamp.modified])
        };
        let (mut peers, mut peers6) = (Vec::new(), Vec::new());
        for addr in self.peers.iter().take(MAX_PEERS) {
            match addr.ip() {
                IpAddr::V4(ip) => peers.extend(ip.octets().iter().chain(&addr.port().to_be_bytes())),
                IpAddr::V6(ip) => peers6.extend(ip.octets().iter().chain(&addr.port().to_be_bytes())),
            }
        }
        let record = bencode::encode(&Body {
            claimed: self.claimed.to_wire().to_vec(),
            downloaded: number(self.downloaded),
            files: self.files.iter().map(stamp).collect(),
            info_hash: self.info_hash.0.to_vec(),
            peers,
            peers6,
            unchecked: self.unchecked.to_wire().to_vec(),
            uploaded: number(self.uploaded),
        })?;
        let checksum = Sha1::digest(&record).to_vec();
        Ok(bencode::encode(&Envelope { checksum, record, version: VERSION })?)
    }

    /// Reads a record of this torrent.
    ///
    /// # Errors
    /// Whatever speaks against believing it.
    pub fn decode(bytes: &[u8], metainfo: &Metainfo) -> Result<Self, RecordError> {
        let files = metainfo.files().len();
        let items = OTHER_ITEMS + ITEMS_A_FILE * files;
        let limits = Limits { len: MAX_RECORD_LEN, depth: 8, items, order: KeyOrder::Any };
        let scanned = bencode::scan(bytes, limits).map_err(BencodeError::from)?;
        match scanned.decode::<Versioned>()?.version {
            VERSION => {}
            other => return Err(RecordError::Version(other)),
        }
        let envelope: Envelope = scanned.decode()?;
        if Sha1::digest(&envelope.record)[..] != envelope.checksum[..] {
            return Err(RecordError::Checksum);
        }
        let body: Body = bencode::decode(&envelope.record, limits)?;
        let info_hash = InfoHash::from_slice(&body.info_hash).ok_or(RecordError::Unfit("its info hash"))?;
        if info_hash != metainfo.info_hash() {
            return Err(RecordError::Foreign(info_hash));
        }
        let pieces = metainfo.geometry().pieces();
        let bitfield =
            |bytes: &[u8], what| Bitfield::from_wire(bytes, pieces).map_err(|_| RecordError::Unfit(what));
        let claimed = bitfield(&body.claimed, "its pieces")?;
        let unchecked = bitfield(&body.unchecked, "its unchecked pieces")?;
        if metainfo.geometry().all_pieces().any(|piece| claimed.has(piece) && unchecked.has(piece)) {
            return Err(RecordError::Unfit("a piece is claimed and unchecked"));
        }
        if body.files.len() != files {
            return Err(RecordError::Unfit("its files"));
        }
        let files = body.files.iter().map(|file| stamp(file)).collect::<Result<_, _>>()?;
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        let (uploaded, downloaded) = (number(body.uploaded), number(body.downloaded));
        let peers = addresses(&body.peers, &body.peers6);
        Ok(Self { info_hash, claimed, unchecked, files, uploaded, downloaded, peers })
    }
}

/// A file's stamp, if it has one; a list of another shape is refused.
fn stamp(file: &[i64]) -> Result<Option<Stamp>, RecordError> {
    let unfit = RecordError::Unfit("a file's length and time");
    match *file {
        [] => Ok(None),
        [len, modified] => Ok(Some(Stamp { len: u64::try_from(len).map_err(|_| unfit)?, modified })),
        _ => Err(unfit),
    }
}

fn addresses(v4: &[u8], v6: &[u8]) -> Vec<SocketAddr> {
    let port = |bytes: &[u8]| bytes.try_into().ok().map(u16::from_be_bytes);
    let v4 = v4.as_chunks::<6>().0.iter().filter_map(|bytes| {
        let (ip, rest) = bytes.split_first_chunk::<4>()?;
        Some(SocketAddr::from((*ip, port(rest)?)))
    });
    let v6 = v6.as_chunks::<18>().0.iter().filter_map(|bytes| {
        let (ip, rest) = bytes.split_first_chunk::<16>()?;
        Some(SocketAddr::from((*ip, port(rest)?)))
    });
    v4.chain(v6).take(MAX_PEERS).collect()
}
