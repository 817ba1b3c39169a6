//! Clients, foreign and ours, at HTTP trackers, ours and foreign: announces, downloads through it, and scrapes.

use std::process::Command;

use crate::client::{Client, has};
use crate::content::Content;
use crate::lab::{Counts, Lab, Torrent};
use crate::process::Process;
use crate::{file, transfer_in};

fn transfer(seeder: Client, leecher: Client, content: impl FnOnce(&std::path::Path) -> Content) {
    if seeder.is_there() && leecher.is_there() {
        transfer_in(&Lab::over_http(), seeder, leecher, content);
    }
}

#[test]
fn libtorrent_and_aria2_meet_over_http() {
    transfer(Client::Libtorrent, Client::Aria2, file);
}

#[test]
fn aria2_and_libtorrent_meet_over_http() {
    transfer(Client::Aria2, Client::Libtorrent, Content::folder);
}

#[test]
fn libtorrent_and_transmission_meet_over_http() {
    transfer(Client::Libtorrent, Client::Transmission, file);
}

#[test]
fn transmission_and_aria2_meet_over_http() {
    transfer(Client::Transmission, Client::Aria2, Content::folder);
}

#[test]
fn libtorrent_peers_meet_over_http_on_ipv6() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    if let Some(lab) = Lab::over_http_on_ipv6() {
        transfer_in(&lab, Client::Libtorrent, Client::Libtorrent, file);
    } else {
        println!("not run: this machine has no IPv6 loopback");
    }
}

#[test]
fn our_peers_meet_over_http() {
    transfer(Client::Ours, Client::Ours, Content::folder);
}

#[test]
fn our_seeder_serves_libtorrent_over_http() {
    transfer(Client::Ours, Client::Libtorrent, file);
}

#[test]
fn our_leecher_downloads_from_aria2_over_http() {
    transfer(Client::Aria2, Client::Ours, Content::folder);
}

#[test]
fn our_peers_meet_over_a_foreign_http_tracker() {
    if !has("which", &["opentracker"], "opentracker") {
        return;
    }
    let lab = Lab::over_http();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Ours, &content);
    let _tracker = lab.track_with_opentracker(&torrent);
    let _seeder = lab.seed(Client::Ours, &torrent, &content);
    let peer = lab.leech(Client::Ours, &torrent);
    lab.complete(peer, &torrent, &content);
}

/// What `transmission-show` reads from a scrape.
fn shown(lab: &Lab, torrent: &Torrent) -> String {
    let mut command = Command::new("transmission-show");
    command.arg("--scrape").arg(&torrent.path);
    let mut show = Process::spawn(&mut command, &lab.subfolder("logs"), "transmission-show");
    show.succeed();
    show.output()
}

#[test]
fn transmission_scrapes_over_http() {
    if !(Client::Libtorrent.is_there() && has("transmission-show", &["--version"], "transmission-cli")) {
        return;
    }
    let lab = Lab::over_http();
    let content = file(&lab.subfolder("original"));
    let torrent = lab.create(Client::Libtorrent, &content);
    let _tracker = lab.track();
    let _seeder = lab.seed(Client::Libtorrent, &torrent, &content);
    assert_eq!(lab.counts(&torrent), Counts { seeders: 1, leechers: 0 }, "UDP sees the same swarm");
    let text = shown(&lab, &torrent);
    assert!(text.contains("1 seeders, 0 leechers"), "{text}");
}
