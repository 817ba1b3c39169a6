//! The loop around one torrent: feeds the machines and carries out what they ask for. It decides nothing
//! about the protocol.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::announce::{self, Announcer};
use proto::metainfo::Metainfo;
use proto::resume::Keeper;
use proto::time::Instant;
use proto::torrent::{Direction, Event, Input, Output, PeerKey, Progress, Source, Torrent};
use proto::wire::Message;
use tracing::{debug, info, warn};

use crate::announce::TrackerLine;
use crate::clock::Clock;
use crate::dialler::Dialler;
use crate::disk_jobs::{DiskJobs, Job};
use crate::events::Events;
use crate::handle::EngineEvent;
use crate::peer::{Link, Peer, Terms};
use crate::queue::{Done, Happening, Happenings};
use crate::resume::Past;
use crate::shared::Slots;
use crate::snapshot::{Crowd, TorrentSnapshot, Trackers};
use crate::transport::Transport;
use crate::web_seed::WebSeedPort;

/// Files that peers read from are looked at this often: a moved one is noticed within a minute.
const AUDIT_EVERY: Duration = Duration::from_secs(60);

/// Happenings taken per wake-up, before timers get their turn.
const BATCH: usize = 64;

/// Everything that one torrent needs, and the loop that moves it.
pub(crate) struct TorrentLoop<T: Transport, C: Clock> {
    pub(crate) clock: C,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) torrent: Torrent,
    pub(crate) announcer: Announcer,
    pub(crate) trackers: TrackerLine<T, C>,
    pub(crate) disk: DiskJobs,
    /// When what was verified may be claimed.
    pub(crate) keeper: Keeper,
    /// What earlier runs did.
    pub(crate) past: Past,
    pub(crate) web_seeds: WebSeedPort<T, C>,
    pub(crate) terms: Terms,
    pub(crate) dialler: Dialler<T, C>,
    /// Its part of the upload slots.
    pub(crate) slots: Slots,
    pub(crate) events: Events,
    pub(crate) state: LoopState,
}

/// What the loop itself remembers.
#[derive(Default)]
pub(crate) struct LoopState {
    peers: BTreeMap<PeerKey, Peer>,
    trackers: Trackers,
    /// An empty list, passed back and forth with the mailboxes.
    spare: Vec<Message>,
    /// The storage's latest complaint.
    complaint: Option<(io::ErrorKind, String)>,
    /// When to look whether the files are what they were; nothing while nobody reads.
    audit_at: Option<Instant>,
}

impl<T: Transport, C: Clock> TorrentLoop<T, C> {
    /// Runs until a user stops it.
    pub(crate) async fn run(mut self, mut happenings: Happenings) {
        let clock = self.clock.clone();
        let mut batch = Vec::new();
        let mut armed = clock.now();
        let mut timer = pin!(clock.sleep_until(armed));
        self.carry_out(clock.now()).await;
        self.submit(clock.now(), Job::Audit);
        while !self.keeper.has_left() {
            let now = clock.now();
            let due = self.due();
            // A timer that fires too early is cheaper than one that is set anew for every message.
            if let Some(due) = due
                && (due < armed || armed <= now)
            {
                armed = due;
                timer.set(clock.sleep_until(due));
            }
            tokio::select! {
                biased;
                _ = happenings.recv_many(&mut batch, BATCH) => {}
                // Without any deadline it fires for nobody.
                () = timer.as_mut(), if due.is_some() || armed > now => {}
            }
            let now = clock.now();
            for happening in batch.drain(..) {
                self.happened(now, happening);
            }
            if self.due().is_some_and(|due| due <= now) {
                self.time_passed(now);
            }
            self.carry_out(now).await;
        }
        self.tell(&EngineEvent::Stopped);
    }

    /// When the next thing is due.
    fn due(&self) -> Option<Instant> {
        let torrent = self.torrent.poll_timeout().map(|(at, _)| at);
        let announcer = self.announcer.poll_timeout().map(|(at, _)| at);
        [torrent, announcer, self.keeper.poll_timeout(), self.state.audit_at].into_iter().flatten().min()
    }

    fn time_passed(&mut self, now: Instant) {
        if self.torrent.poll_timeout().is_some_and(|(at, _)| at <= now) {
            if let Some(wanted) = self.torrent.slots_for_round(now) {
                let slots = self.slots.round(wanted);
                self.torrent.handle_input(now, Input::UploadSlots(slots));
            }
            self.torrent.handle_timeout(now);
            self.drain(now);
        }
        if self.announcer.poll_timeout().is_some_and(|(at, _)| at <= now) {
            let progress = self.progress();
            self.announcer.handle_timeout(now, &progress);
        }
        self.keeper.handle_timeout(now);
        self.keep(now);
        if self.state.audit_at.is_some_and(|at| at <= now) {
            self.state.audit_at = None;
            self.submit(now, Job::Audit);
        }
    }

