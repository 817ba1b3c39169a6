//! What is shared: the `[torrent]` table.

use proto::piece::{BLOCK_LEN, Geometry};

use super::MAX_CONTENT;
use super::fields::{Fields, Value, size};
use super::quantity::size_text;
use super::source::Refusal;
use super::write::line;

/// The shared content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Bytes.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
}

pub(super) fn decode(value: &Value<'_>) -> Result<Torrent, Refusal> {
    let fields = Fields::of(value, "[torrent]", &["size", "piece_length"])?;
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
    Ok(Torrent { size: bytes, piece_length: piece_length.piece_len() })
}

/// The `[torrent]` table that says `torrent`.
pub(super) fn write(out: &mut String, torrent: Torrent) {
    out.push_str("\n[torrent]\n");
    line(out, "size", &size_text(torrent.size));
    line(out, "piece_length", &size_text(u64::from(torrent.piece_length)));
}
