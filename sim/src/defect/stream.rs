//! One direction of a peer stream through a defect: bytes in, messages to the defect, bytes out.

use bytes::{Buf, BytesMut};
use proto::id::PeerId;
use proto::wire::{Decoder, HANDSHAKE_LEN, Message};

/// The first byte of every peer connection (BEP 3): the length of the protocol's name.
const FIRST: u8 = 19;

/// Bytes of the name that ends a handshake (BEP 3).
const NAME_LEN: usize = 20;

/// Takes one direction apart and puts it together again.
#[derive(Debug)]
pub(super) struct Filter {
    state: State,
    input: BytesMut,
    /// What goes on.
    pub(super) output: BytesMut,
    decoder: Decoder,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing has come yet.
    Fresh,
    /// So many bytes of the handshake are to come before the name; they go on as they are.
    Handshake(usize),
    /// The name is to come, as a whole.
    Name,
    Messages,
    /// Another protocol, or nonsense: goes on as it is.
    Open,
}

impl Default for Filter {
    fn default() -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { state: State::Fresh, input, output, decoder: Decoder::for_unknown() }
    }
}

impl Filter {
    /// More bytes; `rename` says what becomes of the name in the handshake, `change` of each message.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        rename: impl Fn(PeerId) -> PeerId,
        mut change: impl FnMut(Message) -> Vec<Message>,
    ) {
        self.input.extend_from_slice(bytes);
        while !self.input.is_empty() {
            match self.state {
                State::Fresh => {
                    let is_peer = self.input.first() == Some(&FIRST);
                    self.state =
                        if is_peer { State::Handshake(HANDSHAKE_LEN - NAME_LEN) } else { State::Open };
                }
                State::Handshake(left) => {
                    let here = left.min(self.input.len());
                    self.pass_on(here);
                    self.state = if here < left { State::Handshake(left - here) } else { State::Name };
                }
                State::Name => {
                    let Some((name, _)) = self.input.split_first_chunk::<NAME_LEN>() else { return };
                    self.output.extend_from_slice(&rename(PeerId(*name)).0);
                    self.input.advance(NAME_LEN);
                    self.state = State::Messages;
                }
                State::Messages => match self.decoder.decode(&mut self.input) {
                    Ok(Some(message)) => {
                        for message in change(message) {
                            message.encode(&mut self.output);
                        }
                    }
                    Ok(None) => return,
                    Err(_) => self.state = State::Open,
                },
                State::Open => self.pass_on(self.input.len()),
            }
        }
    }

    fn pass_on(&mut self, bytes: usize) {
        self.output.extend_from_slice(self.input.get(..bytes).unwrap_or_default());
        self.input.advance(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(messages: &[Message]) -> Vec<u8> {
        let mut bytes = BytesMut::from(&[FIRST; HANDSHAKE_LEN][..]);
        for message in messages {
            message.encode(&mut bytes);
        }
        bytes.to_vec()
    }

    #[test]
    fn names_are_changed_messages_dropped_and_repeated_and_the_rest_goes_on() {
        let said = bytes(&[Message::Choke, Message::Have { piece: 1 }, Message::Unchoke]);
        let mut filter = Filter::default();
        for byte in said {
            filter.push(
                &[byte],
                |_| PeerId([7; NAME_LEN]),
                |message| match message == Message::Choke {
                    true => vec![],
                    false if message == Message::Unchoke => vec![Message::Unchoke, Message::Interested],
                    false => vec![message],
                },
            );
        }
        let mut want = bytes(&[Message::Have { piece: 1 }, Message::Unchoke, Message::Interested]);
        want[HANDSHAKE_LEN - NAME_LEN..HANDSHAKE_LEN].fill(7);
        assert_eq!(&filter.output[..], want);
    }

    #[test]
    fn another_protocol_goes_on_as_it_is() {
        let mut filter = Filter::default();
        filter.push(b"GET / HTTP/1.1\r\n\r\n", |name| name, |_| vec![]);
        assert_eq!(&filter.output[..], b"GET / HTTP/1.1\r\n\r\n");
    }
}