    /// More peers want to be served, or will in a moment, or nobody does any more.
    fn follow_demand(&mut self, now: Instant, soon: usize) {
        if let Some(slots) = self.slots.follow(self.torrent.slots_wanted_with(soon)) {
            self.torrent.handle_input(now, Input::UploadSlots(slots));
        }
    }

    fn happened(&mut self, now: Instant, happening: Happening) {
        match happening {
            Happening::Ready(key) => self.ready(now, key),
            Happening::Place(key) => self.dialler.begin(key),
            Happening::Part => self.feed(now, Input::Part),
            Happening::Knock { key, addr, link } => {
                let peer = Peer { link, addr, direction: Direction::Incoming, opened: false };
                self.state.peers.insert(key, peer);
            }
            Happening::Disk(done) => {
                self.disk.ended();
                self.finished(now, done);
                while let Some(done) = self.disk.next_done() {
                    self.finished(now, done);
                }
                self.drain(now);
            }
            Happening::Announce(input, _permit) => {
                let progress = self.progress();
                self.announcer.handle_input(now, &progress, input);
            }
            Happening::Stats(reply) => {
                // A user who no longer waits needs no answer.
                let _ = reply.send(self.torrent.stats(now));
            }
            Happening::Snapshot(reply) => {
                let _ = reply.send(TorrentSnapshot::of(&self.torrent, &self.state.trackers, now));
            }
            Happening::Priorities(of_files) => {
                self.feed(now, Input::Wanted(self.metainfo.piece_priorities(&of_files)));
                self.submit(now, Job::Select(of_files));
            }
            Happening::Named(source, addr) => self.feed(now, Input::Candidates(source, vec![addr])),
            Happening::Web(key, news) => self.feed(now, Input::Web(key, news)),
            Happening::LimitsChanged => self.feed(now, Input::UploadLimit(self.terms.upload_limit())),
            Happening::Stop => self.feed(now, Input::Stop),
        }
    }

    /// A connection's mailbox holds something.
    fn ready(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        let mut delivery = peer.link.take(std::mem::take(&mut self.state.spare));
        if let Some(opened) = delivery.opened {
            peer.opened = true;
            let (addr, direction) = (peer.addr, peer.direction);
            let (id, reserved) = (opened.id, opened.reserved);
            self.feed(now, Input::Connected { peer: key, addr, id, reserved, direction });
        }
        for message in delivery.messages.drain(..) {
            // So that whoever gets a slot gets it at once.
            if message == Message::Interested {
                self.follow_demand(now, 1);
            }
            self.feed(now, Input::Message { peer: key, message });
        }
        self.state.spare = delivery.messages;
        if delivery.sent > 0 {
            self.feed(now, Input::Sent { peer: key, bytes: delivery.sent });
        }
        if delivery.ended {
            self.ended(now, key);
        }
    }

    fn ended(&mut self, now: Instant, key: PeerKey) {
        self.disk.forget(key);
        match self.state.peers.remove(&key) {
            Some(peer) if peer.opened => self.feed(now, Input::Disconnected { peer: key }),
            Some(peer) if peer.direction == Direction::Outgoing => {
                self.feed(now, Input::ConnectFailed { addr: peer.addr });
            }
            Some(_) | None => {}
        }
    }

    fn feed(&mut self, now: Instant, input: Input) {
        self.torrent.handle_input(now, input);
        self.drain(now);
    }

