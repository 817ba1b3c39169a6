//! Garbage: bytes that are no protocol, and messages that break it, each connection another kind.

use std::io;

use bytes::Bytes;
use proto::wire::{Feature, Message, RawBlock};
use tokio::io::AsyncWriteExt;

use super::{Host, Line, Wire};

/// Random bytes of one connection.
const NOISE: usize = 4096;

/// Kinds of garbage.
const KINDS: usize = 9;

pub(super) async fn meet(host: &Host, mut stream: Wire) -> io::Result<()> {
    let mut noise = vec![0; NOISE];
    host.random(|random| random.fill(&mut noise));
    let kind = host.random(|random| random.index(KINDS));
    if kind == 0 {
        return stream.writer.write_all(&noise).await;
    }
    let reserved = Feature::FAST.add_to(Feature::EXTENSION_PROTOCOL.add_to([0; 8]));
    let mut line = Line::open_as(host, stream, host.random_id(), reserved).await?;
    let pieces = host.geometry().pieces();
    match kind {
        1 => line.say_bytes(&noise).await?,
        // A message of two gigabytes, and one of an id that nobody knows.
        2 => line.say_bytes(&[0x7f, 0xff, 0xff, 0xff, 7]).await?,
        3 => line.say_bytes(&[0, 0, 0, 2, 99, 0]).await?,
        4 => line.say(Message::Bitfield(Bytes::from_static(&[0xff]))).await?,
        5 => line.say(Message::Have { piece: pieces }).await?,
        6 => line.say(Message::Request(RawBlock { piece: 0, offset: u32::MAX, len: u32::MAX })).await?,
        7 => line.say(Message::Piece { piece: pieces, offset: 3, data: Bytes::from(noise) }).await?,
        _ => line.say(Message::Extended { id: 0, payload: Bytes::from(noise) }).await?,
    }
    // Whoever is not thrown out says some more.
    loop {
        drop(line.hear().await?);
        line.say(Message::Unknown { id: 200 }).await?;
    }
}
