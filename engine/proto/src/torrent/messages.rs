//! What each message of a peer does; the rules on what may be said when (BEP 3).

use bytes::Bytes;

use super::stats::overhead;
use crate::bitfield::Bitfield;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, PeerKey};
use crate::wire::Message;

impl Torrent {
    /// A message arrived from a connection that we may have closed meanwhile.
    pub(super) fn message(&mut self, now: Instant, key: PeerKey, message: Message) {
        self.totals.overhead_down += overhead(&message);
        let Some(peer) = self.peers.get_mut(&key) else { return self.too_late(&message) };
        peer.last_received = now;
        let bitfield_may_follow = matches!(
            message,
            Message::KeepAlive | Message::Extended { .. } | Message::Port(_) | Message::Unknown { .. }
        );
        let first = peer.may_send_bitfield;
        peer.may_send_bitfield &= bitfield_may_follow;
        let verdict = if let Message::Bitfield(bits) = message {
            self.bitfield(now, key, &bits, first)
        } else {
            self.later_message(now, key, message, first)
        };
        if let Err(reason) = verdict {
            self.disconnect(now, key, reason);
        }
    }

    /// A message of a peer that was let go of in the meantime: nothing comes of it, but it came.
    fn too_late(&mut self, message: &Message) {
        if let Message::Piece { data, .. } = message {
            self.totals.downloaded += data.len() as u64;
            self.totals.wasted += data.len() as u64;
        }
    }

    fn later_message(
        &mut self,
        now: Instant,
        key: PeerKey,
        message: Message,
        first: bool,
    ) -> Result<(), DisconnectReason> {
        match message {
            Message::Choke => self.choked(key),
            Message::Unchoke => self.unchoked(now, key),
            Message::Interested => self.their_interest(now, key, true),
            Message::NotInterested => self.their_interest(now, key, false),
            Message::Have { piece } => {
                let piece = self.geometry.piece(piece).ok_or(DisconnectReason::BadHave)?;
                self.learn_have(now, key, piece);
            }
            Message::Request(block) => return self.requested(now, key, block),
            Message::Cancel(block) => self.cancelled(now, key, block),
            Message::Piece { piece, offset, data } => {
                return self.block_arrived(now, key, (piece, offset), data);
            }
            Message::HaveAll => {
                return self.summed_up(now, key, Bitfield::full(self.geometry.pieces()), first);
            }
            Message::HaveNone => {
                return self.summed_up(now, key, Bitfield::empty(self.geometry.pieces()), first);
            }
            Message::Suggest { piece } => return self.suggests(key, piece),
            Message::AllowedFast { piece } => return self.allows(now, key, piece),
            Message::Reject(block) => return self.rejected(now, key, block),
            Message::Extended { id, payload } => return self.extended_message(now, key, id, &payload),
            Message::KeepAlive | Message::Port(_) | Message::Unknown { .. } | Message::Bitfield(_) => {}
        }
        Ok(())
    }

    //= BEP 3: "bitfield is only ever sent as the first message."
    // Yet aria2 sends one later, in place of many haves, so what is new in it counts as haves.
    fn bitfield(
        &mut self,
        now: Instant,
        key: PeerKey,
        bits: &Bytes,
        first: bool,
    ) -> Result<(), DisconnectReason> {
        let pieces = self.geometry.pieces();
        let has = Bitfield::from_wire(bits, pieces).map_err(|_| DisconnectReason::BadBitfield)?;
        if first {
            self.learn_bitfield(now, key, has);
        } else {
            for piece in self.geometry.all_pieces().filter(|&piece| has.has(piece)) {
                self.learn_have(now, key, piece);
            }
        }
        Ok(())
    }

    fn their_interest(&mut self, now: Instant, key: PeerKey, interested: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.them.interested == interested {
            return;
        }
        peer.them.interested = interested;
        peer.interest_changed = now;
        self.choker.count_interest(interested);
        self.slots_changed = true;
        if interested {
            self.tell_haves(now, key);
        } else {
            self.wants_no_more(now, key);
        }
    }
}
