//! One connection of a hostile peer: says and hears messages through the core's codecs.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::BytesMut;
use proto::id::PeerId;
use proto::wire::{Decoder, Feature, Handshake, Message, Opening, RawBlock, decode_peer_id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Host, Wire};
use crate::world::{SimReader, SimWriter};

/// Room for one read: the simulated stack's window.
const READ_LEN: usize = 64 * 1024;

/// An open connection whose handshake is done.
pub(super) struct Line {
    reader: SimReader,
    writer: SimWriter,
    decoder: Decoder,
    input: BytesMut,
    /// The address at the other end.
    pub(super) peer: SocketAddr,
    /// What the other end calls itself.
    pub(super) id: PeerId,
}

impl Line {
    /// Shakes hands as a peer with the fast extension. Whoever dialled, both speak at once.
    pub(super) async fn open(host: &Host, stream: Wire) -> io::Result<Self> {
        let id = host.random_id();
        Self::open_as(host, stream, id, Feature::FAST.add_to([0; 8])).await
    }

    /// The same under this name, with these reserved bytes.
    pub(super) async fn open_as(
        host: &Host,
        stream: Wire,
        id: PeerId,
        reserved: [u8; 8],
    ) -> io::Result<Self> {
        let Wire { mut reader, mut writer, peer_addr: peer } = stream;
        let info_hash = host.ground.metainfo.info_hash();
        writer.write_all(&Handshake { reserved, info_hash, peer_id: id }.encode()).await?;
        let mut input = BytesMut::new();
        while Opening::decode(&mut input).map_err(io::Error::other)?.is_none() {
            more(&mut reader, &mut input).await?;
        }
        let id = loop {
            match decode_peer_id(&mut input) {
                Some(id) => break id,
                None => more(&mut reader, &mut input).await?,
            }
        };
        let decoder = Decoder::new(host.geometry().pieces());
        Ok(Self { reader, writer, decoder, input, peer, id })
    }

    /// The next message. May be dropped and asked again.
    pub(super) async fn hear(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.input).map_err(io::Error::other)? {
                return Ok(message);
            }
            more(&mut self.reader, &mut self.input).await?;
        }
    }

    /// The next request; everything else is passed over.
    pub(super) async fn hear_request(&mut self) -> io::Result<RawBlock> {
        loop {
            if let Message::Request(block) = self.hear().await? {
                return Ok(block);
            }
        }
    }

    /// Says something, once there is room for it.
    pub(super) async fn say(&mut self, message: Message) -> io::Result<()> {
        self.say_all(&[message]).await
    }

    /// The same for several messages at once.
    pub(super) async fn say_all(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        for message in messages {
            message.encode(&mut bytes);
        }
        self.say_bytes(&bytes).await
    }

    /// Says what is no message.
    pub(super) async fn say_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }
}

async fn more(reader: &mut SimReader, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(READ_LEN);
    match reader.read_buf(input).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
