//! Each rule of the peer wire, broken once by a peer that is otherwise polite.

use bytes::Bytes;
use proto::id::{InfoHash, PeerId};
use proto::wire::extension::{ExtensionHandshake, MetadataMessage, Pex, PexPeer};
use proto::wire::{Feature, Handshake, Message, RawBlock};

use super::*;
use crate::wiretap::Line;

mod announces;

/// Pieces that the peer holds from the start, of four of 32 KiB.
struct Held(Vec<Option<Duration>>);

impl Holdings for Held {
    fn look(&self, see: &mut dyn FnMut(&[Option<Duration>])) {
        see(&self.0);
    }
}

/// A peer in court, and what it says and hears.
struct Bench {
    court: Court,
    now: Instant,
}

const FIRST: RawBlock = RawBlock { piece: 0, offset: 0, len: 16 * 1024 };

impl Bench {
    /// A peer that holds the pieces marked, on an open line to another that holds the rest.
    fn new(held: [bool; 4], is_private: bool) -> Self {
        let geometry = Geometry::new(4 * 32 * 1024, 32 * 1024).expect("valid");
        let times = held.map(|held| held.then_some(Duration::ZERO)).to_vec();
        let suspect = Suspect {
            name: "suspect".to_owned(),
            holdings: Box::new(Held(times)),
            super_seeds: false,
            untimed: false,
            limited: false,
        };
        let court = Court::new(geometry, is_private, std::iter::once((1, suspect)));
        let mut bench = Self { court, now: Instant::ZERO };
        let reserved = Feature::FAST.add_to(Feature::EXTENSION_PROTOCOL.add_to([0; 8]));
        let handshake = Handshake { reserved, info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) };
        for line in [1, 2] {
            bench.event(line, Way::Said, What::Handshake(handshake));
            let peer_id = PeerId([3; 20]);
            bench.event(line, Way::Heard, What::Handshake(Handshake { peer_id, ..handshake }));
        }
        bench
    }

    /// The same after polite introductions: it holds nothing, the other everything, and serves it.
    fn leecher() -> Self {
        let mut bench = Self::new([false; 4], false);
        for line in [1, 2] {
            bench.said(line, Message::HaveNone);
            bench.heard(line, Message::HaveAll);
            bench.said(line, Message::Interested);
            bench.heard(line, Message::Unchoke);
        }
        bench
    }

    /// It holds everything, the other nothing, and it serves the other.
    fn seeder() -> Self {
        let mut bench = Self::new([true; 4], false);
        bench.said(1, Message::HaveAll);
        bench.heard(1, Message::HaveNone);
        bench.heard(1, Message::Interested);
        bench.said(1, Message::Unchoke);
        bench
    }

    fn event(&mut self, line: u64, way: Way, what: What) {
        self.now += Duration::from_millis(100);
        self.late(line, way, what, self.now);
    }

    fn late(&mut self, line: u64, way: Way, what: What, since: Instant) {
        let line = Line { number: line, host: 1, peer: ([10, 0, 0, 9], 6881).into() };
        self.court.hear(&Event { at: self.now, since, line, way, what });
    }

    fn said(&mut self, line: u64, message: Message) {
        self.event(line, Way::Said, What::Message(message));
    }

    fn heard(&mut self, line: u64, message: Message) {
        self.event(line, Way::Heard, What::Message(message));
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// The rules that were broken.
    fn broken(mut self) -> Vec<Rule> {
        self.event(3, Way::Said, What::Closed);
        self.court.adjourn().broken.into_keys().collect()
    }
}

/// What a bench says once `act` has happened on it.
fn broken(mut bench: Bench, act: impl FnOnce(&mut Bench)) -> Vec<Rule> {
    act(&mut bench);
    bench.broken()
}

#[test]
fn a_polite_peer_breaks_nothing() {
    let polite = broken(Bench::leecher(), |bench| {
        bench.said(1, Message::Request(FIRST));
        bench.event(1, Way::Heard, What::Block(FIRST));
        bench.heard(1, Message::Choke);
    });
    assert_eq!(polite, []);
    let polite = broken(Bench::seeder(), |bench| {
        bench.heard(1, Message::Request(FIRST));
        bench.event(1, Way::Said, What::Block(FIRST));
        bench.heard(1, Message::Request(FIRST));
        bench.said(1, Message::Choke);
        bench.late(1, Way::Said, What::Message(Message::Reject(FIRST)), bench.now);
    });
    assert_eq!(polite, []);
}

#[test]
fn summaries_come_once_and_first() {
    assert_eq!(broken(Bench::new([false; 4], false), |bench| bench.said(1, Message::Choke)), [Rule::Summary]);
    assert_eq!(broken(Bench::leecher(), |bench| bench.said(1, Message::HaveNone)), [Rule::Summary]);
    let garbage = broken(Bench::leecher(), |bench| bench.event(1, Way::Said, What::Garbage));
    assert_eq!(garbage, [Rule::Syntax]);
}

