//! The defects that the bench must notice, each as small as it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use engine::EngineConfig;
use proto::id::{PeerId, PieceHash};
use proto::piece::{Block, PieceIndex};
use proto::time::Instant;
use proto::torrent::AnnounceEvent;
use proto::tracker::{AnnounceRequest, Family, Reply, Request};
use proto::wire::extension::ExtensionHandshake;
use proto::wire::{Message, RawBlock};

use super::{At, Defect};

/// Nobody is told that it is choked any more, and its requests are refused all the same.
#[derive(Debug, Default)]
pub struct NeverChokes;

impl Defect for NeverChokes {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if message == Message::Choke { vec![] } else { vec![message] }
    }
}

/// Unchokes the first peer that it ever unchoked, and never another.
#[derive(Debug, Default)]
pub struct HasFavourite(Option<std::net::IpAddr>);

impl Defect for HasFavourite {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let unfair = message == Message::Unchoke && *self.0.get_or_insert(at.peer.ip()) != at.peer.ip();
        if unfair { vec![] } else { vec![message] }
    }
}

/// Believes its resume data without a look, and keeps them although nothing was made safe: they lie.
#[derive(Debug, Default)]
pub struct ClaimsTooEarly;

impl Defect for ClaimsTooEarly {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.resume.sample = 0;
    }

    fn flushes(&mut self) -> bool {
        false
    }
}

/// Believes its resume data without a look.
#[derive(Debug, Default)]
pub struct SkipsSample;

impl Defect for SkipsSample {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.resume.sample = 0;
    }
}

/// Finds nothing at its starts, whatever its disk holds.
#[derive(Debug, Default)]
pub struct ForgetsPieces(BTreeSet<PieceIndex>);

impl Defect for ForgetsPieces {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.resume.check = true;
    }

    fn hashes(&mut self, piece: PieceIndex, stored: PieceHash, _: PieceHash) -> PieceHash {
        // A piece that just came in is looked at for the first time, and the next time by a check.
        let is_new = self.0.insert(piece) || !self.0.remove(&piece);
        if is_new { stored } else { PieceHash::default() }
    }
}

/// Tells nobody which pieces came in.
#[derive(Debug, Default)]
pub struct LosesHaves;

impl Defect for LosesHaves {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Have { .. }) { vec![] } else { vec![message] }
    }
}

/// Tells everybody of a piece as soon as it asks for its first block.
#[derive(Debug, Default)]
pub struct HasTooEarly;

impl Defect for HasTooEarly {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if let Message::Request(RawBlock { piece, offset: 0, .. }) = message {
            return vec![Message::Have { piece }, message];
        }
        vec![message]
    }
}

/// Takes whatever is on its disk for right.
#[derive(Debug, Default)]
pub struct SkipsHashes;

impl Defect for SkipsHashes {
    fn hashes(&mut self, _: PieceIndex, _: PieceHash, right: PieceHash) -> PieceHash {
        right
    }
}

/// Sends every tenth block with a wrong byte: not to be noticed by itself, but by who does not check.
#[derive(Debug, Default)]
pub struct ReadsWrong(u32);

impl Defect for ReadsWrong {
    fn reads(&mut self, _: Block, data: Bytes) -> Bytes {
        self.0 += 1;
        if !self.0.is_multiple_of(10) {
            return data;
        }
        let mut wrong = data.to_vec();
        wrong.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        wrong.into()
    }
}

/// Takes everybody for one and the same.
#[derive(Debug, Default)]
pub struct KnowsOne;

impl Defect for KnowsOne {
    fn meets(&mut self, _: At, _: PeerId) -> PeerId {
        PeerId([1; 20])
    }
}

/// Forgets to take back what came from elsewhere.
#[derive(Debug, Default)]
pub struct ForgetsCancels;

impl Defect for ForgetsCancels {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Cancel(_)) { vec![] } else { vec![message] }
    }
}

/// Asks nobody for a block that it has asked somebody else for: waits for the slowest.
#[derive(Debug, Default)]
pub struct NoEndgame {
    asked: BTreeMap<(u32, u32), u64>,
}

impl Defect for NoEndgame {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        if let Message::Request(block) = &message {
            let first = *self.asked.entry((block.piece, block.offset)).or_insert(at.line);
            return if first == at.line { vec![message] } else { vec![] };
        }
        // The first one stays the only one.
        if matches!(message, Message::Cancel(_)) { vec![] } else { vec![message] }
    }
}

/// Asks for each block three hundred times.
#[derive(Debug, Default)]
pub struct UnboundedPipeline;

impl Defect for UnboundedPipeline {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        let times = if matches!(message, Message::Request(_)) { 300 } else { 1 };
        vec![message; times]
    }
}

/// Asks whoever chokes it, as if it had not heard.
#[derive(Debug, Default)]
pub struct IgnoresChokes;

impl Defect for IgnoresChokes {
    fn hears(&mut self, _: At, message: Message) -> Vec<Message> {
        if message == Message::Choke { vec![] } else { vec![message] }
    }
}

/// Answers every second request twice.
#[derive(Debug, Default)]
pub struct AnswersTwice(u32);

impl Defect for AnswersTwice {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        self.0 += u32::from(matches!(message, Message::Piece { .. }));
        let twice = matches!(message, Message::Piece { .. }) && self.0.is_multiple_of(2);
        if twice { vec![message.clone(), message] } else { vec![message] }
    }
}

/// Never says that it wants anything, or no longer does, a second time.
#[derive(Debug, Default)]
pub struct ForgetsInterest;

impl Defect for ForgetsInterest {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if message == Message::NotInterested { vec![] } else { vec![message] }
    }
}

