//! Web seeds (BEP 19): our client downloads what a foreign tool made a torrent of, and foreign clients what ours did,
//! with nobody there but a plain HTTP server.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use crate::client::Client;
use crate::content::Content;
use crate::lab::Lab;

/// Serves what lies below `root` until the test ends; returns the URL of `root`.
fn serve(root: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let root = root.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            // Whoever has enough hangs up.
            thread::spawn(move || converse(&stream, &root));
        }
    });
    url
}

/// What is asked for.
#[derive(Default)]
struct Request {
    target: String,
    /// First byte, and the last if it is given.
    range: Option<(u64, Option<u64>)>,
}

impl Request {
    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let (mut request, mut line) = (Self::default(), String::new());
        while from.read_line(&mut line)? > 2 {
            if request.target.is_empty() {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut request.target);
            } else if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                let (first, last) = range.trim().split_once('-').unwrap_or_default();
                request.range = first.parse().ok().map(|first| (first, last.parse().ok()));
            }
            line.clear();
        }
        Ok(request)
    }
}

/// Answers one request after the other.
fn converse(stream: &TcpStream, root: &Path) -> io::Result<()> {
    let (mut from, mut out) = (BufReader::new(stream), stream);
    loop {
        let Request { target, range } = Request::read(&mut from)?;
        if target.is_empty() {
            return Ok(());
        }
        let Ok(mut file) = File::open(path_of(root, &target)) else {
            out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let len = file.metadata()?.len();
        let (status, first, end) = match range {
            Some((first, last)) => ("206 Partial Content", first, last.map_or(len, |last| len.min(last + 1))),
            None => ("200 OK", 0, len),
        };
        let (count, last) = (end - first, end.saturating_sub(1));
        let shown = range.map(|_| format!("Content-Range: bytes {first}-{last}/{len}\r\n"));
        let shown = shown.unwrap_or_default();
        out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {count}\r\n{shown}\r\n").as_bytes())?;
        file.seek(SeekFrom::Start(first))?;
        io::copy(&mut file.take(count), &mut out)?;
    }
}

/// The file that a request names, its `%20` and the like undone.
fn path_of(root: &Path, target: &str) -> PathBuf {
    let (mut bytes, mut path) = (target.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        let escaped = (byte == b'%').then(|| [bytes.next(), bytes.next()].into_iter().flatten().collect());
        let digits: Option<Vec<u8>> = escaped;
        let digits = digits.and_then(|digits| String::from_utf8(digits).ok());
        path.push(digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()).unwrap_or(byte));
    }
    root.join(String::from_utf8_lossy(&path).trim_start_matches('/'))
}

/// `author` makes a torrent that names the server; `leecher` has nobody else.
fn from_the_server(author: Client, leecher: Client, content: impl FnOnce(&Path) -> Content) {
    if !(author.is_there() && leecher.is_there()) {
        return;
    }
    let lab = Lab::new();
    let content = content(&lab.subfolder("original"));
    let url = serve(content.parent());
    // For a single file the URL may be the file's own (BEP 19); ending in `/`, it is the folder's.
    let flag = if author == Client::Ours { "--web-seed" } else { "-w" };
    let torrent = lab.create_with(author, &content, &[flag, &url]);
    let _tracker = lab.track();
    let peer = lab.leech(leecher, &torrent);
    lab.complete(peer, &torrent, &content);
}

#[test]
fn our_leecher_downloads_what_mktorrent_says_a_server_has() {
    from_the_server(Client::Aria2, Client::Ours, crate::file);
}

#[test]
fn our_leecher_downloads_a_folder_that_mktorrent_says_a_server_has() {
    from_the_server(Client::Aria2, Client::Ours, Content::folder);
}

#[test]
fn libtorrent_downloads_what_we_say_a_server_has() {
    from_the_server(Client::Ours, Client::Libtorrent, Content::folder);
}

#[test]
fn aria2_downloads_what_we_say_a_server_has() {
    from_the_server(Client::Ours, Client::Aria2, Content::folder);
}

#[test]
fn transmission_downloads_what_we_say_a_server_has() {
    from_the_server(Client::Ours, Client::Transmission, Content::folder);
}
