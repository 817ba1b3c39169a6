//! Metadata messages (BEP 9): the info dictionary in blocks of 16 KiB.

use bytes::{BufMut, Bytes, BytesMut};

use super::InvalidExtension;
use crate::bencode::{self, Limits};
use crate::piece::BLOCK_LEN;

/// Bytes of a metadata block; only the last one is shorter.
pub const METADATA_BLOCK_LEN: u32 = BLOCK_LEN;

/// The longest info dictionary that is fetched or served this way, in bytes: libtorrent's limit.
pub const MAX_METADATA_LEN: u32 = 30 << 20;

/// The longest message: a block and a dictionary of a few small numbers.
const MAX_LEN: usize = METADATA_BLOCK_LEN as usize + 1024;

/// Blocks of an info dictionary of `len` bytes.
pub const fn metadata_blocks(len: u32) -> u32 {
    len.div_ceil(METADATA_BLOCK_LEN)
}

/// One message of `ut_metadata`. The wire calls a block a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataMessage {
    /// 0: send me this block.
    Request {
        /// Which.
        block: u32,
    },
    /// 1: a block.
    Data {
        /// Which.
        block: u32,
        /// Bytes of the whole info dictionary, as the sender believes.
        total: Option<u32>,
        /// The content.
        data: Bytes,
    },
    /// 2: this block will not be sent.
    Reject {
        /// Which.
        block: u32,
    },
    /// A type that no BEP defines; to be ignored.
    Unknown,
}

impl MetadataMessage {
    /// The payload of an extended message.
    pub fn encode(&self) -> Bytes {
        let head = match self {
            Self::Request { block } => format!("d8:msg_typei0e5:piecei{block}ee"),
            Self::Data { block, total: Some(total), .. } => {
                format!("d8:msg_typei1e5:piecei{block}e10:total_sizei{total}ee")
            }
            Self::Data { block, total: None, .. } => format!("d8:msg_typei1e5:piecei{block}ee"),
            Self::Reject { block } => format!("d8:msg_typei2e5:piecei{block}ee"),
            Self::Unknown => "d8:msg_typei255ee".to_owned(),
        };
        let data = if let Self::Data { data, .. } = self { &data[..] } else { &[] };
        let mut out = BytesMut::with_capacity(head.len() + data.len());
        out.put_slice(head.as_bytes());
        out.put_slice(data);
        out.freeze()
    }

    /// Reads such a payload.
    pub fn decode(payload: &Bytes) -> Result<Self, InvalidExtension> {
        let head = bencode::scan_prefix(payload, Limits::message(MAX_LEN));
        let head = head.map_err(bencode::BencodeError::from)?;
        let number = |key: &[u8]| head.raw_value(key).and_then(bencode::integer);
        let kind = number(b"msg_type").ok_or(InvalidExtension::Incomplete)?;
        let block = number(b"piece").and_then(|number| u32::try_from(number).ok());
        let block = || block.ok_or(InvalidExtension::Incomplete);
        Ok(match kind {
            0 => Self::Request { block: block()? },
            1 => Self::Data {
                block: block()?,
                total: number(b"total_size").and_then(|total| total.try_into().ok()),
                //= BEP 9: the block follows the dictionary and is not part of it.
                data: payload.slice(head.bytes().len()..),
            },
            2 => Self::Reject { block: block()? },
            //= BEP 9: "an unrecognized message ID MUST be ignored".
            _ => Self::Unknown,
        })
    }
}
