//! The announce reply: its form (BEP 3, BEP 23), its numbers, and the family of its peers (BEP 7).

use proto::bencode::{KeyOrder, Limits, byte_string, integer, scan};
use proto::tracker::Family;
use proto::tracker::http::MAX_BODY;

use super::super::rule::{Check, Outcome, Trouble, broken, checks, ensure};
use super::session::{Announced, Query, Session, glimpse};
use crate::clock::Clock;
use crate::transport::Transport;

/// A day: no client waits longer.
const MAX_INTERVAL: i64 = 24 * 60 * 60;

/// Clients that come more often than this are a load to themselves and to the tracker.
const SANE_INTERVAL: u32 = 60;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    let mut all = checks! { "BEP 3":
        Must Shared "http.reply" reply,
            "an announce is answered by one bencoded dictionary with sorted keys";
        Must Shared "http.interval" interval,
            "the interval is an integer, more than zero and at most a day";
        Should Shared "http.interval-sane" interval_sane,
            "the interval is a minute at least";
        Should Shared "http.counts" counts,
            "complete and incomplete are told, as integers that include who asks";
        Must Shared "http.escape-case" escape_case,
            "an info hash is the same in %aa and %AA, and with letters escaped or not";
        Must Shared "http.parameters" parameters,
            "parameters may come in any order, and unknown ones are passed over";
    };
    all.extend(checks! { "BEP 23":
        Must Shared "http.compact-whole" compact_whole,
            "compact peers are whole: 6 bytes each in `peers`, 18 each in `peers6`";
        Should Shared "http.compact" compact,
            "compact=1, or no word about it, gets compact peers";
        Should Shared "http.compact-off" compact_off,
            "compact=0 gets a list of dictionaries with ip and port, or compact peers";
    });
    all.extend(checks! { "BEP 7":
        Must Shared "http.own-family" own_family,
            "who asks over IPv4 finds its fellows in `peers`, who asks over IPv6 in `peers6`";
    });
    all
}

/// The raw value under `key` of a body that is a dictionary.
fn raw<'a>(body: &'a [u8], key: &str) -> Option<&'a [u8]> {
    scan(body, Limits::message(MAX_BODY)).ok()?.raw_value(key.as_bytes())
}

/// Two peers are in the swarm; what the second of them hears in answer to `query`.
async fn second<T: Transport, C: Clock>(
    session: &Session<T, C>,
    first: u16,
    query: &Query,
) -> Result<Announced, Trouble> {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(first)).await?;
    session.announce(torrent, query).await
}

async fn reply<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6102);
    let body = second(session, 6101, &query).await?.body;
    let strict = Limits { order: KeyOrder::Strict, ..Limits::message(MAX_BODY) };
    match scan(&body, strict) {
        Ok(_) => Ok(()),
        Err(error) => Err(broken(query, format_args!("{error}: {}", glimpse(&body)))),
    }
}

async fn interval<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6104);
    let body = second(session, 6103, &query).await?.body;
    let interval = raw(&body, "interval").and_then(integer);
    let good = interval.is_some_and(|interval| (1..=MAX_INTERVAL).contains(&interval));
    ensure(good, query, glimpse(&body))
}

async fn interval_sane<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6106);
    let announced = second(session, 6105, &query).await?;
    ensure(announced.reply.interval >= SANE_INTERVAL, query, announced)
}

async fn counts<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::seeder(6108);
    let body = second(session, 6107, &query).await?.body;
    let due = ["complete", "incomplete"].iter().all(|key| raw(&body, key).and_then(integer) == Some(1));
    ensure(
        due,
        format_args!("a leecher joins, then a seeder; it hears, due 1 and 1: {query}"),
        glimpse(&body),
    )
}

/// Every way to write the same bytes.
async fn escape_case<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    let spelled = |b: u8| {
        if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02x}") }
    };
    let spellings = [
        torrent.0.map(|b| format!("%{b:02x}")).concat(),
        torrent.0.map(|b| format!("%{b:02X}")).concat(),
        torrent.0.map(spelled).concat(),
    ];
    for (port, hash) in (6110_u16..).zip(&spellings) {
        let path = session.announce_path_as(torrent, hash, &Query::leecher(port));
        let announced = session.announced(&path).await?;
        let met = (6110..port).all(|other| announced.names(other));
        ensure(met, format_args!("GET {path}, after announces with other spellings"), announced)?;
    }
    Ok(())
}

async fn parameters<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(6120)).await?;
    let query = Query::leecher(6121);
    session.note(torrent, &query);
    let (hash, peer_id) = (torrent.0.map(|b| format!("%{b:02x}")).concat(), session.peer_id_text());
    let path = session.path_with(&format!(
        "x-unknown=%00%26&{query}&supportcrypto=1&corrupt=0&redundant=0&flag&empty=&peer_id={peer_id}&info_hash={hash}"
    ));
    let announced = session.announced(&path).await?;
    ensure(announced.names(6120), format_args!("GET {path}, in a swarm with port 6120"), announced)
}

/// Is this a string of whole peers?
fn is_whole(value: Option<&[u8]>, family: Family) -> bool {
    let len = value.and_then(byte_string).map(<[u8]>::len);
    len.is_some_and(|len| len.is_multiple_of(family.peer_len()))
}

fn is_list(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.starts_with(b"l"))
}

async fn compact_whole<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6131);
    let body = second(session, 6130, &query).await?.body;
    let (v4, v6) = (raw(&body, "peers"), raw(&body, "peers6"));
    let whole_v4 = is_list(v4) || v4.is_none() || is_whole(v4, Family::V4);
    let whole_v6 = v6.is_none() || is_whole(v6, Family::V6);
    ensure((v4.is_some() || v6.is_some()) && whole_v4 && whole_v6, query, glimpse(&body))
}

async fn compact<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(6135)).await?;
    for query in [Query::leecher(6136), Query::leecher(6137).with_only("")] {
        let body = session.announce(torrent, &query).await?.body;
        ensure(!is_list(raw(&body, "peers")), query, glimpse(&body))?;
    }
    Ok(())
}

async fn compact_off<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6141).with_only("&compact=0");
    let announced = second(session, 6140, &query).await;
    // The reader refuses dictionaries without ip or port.
    let announced = announced.map_err(|trouble| match trouble {
        Trouble::Broken { got, .. } => broken(&query, got),
        skipped @ Trouble::Skipped(_) => skipped,
    })?;
    ensure(
        announced.names(6140),
        format_args!("{query}, in a swarm with port 6140"),
        glimpse(&announced.body),
    )
}

async fn own_family<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let query = Query::leecher(6146);
    let body = second(session, 6145, &query).await?.body;
    let family = Family::of(session.bench.addr);
    let key = if family == Family::V4 { "peers" } else { "peers6" };
    let value = raw(&body, key);
    let listed = value.and_then(byte_string).unwrap_or_default();
    let port = 6145_u16.to_be_bytes();
    let named = is_list(value) || listed.chunks(family.peer_len()).any(|peer| peer.ends_with(&port));
    ensure(named, format_args!("{query}, in a swarm with port 6145; {key} is due"), glimpse(&body))
}
