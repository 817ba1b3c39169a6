//! Peer exchange (BEP 11) with each foreign client, without a tracker: A knows B, C knows B, and A finds C because B
//! tells of it. Nobody has anything of the torrent, so the connections stay, and nothing but peer exchange can have led
//! from A to C.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::MIB;
use crate::client::{Client, Role};
use crate::content::Content;
use crate::lab::{Lab, Peer, Torrent};
use crate::process::wait_until;

fn something(lab: &Lab) -> Torrent {
    lab.create(Client::Ours, &Content::file(&lab.subfolder("original"), MIB))
}

/// A leecher of ours at an address of its own: aria2 tells nobody of others at the same one.
fn ours_at(lab: &Lab, ip: &str, torrent: &Torrent, knows: &Peer) -> Peer {
    let listen = SocketAddr::new(ip.parse().expect("an address"), lab.free_address().port());
    let (torrent, folder) = (lab.trackerless(torrent), lab.empty_folder());
    let more = ["--peer", &knows.listen.to_string()];
    Client::Ours.start(lab, Role::Leech, listen, (&torrent, &folder), &more)
}

/// Does a peer of ours say that it found the one at `addr` by peer exchange (flag `X`)?
fn found(peer: &Peer, other: &Peer) -> bool {
    let addr = other.listen.to_string();
    peer.process.reports().iter().any(|report| {
        let peers = report["peer_list"].as_array().into_iter().flatten();
        peers
            .into_iter()
            .any(|peer| peer["addr"] == addr && peer["flags"].as_str().is_some_and(|it| it.contains('X')))
    })
}

/// `between` introduces two of ours to each other.
fn introduced_by(between: Client) {
    if !between.is_there() {
        return;
    }
    let lab = Lab::new();
    let torrent = something(&lab);
    let between = lab.leech_alone(between, &torrent, &[]);
    let first = ours_at(&lab, "127.0.0.2", &torrent, &between);
    // A newcomer is told at once of all who are there, and only 60 to 90 s later of those who came after it.
    thread::sleep(Duration::from_secs(5));
    let second = ours_at(&lab, "127.0.0.3", &torrent, &between);
    wait_until("one of ours has found the other", &lab.subfolder("logs"), || {
        found(&first, &second) || found(&second, &first)
    });
}

#[test]
fn libtorrent_introduces_our_peers() {
    introduced_by(Client::Libtorrent);
}

#[test]
fn transmission_introduces_our_peers() {
    introduced_by(Client::Transmission);
}

#[test]
fn aria2_introduces_our_peers() {
    introduced_by(Client::Aria2);
}

#[test]
fn we_introduce_libtorrent_peers() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    let lab = Lab::new();
    let torrent = something(&lab);
    let between = lab.leech_alone(Client::Ours, &torrent, &["--peer", "127.0.0.1:9"]).listening();
    let dial = ["--dial", &between.listen.to_string()];
    let first = lab.leech_alone(Client::Libtorrent, &torrent, &dial);
    let second = lab.leech_alone(Client::Libtorrent, &torrent, &dial);
    let tells = |peer: &Peer, other: &Peer| {
        let line = format!("peer {} pex", other.listen);
        peer.process.output().lines().any(|said| said.starts_with(&line))
    };
    wait_until("one libtorrent has found the other", &lab.subfolder("logs"), || {
        tells(&first, &second) || tells(&second, &first)
    });
}

#[test]
fn we_introduce_aria2_to_libtorrent() {
    let all = [Client::Libtorrent, Client::Aria2];
    if !all.into_iter().all(Client::is_there) {
        return;
    }
    let lab = Lab::new();
    let torrent = something(&lab);
    let aria2 = lab.leech_alone(Client::Aria2, &torrent, &[]);
    let between = lab.leech_alone(Client::Ours, &torrent, &["--peer", &aria2.listen.to_string()]).listening();
    // libtorrent hears of aria2 as well, so who dials is open; both are foreign, and only we knew both.
    let mut other = lab.leech_alone(Client::Libtorrent, &torrent, &["--dial", &between.listen.to_string()]);
    other.process.until("has met aria2", |process| {
        process.output().lines().any(|line| line.starts_with("peer ") && line.contains("aria2"))
    });
}
