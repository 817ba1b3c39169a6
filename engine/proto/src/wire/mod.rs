//! The peer wire protocol (BEP 3, 6, 10): handshake, messages and an incremental decoder with limits.

mod allowed_fast;
pub mod decoder;
mod encode;
pub mod extension;
pub mod handshake;
pub mod message;
#[cfg(test)]
mod tests;

pub use allowed_fast::allowed_fast;
pub use decoder::{Decoder, InvalidMessage};
pub use handshake::{Feature, HANDSHAKE_LEN, Handshake, InvalidHandshake, Opening, decode_peer_id};
pub use message::{Message, RawBlock};

/// Message ids, as they stand on the wire.
mod id {
    pub(super) const CHOKE: u8 = 0;
    pub(super) const UNCHOKE: u8 = 1;
    pub(super) const INTERESTED: u8 = 2;
    pub(super) const NOT_INTERESTED: u8 = 3;
    pub(super) const HAVE: u8 = 4;
    pub(super) const BITFIELD: u8 = 5;
    pub(super) const REQUEST: u8 = 6;
    pub(super) const PIECE: u8 = 7;
    pub(super) const CANCEL: u8 = 8;
    pub(super) const PORT: u8 = 9;
    pub(super) const SUGGEST: u8 = 13;
    pub(super) const HAVE_ALL: u8 = 14;
    pub(super) const HAVE_NONE: u8 = 15;
    pub(super) const REJECT: u8 = 16;
    pub(super) const ALLOWED_FAST: u8 = 17;
    pub(super) const EXTENDED: u8 = 20;
}
