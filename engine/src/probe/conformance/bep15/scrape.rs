//! The scrape reply (BEP 15).

use proto::id::InfoHash;
use proto::tracker::{MAX_SCRAPE, ScrapeEntry};

use super::super::line::{glimpse, glimpse_of};
use super::super::peer::{Say, is_error};
use super::super::rule::{Check, Outcome, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// More hashes than BEP 15 allows, in a packet that a network may still carry.
const TOO_MANY: usize = 100;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "scrape.reply" reply,
            "a scrape of one torrent is answered: action 2, its transaction id, 8 + 12 bytes";
        Must Shared "scrape.counts-order" counts_order,
            "a scrape reply says seeders, completed, leechers";
        Must Shared "scrape.positional" positional,
            "entries come in the order of the request, zeros for what is unknown";
        Must Shared "scrape.most" most,
            "74 torrents in one scrape are answered";
        Should Shared "scrape.none" none,
            "a scrape of nothing gets no entries";
        Should Shared "scrape.ragged" ragged,
            "bytes behind the last whole info hash are not taken for one";
        Must Alone "scrape.oversize" oversize,
            "a scrape of too many is cut, refused or unanswered, and the tracker lives";
    }
}

async fn reply<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let request = peer.scrape_request(&[torrent]);
    let reply = peer.line.ask(&request).await;
    let due = reply.as_ref().is_some_and(|bytes| bytes.len() == 20 && bytes.starts_with(&[0, 0, 0, 2]));
    ensure(due, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn counts_order<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6401..6404 {
        peer.announce(torrent, &Say::seeder(port)).await?;
    }
    peer.announce(torrent, &Say::leecher(6404)).await?;
    let counts = peer.scrape(&[torrent]).await?;
    let due = counts.iter().all(|entry| (entry.seeders, entry.leechers) == (3, 1));
    ensure(due, "3 seeders and a leecher join; scrape", format_args!("{counts:?}"))
}

async fn positional<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::seeder(6410)).await?;
    let [first, third] = [unknown(session), unknown(session)];
    let counts = peer.scrape(&[first, torrent, third, torrent]).await?;
    let zero = ScrapeEntry::default();
    let due = counts.iter().enumerate().all(|(index, entry)| match index {
        0 | 2 => *entry == zero,
        _ => entry.seeders == 1 && entry.leechers == 0,
    });
    ensure(due, "scrape of unknown, a swarm with one seeder, unknown, that swarm", format_args!("{counts:?}"))
}

async fn most<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    let hashes: Vec<_> = (0..MAX_SCRAPE).map(|_| unknown(session)).collect();
    peer.scrape(&hashes).await.map(|_| ())
}

async fn none<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    let request = peer.scrape_request(&[]);
    let reply = peer.line.ask_once(&request, session.patience()).await;
    let empty = reply.as_ref().is_none_or(|bytes| is_error(bytes) || bytes.len() == 8);
    ensure(empty, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn ragged<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    let mut request = peer.scrape_request(&[unknown(session)]);
    request.extend(*b"ragged!");
    let reply = peer.line.ask_once(&request, session.patience()).await;
    let one = reply.as_ref().is_none_or(|bytes| is_error(bytes) || bytes.len() == 20);
    ensure(one, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn oversize<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    let hashes: Vec<_> = (0..TOO_MANY).map(|_| unknown(session)).collect();
    let request = peer.scrape_request(&hashes);
    let reply = peer.line.ask_once(&request, session.patience()).await;
    let whole = |bytes: &Vec<u8>| {
        let entries = bytes.len().checked_sub(8).filter(|len| len.is_multiple_of(12)).map(|len| len / 12);
        is_error(bytes) || (bytes.starts_with(&[0, 0, 0, 2]) && entries.is_some_and(|n| n <= TOO_MANY))
    };
    ensure(reply.as_ref().is_none_or(whole), glimpse(&request), glimpse_of(reply.as_ref()))?;
    session.expect_alive("a scrape of 100 torrents").await
}

/// A torrent that nobody has.
fn unknown<T: Transport, C: Clock>(session: &Session<T, C>) -> InfoHash {
    let mut hash = InfoHash::default();
    session.fill(&mut hash.0);
    hash
}