    /// Carries out what the torrent asks for. The announcer's wishes need the network and wait for
    /// [`Self::carry_out`].
    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.torrent.poll_output() {
            match output {
                Output::Connect { addr } => {
                    let (key, peer) = self.dialler.dial(addr);
                    self.state.peers.insert(key, peer);
                }
                Output::Disconnect { peer, reason } => {
                    debug!(?peer, %reason, "closing a connection");
                    self.with_link(peer, Link::close);
                }
                Output::Send { peer, message } => self.with_link(peer, |link| link.send(message)),
                Output::Write { block, data } => self.submit(now, Job::Write(block, data)),
                Output::Hash { piece } => self.submit(now, Job::Hash(piece)),
                Output::Read { peer, block } => self.submit(now, Job::Read(peer, block)),
                Output::Fetch(fetch) => self.web_seeds.fetch(fetch),
                Output::FetchMore { key, bytes } => self.web_seeds.more(key, bytes),
                Output::FetchStop { key } => self.web_seeds.stop(key),
                Output::Announce(event) => {
                    let progress = self.progress();
                    self.announcer.handle_input(now, &progress, announce::Input::Announce(event));
                }
                Output::Event(event) => self.report(now, &event),
            }
        }
    }

    /// What the announcer must know of the torrent before it is told anything.
    fn progress(&mut self) -> Progress {
        self.announcer.set_partial_seed(self.torrent.is_partial_seed());
        self.torrent.progress()
    }

    fn with_link(&self, peer: PeerKey, act: impl FnOnce(&Link)) {
        if let Some(peer) = self.state.peers.get(&peer) {
            act(&peer.link);
        }
    }

    pub(crate) fn submit(&mut self, now: Instant, job: Job) {
        if let Some(done) = self.disk.submit(job) {
            self.finished(now, done);
        }
    }

    /// A disk job has ended: tells the torrent, whose wishes are drained by the caller or at the next turn.
    fn finished(&mut self, now: Instant, done: Done) {
        let input = match done {
            Done::Written(block, outcome) => Input::Written { block, ok: self.heed(outcome).is_some() },
            Done::Hashed(piece, outcome) => Input::Hashed { piece, hash: self.heed(outcome) },
            Done::Read(peer, block, outcome) => {
                let data = self.read(now, outcome);
                Input::BlockRead { peer, block, data }
            }
            Done::Audited(losses) => return self.lost(now, losses),
            Done::Selected(outcome) => {
                if self.heed(outcome).is_none() {
                    self.complain();
                }
                return;
            }
            Done::Flushed(losses, outcome) => {
                self.lost(now, losses);
                let stamps = self.heed(outcome);
                stamps.is_none().then(|| self.complain());
                self.keeper.flushed(now, stamps);
                return self.keep(now);
            }
            Done::Kept(outcome) => {
                // It costs the next start some time; nothing is lost.
                let complain = |error: &io::Error| warn!("the resume data are not kept: {error}");
                self.keeper.kept(now, outcome.inspect_err(complain).is_ok());
                return self.keep(now);
            }
        };
        self.torrent.handle_input(now, input);
    }

    /// A block was read, or not. Files that are read are looked after; one that is not there is what an audit says
    /// better than a failed read.
    fn read(&mut self, now: Instant, outcome: io::Result<Bytes>) -> Option<Bytes> {
        let gone = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof);
        if outcome.as_ref().is_err_and(gone) {
            self.state.audit_at = Some(now);
            return None;
        }
        self.state.audit_at.get_or_insert(now + AUDIT_EVERY);
        let before = self.state.complaint.clone();
        let data = self.heed(outcome);
        // The core has no event for this; say it once, not for every block.
        if before != self.state.complaint {
            self.complain();
        }
        data
    }

    /// Keeps what the storage complained of for the event that follows.
    fn heed<V>(&mut self, outcome: io::Result<V>) -> Option<V> {
        outcome.map_err(|error| self.state.complaint = Some((error.kind(), error.to_string()))).ok()
    }

    fn complain(&self) {
        if let Some((kind, error)) = self.state.complaint.clone() {
            self.tell(&EngineEvent::StorageFailed { kind, error });
        }
    }

    fn report(&mut self, now: Instant, event: &Event) {
        match event {
            Event::PieceVerified(piece) => {
                self.keeper.verified(now, *piece);
                self.tell(&EngineEvent::PieceVerified(piece.get()));
            }
            Event::PieceLost(piece) => self.keeper.lost(now, *piece),
            Event::PieceFailed(piece) => {
                info!(piece = piece.get(), "a piece failed its check");
                self.tell(&EngineEvent::PieceFailed(piece.get()));
            }
            Event::Banned(banned) => {
                info!(who = %banned.who, reason = %banned.reason, "banned");
                self.tell(&EngineEvent::Banned(*banned));
            }
            Event::Completed => self.tell(&EngineEvent::Completed),
            Event::SelectionCompleted => self.tell(&EngineEvent::SelectionCompleted),
            Event::StorageFailed => self.complain(),
            Event::WebSeedFailed { url, error } => {
                self.tell(&EngineEvent::WebSeedFailed { url: url.clone(), error: error.to_string() });
            }
        }
    }

    pub(crate) fn tell(&self, event: &EngineEvent) {
        self.events.tell(event);
    }

    /// Carries out what both machines ask for until they are content.
    async fn carry_out(&mut self, now: Instant) {
        self.drain(now);
        self.follow_demand(now, 0);
        self.drain(now);
        while let Some(output) = self.announcer.poll_output() {
            match output {
                announce::Output::Resolve { host, port } => self.trackers.resolve(host, port),
                announce::Output::SendTo { addr, payload } => self.trackers.send(addr, &payload).await,
                announce::Output::Get { transaction, addr, url, patience } => {
                    self.trackers.get(transaction, addr, url, patience);
                }
                announce::Output::Warned { url, text } => tracing::warn!(%url, "the tracker warns: {text}"),
                announce::Output::Switched => self.feed(now, Input::TrackerSwitched),
                announce::Output::Peers(addrs) => self.feed(now, Input::Candidates(Source::Tracker, addrs)),
                announce::Output::Announced { url, family, seeders, leechers, interval } => {
                    self.state.trackers.answered(&url, family, Crowd { seeders, leechers }, now + interval);
                    self.tell(&EngineEvent::Announced { url, family, seeders, leechers, interval });
                }
                announce::Output::Failed { url, error } => {
                    info!(%url, %error, "a tracker cannot be used");
                    self.state.trackers.failed(&url, &error.to_string());
                    let silent = error == announce::AnnounceError::NoAnswer;
                    self.tell(&EngineEvent::TrackerFailed { url, error: error.to_string(), silent });
                }
                announce::Output::Done => {
                    self.keeper.leave();
                    self.keep(now);
                }
            }
        }
    }
}
