//! The announce reply: its bytes, its numbers, its counts (BEP 15).

use proto::tracker::reply::ANNOUNCE_REPLY_LEN;

use super::super::line::{Arrived, glimpse, glimpse_of};
use super::super::peer::Say;
use super::super::rule::{Check, Outcome, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// Announces that are under way at once.
const IN_FLIGHT: u16 = 32;

/// A day: no client waits longer.
const MAX_INTERVAL: u32 = 24 * 60 * 60;

/// Clients that come more often than this are a load to themselves and to the tracker.
const SANE_INTERVAL: u32 = 60;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "announce.reply" reply,
            "an announce of 98 bytes is answered: action 1, its transaction id, 20 bytes and whole peers";
        Must Shared "announce.in-flight" in_flight,
            "of many announces under way each is answered, once, by its transaction id";
        Must Shared "announce.interval" interval,
            "the interval is more than zero and at most a day";
        Should Shared "announce.interval-sane" interval_sane,
            "the interval is a minute at least";
        Must Shared "announce.counts-order" counts_order,
            "an announce reply says leechers, then seeders";
        Must Shared "announce.big-endian" big_endian,
            "numbers are big-endian: one leecher reads as 1, port 258 as 258";
        Should Shared "announce.counts-asker" counts_asker,
            "the counts include who asks";
    }
}

async fn reply<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    // Without options it has the 98 bytes of BEP 15, unless the URL carries a passkey.
    let request = peer.announce_request(torrent, &Say::leecher(6101));
    let reply = peer.line.ask(&request).await;
    let due = reply.as_ref().is_some_and(|bytes| {
        let peers = bytes.len().checked_sub(ANNOUNCE_REPLY_LEN);
        let whole = peers.is_some_and(|peers| peers.is_multiple_of(peer.family().peer_len()));
        whole && bytes.get(..4) == Some(&[0, 0, 0, 1])
    });
    ensure(due, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn in_flight<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let ports = 6110..6110 + IN_FLIGHT;
    let mut open: Vec<_> =
        ports.map(|port| peer.announce_request(torrent, &Say::leecher(port).wanting(1))).collect();
    for request in &open {
        peer.line.send(request).await;
    }
    let replies = peer.line.gather(open.len(), session.patience()).await;
    for Arrived { bytes, .. } in &replies {
        let answered = open.iter().position(|request| request.get(12..16) == bytes.get(4..8));
        ensure(answered.is_some(), format_args!("{IN_FLIGHT} announces"), glimpse(bytes))?;
        answered.map(|index| open.swap_remove(index));
    }
    ensure(open.is_empty(), format_args!("{IN_FLIGHT} announces"), format_args!("{} replies", replies.len()))
}

async fn interval<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let say = Say::leecher(6150);
    let announced = peer.announce(torrent, &say).await?;
    ensure((1..=MAX_INTERVAL).contains(&announced.head.interval), say, &announced)
}

async fn interval_sane<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let say = Say::leecher(6151);
    let announced = peer.announce(torrent, &say).await?;
    ensure(announced.head.interval >= SANE_INTERVAL, say, &announced)
}

async fn counts_order<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6160..6163 {
        peer.announce(torrent, &Say::seeder(port)).await?;
    }
    peer.announce(torrent, &Say::leecher(6163)).await?;
    // Of a leecher, so that three seeders stand against one leecher or two.
    let announced = peer.announce(torrent, &Say::leecher(6163).regular()).await?;
    let due = announced.head.seeders == 3 && announced.head.leechers <= 1;
    ensure(due, "3 seeders and a leecher join; the leecher announces", &announced)
}

async fn big_endian<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(0x0102)).await?;
    let announced = peer.announce(torrent, &Say::leecher(6170)).await?;
    let due = announced.peers.iter().any(|peer| peer.port() == 0x0102) && announced.head.leechers <= 2;
    ensure(due, "a leecher at port 258 joins, then another one", &announced)
}

async fn counts_asker<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let say = Say::leecher(6180);
    let announced = peer.announce(torrent, &say).await?;
    ensure(announced.counts() == (1, 0), say, &announced)
}
