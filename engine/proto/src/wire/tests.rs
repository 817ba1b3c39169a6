//! Peer messages in both directions: vectors, limits, properties and a readable capture.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::decoder::{MAX_EXTENDED_LEN, MAX_UNKNOWN_LEN};
use super::*;
use crate::piece::BLOCK_LEN;

const PIECES: u32 = 20;

fn decode(bytes: &[u8]) -> Result<Option<Message>, InvalidMessage> {
    Decoder::new(PIECES).decode(&mut BytesMut::from(bytes))
}

fn head(len: u32, id: u8) -> Vec<u8> {
    [&len.to_be_bytes()[..], &[id]].concat()
}

#[test]
fn known_bytes_are_known_messages() {
    let raw = RawBlock { piece: 1, offset: 0x4000, len: 0x4000 };
    let vectors: [(&[u8], Message); 7] = [
        (b"\0\0\0\0", Message::KeepAlive),
        (b"\0\0\0\x01\x01", Message::Unchoke),
        (b"\0\0\0\x05\x04\0\0\0\x13", Message::Have { piece: 19 }),
        (b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\x40\0", Message::Request(raw)),
        (b"\0\0\0\x04\x05\xff\xff\xf0", Message::Bitfield(Bytes::from_static(b"\xff\xff\xf0"))),
        (b"\0\0\0\x03\x09\x1a\xe1", Message::Port(6881)),
        (b"\0\0\0\x04\x14\0de", Message::Extended { id: 0, payload: Bytes::from_static(b"de") }),
    ];
    for (bytes, message) in vectors {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        assert_eq!((&out[..], out.len()), (bytes, message.wire_len()));
        assert_eq!(decode(bytes), Ok(Some(message)));
    }
}

#[test]
fn a_message_is_refused_by_its_first_five_bytes() {
    let too_long = |id, got, max| Err(InvalidMessage::TooLong { id, got, max });
    let length = |id, got, want| Err(InvalidMessage::Length { id, got, want });
    assert_eq!(decode(&head(BLOCK_LEN + 10, 7)), too_long(7, BLOCK_LEN + 10, BLOCK_LEN + 9));
    assert_eq!(decode(&head(8, 7)), Err(InvalidMessage::TooShort { id: 7, got: 8, min: 9 }));
    assert_eq!(decode(&head(5, 5)), length(5, 5, 4));
    assert_eq!(decode(&head(3, 5)), length(5, 3, 4));
    assert_eq!(decode(&head(2, 0)), length(0, 2, 1));
    assert_eq!(decode(&head(12, 6)), length(6, 12, 13));
    assert_eq!(decode(&head(u32::MAX, 20)), too_long(20, u32::MAX, MAX_EXTENDED_LEN));
    assert_eq!(decode(&head(u32::MAX, 99)), too_long(99, u32::MAX, MAX_UNKNOWN_LEN));
}

#[test]
fn a_bitfield_of_an_unknown_torrent_has_any_plausible_length() {
    let decode = |bytes: &[u8]| Decoder::for_unknown().decode(&mut BytesMut::from(bytes));
    assert_eq!(
        decode(b"\0\0\0\x03\x05\xff\x80"),
        Ok(Some(Message::Bitfield(Bytes::from_static(b"\xff\x80"))))
    );
    assert!(matches!(decode(&head(u32::MAX, 5)), Err(InvalidMessage::TooLong { id: 5, .. })));
}

#[test]
fn an_unknown_message_is_skipped_as_it_comes_in() {
    let mut decoder = Decoder::new(PIECES);
    let mut buf = BytesMut::from(&head(1001, 99)[..]);
    for _ in 0..9 {
        buf.extend_from_slice(&[0xee; 100]);
        assert_eq!((decoder.decode(&mut buf), buf.len()), (Ok(None), 0));
    }
    buf.extend_from_slice(&[0xee; 100]);
    buf.extend_from_slice(b"\0\0\0\x01\x01");
    assert_eq!(decoder.decode(&mut buf), Ok(Some(Message::Unknown { id: 99 })));
    assert_eq!(decoder.decode(&mut buf), Ok(Some(Message::Unchoke)));
}

#[test]
fn a_block_is_handed_out_without_a_copy() {
    let data = Bytes::from(vec![7; BLOCK_LEN as usize]);
    let mut buf = BytesMut::new();
    Message::Piece { piece: 3, offset: 0, data }.encode(&mut buf);
    let place = buf[13..].as_ptr();
    match Decoder::new(PIECES).decode(&mut buf) {
        Ok(Some(Message::Piece { data, .. })) => assert_eq!(data.as_ptr(), place),
        other => panic!("{other:?}"),
    }
}

/// A connection's bytes, message by message, as text.
fn capture(bytes: &[u8]) -> String {
    let (mut buf, mut decoder, mut lines) = (BytesMut::from(bytes), Decoder::new(PIECES), String::new());
    loop {
        let before = buf.len();
        let message = match decoder.decode(&mut buf) {
            Ok(Some(message)) => message,
            Ok(None) => return lines,
            Err(error) => return format!("{lines}{error}\n"),
        };
        let start = bytes.len() - before;
        let raw = &bytes[start..bytes.len() - buf.len()];
        let hex = raw.iter().take(13).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        lines = format!("{lines}{start:>4} {hex:<26} {message:?}\n");
    }
}

#[test]
fn a_capture_reads_like_a_conversation() {
    let block = RawBlock { piece: 2, offset: 16_384, len: 5 };
    let conversation = [
        Message::Extended { id: 0, payload: Bytes::from_static(b"d1:md11:ut_metadatai3ee4:reqqi250ee") },
        Message::Bitfield(Bytes::from_static(&[0xff, 0xfe, 0xf0])),
        Message::AllowedFast { piece: 4 },
        Message::Interested,
        Message::Unchoke,
        Message::Request(block),
        Message::Piece { piece: 2, offset: 16_384, data: Bytes::from_static(b"hello") },
        Message::Have { piece: 15 },
        Message::Cancel(block),
        Message::Reject(block),
        Message::KeepAlive,
        Message::NotInterested,
        Message::Choke,
    ];
    let mut out = BytesMut::new();
    for message in &conversation {
        message.encode(&mut out);
    }
    out.extend_from_slice(b"\0\0\0\x03\x63\xab\xcd\0\0\0\x02\x01\0");
    insta::assert_snapshot!(capture(&out));
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
    let raw = any::<(u32, u32, u32)>().prop_map(|(piece, offset, len)| RawBlock { piece, offset, len });
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        any::<u32>().prop_map(|piece| Message::Have { piece }),
        any::<u32>().prop_map(|piece| Message::Suggest { piece }),
        any::<u32>().prop_map(|piece| Message::AllowedFast { piece }),
        any::<[u8; 3]>().prop_map(|bits| Message::Bitfield(Bytes::copy_from_slice(&bits))),
        raw.clone().prop_map(Message::Request),
        raw.clone().prop_map(Message::Cancel),
        raw.prop_map(Message::Reject),
        (any::<u32>(), any::<u32>(), bytes(300)).prop_map(|(piece, offset, data)| Message::Piece {
            piece,
            offset,
            data
        }),
        any::<u16>().prop_map(Message::Port),
        (any::<u8>(), bytes(100)).prop_map(|(id, payload)| Message::Extended { id, payload }),
        (21_u8..).prop_map(|id| Message::Unknown { id }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_in_any_cuts(
        messages in proptest::collection::vec(message(), 1..8), step in 1_usize..40
    ) {
        let mut bytes = BytesMut::new();
        for message in &messages {
            let before = bytes.len();
            message.encode(&mut bytes);
            prop_assert_eq!(bytes.len() - before, message.wire_len());
        }
        let (mut decoder, mut buf, mut got) = (Decoder::new(PIECES), BytesMut::new(), Vec::new());
        for cut in bytes.chunks(step) {
            buf.extend_from_slice(cut);
            while let Some(message) = decoder.decode(&mut buf).expect("valid") {
                got.push(message);
            }
        }
        prop_assert_eq!(got, messages);
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn decoding_never_panics_and_never_runs_empty(
        bytes in proptest::collection::vec(prop_oneof![3 => 0_u8..21, 1 => any::<u8>()], 0..300)
    ) {
        let (mut decoder, mut buf) = (Decoder::new(PIECES), BytesMut::from(&bytes[..]));
        let mut before = buf.len();
        while let Ok(Some(_)) = decoder.decode(&mut buf) {
            prop_assert!(buf.len() < before);
            before = buf.len();
        }
    }
}
