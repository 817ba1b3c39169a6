//! The rendering as reviewed: wide and narrow terminals, hostile names, nothing at all.

use engine::Crowd;
use proptest::prelude::*;
use proto::id::PeerId;
use proto::time::Instant;
use proto::torrent::{BanReason, Banned, Direction, Giver, PeerKey, Progress, Source};
use proto::tracker::Family;

use super::*;

fn peer(number: u8, client: &str, pieces: u32) -> PeerStats {
    let n = u64::from(number);
    PeerStats {
        peer: PeerKey(n),
        addr: ([192, 0, 2, number], 6881).into(),
        id: PeerId::default(),
        client: client.to_owned(),
        source: (number > 1).then_some(Source::Pex),
        direction: if number > 1 { Direction::Outgoing } else { Direction::Incoming },
        connected: Instant::ZERO,
        am_choking: number.is_multiple_of(2),
        am_interested: true,
        peer_choking: number == 3,
        peer_interested: true,
        optimistic: number == 1,
        snubbed: false,
        pieces,
        requests: 12,
        queued: 0,
        unsent: 0,
        download_rate: 300_000 / n,
        upload_rate: 1000 * n,
        downloaded: 7_000_000 * n,
        uploaded: 123_456,
    }
}

fn snapshot() -> TorrentSnapshot {
    let banned = Banned {
        who: Giver::Peer([192, 0, 2, 66].into()),
        reason: BanReason::BadMetadata,
        at: Instant::ZERO,
    };
    let stats = Stats {
        progress: Progress { uploaded: 20 << 20, downloaded: 90 << 20, left: 30 << 20 },
        wanted: 100 << 20,
        wanted_left: 30 << 20,
        download_rate: 1_300_000,
        upload_rate: 40_000,
        pieces: 300,
        availability: 342,
        duplicate: 32_768,
        wasted: 16_384,
        failed: 1 << 20,
        hash_failures: 4,
        banned: vec![banned],
        peers: vec![
            peer(1, "Transmission 4.0.6", 400),
            peer(2, "qBittorrent\u{1b}[2J 4.6", 17),
            peer(3, "", 0),
        ],
        ..Stats::default()
    };
    let tracker = |url: &str, outcome, next_announce| TrackerSnapshot {
        url: url.to_owned(),
        family: Some(Family::V4),
        outcome,
        next_announce,
    };
    TorrentSnapshot {
        name: "a-linux-distribution-26.04-desktop.iso".to_owned(),
        len: 100 << 20,
        pieces: 400,
        at: Instant::ZERO,
        stats,
        trackers: vec![
            tracker(
                "udp://one.example:6969",
                Ok(Crowd { seeders: 5, leechers: 9 }),
                Some(Duration::from_secs(95)),
            ),
            tracker("https://two.example/announce", Err("the tracker does not answer".to_owned()), None),
        ],
    }
}

#[test]
fn a_wide_terminal_has_room_for_everything() {
    let shown = snapshot();
    let mut lines = torrents(std::slice::from_ref(&shown), 160);
    lines.extend(trackers(&shown.trackers, 160));
    lines.extend(peers(&shown.stats, shown.pieces, 2, 160));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    let shown = snapshot();
    let mut lines = torrents(std::slice::from_ref(&shown), 60);
    lines.extend(peers(&shown.stats, shown.pieces, 5, 60));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_end_says_how_it_went() {
    insta::assert_snapshot!(summary(&snapshot(), Duration::from_secs(75)).join("\n"));
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(width in 8..200usize, name in ".*", client in ".*") {
        let mut shown = snapshot();
        shown.name = name;
        shown.stats.peers[0].client = client;
        let mut lines = torrents(std::slice::from_ref(&shown), width);
        lines.extend(peers(&shown.stats, shown.pieces, 2, width));
        lines.extend(trackers(&shown.trackers, width));
        for line in lines.iter().filter(|line| !line.starts_with("and ")) {
            prop_assert!(measure_text_width(line) <= width, "{line:?}");
        }
    }
}
