//! A small file server over any transport, with good habits or bad ones.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engine::transport::{Listener, Stream, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Keeps to ranges, and keeps its connections.
    Honest,
    /// Sends the whole file, whatever was asked for.
    IgnoresRanges,
    /// Hangs up in the middle of the body.
    Truncates,
    /// Says nothing of a length, and never ends.
    Endless,
    /// Has a longer file under the same name.
    LongerFile,
    /// The right length and the wrong bytes.
    WrongBytes,
    /// Answers with another range.
    AnotherRange,
    /// Has nothing.
    HasNothing,
    /// Is always busy.
    Busy,
    /// Is to be found elsewhere, and there again.
    RedirectsForEver,
    /// Sends its files below `/real/`.
    Redirects,
    /// Speaks something else.
    SpeaksNoHttp,
}

/// What a server has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The first line of each request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

/// A server's files by their paths, as they stand in a request.
pub type Files = Arc<BTreeMap<String, Vec<u8>>>;

/// Listens at `addr`; returns where, and the server's work.
pub async fn serve<T: Transport>(
    transport: T,
    addr: SocketAddr,
    files: Files,
    habit: Habit,
    seen: Seen,
) -> io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = transport.listen(addr).await?;
    let addr = listener.local_addr()?;
    let work = async move {
        let mut guests = JoinSet::new();
        while let Ok(stream) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::Relaxed);
            let (files, seen) = (Arc::clone(&files), seen.clone());
            guests.spawn(async move {
                // Whoever has enough hangs up.
                let _ = converse(stream, &files, habit, &seen).await;
            });
        }
    };
    Ok((addr, work))
}

async fn converse<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut stream: Stream<R, W>,
    files: &BTreeMap<String, Vec<u8>>,
    habit: Habit,
    seen: &Seen,
) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.reader.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        received.drain(..end);
        seen.requests.lock().expect("not poisoned").push(head.lines().next().unwrap_or_default().to_owned());
        if !answer(&mut stream.writer, &head, files, habit).await? {
            return stream.writer.shutdown().await;
        }
    }
}

/// Answers a request; true if the connection stays.
async fn answer<W: AsyncWrite + Unpin>(
    out: &mut W,
    head: &str,
    files: &BTreeMap<String, Vec<u8>>,
    habit: Habit,
) -> io::Result<bool> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let plain = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n");
    let real = path.strip_prefix("/real");
    let refusal = match habit {
        Habit::Busy => Some(plain("503 Service Unavailable", "Retry-After: 3600\r\n")),
        Habit::RedirectsForEver => Some(plain("302 Found", &format!("Location: {path}\r\n"))),
        Habit::Redirects if real.is_none() => {
            Some(plain("301 Moved Permanently", &format!("Location: /real{path}\r\n")))
        }
        Habit::SpeaksNoHttp => Some("SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned()),
        Habit::HasNothing => Some(plain("404 Not Found", "")),
        Habit::Honest
        | Habit::IgnoresRanges
        | Habit::Truncates
        | Habit::Endless
        | Habit::LongerFile
        | Habit::WrongBytes
        | Habit::AnotherRange
        | Habit::Redirects => None,
    };
    let file = files.get(real.unwrap_or(path)).filter(|_| refusal.is_none());
    let Some(file) = file else {
        out.write_all(refusal.unwrap_or_else(|| plain("404 Not Found", "")).as_bytes()).await?;
        return Ok(habit != Habit::SpeaksNoHttp);
    };
    let (first, last) = range(head).unwrap_or((0, file.len() - 1));
    let last = last.min(file.len() - 1);
    let mut body = file[first..=last].to_vec();
    let mut len = file.len();
    let mut shown = (first, last);
    match habit {
        Habit::IgnoresRanges => {
            out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes()).await?;
            out.write_all(file).await?;
            return Ok(true);
        }
        Habit::Endless => {
            out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                out.write_all(&[0; 4096]).await?;
            }
        }
        Habit::LongerFile => len += 1,
        Habit::AnotherRange => shown = (first + 1, last + 1),
        Habit::WrongBytes => body.iter_mut().for_each(|byte| *byte ^= 1),
        Habit::Honest
        | Habit::Truncates
        | Habit::HasNothing
        | Habit::Busy
        | Habit::RedirectsForEver
        | Habit::Redirects
        | Habit::SpeaksNoHttp => {}
    }
    let (first, last) = shown;
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{len}\r\n\r\n",
        body.len()
    );
    out.write_all(head.as_bytes()).await?;
    if habit == Habit::Truncates {
        body.truncate(body.len() / 2);
    }
    out.write_all(&body).await?;
    Ok(habit != Habit::Truncates)
}

/// First and last byte of a `Range`.
fn range(head: &str) -> Option<(usize, usize)> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("range: bytes="))?;
    let (first, last) = line.split_once('=')?.1.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
