//! Who is in a swarm, as what, and what is counted (BEP 15, with BEP 3 for the events).

use proto::id::{InfoHash, PeerId};
use proto::torrent::AnnounceEvent;
use proto::tracker::ScrapeEntry;

use super::super::peer::{Peer, Say};
use super::super::rule::{Check, Outcome, Trouble, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// Where the peer listens through whose eyes the counts are seen.
const WITNESS: u16 = 6300;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "member.transitions" transitions,
            "started, completed and stopped move a peer to leechers, to seeders and out";
        Must Shared "member.repeated" repeated,
            "a peer that announces again is not counted twice";
        Must Shared "member.regular" regular,
            "an announce without an event enters a peer that the tracker does not know";
        Must Shared "member.stopped-leaves" stopped_leaves,
            "who says stopped is not named any more";
        Should Shared "member.stopped-no-peers" stopped_no_peers,
            "who says stopped is given no peers";
        Must Shared "member.stopped-stranger" stopped_stranger,
            "stopped from a peer that never joined changes nothing";
        Should Shared "member.by-address" by_address,
            "peers are told apart by address, not by peer id, which anybody can copy";
        Should Shared "completed.counted" completed_counted,
            "a download that ends is counted in the scrape";
        Should Shared "completed.once" completed_once,
            "a repeated completed is counted once";
        Should Shared "completed.stranger" completed_stranger,
            "completed of a peer that was never a leecher is not counted";
    }
}

/// Leechers and seeders beside the witness, whom a tracker may count or not.
async fn counts<T: Transport, C: Clock>(
    witness: &Peer<T, C>,
    torrent: InfoHash,
) -> Result<(u32, u32), Trouble> {
    let announced = witness.announce(torrent, &Say::leecher(WITNESS).regular()).await?;
    Ok(announced.counts())
}

async fn transitions<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    counts(&peer, torrent).await?;
    let (leechers, seeders) = counts(&peer, torrent).await?;
    let steps = [
        (Say::leecher(6301), (leechers + 1, seeders)),
        (Say::leecher(6301).completed(), (leechers, seeders + 1)),
        (Say::seeder(6301).stopped(), (leechers, seeders)),
    ];
    for (say, due) in steps {
        peer.announce(torrent, &say).await?;
        let now = counts(&peer, torrent).await?;
        let got = format!("(leechers, seeders) {now:?}, due {due:?}");
        ensure(now == due, format_args!("{say}; another peer announces"), got)?;
    }
    Ok(())
}

async fn repeated<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    counts(&peer, torrent).await?;
    let (leechers, seeders) = counts(&peer, torrent).await?;
    peer.announce(torrent, &Say::leecher(6305)).await?;
    peer.announce(torrent, &Say::leecher(6305)).await?;
    peer.announce(torrent, &Say::leecher(6305).regular()).await?;
    let now = counts(&peer, torrent).await?;
    let due = (leechers + 1, seeders);
    let got = format!("(leechers, seeders) {now:?}, due {due:?}");
    ensure(now == due, "the same announce three times; another peer announces", got)
}

async fn regular<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(6310).regular()).await?;
    let announced = peer.announce(torrent, &Say::leecher(6311)).await?;
    ensure(announced.names(6310), "announce regular, port 6310; another peer hears", &announced)
}

async fn stopped_leaves<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(6320)).await?;
    peer.announce(torrent, &Say::leecher(6320).stopped()).await?;
    let announced = peer.announce(torrent, &Say::leecher(6321)).await?;
    ensure(!announced.names(6320), "port 6320 joins and stops; another peer hears", &announced)
}

async fn stopped_no_peers<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(6330)).await?;
    peer.announce(torrent, &Say::leecher(6331)).await?;
    let say = Say::leecher(6330).stopped();
    let announced = peer.announce(torrent, &say).await?;
    ensure(announced.peers.is_empty(), say, &announced)
}

async fn stopped_stranger<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    counts(&peer, torrent).await?;
    let before = counts(&peer, torrent).await?;
    peer.announce(torrent, &Say::leecher(6340).stopped()).await?;
    let now = counts(&peer, torrent).await?;
    let got = format!("(leechers, seeders) {now:?}, before {before:?}");
    ensure(now == before, "stopped of a stranger; another peer announces", got)
}

/// Two addresses under one peer id are two members; one address under two ids is one.
async fn by_address<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    counts(&peer, torrent).await?;
    let (leechers, seeders) = counts(&peer, torrent).await?;
    let copied = Some(PeerId::with_tail(*b"copied by me"));
    let one_id = |port| Say { peer_id: copied, ..Say::leecher(port) };
    let due = (leechers + 2, seeders);
    let steps: [(&[Say<'_>], &str); 2] = [
        (&[one_id(6350), one_id(6351)], "two ports with one peer id; another peer announces"),
        (&[Say::leecher(6351)], "one of them again with another peer id; another peer announces"),
    ];
    for (all, sent) in steps {
        for say in all {
            peer.announce(torrent, say).await?;
        }
        let now = counts(&peer, torrent).await?;
        ensure(now == due, sent, format_args!("(leechers, seeders) {now:?}, due {due:?}"))?;
    }
    Ok(())
}

async fn completed_counted<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let added = completed_by(session, &[Say::leecher(6360), Say::leecher(6360).completed()]).await?;
    ensure(added == 1, "a leecher joins and completes; scrape", format_args!("{added} more completed, due 1"))
}

async fn completed_once<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let done = Say::leecher(6361).completed();
    let added = completed_by(session, &[Say::leecher(6361), done, done, done]).await?;
    ensure(
        added <= 1,
        "a leecher completes, said three times; scrape",
        format_args!("{added} more completed"),
    )
}

async fn completed_stranger<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let event = Some(AnnounceEvent::Completed);
    let never_seen = Say::seeder(6362).event(event);
    let added =
        completed_by(session, &[never_seen, Say::seeder(6363), Say::seeder(6363).event(event)]).await?;
    let sent = "completed of a stranger and of a peer that joined as a seeder; scrape";
    ensure(added == 0, sent, format_args!("{added} more completed, due 0"))
}

/// By how much `all` of these announces raise the count of ended downloads.
async fn completed_by<T: Transport, C: Clock>(
    session: &Session<T, C>,
    all: &[Say<'_>],
) -> Result<u32, Trouble> {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let completed = async || -> Result<u32, Trouble> {
        let counts = peer.scrape(&[torrent]).await?;
        Ok(counts.first().map_or(0, |ScrapeEntry { completed, .. }| *completed))
    };
    let before = completed().await?;
    for say in all {
        peer.announce(torrent, say).await?;
    }
    Ok(completed().await?.wrapping_sub(before))
}
