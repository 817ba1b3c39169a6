//! Private torrents (BEP 27) with each foreign client, made by either side: the content goes over, peers come from
//! the tracker alone, and neither side speaks of peer exchange.

use crate::client::{Client, Role};
use crate::content::Content;
use crate::lab::Lab;
use crate::tap::{Side, Tap};

/// Our peer finds the foreign one through the tracker, which knows the tap in its place.
fn private(ours: Role, foreign: Client) {
    if !foreign.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let author = if ours == Role::Seed { Client::Ours } else { foreign };
    let torrent = lab.create_with(author, &content, &[author.private()]);
    assert!(torrent.metainfo.private(), "{author:?} has made it private");
    let _tracker = lab.track();
    let (folder, left, other) = match ours {
        Role::Leech => (lab.empty_folder(), 0, lab.seed_alone(foreign, &torrent, &content, &[])),
        Role::Seed => (content.parent().to_owned(), 1, lab.leech_alone(foreign, &torrent, &[])),
    };
    let tap = Tap::before(&other, &torrent);
    lab.announce(&torrent, tap.addr, left);
    let mine = lab.start(Client::Ours, ours, &torrent, &folder, &[]);
    let leecher = if ours == Role::Leech { mine } else { other };
    lab.complete(leecher, &torrent, &content);

    for side in [Side::Ours, Side::Theirs] {
        let said = tap.extensions(side).expect("both speak BEP 10");
        assert!(said.pex.is_none_or(|id| id == 0), "{side:?} offers peer exchange: {said:?}");
        assert_eq!(tap.gossip(side), 0, "{side:?} named peers");
    }
}

#[test]
fn a_private_torrent_goes_to_libtorrent() {
    private(Role::Seed, Client::Libtorrent);
}

#[test]
fn a_private_torrent_comes_from_libtorrent() {
    private(Role::Leech, Client::Libtorrent);
}

#[test]
fn a_private_torrent_goes_to_transmission() {
    private(Role::Seed, Client::Transmission);
}

#[test]
fn a_private_torrent_comes_from_transmission() {
    private(Role::Leech, Client::Transmission);
}

#[test]
fn a_private_torrent_goes_to_aria2() {
    private(Role::Seed, Client::Aria2);
}

#[test]
fn a_private_torrent_comes_from_aria2() {
    private(Role::Leech, Client::Aria2);
}
