//! From the bytes of one direction of a stream to what they say, without keeping the payload of blocks.

use bytes::BytesMut;
use proto::wire::decoder::MAX_EXTENDED_LEN;
use proto::wire::{Decoder, HANDSHAKE_LEN, Handshake, Message, Opening, RawBlock, decode_peer_id};

use super::What;

/// The id of a message that carries a block (BEP 3).
const PIECE: u8 = 7;

/// A block's message up to its content: length, id, piece, offset.
const PIECE_HEAD: usize = 13;

/// The longest message that is held: the longest that anybody may send, which is a bitfield (512 KiB).
const MAX_HELD: usize = 5 + (proto::piece::MAX_PIECES as usize).div_ceil(8);

/// Reads one direction.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    held: BytesMut,
    decoder: Decoder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handshake is due.
    Opening,
    /// A message is due.
    Message,
    /// So many bytes of a block are passed over; it has come when they have.
    Payload(RawBlock, usize),
    /// Not BitTorrent, or no longer.
    Deaf,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { state: State::Opening, held: BytesMut::new(), decoder: Decoder::for_unknown() }
    }
}

impl Scanner {
    /// The next bytes; `each` gets what they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(What)) {
        while !bytes.is_empty() {
            let what = match self.state {
                State::Deaf => return,
                State::Opening => self.opening(&mut bytes),
                State::Message => self.message(&mut bytes),
                State::Payload(block, left) => {
                    let here = left.min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let rest = left - here;
                    self.state = if rest > 0 { State::Payload(block, rest) } else { State::Message };
                    (rest == 0).then_some(What::Block(block))
                }
            };
            if let Some(what) = what {
                each(what);
            }
        }
    }

    /// Moves bytes over until `want` of them are held.
    fn hold(&mut self, bytes: &mut &[u8], want: usize) -> bool {
        let here = want.saturating_sub(self.held.len()).min(bytes.len());
        let (now, later) = bytes.split_at(here);
        self.held.extend_from_slice(now);
        *bytes = later;
        self.held.len() >= want
    }

    /// Other protocols are none of our business: HTTP, encrypted streams.
    fn opening(&mut self, bytes: &mut &[u8]) -> Option<What> {
        let whole = self.hold(bytes, HANDSHAKE_LEN);
        let mut held = self.held.clone();
        match Opening::decode(&mut held) {
            Err(_) => {
                self.state = State::Deaf;
                None
            }
            Ok(opening) => {
                let opening = opening.filter(|_| whole)?;
                let peer_id = decode_peer_id(&mut held)?;
                self.held.clear();
                self.state = State::Message;
                let Opening { reserved, info_hash } = opening;
                Some(What::Handshake(Handshake { reserved, info_hash, peer_id }))
            }
        }
    }

    fn message(&mut self, bytes: &mut &[u8]) -> Option<What> {
        if !self.hold(bytes, 4) {
            return None;
        }
        let len = u32::from_be_bytes(*self.held.first_chunk()?) as usize;
        if len == 0 {
            self.held.clear();
            return Some(What::Message(Message::KeepAlive));
        }
        if !self.hold(bytes, 5) {
            return None;
        }
        let is_block = self.held.get(4) == Some(&PIECE);
        let whole = if is_block { PIECE_HEAD } else { 4 + len };
        if whole > MAX_HELD.max(4 + MAX_EXTENDED_LEN as usize) || (is_block && 4 + len < PIECE_HEAD) {
            self.state = State::Deaf;
            return Some(What::Garbage);
        }
        if !self.hold(bytes, whole) {
            return None;
        }
        if is_block {
            return self.block(len + 4 - PIECE_HEAD);
        }
        let message = self.decoder.decode(&mut self.held);
        self.held.clear();
        Some(message.ok().flatten().map_or_else(
            || {
                self.state = State::Deaf;
                What::Garbage
            },
            What::Message,
        ))
    }

    fn block(&mut self, len: usize) -> Option<What> {
        let number = |at: usize| Some(u32::from_be_bytes(*self.held.get(at..)?.first_chunk()?));
        let block = RawBlock { piece: number(5)?, offset: number(9)?, len: len as u32 };
        self.held.clear();
        if len == 0 {
            return Some(What::Block(block));
        }
        self.state = State::Payload(block, len);
        None
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use proto::id::{InfoHash, PeerId};

    use super::*;

    fn handshake() -> Handshake {
        Handshake { reserved: [0; 8], info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) }
    }

    fn heard(scanner: &mut Scanner, bytes: &[u8]) -> Vec<What> {
        let mut all = Vec::new();
        scanner.feed(bytes, |what| all.push(what));
        all
    }

    fn messages() -> impl Strategy<Value = Message> {
        let block = |(piece, offset, len)| RawBlock { piece, offset, len };
        prop_oneof![
            Just(Message::KeepAlive),
            Just(Message::Choke),
            any::<u32>().prop_map(|piece| Message::Have { piece }),
            any::<(u32, u32, u32)>().prop_map(move |raw| Message::Request(block(raw))),
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..100))
                .prop_map(|(id, payload)| Message::Extended { id, payload: payload.into() }),
            (any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..100))
                .prop_map(|(piece, offset, data)| Message::Piece { piece, offset, data: data.into() }),
        ]
    }

    proptest! {
        #[test]
        fn messages_are_read_in_any_cuts(
            messages in proptest::collection::vec(messages(), 0..20), cut in 1..200_usize
        ) {
            let mut bytes = BytesMut::from(&handshake().encode()[..]);
            for message in &messages {
                message.encode(&mut bytes);
            }
            let mut scanner = Scanner::default();
            let got: Vec<_> = bytes.chunks(cut).flat_map(|part| heard(&mut scanner, part)).collect();
            let want = messages.into_iter().map(|message| {
                if let Message::Piece { piece, offset, data } = message {
                    return What::Block(RawBlock { piece, offset, len: data.len() as u32 });
                }
                What::Message(message)
            });
            let want: Vec<_> = std::iter::once(What::Handshake(handshake())).chain(want).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn nothing_panics_and_little_is_held(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut scanner = Scanner::default();
            heard(&mut scanner, &handshake().encode());
            heard(&mut scanner, &bytes);
            prop_assert!(scanner.held.len() <= bytes.len());
        }
    }

    #[test]
    fn another_protocol_is_not_listened_to() {
        let mut scanner = Scanner::default();
        assert_eq!(heard(&mut scanner, b"GET /announce HTTP/1.1\r\n\r\n"), []);
        assert_eq!(heard(&mut scanner, &handshake().encode()), []);
    }

    #[test]
    fn a_length_beyond_all_limits_ends_the_listening() {
        let mut scanner = Scanner::default();
        heard(&mut scanner, &handshake().encode());
        assert_eq!(heard(&mut scanner, &[0xff, 0xff, 0xff, 0xff, 20]), [What::Garbage]);
        let mut more = BytesMut::new();
        Message::Bitfield(Bytes::from_static(b"abc")).encode(&mut more);
        assert_eq!(heard(&mut scanner, &more), []);
    }
}
