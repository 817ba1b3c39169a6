//! The 20-byte names of the protocol: info hash, peer id and piece hash (BEP 3).

use std::fmt;
use std::str::FromStr;

use sha1::{Digest, Sha1};
use thiserror::Error;

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

/// Text that is no info hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an info hash is 40 hexadecimal digits")]
pub struct InfoHashError;

impl FromStr for InfoHash {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        let digits: &[u8; 2 * ID_LEN] = text.as_bytes().try_into().map_err(|_| InfoHashError)?;
        let mut id = [0; ID_LEN];
        for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16).ok_or(InfoHashError));
            *byte = (high? << 4 | low?) as u8;
        }
        Ok(Self(id))
    }
}

impl InfoHash {
    /// Hashes the raw `info` value.
    pub fn of(info: &[u8]) -> Self {
        Self(Sha1::digest(info).into())
    }
}

impl InfoHash {
    /// Reads 40 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Vec<u8> =
            text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high * 16 + low).collect();
        Self::from_slice(&bytes).filter(|_| digits.len() == 2 * ID_LEN)
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
        assert_eq!("aB".repeat(20).parse(), Ok(InfoHash([0xab; 20])));
        for text in ["", "ab", &"ag".repeat(20), &"ab".repeat(21), &"é".repeat(20)] {
            assert_eq!(text.parse::<InfoHash>(), Err(InfoHashError), "{text}");
        }
        assert_eq!(PieceHash::of(b"abc").to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
