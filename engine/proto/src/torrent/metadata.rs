//! Handing out the info dictionary to those who came by a magnet link (BEP 9).

use bytes::Bytes;

use super::limits::{MAX_SEND_WATERMARK, METADATA_ROUNDS};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, PeerKey};
use crate::wire::Message;
use crate::wire::extension::{Extension, METADATA_BLOCK_LEN, MetadataMessage, metadata_blocks};

impl Torrent {
    /// A peer asks for a block of the info dictionary; whatever else it says of it is of no use to us.
    pub(super) fn metadata_message(
        &mut self,
        now: Instant,
        key: PeerKey,
        payload: &Bytes,
    ) -> Result<(), DisconnectReason> {
        let message = MetadataMessage::decode(payload).map_err(|_| DisconnectReason::BadExtension)?;
        let MetadataMessage::Request { block } = message else { return Ok(()) };
        let wanted = self.metadata_block(block);
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        let busy = peer.uplink.unsent >= MAX_SEND_WATERMARK;
        let Some(extended) = &mut peer.extended else { return Ok(()) };
        let Some(id) = extended.theirs(Extension::Metadata) else { return Ok(()) };
        let (total, budget) = (
            self.metainfo.info().len() as u32,
            METADATA_ROUNDS * metadata_blocks(self.metainfo.info().len() as u32),
        );
        //= BEP 9: a peer that floods us with requests is rejected after having been sent it all.
        let answer = match wanted.filter(|_| !busy && extended.metadata_sent < budget) {
            Some(data) => {
                extended.metadata_sent += 1;
                MetadataMessage::Data { block, total: Some(total), data }
            }
            None => MetadataMessage::Reject { block },
        };
        self.send(now, key, Message::Extended { id, payload: answer.encode() });
        Ok(())
    }

    fn metadata_block(&self, block: u32) -> Option<Bytes> {
        let info = self.metainfo.info();
        let start = block.checked_mul(METADATA_BLOCK_LEN)? as usize;
        let served = self.serves_metadata() && start < info.len();
        served.then(|| info.slice(start..info.len().min(start + METADATA_BLOCK_LEN as usize)))
    }
}
