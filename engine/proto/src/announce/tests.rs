//! Tests of the announcer against a scripted tracker on a virtual clock.

mod families;
mod http;
mod private;
mod reach;

use super::*;
use crate::seed::Seed;
use crate::time::Instant;
use crate::torrent::Progress;
use crate::tracker::{AnnounceHead, AnnounceRequest, ConnectionId, Reply, Request, TransactionId};

const START: Instant = Instant::from_micros(1_000_000);
const LEECHING: Progress = Progress { uploaded: 0, downloaded: 0, left: 100 };
const SEEDING: Progress = Progress { uploaded: 0, downloaded: 100, left: 0 };

const OURS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 6881);

fn tracker_addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 6969))
}

fn tracker_v6(last: u8) -> SocketAddr {
    SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)], 6969))
}

fn config(listen: &[SocketAddr], tiers: &[&[&str]]) -> AnnounceConfig {
    let tiers = tiers.iter().map(|tier| tier.iter().map(ToString::to_string).collect()).collect();
    AnnounceConfig::new(InfoHash([1; 20]), PeerId::with_tail([2; 12]), listen, tiers)
}

/// An announcer, its clock, and what it sent and said so far.
struct Scene {
    announcer: Announcer,
    now: Instant,
    progress: Progress,
    told: Vec<Output>,
    sent: Vec<(Instant, SocketAddr, Bytes)>,
    /// What was asked over HTTP.
    asked: Vec<(Instant, SocketAddr, String, Duration)>,
    /// What comes back, in order; then nothing.
    bodies: Vec<Result<Bytes, GetError>>,
    /// Trackers `10.0.0.n` with n in here answer at once.
    alive: Vec<u8>,
    /// The same for `fd00::n`.
    alive_v6: Vec<u8>,
    /// Trackers that have an IPv6 address.
    v6_names: Vec<u8>,
    /// What the trackers answer to an announce, if not with peers.
    refusal: Option<&'static str>,
}

impl Scene {
    fn new(tiers: &[&[&str]], alive: &[u8]) -> Self {
        Self::listening(&[OURS], tiers, alive)
    }

    fn listening(listen: &[SocketAddr], tiers: &[&[&str]], alive: &[u8]) -> Self {
        Self::configured(config(listen, tiers), alive)
    }

    fn configured(config: AnnounceConfig, alive: &[u8]) -> Self {
        Self {
            announcer: Announcer::new(config, Seed::from_u64(1)),
            now: START,
            progress: LEECHING,
            told: Vec::new(),
            sent: Vec::new(),
            asked: Vec::new(),
            bodies: Vec::new(),
            alive: alive.to_vec(),
            alive_v6: Vec::new(),
            v6_names: Vec::new(),
            refusal: None,
        }
    }

    fn one(alive: bool) -> Self {
        Self::new(&[&["udp://t1:6969/announce"]], if alive { &[1] } else { &[] })
    }

    fn say(&mut self, event: Option<AnnounceEvent>) {
        self.announcer.handle_input(self.now, &self.progress, Input::Announce(event));
        self.settle();
    }

    /// Carries out every output; names are `t<n>` and live at `10.0.0.n`.
    fn settle(&mut self) {
        while let Some(output) = self.announcer.poll_output() {
            let input = match output {
                Output::Resolve { host, port } => {
                    let number = host.strip_prefix('t').and_then(|number| number.parse().ok());
                    let v6 = number.filter(|number| self.v6_names.contains(number)).map(tracker_v6);
                    let addrs = number.map(tracker_addr).into_iter().chain(v6).collect();
                    Some(Input::Resolved { host, port, addrs })
                }
                Output::SendTo { addr, payload } => {
                    self.sent.push((self.now, addr, payload.clone()));
                    self.answer(addr, &payload)
                }
                Output::Get { transaction, addr, url, patience } => {
                    self.asked.push((self.now, addr, url.to_string(), patience));
                    let outcome = self.bodies.get(self.asked.len() - 1).cloned();
                    outcome.map(|outcome| Input::Got { transaction, outcome })
                }
                told @ (Output::Peers(_)
                | Output::Switched
                | Output::Warned { .. }
                | Output::Announced { .. }
                | Output::Failed { .. }
                | Output::Done) => {
                    self.told.push(told);
                    None
                }
            };
            if let Some(input) = input {
                self.announcer.handle_input(self.now, &self.progress, input);
            }
        }
    }

