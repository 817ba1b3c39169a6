//! Each rule of the announces, broken once.

use proto::id::{InfoHash, PeerId};
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::reply::AnnounceHead;
use proto::tracker::{AnnounceRequest, ConnectionId, Reply, Request, TransactionId};

use super::super::*;
use crate::network::{Seen, Way as Door};
use crate::oracle::{Account, Statement};
use crate::record::tests::good;
use crate::record::{Departed, Presence, Record};

const ADDR: ([u8; 4], u16) = ([10, 0, 0, 3], 6881);
const SIZE: u64 = 2 << 20;

/// `good` with leecher-1 at an address; it completes at 10 s, in a world that loses nothing.
fn record() -> Record {
    let mut record = good();
    record.peers[1].addrs = vec![ADDR.into()];
    record.peers[1].statement = Statement::default();
    record.packets.dropped = 0;
    record.end = Duration::from_secs(200);
    record.tracker.lives = vec![Presence { from: Duration::ZERO, until: None }];
    record
}

fn seen(at: u64, way: Door, payload: Vec<u8>) -> Seen {
    let at = Instant::ZERO + Duration::from_secs(at);
    Seen { at, way, peer: ([10, 0, 0, 3], 50_000).into(), payload: payload.into() }
}

/// An announce at this time, and the reply that asks for 60 s.
fn announce(record: &mut Record, at: u64, event: Option<AnnounceEvent>, left: u64) {
    announce_of(record, at, event, Progress { left, downloaded: 0, uploaded: 0 });
}

fn announce_of(record: &mut Record, at: u64, event: Option<AnnounceEvent>, progress: Progress) {
    let request = Request::Announce(AnnounceRequest {
        connection: ConnectionId(1),
        transaction: TransactionId(at as u32),
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
        progress,
        event,
        key: 1,
        num_want: None,
        port: 6881,
        options: &[],
    });
    let head = AnnounceHead { transaction: TransactionId(at as u32), interval: 60, leechers: 1, seeders: 1 };
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    request.encode(&mut asked);
    Reply::Announce { head, peers: Vec::new() }.encode(&mut answered);
    record.tracker.seen.push(seen(at, Door::In, asked));
    record.tracker.seen.push(seen(at, Door::Out, answered));
}

const STARTED: Option<AnnounceEvent> = Some(AnnounceEvent::Started);
const COMPLETED: Option<AnnounceEvent> = Some(AnnounceEvent::Completed);
const STOPPED: Option<AnnounceEvent> = Some(AnnounceEvent::Stopped);

fn broken(tell: impl FnOnce(&mut Record)) -> Vec<Rule> {
    let mut record = record();
    tell(&mut record);
    conduct(&record).broken.into_keys().collect()
}

#[test]
fn a_polite_client_breaks_nothing() {
    let all = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE);
        announce(record, 11, COMPLETED, 0);
        announce(record, 71, None, 0);
    };
    assert_eq!(broken(all), []);
}

#[test]
fn the_first_announce_says_so() {
    assert_eq!(broken(|record| announce(record, 1, None, SIZE)), [Rule::Started, Rule::CompletedOnce]);
}

#[test]
fn completed_is_said_once_and_not_before() {
    let twice = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE);
        announce(record, 11, COMPLETED, 0);
        announce(record, 80, COMPLETED, 0);
    };
    assert_eq!(broken(twice), [Rule::CompletedOnce]);
    let early = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE);
        announce(record, 5, COMPLETED, SIZE);
    };
    assert_eq!(broken(early), [Rule::CompletedOnce]);
    assert_eq!(broken(|record| announce(record, 1, STARTED, SIZE)), [Rule::CompletedOnce]);
}

#[test]
fn who_leaves_says_so_and_is_silent() {
    let leaves = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE);
        announce(record, 11, COMPLETED, 0);
        let at = Duration::from_secs(20);
        record.peers[1].gone = Some(Departed { at, how: "left".to_owned() });
        record.peers[1].lives[0].until = Some(at);
    };
    assert_eq!(broken(leaves), [Rule::Stopped]);
    let politely = |record: &mut Record| {
        leaves(record);
        announce(record, 20, STOPPED, 0);
    };
    assert_eq!(broken(politely), []);
    let returns = |record: &mut Record| {
        politely(record);
        announce(record, 90, None, 0);
    };
    assert_eq!(broken(returns), [Rule::Stopped]);
}

#[test]
fn intervals_are_kept_and_left_is_true() {
    let hasty = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE);
        announce(record, 5, None, SIZE);
        announce(record, 11, COMPLETED, 0);
    };
    assert_eq!(broken(hasty), [Rule::Interval]);
    let modest = |record: &mut Record| {
        announce(record, 1, STARTED, SIZE / 2);
        announce(record, 11, COMPLETED, 0);
    };
    assert_eq!(broken(modest), [Rule::Left]);
}

#[test]
fn what_was_sent_and_received_is_what_crossed_the_sockets() {
    let hides = |seconds| {
        broken(|record: &mut Record| {
            announce(record, 1, STARTED, SIZE);
            announce(record, 11, COMPLETED, 0);
            let at = Duration::from_secs(seconds);
            record.peers[1].statement.book(at, |account| account.heard += SIZE);
        })
    };
    assert_eq!(hides(1), [Rule::Counters], "it has come, and is not counted");
    assert_eq!(hides(9), [], "what it says may be some seconds old");
}

#[test]
fn what_was_handed_to_a_connection_counts_as_sent_though_it_died_there() {
    let owes = |owed| {
        broken(|record: &mut Record| {
            announce(record, 1, STARTED, SIZE);
            announce_of(record, 11, COMPLETED, Progress { left: 0, downloaded: 0, uploaded: SIZE });
            let sum = |account: &mut Account| (account.said, account.owed) = (SIZE / 2, owed);
            record.peers[1].statement.book(Duration::from_secs(1), sum);
        })
    };
    assert_eq!((owes(SIZE / 2), owes(SIZE / 2 - 1)), (vec![], vec![Rule::Counters]));
}