/// Chokes and unchokes again with every block that it sends.
#[derive(Debug, Default)]
pub struct Fibrillates;

impl Defect for Fibrillates {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        let is_block = matches!(message, Message::Piece { .. });
        let more: &[Message] = if is_block { &[Message::Choke, Message::Unchoke] } else { &[] };
        [&[message], more].concat()
    }
}

/// Sends its peer exchange with every piece that it gets, to whoever had one before.
#[derive(Debug, Default)]
pub struct Gossips(BTreeMap<u64, Message>);

impl Defect for Gossips {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Extended { id: 1, .. }) {
            self.0.insert(at.line, message.clone());
        }
        let again = self.0.get(&at.line).filter(|_| matches!(message, Message::Have { .. }));
        again.cloned().into_iter().chain([message]).collect()
    }
}

/// Sends no keep-alives.
#[derive(Debug, Default)]
pub struct FallsSilent;

impl Defect for FallsSilent {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        if message == Message::KeepAlive { vec![] } else { vec![message] }
    }
}

/// An announce of this host through `change`.
fn announce(datagram: &[u8], change: impl FnOnce(&mut AnnounceRequest<'_>)) -> Option<Vec<u8>> {
    let Ok(Request::Announce(mut request)) = Request::decode(datagram) else { return None };
    change(&mut request);
    let mut changed = Vec::new();
    Request::Announce(request).encode(&mut changed);
    Some(changed)
}

/// Tells the tracker that it needs half of what it does.
#[derive(Debug, Default)]
pub struct WrongLeft;

impl Defect for WrongLeft {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let halve = |request: &mut AnnounceRequest<'_>| request.progress.left /= 2;
        vec![announce(&datagram, halve).unwrap_or(datagram)]
    }
}

/// Tells the tracker that it gave twice what it did.
#[derive(Debug, Default)]
pub struct WrongCounters;

impl Defect for WrongCounters {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let double = |request: &mut AnnounceRequest<'_>| request.progress.uploaded *= 2;
        vec![announce(&datagram, double).unwrap_or(datagram)]
    }
}

/// Says `completed` with every announce once it is.
#[derive(Debug, Default)]
pub struct CompletesTwice(bool);

impl Defect for CompletesTwice {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let again = |request: &mut AnnounceRequest<'_>| {
            self.0 |= request.event == Some(AnnounceEvent::Completed);
            if self.0 && request.event.is_none() {
                request.event = Some(AnnounceEvent::Completed);
            }
        };
        vec![announce(&datagram, again).unwrap_or(datagram)]
    }
}

/// Leaves without a word to the tracker.
#[derive(Debug, Default)]
pub struct NeverStops;

impl Defect for NeverStops {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let mut stops = false;
        let _ = announce(&datagram, |request| stops = request.event == Some(AnnounceEvent::Stopped));
        if stops { vec![] } else { vec![datagram] }
    }
}

/// Reads two seconds wherever a tracker writes an interval.
#[derive(Debug, Default)]
pub struct IgnoresInterval;

impl Defect for IgnoresInterval {
    fn receives(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(Reply::Announce { mut head, peers }) = Reply::decode(&datagram, Family::V4) else {
            return vec![datagram];
        };
        head.interval = 2;
        let mut changed = Vec::new();
        Reply::Announce { head, peers }.encode(&mut changed);
        vec![changed]
    }
}

/// For a tracker: names for ever whom it named first.
#[derive(Debug, Default)]
pub struct StalePeerList(Vec<std::net::SocketAddr>);

impl Defect for StalePeerList {
    fn sends(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(Reply::Announce { head, peers }) = Reply::decode(&datagram, Family::V4) else {
            return vec![datagram];
        };
        if self.0.is_empty() {
            self.0.clone_from(&peers);
        }
        let mut changed = Vec::new();
        Reply::Announce { head, peers: self.0.clone() }.encode(&mut changed);
        vec![changed]
    }
}

/// Holds every message back for so long, or until the next one after that.
#[derive(Debug)]
pub struct Dawdles {
    by: Duration,
    held: BTreeMap<u64, Vec<(Instant, Message)>>,
}

impl Dawdles {
    /// Messages wait this long.
    pub const fn by(by: Duration) -> Self {
        Self { by, held: BTreeMap::new() }
    }
}

impl Defect for Dawdles {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let held = self.held.entry(at.line).or_default();
        held.push((at.now, message));
        held.extract_if(.., |(since, _)| *since + self.by <= at.now).map(|(_, message)| message).collect()
    }
}

/// Never listens to whom others are connected to.
#[derive(Debug, Default)]
pub struct IgnoresGossip;

impl Defect for IgnoresGossip {
    fn hears(&mut self, _: At, message: Message) -> Vec<Message> {
        // Our id for peer exchange.
        if matches!(message, Message::Extended { id: 1, .. }) { vec![] } else { vec![message] }
    }
}

/// Asked for metadata, it says nothing.
#[derive(Debug, Default)]
pub struct KeepsMetadata;

impl Defect for KeepsMetadata {
    fn hears(&mut self, _: At, message: Message) -> Vec<Message> {
        if matches!(message, Message::Extended { id: 2, .. }) { vec![] } else { vec![message] }
    }
}

/// Offers peer exchange and metadata to everybody, whatever the torrent says.
#[derive(Debug, Default)]
pub struct TellsStrangers;

impl Defect for TellsStrangers {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        let Message::Extended { id: 0, payload } = &message else { return vec![message] };
        let Ok(said) = ExtensionHandshake::decode(payload) else { return vec![message] };
        let open = ExtensionHandshake { pex: Some(1), metadata: Some(2), ..said };
        vec![Message::Extended { id: 0, payload: open.encode() }]
    }
}
