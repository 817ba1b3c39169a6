//! The scrape (BEP 48).
//!
//! BEP 3 has keys sorted, but clients look the torrents up and many trackers answer in the order asked, so
//! that rule is SHOULD; so is leaving unknown torrents out, for which some send zeros.

use proto::bencode::{Entries, KeyOrder, Limits, Scanned, integer, scan};
use proto::id::{ID_LEN, InfoHash};
use proto::tracker::ScrapeEntry;
use proto::tracker::http::MAX_BODY;

use super::super::rule::{Check, Outcome, Trouble, broken, checks, ensure};
use super::session::{Query, Session, glimpse};
use crate::clock::Clock;
use crate::transport::Transport;

/// Torrents of one scrape; three are enough to be out of order, and not many to list.
const MANY: usize = 3;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 48":
        Must Shared "http.scrape-url" url,
            "`scrape` for `announce` in the URL's last segment gives a dictionary with `files`";
        Must Shared "http.scrape-keys" keys,
            "`files` has the torrents under their 20 raw bytes";
        Must Shared "http.scrape-counts" counts,
            "each torrent has the integers complete, downloaded and incomplete";
        Must Shared "http.scrape-agrees" agrees,
            "a scrape counts what an announce counts";
        Must Shared "http.scrape-many" many,
            "several info_hash in one request are all answered";
        Should Shared "http.scrape-sorted" sorted,
            "the keys of all dictionaries are sorted, as bencoding asks, whatever order is asked in";
        Should Shared "http.scrape-unknown" unknown,
            "a torrent that the tracker does not know is left out, and costs the others nothing";
        Should Shared "http.completed" completed_counted,
            "a download that ends is counted in `downloaded`";
        Should Shared "http.completed-once" completed_once,
            "a repeated completed is counted once";
        Should Shared "http.completed-stranger" completed_stranger,
            "completed of a peer that was never a leecher is not counted";
        Must Alone "http.scrape-none" none,
            "a scrape without info_hash does not stop the tracker";
        Must Alone "http.scrape-malformed" malformed,
            "a scrape of hashes of other lengths counts nothing, and the tracker lives";
    }
}

fn limits(order: KeyOrder) -> Limits {
    Limits { order, ..Limits::message(MAX_BODY) }
}

/// The value of `files` in a body.
fn files(body: &[u8]) -> Option<Scanned<'_>> {
    let raw = scan(body, limits(KeyOrder::Any)).ok()?.raw_value(b"files")?;
    scan(raw, limits(KeyOrder::Any)).ok().filter(Scanned::is_dictionary)
}

fn entries(body: &[u8]) -> Option<Entries<'_>> {
    files(body).map(|files| files.entries())
}

/// A leecher joins each of `torrents`; they are scraped in the order given.
async fn scraped<T: Transport, C: Clock>(
    session: &Session<T, C>,
    torrents: &[InfoHash],
    port: u16,
) -> Result<(String, bytes::Bytes), Trouble> {
    for torrent in torrents {
        session.announce(*torrent, &Query::leecher(port)).await?;
    }
    let path = session.scrape_path(torrents)?;
    let body = session.expect(&path).await?;
    Ok((format!("a leecher joins; GET {path}"), body))
}

async fn url<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (sent, body) = scraped(session, &[session.torrent().await?], 6401).await?;
    ensure(files(&body).is_some(), sent, glimpse(&body))
}

async fn keys<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    let (sent, body) = scraped(session, &[torrent], 6402).await?;
    let raw = entries(&body).is_some_and(|mut entries| entries.any(|(key, _)| key == torrent.as_bytes()));
    let whole = entries(&body).is_some_and(|mut entries| entries.all(|(key, _)| key.len() == ID_LEN));
    ensure(raw && whole, sent, glimpse(&body))
}

async fn counts<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (sent, body) = scraped(session, &[session.torrent().await?], 6403).await?;
    let whole = |value: &[u8]| {
        let Ok(counts) = scan(value, limits(KeyOrder::Any)) else { return false };
        let is_count =
            |key: &&str| counts.raw_value(key.as_bytes()).and_then(integer).is_some_and(|number| number >= 0);
        ["complete", "downloaded", "incomplete"].iter().all(is_count)
    };
    let mut found = entries(&body).into_iter().flatten().peekable();
    ensure(found.peek().is_some() && found.all(|(_, value)| whole(value)), sent, glimpse(&body))
}

