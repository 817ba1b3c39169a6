//! The incremental decoder: bytes as they come, messages as they complete (BEP 3, 6, 10).
//!
//! It refuses a message by its first five bytes, before anything of its body is waited for or stored, and
//! hands out a block's content without a copy.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use super::{Message, RawBlock, id};
use crate::piece::{BLOCK_LEN, MAX_PIECES};

/// The longest extended message, its two id bytes included: a metadata block (BEP 9) with room to spare.
pub const MAX_EXTENDED_LEN: u32 = 128 * 1024;

/// The longest message of an unknown id. It is skipped as it comes in, so this bounds time and not memory.
pub const MAX_UNKNOWN_LEN: u32 = 64 * 1024;

/// A piece message's id, index and offset.
const PIECE_HEAD_LEN: u32 = 9;

/// Bytes that are no peer message; the connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidMessage {
    /// A message of a fixed length has another one.
    #[error("message {id} has {got} bytes, where {want} are due")]
    Length {
        /// The message id.
        id: u8,
        /// Bytes announced, the id included.
        got: u32,
        /// Bytes due.
        want: u32,
    },
    /// A message is longer than its kind may be.
    #[error("message {id} has {got} bytes, of at most {max}")]
    TooLong {
        /// The message id.
        id: u8,
        /// Bytes announced, the id included.
        got: u32,
        /// Bytes allowed.
        max: u32,
    },
    /// A message is shorter than its head.
    #[error("message {id} has {got} bytes, of at least {min}")]
    TooShort {
        /// The message id.
        id: u8,
        /// Bytes announced, the id included.
        got: u32,
        /// Bytes needed.
        min: u32,
    },
}

/// Reads the messages of one connection of a torrent. After an error it must not be used again.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Length of a bitfield message, its id included; nothing while the torrent's length is unknown.
    bitfield_len: Option<u32>,
    /// An unknown message that is being skipped: its id and the bytes still to come.
    skipping: Option<(u8, usize)>,
}

impl Decoder {
    /// For a torrent of `pieces`: its bitfield has exactly that many bits, rounded up to bytes.
    pub const fn new(pieces: u32) -> Self {
        Self { bitfield_len: Some(1 + pieces.div_ceil(8)), skipping: None }
    }

    /// For a torrent of which no more than the info hash is known.
    pub const fn for_unknown() -> Self {
        Self { bitfield_len: None, skipping: None }
    }

    /// Takes the next message off the front of `buf`, or nothing while bytes are missing.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Message>, InvalidMessage> {
        if let Some((id, rest)) = self.skipping {
            return Ok(self.skip(id, rest, buf));
        }
        let Some(&prefix) = buf.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(prefix);
        if len == 0 {
            buf.advance(4);
            return Ok(Some(Message::KeepAlive));
        }
        let Some(&id) = buf.get(4) else { return Ok(None) };
        if !self.check_len(id, len)? {
            buf.advance(5);
            return Ok(self.skip(id, len as usize - 1, buf));
        }
        let end = 4 + len as usize;
        if buf.len() < end {
            return Ok(None);
        }
        let mut frame = buf.split_to(end);
        frame.advance(5);
        Ok(Some(body(id, frame)))
    }

    /// Is `len` acceptable for a message of this id, and the id known?
    fn check_len(&self, id: u8, len: u32) -> Result<bool, InvalidMessage> {
        let exactly =
            |want| if len == want { Ok(true) } else { Err(InvalidMessage::Length { id, got: len, want }) };
        let between = |min, max| match len {
            got if got < min => Err(InvalidMessage::TooShort { id, got, min }),
            got if got > max => Err(InvalidMessage::TooLong { id, got, max }),
            _ => Ok(true),
        };
        match id {
            id::PIECE => between(PIECE_HEAD_LEN, PIECE_HEAD_LEN + BLOCK_LEN),
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => {
                exactly(1)
            }
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => exactly(5),
            id::REQUEST | id::CANCEL | id::REJECT => exactly(13),
            id::BITFIELD => self.bitfield_len.map_or_else(|| between(1, 1 + MAX_PIECES.div_ceil(8)), exactly),
            id::PORT => exactly(3),
            id::EXTENDED => between(2, MAX_EXTENDED_LEN),
            _ => between(1, MAX_UNKNOWN_LEN).map(|_| false),
        }
    }

    /// Drops what is there of an unknown message; reports it once all of it is gone.
    fn skip(&mut self, id: u8, rest: usize, buf: &mut BytesMut) -> Option<Message> {
        let here = rest.min(buf.len());
        buf.advance(here);
        self.skipping = (here < rest).then_some((id, rest - here));
        self.skipping.is_none().then_some(Message::Unknown { id })
    }
}

/// A message's body, of a length that `check_len` has passed.
fn body(id: u8, mut body: BytesMut) -> Message {
    match id {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have { piece: body.get_u32() },
        id::BITFIELD => Message::Bitfield(body.freeze()),
        id::REQUEST => Message::Request(raw_block(&mut body)),
        id::PIECE => {
            let (piece, offset) = (body.get_u32(), body.get_u32());
            Message::Piece { piece, offset, data: body.freeze() }
        }
        id::CANCEL => Message::Cancel(raw_block(&mut body)),
        id::PORT => Message::Port(body.get_u16()),
        id::SUGGEST => Message::Suggest { piece: body.get_u32() },
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(raw_block(&mut body)),
        id::ALLOWED_FAST => Message::AllowedFast { piece: body.get_u32() },
        id::EXTENDED => Message::Extended { id: body.get_u8(), payload: body.freeze() },
        _ => Message::Unknown { id },
    }
}

fn raw_block(body: &mut BytesMut) -> RawBlock {
    RawBlock { piece: body.get_u32(), offset: body.get_u32(), len: body.get_u32() }
}
