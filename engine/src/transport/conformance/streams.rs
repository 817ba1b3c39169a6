//! Bytes through an open stream: nothing lost, nothing reordered, a slow reader slows the writer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Check, Port, Seat, because, ensure, pattern, payload};
use crate::clock::Clock;
use crate::transport::{Listener, Transport};

/// Room for a read as the engine makes it, in bytes.
const ROOMY: usize = 64 * 1024;
/// A read that a simulated stack once answered by never reopening its window, in bytes.
const TIGHT: usize = 16 * 1024;
/// More than any stack buffers between two hosts, in bytes.
const FLOOD: usize = 32 << 20;
/// Longer than a stack needs to fill its buffers.
const STALL: Duration = Duration::from_secs(1);

/// Reads `len` bytes of the pattern from byte `start` on, at most `room` at a time.
async fn expect_pattern<R: AsyncRead + Unpin>(
    reader: &mut R,
    start: usize,
    len: usize,
    room: usize,
) -> Check {
    let mut buffer = vec![0; room];
    let mut seen = 0;
    while seen < len {
        let space = buffer.len().min(len - seen);
        let read = reader.read(buffer.get_mut(..space).unwrap_or_default()).await.map_err(because("read"))?;
        ensure(read > 0, || format!("the stream ended after {seen} of {len} bytes"))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let wrong = bytes.iter().zip(start + seen..).position(|(&byte, index)| byte != pattern(index));
        ensure(wrong.is_none(), || format!("wrong content within {read} bytes after byte {}", start + seen))?;
        seen += read;
    }
    Ok(())
}

async fn expect_end<R: AsyncRead + Unpin>(reader: &mut R) -> Check {
    let read = reader.read(&mut [0; 16]).await.map_err(because("read at the end"))?;
    ensure(read == 0, || format!("{read} bytes after the end"))
}

async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> Check {
    writer.write_all(bytes).await.map_err(because("write"))?;
    writer.flush().await.map_err(because("flush"))
}

/// A large payload, both ways at once.
pub(super) mod echo {
    use super::{
        AsyncReadExt, AsyncWriteExt, Check, Clock, Listener, Port, ROOMY, Seat, Transport, because,
        expect_end, expect_pattern, payload, write_all,
    };

    const LEN: usize = 4 << 20;

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::Echo).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        let mut buffer = vec![0; ROOMY];
        loop {
            let len = stream.reader.read(&mut buffer).await.map_err(because("read"))?;
            if len == 0 {
                return stream.writer.shutdown().await.map_err(because("shutdown"));
            }
            write_all(&mut stream.writer, buffer.get(..len).unwrap_or_default()).await?;
        }
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::Echo).await?;
        let sent = async {
            write_all(&mut stream.writer, &payload(LEN)).await?;
            stream.writer.shutdown().await.map_err(because("shutdown"))
        };
        tokio::try_join!(biased; sent, expect_pattern(&mut stream.reader, 0, LEN, ROOMY))?;
        expect_end(&mut stream.reader).await
    }
}

/// One side has said all it had to say and still hears the other.
pub(super) mod half_close {
    use super::{
        AsyncReadExt, AsyncWriteExt, Check, Clock, Listener, Port, ROOMY, Seat, Transport, because, ensure,
        expect_end, expect_pattern, payload, write_all,
    };

    const LEN: usize = 200_000;

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::HalfClose).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        let mut question = Vec::new();
        stream.reader.read_to_end(&mut question).await.map_err(because("read to the end"))?;
        ensure(question == b"question", || format!("{} bytes before the end", question.len()))?;
        write_all(&mut stream.writer, &payload(LEN)).await?;
        stream.writer.shutdown().await.map_err(because("shutdown"))
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::HalfClose).await?;
        write_all(&mut stream.writer, b"question").await?;
        stream.writer.shutdown().await.map_err(because("shutdown"))?;
        expect_pattern(&mut stream.reader, 0, LEN, ROOMY).await?;
        expect_end(&mut stream.reader).await
    }
}

/// A reader that stalls stops the writer before the payload is out, and loses nothing afterwards.
pub(super) mod back_pressure {
    use super::{
        AsyncReadExt, AsyncWriteExt, Check, Clock, FLOOD, Listener, Port, ROOMY, STALL, Seat, Transport,
        because, ensure, expect_end, expect_pattern, payload, write_all,
    };

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::BackPressure).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        let flood = payload(FLOOD);
        let mut written = 0;
        let mut stalled_at = None;
        while let Some(rest) = flood.get(written..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..ROOMY).unwrap_or(rest);
            tokio::select! {
                biased;
                go = stream.reader.read_u8(), if stalled_at.is_none() => {
                    go.map_err(because("read the go-ahead"))?;
                    stalled_at = Some(written);
                }
                len = stream.writer.write(piece) => written += len.map_err(because("write"))?,
            }
        }
        ensure(stalled_at.is_some(), || format!("{FLOOD} bytes went out while the reader stalled"))?;
        stream.writer.shutdown().await.map_err(because("shutdown"))?;
        expect_end(&mut stream.reader).await
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::BackPressure).await?;
        seat.pause(STALL).await;
        write_all(&mut stream.writer, &[1]).await?;
        expect_pattern(&mut stream.reader, 0, FLOOD, ROOMY).await?;
        expect_end(&mut stream.reader).await
    }
}

/// After a stall that closed the window, reads of 16 KiB get everything.
pub(super) mod small_reads_after_a_stall {
    use super::{
        Check, Clock, Listener, Port, STALL, Seat, TIGHT, Transport, because, expect_end, expect_pattern,
        payload, write_all,
    };

    const LEN: usize = 1 << 20;

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::SmallReadsAfterAStall).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        write_all(&mut stream.writer, &payload(LEN)).await?;
        // The dialling half closes once it has everything.
        expect_end(&mut stream.reader).await
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::SmallReadsAfterAStall).await?;
        for part in 0..4 {
            seat.pause(STALL).await;
            expect_pattern(&mut stream.reader, part * LEN / 4, LEN / 4, TIGHT).await?;
        }
        Ok(())
    }
}

/// Reads of a few bytes each, as a parser without a buffer would make them.
pub(super) mod many_small_reads {
    use super::{
        AsyncWriteExt, Check, Clock, Listener, Port, Seat, Transport, because, expect_end, expect_pattern,
        payload, write_all,
    };

    const LEN: usize = 20_000;

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::ManySmallReads).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        write_all(&mut stream.writer, &payload(LEN)).await?;
        stream.writer.shutdown().await.map_err(because("shutdown"))?;
        expect_end(&mut stream.reader).await
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::ManySmallReads).await?;
        expect_pattern(&mut stream.reader, 0, LEN, 7).await?;
        expect_end(&mut stream.reader).await
    }
}
