//! What is shared: the `[torrent]` table.

use std::fmt::Write as _;

use proto::piece::{BLOCK_LEN, Geometry};
use proto::torrent::policy::Policies;

use super::fields::{Fields, Value, size, truth, within};
use super::quantity::size_text;
use super::schema::{Key, Shape, needs, or};
use super::source::Refusal;
use super::write::line;
use super::{MAX_CONTENT, Policy, policy};

/// Files of a torrent at the most: ten times what real ones of many have.
const MAX_FILES: u32 = 100_000;

/// The shared content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Bytes.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// Its peers come from its tracker alone (BEP 27).
    pub private: bool,
    /// Files that the content lies in, one after the other.
    pub files: u32,
}

/// The keys, besides those of a [`Policy`].
pub(super) const KEYS: &[Key] = &[
    needs("size", Shape::Size, "How much is shared, all files together; 4 GiB at the most."),
    needs("piece_length", Shape::Size, "Pieces are a power of two of bytes long, 16 KiB or more."),
    or(
        "false",
        "private",
        Shape::Truth,
        "Peers come from the tracker alone: no peer exchange, no metadata for strangers (BEP 27).",
    ),
    or(
        "1",
        "files",
        Shape::Whole(1, MAX_FILES),
        "In how many files the content lies, every tenth of them empty.",
    ),
];

/// Every so many files one is empty, if there are several.
const EMPTY: u32 = 10;

impl Torrent {
    /// The files' lengths: alike but for the empty ones and the last, which has the rest.
    pub fn file_lens(&self) -> Vec<u64> {
        let is_empty = |index: u32| index % EMPTY == EMPTY / 2 && index + 1 < self.files;
        let full = (0..self.files).filter(|&index| !is_empty(index)).count() as u64;
        let (each, rest) = (self.size / full, self.size % full);
        let len = |index| match index {
            _ if is_empty(index) => 0,
            last if last + 1 == self.files => each + rest,
            _ => each,
        };
        (0..self.files).map(len).collect()
    }

    /// Pieces that these files, from the first number to the last, have bytes in.
    pub fn pieces_of(&self, (first, last): (u32, u32)) -> u32 {
        let (mut at, mut pieces) = (0, std::collections::BTreeSet::new());
        for (index, len) in (0..).zip(self.file_lens()) {
            if len > 0 && (first..=last).contains(&index) {
                let piece_at = |byte: u64| byte / u64::from(self.piece_length);
                pieces.extend(piece_at(at)..=piece_at(at + len - 1));
            }
            at += len;
        }
        pieces.len() as u32
    }
}

/// What one looks like, for who has left it out.
pub(super) const EXAMPLE: &str =
    "write for example: torrent = { size = \"16 MiB\", piece_length = \"64 KiB\" }";

/// What is shared, and how all peers play unless their group says otherwise.
pub(super) fn decode(value: &Value<'_>, policies: &Policies) -> Result<(Torrent, Policy), Refusal> {
    let keys = [KEYS, policy::KEYS].concat();
    let fields = Fields::of(value, "[torrent]", &keys)?;
    let bytes = fields.required("size", |value| match size(value)? {
        bytes if bytes <= MAX_CONTENT => Ok(bytes),
        _ => Err(Refusal::new(value.span(), format!("content is at most {}", size_text(MAX_CONTENT)))),
    })?;
    let piece_length = fields.required("piece_length", |value| {
        let piece_length = size(value)?;
        if !piece_length.is_power_of_two() || piece_length < u64::from(BLOCK_LEN) {
            let refusal = Refusal::new(value.span(), "a piece length is a power of two, 16 KiB or more");
            return Err(refusal.hint("write for example \"64 KiB\""));
        }
        let geometry = Geometry::new(bytes, piece_length);
        geometry.map_err(|error| Refusal::new(value.span(), error.to_string()))
    })?;
    let private = fields.optional("private", truth)?.unwrap_or(false);
    let files = fields.optional("files", |value| within(value, 1..=MAX_FILES))?.unwrap_or(1);
    let torrent = Torrent { size: bytes, piece_length: piece_length.piece_len(), private, files };
    Ok((torrent, policy::decode(&fields, policies)?))
}

/// The `[torrent]` table that says `torrent`.
pub(super) fn write(out: &mut String, torrent: Torrent) {
    out.push_str("\n[torrent]\n");
    line(out, "size", &size_text(torrent.size));
    line(out, "piece_length", &size_text(u64::from(torrent.piece_length)));
    if torrent.private {
        out.push_str("private = true\n");
    }
    if torrent.files > 1 {
        let _ = writeln!(out, "files = {}", torrent.files);
    }
}
