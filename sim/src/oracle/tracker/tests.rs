//! A day at the tracker, told right and then told wrong: every finding fires.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::id::{InfoHash, PeerId};
use proto::time::Instant;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{
    AnnounceHead, AnnounceRequest, ConnectionId, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};

use super::*;
use crate::record::tests::good;
use crate::record::{Departed, Presence};
use crate::scenario::{FaultKind, FaultPlan, Target};

const SEEDER: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;
const STRANGER: usize = 7;

fn addr(peer: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, peer as u8 + 2], 6881))
}

/// The port that a client sends from is not the one that it announces.
fn source(peer: usize) -> SocketAddr {
    SocketAddr::new(addr(peer).ip(), 40_000)
}

struct Story {
    record: Record,
    at: Duration,
    transaction: u32,
}

impl Story {
    /// The tracker of a good run, before anybody has come.
    fn new() -> Self {
        let mut record = good();
        for (index, peer) in record.peers.iter_mut().enumerate() {
            peer.addrs = vec![addr(index)];
        }
        record.tracker.interval = Duration::from_secs(20);
        record.tracker.lives = vec![Presence { from: Duration::ZERO, until: None }];
        record.tracker.in_the_end = Some(ScrapeEntry { seeders: 3, completed: 2, leechers: 0 });
        Self { record, at: Duration::ZERO, transaction: 0 }
    }

    fn at(mut self, seconds: u64) -> Self {
        self.at = Duration::from_secs(seconds);
        self
    }

    fn see(mut self, way: Way, peer: usize, payload: Bytes) -> Self {
        let at = Instant::ZERO + self.at;
        self.record.tracker.seen.push(Seen { at, way, peer: source(peer), payload });
        self
    }

    fn request(self, peer: usize, request: &Request<'_>) -> Self {
        let mut payload = BytesMut::new();
        request.encode(&mut payload);
        self.see(Way::In, peer, payload.freeze())
    }

    fn reply(self, peer: usize, reply: &Reply) -> Self {
        let mut payload = BytesMut::new();
        reply.encode(&mut payload);
        self.see(Way::Out, peer, payload.freeze())
    }

    fn connect(mut self, peer: usize) -> Self {
        self.transaction += 1;
        let transaction = TransactionId(self.transaction);
        let connection = ConnectionId(peer as u64);
        self.request(peer, &Request::Connect { transaction })
            .reply(peer, &Reply::Connect { transaction, connection })
    }

    fn ask(mut self, peer: usize, left: u64, event: Option<AnnounceEvent>) -> Self {
        self.transaction += 1;
        let announce = AnnounceRequest {
            connection: ConnectionId(peer as u64),
            transaction: TransactionId(self.transaction),
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left },
            event,
            key: 0,
            num_want: None,
            port: addr(peer).port(),
            options: &[],
        };
        self.request(peer, &Request::Announce(announce))
    }

    fn answer(self, peer: usize, (seeders, leechers): (u32, u32), peers: &[usize]) -> Self {
        let transaction = TransactionId(self.transaction);
        let head = AnnounceHead { transaction, interval: 20, leechers, seeders };
        let peers = peers.iter().map(|&peer| addr(peer)).collect();
        self.reply(peer, &Reply::Announce { head, peers })
    }

    /// All three are there; then both leechers complete, as the record says that they did.
    fn good() -> Self {
        Self::joined()
            .at(10)
            .ask(FIRST, 0, Some(AnnounceEvent::Completed))
            .answer(FIRST, (2, 1), &[SECOND])
            .at(12)
            .ask(SECOND, 0, Some(AnnounceEvent::Completed))
            .answer(SECOND, (3, 0), &[])
            .at(13)
    }

    fn joined() -> Self {
        Self::new()
            .connect(SEEDER)
            .connect(FIRST)
            .connect(SECOND)
            .ask(SEEDER, 0, Some(AnnounceEvent::Started))
            .answer(SEEDER, (1, 0), &[])
            .ask(FIRST, 9, Some(AnnounceEvent::Started))
            .answer(FIRST, (1, 1), &[SEEDER])
            .ask(SECOND, 9, Some(AnnounceEvent::Started))
            .answer(SECOND, (1, 2), &[SEEDER, FIRST])
    }

    /// The tracker dies at this second and is there again in the next.
    fn dies(mut self, at: u64, kind: FaultKind) -> Self {
        let tracker = &mut self.record.tracker;
        tracker.lives.last_mut().expect("it ran").until = Some(Duration::from_secs(at));
        tracker.lives.push(Presence { from: Duration::from_secs(at + 1), until: None });
        tracker.ends.push(kind);
        self
    }

    fn counts(mut self, completed: u32) -> Self {
        self.record.tracker.in_the_end = Some(ScrapeEntry { seeders: 3, completed, leechers: 0 });
        self
    }

    fn complaint(&self) -> String {
        check(&self.record).iter().map(|violation| violation.message.clone()).collect::<Vec<_>>().join("\n")
    }

    fn figures(&self) -> Figures {
        figures(&self.record)
    }
}

