//! The options behind an announce (BEP 41): the path and query of the tracker's URL.
//!
//! Type 0 ends the options and type 1 is padding; both lack a length byte, which every other type has.

use thiserror::Error;

const END_OF_OPTIONS: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

/// The longest URL data that is put together, in bytes; a datagram holds no more.
pub const MAX_URL_DATA: usize = 2048;

/// An option that is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("option {kind} is cut short")]
pub struct CutOption {
    /// Its type byte.
    pub kind: u8,
}

/// The URL data in `options`: the parts of a long one joined, unknown types skipped.
pub fn url_data(mut options: &[u8]) -> Result<Vec<u8>, CutOption> {
    let mut url = Vec::new();
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            END_OF_OPTIONS => break,
            NOP => options = rest,
            kind => {
                let (&len, rest) = rest.split_first().ok_or(CutOption { kind })?;
                let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(CutOption { kind })?;
                if kind == URL_DATA && url.len() + value.len() <= MAX_URL_DATA {
                    url.extend_from_slice(value);
                }
                options = rest;
            }
        }
    }
    Ok(url)
}

/// The options that carry `url`, path and query, in parts of at most 255 bytes.
pub fn with_url_data(url: &str) -> Vec<u8> {
    let mut options = Vec::new();
    for part in url.as_bytes().chunks(usize::from(u8::MAX)) {
        options.extend([URL_DATA, part.len() as u8]);
        options.extend_from_slice(part);
    }
    options
}
