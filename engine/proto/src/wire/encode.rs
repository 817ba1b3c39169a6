//! Messages to bytes (BEP 3, 6, 10).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Message, RawBlock, id};

impl Message {
    /// Appends the message to `out`.
    ///
    /// Bodies above 4 GiB would not fit the length prefix; nothing here makes any.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.wire_len());
        if let Some(content) = self.encode_head(out) {
            out.put_slice(content);
        }
    }

    /// Appends all of the message but a block's content, which is returned and must be sent next.
    ///
    /// A seeder saves a copy of everything it uploads this way.
    pub fn encode_head(&self, out: &mut BytesMut) -> Option<&Bytes> {
        out.put_u32(self.wire_len() as u32 - 4);
        match self {
            Self::KeepAlive => {}
            Self::Choke => out.put_u8(id::CHOKE),
            Self::Unchoke => out.put_u8(id::UNCHOKE),
            Self::Interested => out.put_u8(id::INTERESTED),
            Self::NotInterested => out.put_u8(id::NOT_INTERESTED),
            Self::Have { piece } => put_piece(out, id::HAVE, *piece),
            Self::Bitfield(bits) => {
                out.put_u8(id::BITFIELD);
                out.put_slice(bits);
            }
            Self::Request(block) => put_block(out, id::REQUEST, *block),
            Self::Piece { piece, offset, data } => {
                put_piece(out, id::PIECE, *piece);
                out.put_u32(*offset);
                return Some(data);
            }
            Self::Cancel(block) => put_block(out, id::CANCEL, *block),
            Self::Port(port) => {
                out.put_u8(id::PORT);
                out.put_u16(*port);
            }
            Self::Suggest { piece } => put_piece(out, id::SUGGEST, *piece),
            Self::HaveAll => out.put_u8(id::HAVE_ALL),
            Self::HaveNone => out.put_u8(id::HAVE_NONE),
            Self::Reject(block) => put_block(out, id::REJECT, *block),
            Self::AllowedFast { piece } => put_piece(out, id::ALLOWED_FAST, *piece),
            Self::Extended { id: extension, payload } => {
                out.put_slice(&[id::EXTENDED, *extension]);
                out.put_slice(payload);
            }
            Self::Unknown { id } => out.put_u8(*id),
        }
        None
    }
}

fn put_piece(out: &mut BytesMut, id: u8, piece: u32) {
    out.put_u8(id);
    out.put_u32(piece);
}

fn put_block(out: &mut BytesMut, id: u8, block: RawBlock) {
    put_piece(out, id, block.piece);
    out.put_u32(block.offset);
    out.put_u32(block.len);
}
