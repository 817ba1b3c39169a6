//! The extension protocol (BEP 10): its handshake, and the two extensions that we speak.
//!
//! An id on an extended message is the *receiver's* name for the extension, which it gave in its handshake;
//! so [`Extension::from_ours`] reads what others send us, and [`ExtensionHandshake`] holds what to put on what
//! we send them.

mod handshake;
mod metadata;
mod pex;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use handshake::{ExtensionHandshake, MAX_HANDSHAKE_LEN};
pub use metadata::{MAX_METADATA_LEN, METADATA_BLOCK_LEN, MetadataMessage, metadata_blocks};
pub use pex::{MAX_PEX_PEERS, Pex, PexPeer};

use crate::bencode::BencodeError;

/// The id of the extension handshake.
pub const HANDSHAKE_ID: u8 = 0;

/// An extension that we speak, and our id for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// BEP 11, `ut_pex`.
    Pex = 1,
    /// BEP 9, `ut_metadata`.
    Metadata = 2,
}

impl Extension {
    /// The extension that we gave this id.
    pub const fn from_ours(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Pex),
            2 => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Our id for it.
    pub const fn ours(self) -> u8 {
        self as u8
    }
}

/// An extended message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidExtension {
    /// Not bencoding, or too much of it.
    #[error("malformed extension message: {0}")]
    Bencode(#[from] BencodeError),
    /// Bencoding, but no dictionary.
    #[error("an extension message that is no dictionary")]
    NoDictionary,
    /// A metadata message without a type or a block number (BEP 9).
    #[error("a metadata message without `msg_type` or `piece`")]
    Incomplete,
}