async fn agrees<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    for query in [Query::leecher(6405), Query::leecher(6406), Query::seeder(6407)] {
        session.announce(torrent, &query).await?;
    }
    let announced = session.announce(torrent, &Query::leecher(6405).regular()).await?;
    let ScrapeEntry { seeders, leechers, .. } = entry(session, torrent).await?;
    let got = format!("incomplete {leechers}, complete {seeders}; the announce said {announced}");
    let agreed = (leechers, seeders) == announced.counts() && (leechers, seeders) == (2, 1);
    ensure(agreed, "two leechers and a seeder join; scrape", got)
}

/// The scrape's counts of one torrent, which it must name.
async fn entry<T: Transport, C: Clock>(
    session: &Session<T, C>,
    torrent: InfoHash,
) -> Result<ScrapeEntry, Trouble> {
    let found = session.scrape(&[torrent]).await?.get(&torrent).copied();
    found.ok_or_else(|| broken("a scrape of a torrent with peers", "`files` without it"))
}

async fn many<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrents = session.torrents::<MANY>().await?;
    let (sent, body) = scraped(session, &torrents, 6410).await?;
    let found = entries(&body).map_or(0, |entries| {
        entries.filter(|(key, _)| torrents.iter().any(|torrent| torrent.as_bytes() == *key)).count()
    });
    ensure(found == MANY, sent, format_args!("{found} of {MANY}: {}", glimpse(&body)))
}

async fn sorted<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut torrents = session.torrents::<MANY>().await?;
    // The order that a tracker has to change.
    torrents.sort_unstable_by(|one, other| other.cmp(one));
    let (sent, body) = scraped(session, &torrents, 6411).await?;
    match scan(&body, limits(KeyOrder::Strict)) {
        Ok(_) => Ok(()),
        Err(error) => Err(broken(sent, format_args!("{error}: {}", glimpse(&body)))),
    }
}

async fn unknown<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, unknown) = (session.torrent().await?, session.unknown());
    session.announce(torrent, &Query::leecher(6412)).await?;
    let path = session.scrape_path(&[unknown, torrent])?;
    let found = session.scrape(&[unknown, torrent]).await?;
    let due = found.contains_key(&torrent) && !found.contains_key(&unknown);
    ensure(due, format_args!("GET {path}, of which only the last is known"), format_args!("{found:?}"))
}

async fn completed_counted<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = || Query::leecher(6420);
    let added = completed_by(session, [peer(), peer().completed()]).await?;
    ensure(
        added == 1,
        "a leecher joins and completes; scrape",
        format_args!("{added} more downloaded, due 1"),
    )
}

async fn completed_once<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (peer, done) = (Query::leecher(6421), || Query::leecher(6421).completed());
    let added = completed_by(session, [peer, done(), done(), done()]).await?;
    let sent = "a leecher completes, said three times; scrape";
    ensure(added <= 1, sent, format_args!("{added} more downloaded"))
}

async fn completed_stranger<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let done = |port| Query::leecher(port).completed();
    let added = completed_by(session, [done(6422), Query::seeder(6423), done(6423)]).await?;
    let sent = "completed of a stranger and of a peer that joined as a seeder; scrape";
    ensure(added == 0, sent, format_args!("{added} more downloaded, due 0"))
}

/// By how much `all` of these announces raise the count of ended downloads.
async fn completed_by<T: Transport, C: Clock, const N: usize>(
    session: &Session<T, C>,
    all: [Query; N],
) -> Result<u32, Trouble> {
    let torrent = session.torrent().await?;
    // So that the tracker knows it.
    session.announce(torrent, &Query::leecher(6430)).await?;
    let before = entry(session, torrent).await?.completed;
    for query in &all {
        session.announce(torrent, query).await?;
    }
    Ok(entry(session, torrent).await?.completed.wrapping_sub(before))
}

async fn none<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.scrape_path(&[])?;
    let _ = session.get(&path).await;
    session.expect_alive(&format!("GET {path}")).await
}

async fn malformed<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let path = session.scrape_path(&[])?;
    for hash in
        ["", "%00", "aaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", "%", "%zz", "&info_hash", "=&=&&&"]
    {
        let asked = format!("{path}info_hash={hash}");
        if let Ok(body) = session.get(&asked).await {
            let listed =
                entries(&body).is_some_and(|mut entries| entries.any(|(key, _)| key.len() != ID_LEN));
            ensure(!listed, format_args!("GET {asked}"), glimpse(&body))?;
        }
        session.expect_alive(&format!("GET {asked}")).await?;
    }
    Ok(())
}