const CRASH: FaultKind = FaultKind::Crash { back_after: None };
const POWER_CUT: FaultKind = FaultKind::PowerCut { back_after: None };
const LOSS: FaultKind = FaultKind::LoseDatabase { back_after: None };

#[test]
fn a_good_tracker_is_praised() {
    let story = Story::good();
    assert_eq!(story.complaint(), "");
    let want = Figures {
        announces: 5,
        answered: 5,
        named: 4,
        useful: 4,
        told: 12,
        counted: Some(2),
        downloads: 2,
        ..Figures::default()
    };
    assert_eq!(story.figures(), want);
}

#[test]
fn a_second_reply_is_caught() {
    let story = Story::good().answer(SECOND, (3, 0), &[]);
    assert_eq!(story.complaint(), "at 13.0 s it sent 10.0.0.4:40000 a reply that nobody had asked for");
}

#[test]
fn bytes_for_strangers_are_caught() {
    let asked = Story::good().ask(STRANGER, 9, None);
    let transaction = TransactionId(asked.transaction);
    let refusal = |message: String| Reply::Error { transaction, message };
    assert_eq!(asked.reply(STRANGER, &refusal("x".repeat(90))).complaint(), "");
    let asked = Story::good().ask(STRANGER, 9, None);
    let complaint = asked.reply(STRANGER, &refusal("x".repeat(91))).complaint();
    let want = "at 13.0 s it had sent 10.0.0.9, which showed no connection id, 99 bytes for 98";
    assert_eq!(complaint, want);
}

#[test]
fn whoever_is_named_must_have_announced_and_be_wanted() {
    let named =
        |peers: &[usize]| Story::good().ask(SECOND, 0, None).answer(SECOND, (3, 0), peers).complaint();
    assert_eq!(named(&[SECOND]), "at 13.0 s it named 10.0.0.4:6881 to 10.0.0.4:6881, which is itself");
    let want = "at 13.0 s it named 10.0.0.9:6881 to 10.0.0.4:6881, and it has never announced";
    assert_eq!(named(&[STRANGER]), want);
    assert_eq!(named(&[SEEDER]), "at 13.0 s it named 10.0.0.2:6881 to 10.0.0.4:6881, and both are complete");
    let starts = Story::good().ask(SECOND, 0, Some(AnnounceEvent::Started)).answer(SECOND, (3, 0), &[SEEDER]);
    assert_eq!(starts.complaint(), "", "it may not know yet what there is");
    let mixed = Story::joined().at(3).ask(SECOND, 0, Some(AnnounceEvent::Started));
    let mixed = mixed.answer(SECOND, (2, 1), &[SEEDER, FIRST]).counts(0);
    let want = "at 3.0 s it named 2 peers to 10.0.0.4:6881, seeders among leechers, and it is complete";
    assert_eq!(mixed.complaint(), want, "a leecher knows what there is as well");
    let left = Story::joined().at(3).ask(SEEDER, 0, Some(AnnounceEvent::Stopped)).answer(SEEDER, (0, 2), &[]);
    let story = left.at(4).ask(FIRST, 9, None).answer(FIRST, (0, 2), &[SEEDER]).counts(0);
    let want = "at 4.0 s it named 10.0.0.2:6881 to 10.0.0.3:6881, and it had left at 3.0 s";
    assert_eq!(story.complaint(), want);
}

#[test]
fn the_silent_are_forgotten_after_two_intervals() {
    let named_at = |at| {
        let story = Story::joined().at(at).ask(SECOND, 9, None).answer(SECOND, (1, 2), &[FIRST]);
        story.counts(0).complaint()
    };
    assert_eq!(named_at(60), "");
    let want = "at 65.0 s it told 10.0.0.4:6881 of 3 peers, and it can know of 1\n\
                at 65.0 s it named 10.0.0.3:6881 to 10.0.0.4:6881, and it was last heard of at 0.0 s";
    assert_eq!(named_at(65), want);
}

#[test]
fn counts_that_contradict_the_announces_are_caught() {
    let told = |counts| Story::good().ask(SECOND, 0, None).answer(SECOND, counts, &[]).complaint();
    assert_eq!(told((2, 1)), "", "who is what is for the figures to say");
    assert_eq!(told((2, 0)), "at 13.0 s it told 10.0.0.4:6881 of 2 peers, and 3 had announced");
    assert_eq!(told((3, 1)), "at 13.0 s it told 10.0.0.4:6881 of 4 peers, and it can know of 3");
}

