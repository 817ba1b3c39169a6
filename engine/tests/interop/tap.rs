//! A tap on the line between one of our peers and a foreign one: it passes every byte on and notes every message, so
//! that a test can say what was in fact exchanged. Our side dials it in the place of the other.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use proto::id::PeerId;
use proto::wire::extension::{ExtensionHandshake, HANDSHAKE_ID};
use proto::wire::{Decoder, Feature, Message, Opening, decode_peer_id};

use crate::lab::{Peer, Torrent};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Our peer, which dialled.
    Ours,
    /// The foreign one.
    Theirs,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// The reserved bits of a handshake.
    Hello([u8; 8]),
    /// A message after it.
    Message(Message),
    /// What our decoder refuses.
    Unreadable(String),
}

/// What was said, in an order in which every answer follows its question.
type Record = Arc<Mutex<Vec<(Side, Said)>>>;

/// A tap, until the test ends.
pub(crate) struct Tap {
    /// Where to dial it.
    pub(crate) addr: SocketAddr,
    record: Record,
}

impl Tap {
    /// Puts a tap before `peer`.
    pub(crate) fn before(peer: &Peer, torrent: &Torrent) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let (record, target) = (Record::default(), peer.listen);
        let (kept, pieces) = (Arc::clone(&record), torrent.metainfo.geometry().pieces());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect(target) {
                    pass_both_ways(&near, &far, &record, pieces);
                }
            }
        });
        Self { addr, record: kept }
    }

    /// All that `side` has said so far.
    pub(crate) fn said_by(&self, side: Side) -> Vec<Said> {
        self.all().into_iter().filter(|(who, _)| *who == side).map(|(_, said)| said).collect()
    }

    /// All that was said so far.
    pub(crate) fn all(&self) -> Vec<(Side, Said)> {
        self.record.lock().expect("not poisoned").clone()
    }

    /// The messages of `side`.
    pub(crate) fn messages(&self, side: Side) -> Vec<Message> {
        let message = |said| match said {
            Said::Message(message) => Some(message),
            Said::Hello(_) => None,
            Said::Unreadable(error) => panic!("{side:?} said what cannot be read: {error}"),
        };
        self.said_by(side).into_iter().filter_map(message).collect()
    }

    /// Did `side` offer `feature` in its handshake?
    pub(crate) fn offers(&self, side: Side, feature: Feature) -> bool {
        let said = self.said_by(side);
        said.iter().any(|said| matches!(said, Said::Hello(reserved) if feature.is_in(*reserved)))
    }

    /// The extension handshake of `side` (BEP 10), as last said.
    pub(crate) fn extensions(&self, side: Side) -> Option<ExtensionHandshake> {
        let of = |message| {
            let Message::Extended { id: HANDSHAKE_ID, payload } = message else { return None };
            ExtensionHandshake::decode(&payload).ok()
        };
        self.messages(side).into_iter().rev().find_map(of)
    }

    /// The messages of peer exchange (BEP 11) that `side` sent: its ids are the other side's.
    pub(crate) fn gossip(&self, side: Side) -> usize {
        let other = if side == Side::Ours { Side::Theirs } else { Side::Ours };
        let Some(pex) = self.extensions(other).and_then(|theirs| theirs.pex).filter(|&id| id != 0) else {
            return 0;
        };
        let is_pex = |message: &&Message| matches!(message, Message::Extended { id, .. } if *id == pex);
        self.messages(side).iter().filter(is_pex).count()
    }
}

/// Passes on what either side says, until one hangs up.
fn pass_both_ways(near: &TcpStream, far: &TcpStream, record: &Record, pieces: u32) {
    let line = Arc::new(Line { record: Arc::clone(record), waiting: Mutex::default() });
    for (side, from, to) in [(Side::Ours, near, far), (Side::Theirs, far, near)] {
        let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
        let line = Arc::clone(&line);
        thread::spawn(move || pass(side, from, to, &line, pieces));
    }
}

/// One connection through a tap. Others may dial it as well, who hear of it by peer exchange, and may do so with another
/// protocol: of those nothing is noted.
struct Line {
    record: Record,
    waiting: Mutex<Waiting>,
}

/// What was said before it was known who dialled.
#[derive(Default)]
struct Waiting {
    is_ours: Option<bool>,
    said: Vec<(Side, Said)>,
}

impl Line {
    /// Notes what was heard of `side`; `is_ours` if it is known by now whether that is one of ours.
    fn note(&self, side: Side, heard: Vec<Said>, is_ours: Option<bool>) {
        let mut waiting = self.waiting.lock().expect("not poisoned");
        waiting.said.extend(heard.into_iter().map(|said| (side, said)));
        if side == Side::Ours {
            waiting.is_ours = is_ours;
        }
        let Some(is_ours) = waiting.is_ours else { return };
        let said = std::mem::take(&mut waiting.said);
        if is_ours {
            self.record.lock().expect("not poisoned").extend(said);
        }
    }
}

fn pass(side: Side, mut from: TcpStream, mut to: TcpStream, line: &Line, pieces: u32) {
    let (mut listener, mut bytes) = (Listener::new(pieces), vec![0; 1 << 16]);
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let heard = listener.hear(&bytes[..count]);
        line.note(side, heard, listener.is_ours());
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other direction ends as well; it may have done so already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Reads one direction.
struct Listener {
    buffer: BytesMut,
    decoder: Decoder,
    /// Still to come before the messages.
    opening: bool,
    name: Option<PeerId>,
    deaf: bool,
}

impl Listener {
    fn new(pieces: u32) -> Self {
        let decoder = Decoder::new(pieces);
        Self { buffer: BytesMut::new(), decoder, opening: true, name: None, deaf: false }
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.buffer.extend_from_slice(bytes);
        let mut said = Vec::new();
        while !self.deaf {
            match self.next() {
                Ok(Some(next)) => said.push(next),
                Ok(None) => break,
                Err(error) => {
                    self.deaf = true;
                    said.push(Said::Unreadable(error));
                }
            }
        }
        said
    }

    /// Is this one of ours, if that is known? Whoever cannot be read is not.
    fn is_ours(&self) -> Option<bool> {
        let by_name = self.name.map(|name| name.0.starts_with(&PeerId::PREFIX));
        by_name.or(self.deaf.then_some(false))
    }

    fn next(&mut self) -> Result<Option<Said>, String> {
        if self.opening {
            let opening = Opening::decode(&mut self.buffer).map_err(|error| error.to_string())?;
            self.opening = opening.is_none();
            return Ok(opening.map(|opening| Said::Hello(opening.reserved)));
        }
        if self.name.is_none() {
            self.name = decode_peer_id(&mut self.buffer);
        }
        if self.name.is_none() {
            return Ok(None);
        }
        let message = self.decoder.decode(&mut self.buffer).map_err(|error| error.to_string())?;
        Ok(message.map(Said::Message))
    }
}