    fn answer(&self, from: SocketAddr, payload: &[u8]) -> Option<Input> {
        let alive = self.alive.iter().any(|&last| tracker_addr(last) == from)
            || self.alive_v6.iter().any(|&last| tracker_v6(last) == from);
        let request = Request::decode(payload).ok().filter(|_| alive)?;
        let reply = match (request, self.refusal) {
            (Request::Connect { transaction }, _) => {
                Reply::Connect { transaction, connection: ConnectionId(self.now.as_micros()) }
            }
            (Request::Announce(AnnounceRequest { transaction, .. }), Some(message)) => {
                Reply::Error { transaction, message: message.to_owned() }
            }
            (Request::Announce(AnnounceRequest { transaction, .. }), None) => Reply::Announce {
                head: AnnounceHead { transaction, interval: 1800, leechers: 1, seeders: 2 },
                peers: vec![SocketAddr::from(([10, 0, 0, 9], 0)), SocketAddr::from(([10, 0, 0, 9], 9))],
            },
            (Request::Scrape(_), _) => return None,
        };
        let mut payload = Vec::new();
        reply.encode(&mut payload);
        Some(Input::Datagram { from, payload: payload.into() })
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.announcer.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.announcer.handle_timeout(self.now, &self.progress);
            self.settle();
        }
        self.now = end;
    }

    /// Seconds after the start, target and kind of everything sent.
    fn log(&self) -> Vec<String> {
        let line = |(at, addr, payload): &(Instant, SocketAddr, Bytes)| {
            let seconds = (*at - START).as_secs();
            let target = addr.ip().to_string().replace("10.0.0.", "t").replace("fd00::", "v6-t");
            match Request::decode(payload) {
                Ok(Request::Announce(AnnounceRequest { event: None, .. })) => {
                    format!("{seconds} {target} regular")
                }
                Ok(Request::Announce(AnnounceRequest { event: Some(event), .. })) => {
                    format!("{seconds} {target} {event:?}")
                }
                Ok(Request::Connect { .. }) => format!("{seconds} {target} connect"),
                other => format!("{seconds} {target} {other:?}"),
            }
        };
        self.sent.iter().map(line).collect()
    }

    fn failures(&self) -> Vec<(&str, &AnnounceError)> {
        self.told
            .iter()
            .filter_map(|told| match told {
                Output::Failed { url, error } => Some((&url[..], error)),
                Output::Resolve { .. }
                | Output::SendTo { .. }
                | Output::Get { .. }
                | Output::Warned { .. }
                | Output::Switched
                | Output::Peers(_)
                | Output::Announced { .. }
                | Output::Done => None,
            })
            .collect()
    }
}

#[test]
fn a_torrent_starts_completes_and_stops() {
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(30));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.say(Some(AnnounceEvent::Completed));
    scene.run_for(Duration::from_secs(2000));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(
        scene.log(),
        [
            "0 t1 connect",
            "0 t1 Started",
            "30 t1 Completed",
            "1830 t1 connect",
            "1830 t1 regular",
            "2030 t1 connect",
            "2030 t1 Stopped"
        ]
    );
    assert!(scene.told.contains(&Output::Peers(vec![SocketAddr::from(([10, 0, 0, 9], 9))])));
    assert_eq!(scene.told.last(), Some(&Output::Done));
    assert_eq!(scene.announcer.poll_timeout(), None);
}

#[test]
fn completed_is_never_said_of_a_torrent_that_was_complete() {
    let mut scene = Scene::one(true);
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Completed));
    assert_eq!(scene.log(), ["0 t1 connect", "0 t1 Started"]);
}

#[test]
fn who_loses_pieces_after_completing_goes_on_at_the_interval() {
    let mut scene = Scene::one(true);
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Started));
    scene.progress = LEECHING;
    scene.run_for(Duration::from_secs(2000));
    assert_eq!(scene.log(), ["0 t1 connect", "0 t1 Started", "1800 t1 connect", "1800 t1 regular"]);
}

#[test]
fn completed_comes_before_stopped_even_with_an_expired_connection_id() {
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(100));
    scene.alive.clear();
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.alive.push(1);
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.log()[2..], ["100 t1 connect", "100 t1 connect", "100 t1 Completed", "100 t1 Stopped"]);
}

#[test]
fn silence_is_met_with_fifteen_times_two_to_the_n() {
    let mut scene = Scene::one(false);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(15 * 511 + 2 * 3840));
    let seconds: Vec<u64> = scene.sent.iter().map(|(at, ..)| (*at - START).as_secs()).collect();
    let expected: Vec<u64> = (0..=9).map(|n| 15 * ((1 << n) - 1)).chain([7665 + 3840, 7665 + 7680]).collect();
    assert_eq!(seconds, expected);
    assert_eq!(scene.failures(), [("udp://t1:6969/announce", &AnnounceError::NoAnswer)]);
}

