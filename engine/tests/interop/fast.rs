//! The fast extension (BEP 6) with each foreign client, by what went over the line.

use proto::wire::{Feature, Message, RawBlock};

use crate::MIB;
use crate::client::{Client, Role};
use crate::content::Content;
use crate::lab::Lab;
use crate::process::wait_until;
use crate::tap::{Said, Side, Tap};

/// Our peer and a foreign one, a tap between them; returns it once the leecher has everything.
fn exchange(ours: Role, foreign: Client) -> Option<Tap> {
    if !foreign.is_there() {
        return None;
    }
    let lab = Lab::new();
    let content = Content::file(&lab.subfolder("original"), 2 * MIB + 12_345);
    let torrent = lab.create(Client::Ours, &content);
    let other = match ours {
        Role::Leech => lab.seed_alone(foreign, &torrent, &content, &[]),
        Role::Seed => lab.leech_alone(foreign, &torrent, &[]),
    };
    let tap = Tap::before(&other, &torrent);
    let peer = ["--peer", &tap.addr.to_string()];
    match ours {
        Role::Leech => {
            let mine = lab.leech_alone(Client::Ours, &torrent, &peer);
            lab.complete(mine, &torrent, &content);
        }
        Role::Seed => {
            let _mine = lab.seed_alone(Client::Ours, &torrent, &content, &peer);
            lab.complete(other, &torrent, &content);
        }
    }
    for side in [Side::Ours, Side::Theirs] {
        assert!(tap.offers(side, Feature::FAST), "{side:?} offers the fast extension");
    }
    Some(tap)
}

/// The first message but those of the extension protocol: what a side has.
fn first(tap: &Tap, side: Side) -> Message {
    let says_what_it_has = |message: &Message| !matches!(message, Message::Extended { .. });
    tap.messages(side).into_iter().find(says_what_it_has).expect("it has said something")
}

/// How many pieces `side` granted to be asked for while choked.
fn granted(tap: &Tap, side: Side) -> usize {
    let is_grant = |message: &&Message| matches!(message, Message::AllowedFast { .. });
    tap.messages(side).iter().filter(is_grant).count()
}

/// Checks that no request of `asking` is answered twice, and that nothing comes unasked; returns the requests that are
/// not answered yet, and the number of rejects among the answers.
//= BEP 6: every request is answered once, with the block or with a reject.
fn answers(tap: &Tap, asking: Side) -> (Vec<RawBlock>, usize) {
    let (mut open, mut rejects) = (Vec::new(), 0);
    for (side, said) in tap.all() {
        let answered = match said {
            Said::Message(Message::Request(block)) if side == asking => {
                open.push(block);
                continue;
            }
            Said::Message(Message::Piece { piece, offset, data }) if side != asking => {
                RawBlock { piece, offset, len: data.len() as u32 }
            }
            Said::Message(Message::Reject(block)) if side != asking => {
                rejects += 1;
                block
            }
            Said::Hello(_) | Said::Message(_) | Said::Unreadable(_) => continue,
        };
        let at = open.iter().position(|block| *block == answered);
        let at = at.unwrap_or_else(|| panic!("{side:?} answers what is not open: {answered:?}"));
        open.remove(at);
    }
    (open, rejects)
}

#[test]
fn libtorrent_leeches_from_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Seed, Client::Libtorrent) else { return };
    assert_eq!(first(&tap, Side::Ours), Message::HaveAll);
    assert_eq!(first(&tap, Side::Theirs), Message::HaveNone);
    assert!(granted(&tap, Side::Ours) > 0, "we grant pieces to newcomers");
    assert_eq!(answers(&tap, Side::Theirs).0, [], "we owe no answer");
}

#[test]
fn libtorrent_seeds_to_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Leech, Client::Libtorrent) else { return };
    assert_eq!(first(&tap, Side::Theirs), Message::HaveAll);
    assert_eq!(first(&tap, Side::Ours), Message::HaveNone);
    assert!(granted(&tap, Side::Theirs) > 0, "libtorrent grants pieces to newcomers");
    answers(&tap, Side::Ours);
}

#[test]
fn transmission_leeches_from_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Seed, Client::Transmission) else { return };
    assert_eq!(first(&tap, Side::Ours), Message::HaveAll);
    assert_eq!(first(&tap, Side::Theirs), Message::HaveNone);
    assert_eq!(answers(&tap, Side::Theirs).0, [], "we owe no answer");
}

#[test]
fn transmission_seeds_to_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Leech, Client::Transmission) else { return };
    assert_eq!(first(&tap, Side::Theirs), Message::HaveAll);
    assert_eq!(first(&tap, Side::Ours), Message::HaveNone);
    answers(&tap, Side::Ours);
}

#[test]
fn aria2_leeches_from_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Seed, Client::Aria2) else { return };
    assert_eq!(first(&tap, Side::Ours), Message::HaveAll);
    assert_eq!(first(&tap, Side::Theirs), Message::HaveNone);
    assert!(granted(&tap, Side::Ours) > 0, "we grant pieces to newcomers");
    answers(&tap, Side::Theirs);
}

#[test]
fn aria2_seeds_to_us_with_the_fast_extension() {
    let Some(tap) = exchange(Role::Leech, Client::Aria2) else { return };
    assert_eq!(first(&tap, Side::Theirs), Message::HaveAll);
    assert_eq!(first(&tap, Side::Ours), Message::HaveNone);
    assert!(granted(&tap, Side::Theirs) > 0, "aria2 grants pieces to newcomers");
    answers(&tap, Side::Ours);
}

#[test]
fn libtorrent_rejects_what_it_chokes_and_we_ask_again() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::file(&lab.subfolder("original"), MIB);
    let torrent = lab.create(Client::Ours, &content);
    let more = ["--limit-up", "200000", "--fickle"];
    let seeder = lab.seed_alone(Client::Libtorrent, &torrent, &content, &more);
    let tap = Tap::before(&seeder, &torrent);
    let mine = lab.leech_alone(Client::Ours, &torrent, &["--peer", &tap.addr.to_string()]);
    lab.complete(mine, &torrent, &content);
    assert!(answers(&tap, Side::Ours).1 > 0, "libtorrent has rejected something");
}

#[test]
fn we_reject_what_we_choke_and_libtorrent_understands() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::file(&lab.subfolder("original"), MIB);
    let torrent = lab.create(Client::Ours, &content);
    // So slow an uplink has few slots, and others wait for theirs.
    let leechers: [_; 6] = std::array::from_fn(|_| lab.leech_alone(Client::Libtorrent, &torrent, &[]));
    let taps = leechers.each_ref().map(|leecher| Tap::before(leecher, &torrent));
    let peers = taps.each_ref().map(|tap| tap.addr.to_string());
    let mut more = vec!["--limit-up", "40K"];
    more.extend(peers.iter().flat_map(|peer| ["--peer", peer]));
    let _seeder = lab.seed_alone(Client::Ours, &torrent, &content, &more);
    wait_until("we have rejected what we choked", &lab.subfolder("logs"), || {
        let chokes = |tap: &Tap| tap.messages(Side::Ours).contains(&Message::Choke);
        taps.iter().any(|tap| chokes(tap) && answers(tap, Side::Theirs).1 > 0)
    });
}
