//! One peer's info dictionary as it comes in, block by block (BEP 9): what to ask for next, and what is taken.

use bytes::{Bytes, BytesMut};

use super::DisconnectReason;
use super::limits::MAX_GIVER_REQUESTS;
use crate::wire::extension::{METADATA_BLOCK_LEN, metadata_blocks};

/// One peer's info dictionary.
#[derive(Debug)]
pub(super) struct Transcript {
    len: u32,
    blocks: Vec<Option<Bytes>>,
    /// The first block that was not asked for.
    pub(super) next: u32,
    missing: u32,
}

impl Transcript {
    pub(super) fn new(len: u32) -> Self {
        let count = metadata_blocks(len);
        Self { len, blocks: vec![None; count as usize], next: 0, missing: count }
    }

    /// The blocks to ask for next, so that only a few are under way.
    pub(super) fn requests(&mut self) -> Vec<u32> {
        let count = self.blocks.len() as u32;
        let under_way = self.next - (count - self.missing);
        let end = count.min(self.next + MAX_GIVER_REQUESTS.saturating_sub(under_way));
        let requests = (self.next..end).collect();
        self.next = end;
        requests
    }

    /// Takes a block that was asked for, of exactly its length.
    pub(super) fn put(&mut self, block: u32, data: Bytes) -> Result<(), DisconnectReason> {
        let start = u64::from(block) * u64::from(METADATA_BLOCK_LEN);
        let due = u64::from(self.len).saturating_sub(start).min(METADATA_BLOCK_LEN.into());
        let slot = self.blocks.get_mut(block as usize).filter(|_| block < self.next);
        let slot = slot.filter(|slot| slot.is_none() && data.len() as u64 == due);
        *slot.ok_or(DisconnectReason::BadMetadata)? = Some(data);
        self.missing -= 1;
        Ok(())
    }

    pub(super) fn whole(&self) -> Option<Bytes> {
        let mut info = BytesMut::with_capacity(if self.missing == 0 { self.len as usize } else { 0 });
        for block in &self.blocks {
            info.extend_from_slice(block.as_ref()?);
        }
        Some(info.freeze())
    }
}