#[test]
fn figures_measure_the_distance_from_the_truth() {
    let mut story = Story::joined();
    story.record.peers[FIRST].gone = Some(Departed { at: Duration::from_secs(2), how: "crashed".to_owned() });
    story.record.peers[FIRST].lives[0].until = Some(Duration::from_secs(2));
    story.record.peers[FIRST].completed = None;
    let story = story.at(9).ask(SECOND, 9, None).answer(SECOND, (1, 2), &[SEEDER, FIRST]).counts(0);
    assert_eq!(story.complaint(), "", "it cannot know");
    let figures = story.figures();
    assert_eq!((figures.named, figures.useful, figures.wrong), (5, 4, 1));
    let punctual = |at| story_at(at).figures().punctual_share();
    assert_eq!([18, 19, 40, 42].map(punctual), [Some(0.0), Some(1.0), Some(1.0), Some(0.0)]);
}

fn story_at(seconds: u64) -> Story {
    Story::joined().at(seconds).ask(SECOND, 9, None)
}

#[test]
fn downloads_are_counted_once_and_not_forgotten() {
    assert_eq!(Story::good().counts(3).complaint(), "at 13.0 s it counted 3 downloads, and 2 ended");
    let want = "at 13.0 s it counted 1 downloads, and 2 had been told to it in time";
    assert_eq!(Story::good().counts(1).complaint(), want);
}

#[test]
fn what_is_told_after_the_question_need_not_be_in_the_answer() {
    let scrape = |asked_at| {
        let mut story = Story::joined().at(10).ask(FIRST, 0, Some(AnnounceEvent::Completed));
        let hashes = [[1; 20]];
        let question = |story: Story| {
            let (connection, transaction) = (ConnectionId(SEEDER as u64), TransactionId(99));
            story
                .request(SEEDER, &Request::Scrape(ScrapeRequest { connection, transaction, hashes: &hashes }))
        };
        story = story.answer(FIRST, (2, 1), &[SECOND]).at(11);
        story = if asked_at == 11 { question(story) } else { story };
        story =
            story.at(12).ask(SECOND, 0, Some(AnnounceEvent::Completed)).answer(SECOND, (3, 0), &[]).at(13);
        story = if asked_at == 13 { question(story) } else { story };
        let swarms = vec![ScrapeEntry { seeders: 3, completed: 1, leechers: 0 }];
        story.reply(SEEDER, &Reply::Scrape { transaction: TransactionId(99), swarms }).counts(1).complaint()
    };
    assert_eq!(scrape(11), "", "it was asked before it was told of the second");
    assert_eq!(scrape(13), "at 13.0 s it counted 1 downloads, and 2 had been told to it in time");
}

#[test]
fn a_crash_excuses_what_was_not_kept_yet() {
    let after = |at, kind, completed| Story::good().dies(at, kind).counts(completed).complaint();
    assert_eq!(after(13, CRASH, 1), "", "the second was told a second before");
    let want = "at 13.0 s it counted 0 downloads, and 1 had been told to it in time";
    assert_eq!(after(13, CRASH, 0), want);
    assert_eq!(after(13, POWER_CUT, 0), "");
    let want = "at 13.0 s it counted 1 downloads, and 2 had been told to it in time";
    assert_eq!(
        after(24, POWER_CUT, 0),
        "at 13.0 s it counted 0 downloads, and 1 had been told to it in time"
    );
    assert_eq!(after(30, POWER_CUT, 1), want);
    assert_eq!(after(30, LOSS, 0), "");
}

#[test]
fn a_full_disk_excuses_a_crash_after_it() {
    let mut story = Story::good();
    let kind = FaultKind::StoreFails(Duration::from_secs(10));
    let at = Duration::from_secs(11);
    story.record.plan.faults.push(FaultPlan { at, when: None, kind, target: Target::Tracker });
    assert_eq!(story.dies(20, CRASH).counts(0).complaint(), "");
}

#[test]
fn what_was_lost_with_the_database_cannot_be_known() {
    let story = Story::joined().dies(5, LOSS).at(7).ask(SECOND, 9, None);
    let story = story.answer(SECOND, (0, 1), &[FIRST]).counts(0);
    let want = "at 7.0 s it named 10.0.0.3:6881 to 10.0.0.4:6881, and it had lost all that it knew of it";
    assert_eq!(story.complaint(), want);
}

#[test]
fn a_tap_with_a_gap_judges_nothing() {
    let mut story = Story::good().counts(9);
    story.record.tracker.missed = 1;
    assert_eq!((story.complaint(), story.figures().announces), (String::new(), 0));
}
