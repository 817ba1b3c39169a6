//! Tests of local service discovery: the message, and a machine on a virtual clock.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::InfoHash;
use crate::seed::Seed;
use crate::time::Instant;

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn neighbour(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, last], PORT))
}

/// A machine, its clock, and what it sent and found.
struct Scene {
    machine: LocalDiscovery,
    now: Instant,
    sent: Vec<(u64, Family, Announcement)>,
    found: Vec<(InfoHash, SocketAddr)>,
}

impl Scene {
    fn new(listen: &[SocketAddr]) -> Self {
        let machine = LocalDiscovery::new(listen, Seed::from_u64(1));
        Self { machine, now: Instant::ZERO, sent: Vec::new(), found: Vec::new() }
    }

    fn of_ipv4() -> Self {
        Self::new(&[SocketAddr::from(([0, 0, 0, 0], 6881))])
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn join(&mut self, numbers: impl IntoIterator<Item = u8>) {
        numbers.into_iter().for_each(|number| self.feed(Input::Join(hash(number))));
    }

    fn hear(&mut self, from: SocketAddr, said: &Announcement) {
        self.feed(Input::Datagram { from, payload: said.encode(Family::of(from)).into() });
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { family, payload } => {
                    assert!(payload.len() <= MAX_SENT, "{} bytes", payload.len());
                    let said = Announcement::decode(&payload).expect("our own");
                    self.sent.push((self.now.as_micros() / 1_000_000, family, said));
                }
                Output::Found { info_hash, addr } => self.found.push((info_hash, addr)),
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.machine.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    /// When a torrent was announced, in seconds.
    fn times(&self, number: u8) -> Vec<u64> {
        let of_it = self.sent.iter().filter(|(.., said)| said.hashes.contains(&hash(number)));
        of_it.map(|(at, ..)| *at).collect()
    }
}

fn announcement(port: u16, hashes: &[u8]) -> Announcement {
    Announcement { port, hashes: hashes.iter().copied().map(hash).collect(), cookie: None }
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let said = Announcement { cookie: Some("abc".into()), ..announcement(6881, &[0xab]) };
    let hash = "ab".repeat(20);
    let v4 = format!(
        "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: {hash}\r\ncookie: abc\r\n\r\n\r\n"
    );
    assert_eq!(said.encode(Family::V4), v4);
    assert!(said.encode(Family::V6).contains("\r\nHost: [ff15::efc0:988f]:6771\r\n"));
}

#[test]
fn other_clients_announcements_are_read() {
    let hash = "AB".repeat(20);
    let text = format!(
        "BT-SEARCH * HTTP/1.1\r\nX: y\r\nINFOHASH:{hash}\r\nInfohash: {}\r\nport:  51413\r\n\r\nx",
        "c".repeat(64)
    );
    assert_eq!(Announcement::decode(text.as_bytes()), Ok(announcement(51413, &[0xab])));
}

#[test]
fn what_is_no_announcement_is_named() {
    let decode = |text: &str| Announcement::decode(text.as_bytes()).unwrap_err();
    assert_eq!(decode("M-SEARCH * HTTP/1.1\r\n\r\n"), MessageError::Foreign);
    assert_eq!(decode("BT-SEARCH * HTTP/1.1\r\nPort 1\r\n\r\n"), MessageError::Header);
    for port in ["", "Port: 0\r\n", "Port: 65536\r\n", "Port: x\r\n"] {
        assert_eq!(decode(&format!("BT-SEARCH * HTTP/1.1\r\n{port}\r\n")), MessageError::Port);
    }
    assert_eq!(decode("BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: 12\r\n\r\n"), MessageError::NoTorrent);
    assert_eq!(Announcement::decode(&[b'x'; MAX_READ + 1]), Err(MessageError::TooLong(MAX_READ + 1)));
    assert_eq!(Announcement::decode(&[0xff; 9]), Err(MessageError::Foreign));
}

proptest! {
    #[test]
    fn what_is_encoded_decodes(
        port in 1u16.., hashes in vec(any::<[u8; 20]>(), 1..=MAX_HASHES), cookie in proptest::option::of("[!-~]{1,64}"),
    ) {
        let hashes = hashes.into_iter().map(InfoHash).collect();
        let said = Announcement { port, hashes, cookie };
        for family in [Family::V4, Family::V6] {
            prop_assert_eq!(Announcement::decode(said.encode(family).as_bytes()), Ok(said.clone()));
        }
    }

    #[test]
    fn decoding_never_panics(bytes in vec(any::<u8>(), 0..300), text in "BT-SEARCH \\* HTTP/1.1\r\n(\\PC{0,40}[:\r\n]{1,2}){0,9}") {
        let _ = Announcement::decode(&bytes);
        let _ = Announcement::decode(text.as_bytes());
    }
}

#[test]
fn a_torrent_is_announced_every_five_minutes_in_every_family() {
    let mut scene = Scene::new(&[SocketAddr::from(([0; 4], 1)), SocketAddr::from(([0u16; 8], 2))]);
    scene.join([1]);
    scene.run_for(Duration::from_secs(650));
    let told: Vec<_> = scene.sent.iter().map(|(at, family, said)| (*at, *family, said.port)).collect();
    let both = |at| [(at, Family::V4, 1), (at, Family::V6, 2)];
    assert_eq!(told, [both(1), both(301), both(601)].concat());
}

#[test]
fn no_more_than_one_announcement_a_minute_whatever_joins() {
    let mut scene = Scene::of_ipv4();
    scene.join(1..=3);
    scene.run_for(Duration::from_secs(10));
    scene.join([4]);
    scene.run_for(Duration::from_secs(300));
    assert_eq!((scene.times(1), scene.times(4)), (vec![1, 301], vec![61]));
    scene.join(100..200);
    scene.run_for(Duration::from_secs(3600));
    assert!(scene.sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 60));
    assert!((100..200).all(|number| scene.times(number).len() >= 10), "each has its turn");
}

#[test]
fn who_leaves_is_not_announced_and_hears_nothing() {
    let mut scene = Scene::of_ipv4();
    scene.join([1]);
    scene.feed(Input::Leave(hash(1)));
    scene.run_for(Duration::from_secs(400));
    scene.hear(neighbour(2), &announcement(5, &[1]));
    assert_eq!((scene.sent.len(), scene.found.len(), scene.machine.poll_timeout()), (0, 0, None));
}

#[test]
fn neighbours_are_found_and_we_are_not() {
    let mut scene = Scene::of_ipv4();
    scene.join([1, 2]);
    scene.run_for(GATHER);
    let ours = scene.sent[0].2.clone();
    scene.hear(neighbour(9), &ours);
    assert_eq!(scene.found, [], "our own cookie");
    scene.hear(neighbour(2), &announcement(5, &[2, 3]));
    let addr = SocketAddr::from(([192, 168, 1, 2], 5));
    assert_eq!(scene.found, [(hash(2), addr)], "at the port that it says, in the swarms that are ours");
    let of_one_link: SocketAddr = "[fe80::1]:6771".parse().unwrap();
    scene.hear(of_one_link, &announcement(5, &[2]));
    assert_eq!(scene.found.len(), 1);
    scene.feed(Input::Datagram { from: neighbour(3), payload: Bytes::from_static(b"NOTIFY * HTTP/1.1") });
    assert_eq!(scene.found.len(), 1);
}

#[test]
fn a_hostile_network_is_heard_in_measure() {
    let mut scene = Scene::of_ipv4();
    scene.join([1]);
    for port in 1..1000 {
        scene.hear(neighbour(7), &announcement(port, &[1]));
    }
    assert_eq!(scene.found.len(), MAX_FOUND_FROM);
    for last in 10..250 {
        scene.hear(neighbour(last), &announcement(5, &[1]));
    }
    assert_eq!(scene.found.len(), MAX_FOUND);
    scene.run_for(MIN_GAP);
    scene.hear(neighbour(7), &announcement(5, &[1]));
    assert_eq!(scene.found.len(), MAX_FOUND + 1, "another minute");
}
