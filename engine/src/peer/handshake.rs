//! The first 68 bytes each way (BEP 3).

use std::io::{self, ErrorKind};

use bytes::BytesMut;
use proto::wire::{HANDSHAKE_LEN, Handshake, InvalidHandshake, Opening, decode_peer_id};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::link::Opened;
use super::read_some;
use crate::transport::Stream;

/// Why a connection did not get past its handshake.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    /// The stream failed or ended.
    #[error("the connection ended in the handshake: {0}")]
    Io(#[from] io::Error),
    /// It is another protocol.
    #[error(transparent)]
    Protocol(#[from] InvalidHandshake),
    /// It is for a torrent that is not ours.
    #[error("the handshake is for another torrent")]
    ForeignTorrent,
}

/// Says `ours` and reads theirs; the side that dialled speaks first.
pub(super) async fn greet<R, W>(
    stream: &mut Stream<R, W>,
    ours: &Handshake,
    buffer: &mut BytesMut,
) -> Result<Opened, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    stream.writer.write_all(&ours.encode()).await?;
    let opening = read_opening(&mut stream.reader, ours, buffer).await?;
    finish(&mut stream.reader, opening, buffer).await
}

/// Reads theirs and answers with `ours`.
//= BEP 3: a side that serves many torrents may wait for the info hash before it answers.
pub(super) async fn answer<R, W>(
    stream: &mut Stream<R, W>,
    ours: &Handshake,
    buffer: &mut BytesMut,
) -> Result<Opened, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let opening = read_opening(&mut stream.reader, ours, buffer).await?;
    stream.writer.write_all(&ours.encode()).await?;
    finish(&mut stream.reader, opening, buffer).await
}

async fn read_opening<R: AsyncRead + Unpin>(
    reader: &mut R,
    ours: &Handshake,
    buffer: &mut BytesMut,
) -> Result<Opening, HandshakeError> {
    loop {
        if let Some(opening) = Opening::decode(buffer)? {
            let known = opening.info_hash == ours.info_hash;
            return if known { Ok(opening) } else { Err(HandshakeError::ForeignTorrent) };
        }
        read_more(reader, buffer).await?;
    }
}

async fn finish<R: AsyncRead + Unpin>(
    reader: &mut R,
    opening: Opening,
    buffer: &mut BytesMut,
) -> Result<Opened, HandshakeError> {
    loop {
        if let Some(id) = decode_peer_id(buffer) {
            return Ok(Opened { id, reserved: opening.reserved });
        }
        read_more(reader, buffer).await?;
    }
}

async fn read_more<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> io::Result<()> {
    buffer.reserve(HANDSHAKE_LEN);
    match std::future::poll_fn(|cx| read_some(reader, cx, buffer, super::READ_LEN)).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
