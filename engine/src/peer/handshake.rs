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
pub(crate) enum HandshakeError {
    /// The stream failed or ended.
    #[error("the connection ended in the handshake: {0}")]
    Io(#[from] io::Error),
    /// It is another protocol.
    #[error(transparent)]
    Protocol(#[from] InvalidHandshake),
    /// It is for a torrent that is not ours.
    #[error("the handshake is for another torrent")]
    ForeignTorrent,
    /// Every connection is taken, or the torrent is about to end.
    #[error("no free connection slot")]
    NoPlace,
}

/// Says `ours` and reads theirs: we dialled, so we speak first.
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
    let opening = read_opening(&mut stream.reader, buffer).await?;
    if opening.info_hash != ours.info_hash {
        return Err(HandshakeError::ForeignTorrent);
    }
    finish(&mut stream.reader, opening, buffer).await
}

/// Reads up to the info hash of who dialled us.
pub(super) async fn read_opening<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
) -> Result<Opening, HandshakeError> {
    loop {
        if let Some(opening) = Opening::decode(buffer)? {
            return Ok(opening);
        }
        read_more(reader, buffer).await?;
    }
}

/// Answers an opening with `ours` and reads the rest of theirs.
pub(super) async fn answer<R, W>(
    stream: &mut Stream<R, W>,
    opening: Opening,
    ours: &Handshake,
    buffer: &mut BytesMut,
) -> Result<Opened, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    stream.writer.write_all(&ours.encode()).await?;
    finish(&mut stream.reader, opening, buffer).await
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
