//! Foreign clients dial us as they are shipped: over uTP, which nobody answers, and with an encrypted handshake (MSE),
//! which we hang up on. Both must give way to plain TCP, and soon.

use std::net::{SocketAddr, UdpSocket};

use crate::client::{Client, Role};
use crate::content::Content;
use crate::lab::{Lab, Peer};

/// Did somebody begin with what is no handshake of BEP 3?
fn was_greeted_with_another_protocol(seeder: &Peer) -> bool {
    let said = seeder.process.output();
    said.contains("does not open with the BitTorrent protocol")
}

/// `leecher` learns of our seeder from the tracker, which has never heard of `leecher` when the seeder asks.
fn dials_us(lab: &Lab, leecher: Client, more: &[&str], prepare: impl FnOnce(SocketAddr)) -> Peer {
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Ours, &content);
    let _tracker = lab.track();
    let seeder = lab.seed(Client::Ours, &torrent, &content);
    prepare(seeder.listen);
    let peer = lab.start(leecher, Role::Leech, &torrent, &lab.empty_folder(), more);
    lab.complete(peer, &torrent, &content);
    seeder
}

#[test]
fn libtorrent_dials_us_over_utp_and_then_over_tcp() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    // Silence is worse than the refusal of a closed port.
    let mut silent = None;
    let lab = Lab::new();
    dials_us(&lab, Client::Libtorrent, &[], |addr| {
        silent = Some(UdpSocket::bind(addr).expect("our seeder listens for TCP only"));
    });
    let silent = silent.expect("it was bound");
    silent.set_nonblocking(true).expect("a socket");
    assert!(silent.recv(&mut [0; 2048]).is_ok(), "libtorrent tried uTP");
}

#[test]
fn aria2_dials_us_encrypted_and_then_plain() {
    if Client::Aria2.is_there() {
        let lab = Lab::new();
        let seeder = dials_us(&lab, Client::Aria2, &[], |_| ());
        assert!(was_greeted_with_another_protocol(&seeder), "aria2 tried encryption first");
    }
}

#[test]
fn transmission_dials_us_encrypted_and_then_plain() {
    if !Client::Transmission.is_there() {
        return;
    }
    if let Some(lab) = Lab::at_the_machines_address() {
        // With uTP, version 3.00 gives up on a peer that has none before it tries TCP, and waits a quarter of an hour.
        let seeder = dials_us(&lab, Client::Transmission, &["--no-utp"], |_| ());
        assert!(was_greeted_with_another_protocol(&seeder), "transmission tried encryption first");
    }
}

#[test]
fn we_dial_transmission_which_prefers_encryption() {
    if !Client::Transmission.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Transmission, &content);
    let seeder = lab.seed_alone(Client::Transmission, &torrent, &content, &[]);
    let peer = ["--peer", &seeder.listen.to_string()];
    let (given, folder) = (lab.trackerless(&torrent), lab.empty_folder());
    let leecher = lab.start(Client::Ours, Role::Leech, &given, &folder, &peer);
    lab.complete(leecher, &torrent, &content);
}
