//! The 68 bytes that open a connection (BEP 3), read in two steps.
//!
//! An accepting side answers only once it knows the info hash, and the peer id may come after that answer.
//! So [`Opening`] is everything up to the info hash, and [`decode_peer_id`] the rest.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use crate::id::{ID_LEN, InfoHash, PeerId};

/// Length of a handshake, in bytes.
pub const HANDSHAKE_LEN: usize = Opening::LEN + ID_LEN;

/// What every handshake begins with.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Bytes that open no BitTorrent connection (an encrypted one, HTTP, another protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the connection does not open with the BitTorrent protocol (byte {offset} differs)")]
pub struct InvalidHandshake {
    /// The first byte that is wrong.
    pub offset: usize,
}

/// One of the 64 reserved bits, which say what a peer supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    byte: usize,
    mask: u8,
}

impl Feature {
    /// BEP 10: the extension protocol.
    pub const EXTENSION_PROTOCOL: Self = Self { byte: 5, mask: 0x10 };
    /// BEP 6: the fast extension.
    pub const FAST: Self = Self { byte: 7, mask: 0x04 };

    /// Does the peer support it?
    pub const fn is_in(self, reserved: [u8; 8]) -> bool {
        reserved[self.byte] & self.mask != 0
    }

    /// `reserved` with this bit set.
    pub const fn add_to(self, mut reserved: [u8; 8]) -> [u8; 8] {
        reserved[self.byte] |= self.mask;
        reserved
    }
}

/// A handshake up to the info hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the other side supports; see [`Feature`].
    pub reserved: [u8; 8],
    /// The torrent it wants.
    pub info_hash: InfoHash,
}

impl Opening {
    /// Bytes on the wire.
    pub const LEN: usize = PROTOCOL.len() + 8 + ID_LEN;

    /// Takes an opening off the front of `buf`, or nothing while bytes are missing.
    ///
    /// A foreign protocol is refused at its first wrong byte.
    pub fn decode(buf: &mut BytesMut) -> Result<Option<Self>, InvalidHandshake> {
        if let Some(offset) = PROTOCOL.iter().zip(buf.iter()).position(|(want, got)| want != got) {
            return Err(InvalidHandshake { offset });
        }
        if buf.len() < Self::LEN {
            return Ok(None);
        }
        buf.advance(PROTOCOL.len());
        let (mut reserved, mut hash) = ([0; 8], [0; ID_LEN]);
        buf.copy_to_slice(&mut reserved);
        buf.copy_to_slice(&mut hash);
        Ok(Some(Self { reserved, info_hash: InfoHash(hash) }))
    }
}

/// Takes the peer id that follows an [`Opening`], or nothing while bytes are missing.
pub fn decode_peer_id(buf: &mut BytesMut) -> Option<PeerId> {
    let mut id = [0; ID_LEN];
    if buf.len() < ID_LEN {
        return None;
    }
    buf.copy_to_slice(&mut id);
    Some(PeerId(id))
}

/// A whole handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What the sender supports; see [`Feature`].
    pub reserved: [u8; 8],
    /// The torrent.
    pub info_hash: InfoHash,
    /// The sender's name.
    pub peer_id: PeerId,
}

impl Handshake {
    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; HANDSHAKE_LEN] {
        let mut out = [0; HANDSHAKE_LEN];
        out[..20].copy_from_slice(PROTOCOL);
        out[20..28].copy_from_slice(&self.reserved);
        out[28..48].copy_from_slice(self.info_hash.as_bytes());
        out[48..].copy_from_slice(self.peer_id.as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let reserved = Feature::FAST.add_to(Feature::EXTENSION_PROTOCOL.add_to([0; 8]));
        let handshake =
            Handshake { reserved, info_hash: InfoHash([b'h'; 20]), peer_id: PeerId::with_tail([b'x'; 12]) };
        assert_eq!(
            handshake.encode().escape_ascii().to_string(),
            "\\x13BitTorrent protocol\\x00\\x00\\x00\\x00\\x00\\x10\\x00\\x04\
             hhhhhhhhhhhhhhhhhhhh-OT0100-xxxxxxxxxxxx"
        );
        assert!(Feature::FAST.is_in(reserved) && !Feature::FAST.is_in([0, 0, 0, 0, 0, 0x10, 0, 0x01]));
    }

    #[test]
    fn the_info_hash_is_known_before_the_peer_id() {
        let handshake =
            Handshake { reserved: [1; 8], info_hash: InfoHash([2; 20]), peer_id: PeerId([3; 20]) };
        let mut buf = BytesMut::from(&handshake.encode()[..Opening::LEN + 5]);
        let opening = Opening::decode(&mut buf).expect("valid").expect("48 bytes are there");
        assert_eq!(opening, Opening { reserved: [1; 8], info_hash: InfoHash([2; 20]) });
        assert_eq!(decode_peer_id(&mut buf), None);
        buf.extend_from_slice(&[3; 15]);
        buf.extend_from_slice(b"next");
        assert_eq!((decode_peer_id(&mut buf), &buf[..]), (Some(PeerId([3; 20])), &b"next"[..]));
    }

    #[test]
    fn a_foreign_protocol_is_refused_at_its_first_wrong_byte() {
        assert_eq!(Opening::decode(&mut BytesMut::from("G")), Err(InvalidHandshake { offset: 0 }));
        let late = BytesMut::from(&b"\x13BitTorrent Protocol"[..]);
        assert_eq!(Opening::decode(&mut late.clone()), Err(InvalidHandshake { offset: 12 }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_in_any_cuts(
            reserved: [u8; 8], hash: [u8; 20], id: [u8; 20], cut in 0..HANDSHAKE_LEN
        ) {
            let (info_hash, peer_id) = (InfoHash(hash), PeerId(id));
            let bytes = Handshake { reserved, info_hash, peer_id }.encode();
            let mut buf = BytesMut::from(&bytes[..cut]);
            let early = Opening::decode(&mut buf).expect("valid");
            prop_assert_eq!(early.is_some(), cut >= Opening::LEN);
            buf.extend_from_slice(&bytes[cut..]);
            let opening = early.or(Opening::decode(&mut buf).ok().flatten());
            prop_assert_eq!(opening, Some(Opening { reserved, info_hash }));
            prop_assert_eq!(decode_peer_id(&mut buf), Some(peer_id));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Opening::decode(&mut BytesMut::from(&bytes[..]));
        }
    }
}
