//! Our binaries beside real, foreign clients: over our tracker, on loopback, in both directions, with real
//! content that is compared byte for byte.
//!
//! A client that is not installed is named with the package that has it, and its tests are left out. With
//! `OURTORRENT_INTEROP=require`, as in CI, that is a failure, and the long transfers run as well; with `skip` foreign
//! clients are left alone. `engine/docs/interop.md` has the table of what is tested with whom.

mod client;
mod content;
mod fast;
mod http;
mod lab;
mod pex;
mod private;
mod process;
mod shipped;
mod tap;
mod torrents;
mod transmission;
mod web;

use client::{Client, has, required};
use content::Content;
use lab::{Lab, Torrent};

const MIB: u64 = 1 << 20;

/// Some MiB, and odd: neither piece nor block length divides it.
const SOME: u64 = 6 * MIB + 12_345;

/// What CI transfers with libtorrent.
const MUCH: u64 = 256 * MIB;

/// `seeder` makes a torrent of `content` and shares it; `leecher` must get the same bytes.
fn transfer(seeder: Client, leecher: Client, content: impl FnOnce(&std::path::Path) -> Content) {
    if seeder.is_there() && leecher.is_there() {
        transfer_in(&Lab::new(), seeder, leecher, content);
    }
}

/// The same, but all that `leecher` is given is the magnet link.
fn transfer_by_magnet(seeder: Client, leecher: Client) {
    if seeder.is_there() && leecher.is_there() {
        transfer_by(&Lab::new(), seeder, leecher, Content::folder, Lab::by_magnet);
    }
}

/// The same in a given world.
fn transfer_in(
    lab: &Lab,
    seeder: Client,
    leecher: Client,
    content: impl FnOnce(&std::path::Path) -> Content,
) {
    transfer_by(lab, seeder, leecher, content, Torrent::clone);
}

/// The same, with what `given` makes of the torrent in the leecher's hands.
fn transfer_by(
    lab: &Lab,
    seeder: Client,
    leecher: Client,
    content: impl FnOnce(&std::path::Path) -> Content,
    given: impl FnOnce(&Torrent) -> Torrent,
) {
    let content = content(&lab.subfolder("original"));
    let torrent = lab.create(seeder, &content);
    let wanted = given(&torrent);
    let _tracker = lab.track();
    // Transmission never dials a loopback address, so the other side must hear of it first.
    if leecher == Client::Transmission {
        let peer = lab.joined(lab.leech(leecher, &wanted), &torrent);
        let _seeder = lab.seed(seeder, &torrent, &content);
        lab.complete(peer, &torrent, &content);
    } else {
        let _seeder = lab.seed(seeder, &torrent, &content);
        let peer = lab.leech(leecher, &wanted);
        lab.complete(peer, &torrent, &content);
    }
}

pub(crate) fn file(folder: &std::path::Path) -> Content {
    Content::file(folder, SOME)
}

fn large_file(folder: &std::path::Path) -> Content {
    Content::file(folder, if required() { MUCH } else { SOME })
}

#[test]
fn our_seeder_serves_our_leecher() {
    transfer(Client::Ours, Client::Ours, Content::folder);
}

#[test]
fn our_seeder_serves_libtorrent() {
    transfer(Client::Ours, Client::Libtorrent, large_file);
}

#[test]
fn our_leecher_downloads_from_libtorrent() {
    transfer(Client::Libtorrent, Client::Ours, large_file);
}

#[test]
fn our_seeder_serves_a_folder_to_libtorrent() {
    transfer(Client::Ours, Client::Libtorrent, Content::folder);
}

#[test]
fn our_leecher_downloads_a_folder_from_libtorrent() {
    transfer(Client::Libtorrent, Client::Ours, Content::folder);
}

#[test]
fn our_seeder_serves_a_folder_to_transmission() {
    transfer(Client::Ours, Client::Transmission, Content::folder);
}

#[test]
fn our_leecher_downloads_a_folder_from_transmission() {
    transfer(Client::Transmission, Client::Ours, Content::folder);
}

#[test]
fn our_seeder_serves_a_folder_to_aria2() {
    transfer(Client::Ours, Client::Aria2, Content::folder);
}

#[test]
fn our_leecher_downloads_a_folder_from_aria2() {
    transfer(Client::Aria2, Client::Ours, Content::folder);
}

#[test]
fn a_magnet_link_suffices_between_our_own_peers() {
    transfer_by_magnet(Client::Ours, Client::Ours);
}

#[test]
fn our_seeder_gives_libtorrent_the_metadata() {
    transfer_by_magnet(Client::Ours, Client::Libtorrent);
}

#[test]
fn our_seeder_gives_transmission_the_metadata() {
    transfer_by_magnet(Client::Ours, Client::Transmission);
}

#[test]
fn our_seeder_gives_aria2_the_metadata() {
    transfer_by_magnet(Client::Ours, Client::Aria2);
}

#[test]
fn a_magnet_link_suffices_where_libtorrent_seeds() {
    transfer_by_magnet(Client::Libtorrent, Client::Ours);
}

#[test]
fn a_magnet_link_suffices_where_transmission_seeds() {
    transfer_by_magnet(Client::Transmission, Client::Ours);
}

#[test]
fn a_magnet_link_suffices_where_aria2_seeds() {
    transfer_by_magnet(Client::Aria2, Client::Ours);
}

#[test]
fn our_tracker_serves_two_foreign_peers() {
    transfer(Client::Libtorrent, Client::Aria2, file);
}

#[test]
fn our_peers_meet_over_a_foreign_tracker() {
    if !has("which", &["opentracker"], "opentracker") {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Ours, &content);
    let _tracker = lab.track_with_opentracker(&torrent);
    let _seeder = lab.seed(Client::Ours, &torrent, &content);
    let peer = lab.leech(Client::Ours, &torrent);
    lab.complete(peer, &torrent, &content);
}

#[test]
fn a_mixed_swarm_completes_from_one_seeder() {
    let all = [Client::Ours, Client::Libtorrent, Client::Aria2];
    if !all.into_iter().all(Client::is_there) {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Ours, &content);
    let _tracker = lab.track();
    let _seeder = lab.seed(Client::Ours, &torrent, &content);
    let peers = all.map(|client| lab.leech(client, &torrent));
    for peer in peers {
        lab.complete(peer, &torrent, &content);
    }
}