#[test]
fn whoever_meets_itself_says_no_more() {
    let itself = |bench: &mut Bench| {
        let handshake =
            Handshake { reserved: [0; 8], info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) };
        bench.event(3, Way::Heard, What::Handshake(handshake));
        bench.event(3, Way::Said, What::Handshake(handshake));
    };
    assert_eq!(broken(Bench::leecher(), itself), []);
    let goes_on = |bench: &mut Bench| {
        itself(bench);
        bench.said(3, Message::KeepAlive);
    };
    assert_eq!(broken(Bench::leecher(), goes_on), [Rule::Itself]);
}

#[test]
fn fast_messages_need_the_bit() {
    let mut bench = Bench::leecher();
    let slow = Handshake { reserved: [0; 8], info_hash: InfoHash([1; 20]), peer_id: PeerId([3; 20]) };
    bench.event(1, Way::Heard, What::Handshake(slow));
    assert_eq!(broken(bench, |bench| bench.said(1, Message::Suggest { piece: 0 })), [Rule::FastAgreed]);
}

#[test]
fn a_choked_peer_asks_for_what_it_is_allowed_and_no_more() {
    let ask = |bench: &mut Bench| bench.said(1, Message::Request(FIRST));
    let choked = || {
        let mut bench = Bench::leecher();
        bench.heard(1, Message::Choke);
        bench
    };
    assert_eq!(broken(choked(), ask), [Rule::ChokedRequest]);
    let mut allowed = choked();
    allowed.heard(1, Message::AllowedFast { piece: 0 });
    assert_eq!(broken(allowed, ask), []);
    // It was decided before the choke came, and waited for the socket.
    let crossing = |bench: &mut Bench| {
        bench.late(1, Way::Said, What::Message(Message::Request(FIRST)), Instant::from_micros(500_000));
    };
    assert_eq!(broken(choked(), crossing), []);
}

#[test]
fn who_limits_itself_is_held_to_the_order_alone() {
    let limited = |mut bench: Bench| {
        bench.court.hosts.values_mut().for_each(|host| host.suspect.limited = true);
        bench
    };
    let waits = broken(limited(Bench::leecher()), |bench| {
        bench.heard(1, Message::Choke);
        bench.wait(20);
        bench.said(1, Message::Request(FIRST));
    });
    assert_eq!(waits, []);
    // The unchoke after it was decided already when the request came in.
    let unchokes = broken(limited(Bench::seeder()), |bench| {
        bench.said(1, Message::Choke);
        bench.heard(1, Message::Request(FIRST));
        bench.wait(4);
        bench.said(1, Message::Unchoke);
        bench.event(1, Way::Said, What::Block(FIRST));
    });
    assert_eq!(unchokes, []);
    let serves = broken(limited(Bench::seeder()), |bench| {
        bench.said(1, Message::Choke);
        bench.heard(1, Message::Request(FIRST));
        bench.event(1, Way::Said, What::Block(FIRST));
    });
    assert_eq!(serves, [Rule::Answered]);
}

#[test]
fn requests_are_in_range_and_few() {
    let beyond = RawBlock { offset: 20 * 1024, ..FIRST };
    let wrong = broken(Bench::leecher(), |bench| bench.said(1, Message::Request(beyond)));
    assert_eq!(wrong, [Rule::Range]);
    let mut bench = Bench::new([false; 4], false);
    bench.said(1, Message::HaveNone);
    bench.heard(1, Message::HaveNone);
    bench.heard(1, Message::Unchoke);
    assert_eq!(broken(bench, |bench| bench.said(1, Message::Request(FIRST))), [Rule::Held]);
    let flood = |bench: &mut Bench| (0..251).for_each(|_| bench.said(1, Message::Request(FIRST)));
    assert!(broken(Bench::leecher(), flood).contains(&Rule::Outstanding));
}

#[test]
fn every_request_gets_one_answer() {
    let unasked = broken(Bench::seeder(), |bench| bench.event(1, Way::Said, What::Block(FIRST)));
    assert_eq!(unasked, [Rule::Asked]);
    let whim = broken(Bench::seeder(), |bench| {
        bench.heard(1, Message::Request(FIRST));
        bench.said(1, Message::Reject(FIRST));
    });
    assert_eq!(whim, [Rule::Answered]);
    let silent = broken(Bench::seeder(), |bench| {
        bench.heard(1, Message::Request(FIRST));
        bench.said(1, Message::Choke);
        bench.said(1, Message::KeepAlive);
    });
    assert_eq!(silent, [Rule::Answered]);
}

