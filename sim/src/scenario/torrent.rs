//! What is shared: the `[torrent]` table.

use proto::piece::{BLOCK_LEN, Geometry};
use proto::torrent::policy::Policies;

use super::fields::{Fields, Value, size, truth};
use super::quantity::size_text;
use super::source::Refusal;
use super::write::line;
use super::{MAX_CONTENT, Policy, policy};

/// The shared content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Bytes.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// Its peers come from its tracker alone (BEP 27).
    pub private: bool,
}

/// What is shared, and how all peers play unless their group says otherwise.
pub(super) fn decode(value: &Value<'_>, policies: &Policies) -> Result<(Torrent, Policy), Refusal> {
    let keys = [&["size", "piece_length", "private"], policy::KEYS.as_slice()].concat();
    let fields = Fields::of(value, "[torrent]", &keys)?;
    let bytes = fields.required("size", |value| match size(value)? {
        bytes if bytes <= MAX_CONTENT => Ok(bytes),
        _ => Err(Refusal::new(value.span(), format!("content is at most {}", size_text(MAX_CONTENT)))),
    })?;
    let piece_length = fields.required("piece_length", |value| {
        let piece_length = size(value)?;
        if !piece_length.is_power_of_two() || piece_length < u64::from(BLOCK_LEN) {
            return Err(Refusal::new(value.span(), "a piece length is a power of two, 16 KiB or more"));
        }
        let geometry = Geometry::new(bytes, piece_length);
        geometry.map_err(|error| Refusal::new(value.span(), error.to_string()))
    })?;
    let private = fields.optional("private", truth)?.unwrap_or(false);
    let torrent = Torrent { size: bytes, piece_length: piece_length.piece_len(), private };
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
}