#[test]
fn a_tracker_that_comes_back_is_found() {
    let mut scene = Scene::one(false);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(50));
    scene.alive.push(1);
    scene.run_for(Duration::from_secs(60));
    assert_eq!(
        scene.log(),
        ["0 t1 connect", "15 t1 connect", "45 t1 connect", "105 t1 connect", "105 t1 Started"]
    );
    assert_eq!(scene.announcer.poll_timeout().map(|(_, timer)| timer), Some(Timer::Interval));
}

#[test]
fn retries_reconnect_once_the_id_has_expired() {
    // The example "connection timeouts" of BEP 15: 2, 17, 47, then a connect at 107.
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive.clear();
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.run_for(Duration::from_secs(110));
    assert_eq!(scene.log()[2..], ["0 t1 Completed", "15 t1 connect", "45 t1 connect", "105 t1 connect"]);
}

#[test]
fn the_tracker_that_answers_leads_and_the_next_tier_is_a_reserve() {
    let mut scene = Scene::new(&[&["udp://t1:6969"], &["udp://t2:6969"]], &[2]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(20));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    assert_eq!(scene.log(), ["0 t1 connect", "15 t2 connect", "15 t2 Started", "20 t2 Completed"]);
    assert_eq!(scene.failures(), [("udp://t1:6969", &AnnounceError::NoAnswer)]);
    scene.alive.push(1);
    scene.run_for(Duration::from_secs(1800));
    assert_eq!(scene.log()[4..], ["1820 t1 connect", "1820 t1 regular"]);
}

#[test]
fn an_unknown_name_a_refusal_and_a_wrong_url_are_told_apart() {
    let mut scene = Scene::new(&[&["wss://t1/"], &["udp://nowhere:1"], &["udp://t3:6969"]], &[3]);
    scene.refusal = Some("go away");
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(200));
    let url = AnnounceError::Url(UrlError::Scheme("wss".into()));
    let unresolved = AnnounceError::Unresolved { host: "nowhere".into() };
    let refused = AnnounceError::Refused("go away".into());
    let failures = [("wss://t1/", &url), ("udp://nowhere:1", &unresolved), ("udp://t3:6969", &refused)];
    assert_eq!(scene.failures(), failures);
    // Failing at once does not make it ask more often than 15·2ⁿ.
    let announces = scene.log().iter().filter(|line| line.ends_with("Started")).count();
    assert_eq!(announces, 4);
}

#[test]
fn a_tracker_that_forgot_our_id_gets_a_connect_at_once() {
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.refusal = Some("connection id unknown");
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    assert_eq!(scene.log()[2..], ["0 t1 Completed", "0 t1 connect", "0 t1 Completed"]);
}

#[test]
fn the_wish_for_peers_waits_a_minute() {
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(5));
    scene.say(None);
    scene.say(None);
    scene.run_for(Duration::from_secs(100));
    assert_eq!(scene.log()[2..], ["60 t1 connect", "60 t1 regular"]);
}

#[test]
fn stopping_takes_five_seconds_at_most() {
    let mut scene = Scene::one(true);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive.clear();
    scene.say(Some(AnnounceEvent::Stopped));
    scene.run_for(Duration::from_millis(4999));
    assert_eq!(scene.log()[2..], ["0 t1 Stopped", "2 t1 Stopped", "4 t1 Stopped"]);
    assert!(!scene.told.contains(&Output::Done));
    scene.run_for(Duration::from_millis(1));
    assert_eq!(scene.told.last(), Some(&Output::Done));
}

#[test]
fn who_never_announced_need_not_say_stopped() {
    let mut scene = Scene::one(false);
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.told, [Output::Done]);
    let mut scene = Scene::new(&[], &[]);
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.told, [Output::Done]);
}

#[test]
fn strangers_are_not_heard() {
    let mut scene = Scene::one(false);
    scene.say(Some(AnnounceEvent::Started));
    let Some((_, addr, connect)) = scene.sent.last().cloned() else { panic!("nothing sent") };
    let Ok(Request::Connect { transaction }) = Request::decode(&connect) else { panic!("no connect") };
    let wrong = TransactionId(transaction.0 ^ 1);
    for (from, transaction) in [(tracker_addr(7), transaction), (addr, wrong)] {
        let mut payload = Vec::new();
        Reply::Connect { transaction, connection: ConnectionId(1) }.encode(&mut payload);
        let input = Input::Datagram { from, payload: payload.into() };
        scene.announcer.handle_input(scene.now, &scene.progress, input);
        scene.settle();
    }
    let garbage = Input::Datagram { from: addr, payload: Bytes::from_static(&[0, 0, 0]) };
    scene.announcer.handle_input(scene.now, &scene.progress, garbage);
    scene.settle();
    assert_eq!(scene.log(), ["0 t1 connect"]);
}