#[test]
fn what_came_from_elsewhere_is_taken_back() {
    let twice = |bench: &mut Bench| {
        bench.said(1, Message::Request(FIRST));
        bench.said(2, Message::Request(FIRST));
        bench.event(1, Way::Heard, What::Block(FIRST));
    };
    let forgets = broken(Bench::leecher(), |bench| {
        twice(bench);
        bench.said(2, Message::KeepAlive);
    });
    assert_eq!(forgets, [Rule::Cancelled]);
    let takes_back = broken(Bench::leecher(), |bench| {
        twice(bench);
        bench.late(2, Way::Said, What::Message(Message::Cancel(FIRST)), bench.now);
    });
    assert_eq!(takes_back, []);
}

#[test]
fn haves_are_true_and_told() {
    let lies = broken(Bench::leecher(), |bench| bench.said(1, Message::Have { piece: 2 }));
    assert_eq!(lies, [Rule::HaveAfterHash]);
    let hides = broken(Bench::new([true; 4], false), |bench| {
        bench.said(1, Message::HaveNone);
        bench.wait(20);
        bench.said(1, Message::KeepAlive);
    });
    assert_eq!(hides, [Rule::HavesTold]);
}

#[test]
fn who_comes_out_of_a_pause_has_time_to_catch_up_and_no_more() {
    let paused = |bench: &mut Bench| {
        bench.court.hosts.values_mut().for_each(|host| host.suspect.untimed = true);
        bench.said(1, Message::HaveNone);
        bench.wait(20);
        bench.said(1, Message::KeepAlive);
    };
    assert_eq!(broken(Bench::new([true; 4], false), paused), []);
    let hides = broken(Bench::new([true; 4], false), |bench| {
        paused(bench);
        for _ in 0..12 {
            bench.wait(1);
            bench.said(1, Message::KeepAlive);
        }
    });
    assert_eq!(hides, [Rule::HavesTold]);
}

#[test]
fn interest_is_exact() {
    let idle = broken(Bench::seeder(), |bench| bench.said(1, Message::Interested));
    assert_eq!(idle, [Rule::Interest]);
    let modest = broken(Bench::leecher(), |bench| {
        bench.said(1, Message::NotInterested);
        bench.wait(20);
        bench.said(1, Message::KeepAlive);
    });
    assert_eq!(modest, [Rule::Interest]);
}

#[test]
fn slots_do_not_flicker_and_silence_has_an_end() {
    let flickers = broken(Bench::seeder(), |bench| {
        for _ in 0..13 {
            bench.said(1, Message::Choke);
            bench.said(1, Message::Unchoke);
        }
    });
    assert_eq!(flickers, [Rule::ChokePace]);
    let silent = broken(Bench::seeder(), |bench| {
        bench.wait(130);
        bench.said(1, Message::KeepAlive);
    });
    assert_eq!(silent, [Rule::KeepAlive]);
}

/// The other end named peer exchange 7 and metadata 9.
fn named(mut bench: Bench) -> Bench {
    let names = ExtensionHandshake { pex: Some(7), metadata: Some(9), ..ExtensionHandshake::default() };
    bench.heard(1, Message::Extended { id: 0, payload: names.encode() });
    bench
}

fn gossip(peers: u8) -> Message {
    let peer = |last| PexPeer { addr: ([10, 0, 1, last], 6881).into(), upload_only: false, reachable: true };
    let pex = Pex { added: (0..peers).map(peer).collect(), dropped: Vec::new() };
    Message::Extended { id: 7, payload: pex.encode() }
}

#[test]
fn extensions_go_by_the_receivers_names() {
    let unnamed = Message::Extended { id: 3, payload: Bytes::from_static(b"de") };
    let wrong = broken(named(Bench::leecher()), |bench| bench.said(1, unnamed));
    assert_eq!(wrong, [Rule::ExtensionId]);
}

#[test]
fn gossip_is_rare_and_short() {
    let often = broken(named(Bench::leecher()), |bench| {
        bench.said(1, gossip(3));
        bench.wait(30);
        bench.said(1, gossip(4));
    });
    assert_eq!(often, [Rule::GossipPace]);
    assert_eq!(broken(named(Bench::leecher()), |bench| bench.said(1, gossip(51))), [Rule::GossipSize]);
}

#[test]
fn what_is_private_is_not_shared() {
    let private = || {
        let mut bench = named(Bench::new([true; 4], true));
        bench.said(1, Message::HaveAll);
        bench
    };
    assert_eq!(broken(private(), |bench| bench.said(1, gossip(1))), [Rule::Private]);
    let data = MetadataMessage::Data { block: 0, total: Some(1), data: Bytes::from_static(b"d") };
    let leak = Message::Extended { id: 9, payload: data.encode() };
    assert_eq!(broken(private(), |bench| bench.said(1, leak)), [Rule::Private]);
    let refusal = MetadataMessage::Reject { block: 0 };
    let reject = Message::Extended { id: 9, payload: refusal.encode() };
    assert_eq!(broken(private(), |bench| bench.said(1, reject)), []);
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    assert!(Rule::ALL.iter().all(|rule| rule.source().starts_with("BEP ")));
}
