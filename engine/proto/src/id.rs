//! The 20-byte names of the protocol: info hash, peer id and piece hash (BEP 3).

use std::fmt;

use sha1::{Digest, Sha1};

/// Length of every identifier here, in bytes.
pub const ID_LEN: usize = 20;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; ID_LEN]);

        impl $name {
            /// Takes the first 20 bytes of `bytes`, or nothing if it has another length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

identifier!(
    /// SHA-1 over the original bytes of the `info` dictionary: the torrent's name in the swarm.
    InfoHash
);
identifier!(
    /// A peer's self-chosen name on the wire.
    PeerId
);
identifier!(
    /// SHA-1 of one piece's content.
    PieceHash
);

impl InfoHash {
    /// Hashes the raw `info` value.
    pub fn of(info: &[u8]) -> Self {
        Self(Sha1::digest(info).into())
    }
}

impl PieceHash {
    /// Hashes one piece's content.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha1::digest(content).into())
    }
}

impl PeerId {
    /// Our client prefix in the Azureus style: `OT`, version 0.1.0.
    pub const PREFIX: [u8; 8] = *b"-OT0100-";

    /// A peer id of ours with `tail` as its random part.
    pub fn with_tail(tail: [u8; 12]) -> Self {
        let mut id = [0; ID_LEN];
        id[..8].copy_from_slice(&Self::PREFIX);
        id[8..].copy_from_slice(&tail);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_print_as_hex_and_check_their_length() {
        assert_eq!(InfoHash([0xab; 20]).to_string(), "ab".repeat(20));
        assert_eq!(InfoHash::from_slice(&[0; 19]), None);
        assert_eq!(PieceHash::of(b"abc").to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
