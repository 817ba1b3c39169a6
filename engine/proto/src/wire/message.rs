//! Peer wire messages as values (BEP 3, 6, 10).

use bytes::Bytes;

/// A block as the wire names it; the torrent's geometry has not checked it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawBlock {
    /// Piece index.
    pub piece: u32,
    /// Bytes from the start of the piece.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One message after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Zero length; keeps the connection open.
    KeepAlive,
    /// 0: no request of yours will be served.
    Choke,
    /// 1: requests of yours will be served.
    Unchoke,
    /// 2: you have something I want.
    Interested,
    /// 3: you have nothing I want.
    NotInterested,
    /// 4: I now have this piece.
    Have {
        /// Piece index.
        piece: u32,
    },
    /// 5: the pieces I have, in the wire's layout; only first.
    Bitfield(Bytes),
    /// 6: send me this block.
    Request(RawBlock),
    /// 7: a block's bytes.
    Piece {
        /// Piece index.
        piece: u32,
        /// Bytes from the start of the piece.
        offset: u32,
        /// The content.
        data: Bytes,
    },
    /// 8: I no longer want this block.
    Cancel(RawBlock),
    /// 9: my DHT port (BEP 5).
    Port(u16),
    /// 13: you may like this piece (BEP 6).
    Suggest {
        /// Piece index.
        piece: u32,
    },
    /// 14: I have everything (BEP 6).
    HaveAll,
    /// 15: I have nothing (BEP 6).
    HaveNone,
    /// 16: this request will not be served (BEP 6).
    Reject(RawBlock),
    /// 17: you may request this piece while choked (BEP 6).
    AllowedFast {
        /// Piece index.
        piece: u32,
    },
    /// 20: extension protocol (BEP 10); id 0 is its handshake.
    Extended {
        /// The receiver's id of the extension.
        id: u8,
        /// The extension's own bytes.
        payload: Bytes,
    },
    /// An id that no BEP we know defines; its payload was skipped.
    Unknown {
        /// The message id.
        id: u8,
    },
}

impl Message {
    /// Bytes on the wire, the four of the length prefix included.
    pub fn wire_len(&self) -> usize {
        let body = match self {
            Self::KeepAlive => return 4,
            Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone
            | Self::Unknown { .. } => 0,
            Self::Have { .. } | Self::Suggest { .. } | Self::AllowedFast { .. } => 4,
            Self::Bitfield(bits) => bits.len(),
            Self::Request(_) | Self::Cancel(_) | Self::Reject(_) => 12,
            Self::Piece { data, .. } => 8 + data.len(),
            Self::Port(_) => 2,
            Self::Extended { payload, .. } => 1 + payload.len(),
        };
        5 + body
    }
}
