//! Sockets that come and go: each lives and dies alone, and takes no other with it.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Check, Port, Seat, because, ensure, has_ended, payload};
use crate::clock::{Clock, within};
use crate::transport::{Listener, Stream, Transport};

/// A dropped stream must be noticed at the other end within this time.
const NOTICE: Duration = Duration::from_secs(30);

/// Dropping a stream that holds unread data ends it at the other side; nobody waits for ever.
pub(super) mod drop_with_unread_data {
    use super::{
        AsyncReadExt, AsyncWriteExt, Check, Clock, Listener, NOTICE, Port, Seat, Transport, because, ensure,
        has_ended, payload, within,
    };

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::Drop).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        stream.reader.read_u8().await.map_err(because("read the first byte"))?;
        drop(stream);
        // The listener lives on.
        let mut second = listener.accept().await.map_err(because("accept again"))?;
        second.writer.write_all(b"!").await.map_err(because("write"))
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let mut stream = seat.connect(Port::Drop).await?;
        stream.writer.write_all(&payload(40_000)).await.map_err(because("write"))?;
        let mut room = [0; 16];
        let read = within(&seat.environment.clock, NOTICE, stream.reader.read(&mut room)).await;
        let read = read.ok_or("the other side's drop was never noticed")?;
        ensure(has_ended(&read), || format!("read {read:?} from a dropped stream"))?;
        let mut second = seat.connect(Port::Drop).await?;
        let byte = second.reader.read_u8().await.map_err(because("read"))?;
        ensure(byte == b'!', || format!("read {byte}"))
    }
}

/// Abandoning a connect leaves the host's other sockets alone.
pub(super) mod cancelled_connect {
    use super::{
        AsyncReadExt, Check, Clock, Listener, Port, Seat, Stream, Transport, because, ping, pong, ready,
    };

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let decoy = seat.listen(Port::CancelDecoy).await?;
        let listener = seat.listen(Port::Cancel).await?;
        let mut stream = listener.accept().await.map_err(because("accept"))?;
        pong(&mut stream).await?;
        // Once more, after the other half cancelled its connects.
        pong(&mut stream).await?;
        let mut back = seat.connect(Port::CancelCallBack).await?;
        ping(&mut back).await?;
        drop(decoy);
        // Keep the stream until the other half is done.
        let _ = stream.reader.read_u8().await;
        Ok(())
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let listener = seat.listen(Port::CancelCallBack).await?;
        let mut stream = seat.connect(Port::Cancel).await?;
        ping(&mut stream).await?;
        for _ in 0..8 {
            let attempt = seat.environment.transport.connect(seat.theirs(Port::CancelDecoy));
            tokio::select! {
                biased;
                opened = attempt => drop(opened),
                () = ready() => {}
            }
        }
        ping(&mut stream).await?;
        let mut called: Stream<_, _> = listener.accept().await.map_err(because("accept the call back"))?;
        pong(&mut called).await
    }
}

/// Nobody listens: the error says so.
pub(super) mod refused_connect {
    use super::{Check, Clock, ErrorKind, Port, Seat, Transport, ensure};

    pub(in super::super) async fn serve<T: Transport, C: Clock>(_: &Seat<T, C>) -> Check {
        Ok(())
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let outcome = seat.environment.transport.connect(seat.theirs(Port::Refused)).await;
        let kind = outcome.map(|_| ()).map_err(|error| error.kind());
        ensure(kind == Err(ErrorKind::ConnectionRefused), || format!("connect gave {kind:?}"))
    }
}

/// A port can be listened at again as soon as its listener is gone, also after traffic.
pub(super) mod port_reuse {
    use super::{AsyncReadExt, Check, Clock, Listener, Port, Seat, Transport, because, ping, pong};

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        for _ in 0..3 {
            let listener = seat.listen(Port::Reuse).await?;
            let mut stream = listener.accept().await.map_err(because("accept"))?;
            // Closing first makes this the side in TIME_WAIT.
            pong(&mut stream).await?;
        }
        Ok(())
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        for _ in 0..3 {
            let mut stream = seat.connect(Port::Reuse).await?;
            ping(&mut stream).await?;
            // Until the other half has closed, its listener is the old one.
            let _ = stream.reader.read_u8().await;
        }
        Ok(())
    }
}

async fn ping<R, W>(stream: &mut Stream<R, W>) -> Check
where
    R: tokio::io::AsyncRead + Unpin,
    W: tokio::io::AsyncWrite + Unpin,
{
    stream.writer.write_all(b"ping").await.map_err(because("write a ping"))?;
    let mut answer = [0; 4];
    stream.reader.read_exact(&mut answer).await.map_err(because("read a pong"))?;
    ensure(&answer == b"pong", || format!("{answer:?} instead of a pong"))
}

async fn pong<R, W>(stream: &mut Stream<R, W>) -> Check
where
    R: tokio::io::AsyncRead + Unpin,
    W: tokio::io::AsyncWrite + Unpin,
{
    let mut question = [0; 4];
    stream.reader.read_exact(&mut question).await.map_err(because("read a ping"))?;
    ensure(&question == b"ping", || format!("{question:?} instead of a ping"))?;
    stream.writer.write_all(b"pong").await.map_err(because("write a pong"))
}

/// Ready at its first poll: what stands before it in a biased `select!` is polled once.
async fn ready() {}
