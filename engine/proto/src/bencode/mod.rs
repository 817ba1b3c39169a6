//! Bencoding (BEP 3): a strict, depth-limited scanner first, then typed values.
//!
//! `serde_bencode` alone overflows the stack on deep nesting and accepts `-0`, leading zeros and trailing
//! bytes, so nothing reaches it that [`scan`] has not passed. A [`Scanned`] is the proof of that, and knows
//! where each raw value of the outermost dictionary lies: the info hash is taken over original bytes.

mod scan;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use scan::{Entries, KeyOrder, Limits, Malformed, ScanError, Scanned, scan, scan_prefix};

/// Bytes that are not the value that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BencodeError {
    /// Not bencoding, or beyond a limit.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Bencoding, but of another shape: a key is missing or a value has another type.
    #[error("{0}")]
    Shape(String),
}

/// Scans `bytes`, which must be one value and nothing else, then reads them as a `T`.
///
/// Integers beyond 64 bits with sign were refused by the scan; keys of a struct must be UTF-8, use a map of
/// byte strings where they are not (BEP 48).
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limits: Limits) -> Result<T, BencodeError> {
    scan(bytes, limits)?.decode()
}

/// Writes `value` with its keys sorted; the same value always gives the same bytes.
///
/// The error is a type that bencoding cannot express, such as a float.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, BencodeError> {
    serde_bencode::to_bytes(value).map_err(|error| BencodeError::Shape(error.to_string()))
}

impl Scanned<'_> {
    /// Reads the value as a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, BencodeError> {
        serde_bencode::from_bytes(self.bytes()).map_err(|error| BencodeError::Shape(error.to_string()))
    }
}

/// The integer that a raw value of a scanned dictionary is, if it is one.
pub fn integer(raw: &[u8]) -> Option<i64> {
    let digits = raw.strip_prefix(b"i")?.strip_suffix(b"e")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The string that a raw value of a scanned dictionary is, if it is one.
pub fn byte_string(raw: &[u8]) -> Option<&[u8]> {
    let colon = raw.iter().position(|&byte| byte == b':')?;
    raw.first().filter(|first| first.is_ascii_digit()).and_then(|_| raw.get(colon + 1..))
}
