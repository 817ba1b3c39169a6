//! Who is named to whom, and who is counted as what (BEP 3).

use std::net::{IpAddr, Ipv4Addr};

use proto::announce::GetError;
use proto::id::InfoHash;

use super::super::rule::{Check, Outcome, Trouble, broken, checks, ensure};
use super::session::{Query, Session, read};
use crate::clock::Clock;
use crate::transport::Transport;

/// An address for documentation (RFC 5737): nobody is there.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// Where the peer listens through whose eyes the counts are seen.
const WITNESS: u16 = 6300;

pub(super) fn peers<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 3":
        Must Shared "http.meet" meet,
            "two peers of a swarm hear of each other by source address and announced port";
        Must Shared "http.swarms-apart" swarms_apart,
            "a peer of one swarm is not named in another";
        Must Shared "http.numwant" numwant,
            "no more peers are named than numwant asks for";
        Should Shared "http.numwant-zero" numwant_zero,
            "numwant=0 gets no peers";
        Must Shared "http.numwant-odd" numwant_odd,
            "numwant of -1 or a million, or no word about it, gets peers";
        Should Shared "http.not-self" not_self,
            "who asks is not named to itself";
        Should Shared "http.port-zero" port_zero,
            "a peer at port 0 is refused, or not named to others";
        Should Shared "http.port-range" port_range,
            "a port of 65536 and more, or no number, is refused, or nobody is named for it";
        Should Shared "http.ip-parameter" ip_parameter,
            "an `ip` parameter does not put another address into the swarm";
    }
}

pub(super) fn members<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 3":
        Must Shared "http.transitions" transitions,
            "started, completed and stopped move a peer to leechers, to seeders and out";
        Must Shared "http.repeated" repeated,
            "a peer that announces again is not counted twice";
        Must Shared "http.regular" regular,
            "an announce without an event enters a peer that the tracker does not know";
        Must Shared "http.stopped-leaves" stopped_leaves,
            "who says stopped is not named any more";
        Should Shared "http.stopped-no-peers" stopped_no_peers,
            "who says stopped is given no peers";
        Must Shared "http.stopped-stranger" stopped_stranger,
            "stopped from a peer that never joined changes nothing";
    }
}

async fn meet<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(6201)).await?;
    let to_second = session.announce(torrent, &Query::seeder(6202)).await?;
    let to_first = session.announce(torrent, &Query::leecher(6201).regular()).await?;
    let sent = "a leecher at port 6201, then a seeder at 6202";
    ensure(to_second.names(6201), format_args!("{sent}; the seeder hears"), &to_second)?;
    ensure(to_first.names(6202), format_args!("{sent}; the leecher hears"), &to_first)
}

async fn swarms_apart<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let [one, other] = session.torrents().await?;
    session.announce(one, &Query::leecher(6210)).await?;
    let announced = session.announce(other, &Query::leecher(6211)).await?;
    let apart = !announced.names(6210) && announced.reply.leechers <= 1;
    ensure(apart, "port 6210 joins one torrent, port 6211 another; it hears", &announced)
}

/// A swarm of `ports`.
async fn crowd<T: Transport, C: Clock>(
    session: &Session<T, C>,
    ports: std::ops::Range<u16>,
) -> Result<InfoHash, Trouble> {
    let torrent = session.torrent().await?;
    for port in ports {
        session.announce(torrent, &Query::leecher(port)).await?;
    }
    Ok(torrent)
}

async fn numwant<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = crowd(session, 6220..6226).await?;
    for wanted in [1, 3] {
        let query = Query::leecher(6220).regular().with(&format!("&numwant={wanted}"));
        let announced = session.announce(torrent, &query).await?;
        let found = 1..=wanted;
        ensure(
            found.contains(&announced.reply.peers.len()),
            format_args!("{query}, in a swarm of 6"),
            &announced,
        )?;
    }
    Ok(())
}

async fn numwant_zero<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = crowd(session, 6230..6232).await?;
    let query = Query::leecher(6230).regular().with("&numwant=0");
    let announced = session.announce(torrent, &query).await?;
    ensure(announced.reply.peers.is_empty(), query, &announced)
}

async fn numwant_odd<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = crowd(session, 6235..6238).await?;
    for wanted in ["", "&numwant=-1", "&numwant=1000000"] {
        let query = Query::leecher(6235).regular().with(wanted);
        let announced = session.announce(torrent, &query).await?;
        let others = announced.names(6236) && announced.names(6237);
        ensure(others, format_args!("{query}, in a swarm with ports 6236 and 6237"), &announced)?;
    }
    Ok(())
}

async fn not_self<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = crowd(session, 6240..6242).await?;
    let query = Query::leecher(6240).regular();
    let announced = session.announce(torrent, &query).await?;
    ensure(!announced.names(6240), query, &announced)
}

/// Announces at `path`, which may be refused; silence may not be.
async fn may_refuse<T: Transport, C: Clock>(session: &Session<T, C>, path: &str) -> Result<bool, Trouble> {
    match session.get(path).await {
        Ok(body) => Ok(read(body).is_err()),
        Err(GetError::Http(_)) => Ok(true),
        Err(GetError::NoAnswer) => Err(broken(format_args!("GET {path}"), "nothing")),
    }
}

async fn port_zero<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    let path = session.announce_path(torrent, &Query::leecher(0));
    if may_refuse(session, &path).await? {
        return Ok(());
    }
    let announced = session.announce(torrent, &Query::leecher(6250)).await?;
    ensure(!announced.names(0), format_args!("GET {path}; another peer hears"), &announced)
}

async fn port_range<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    // Port 6255 + 65536 is what a careless tracker takes for 6255.
    for port in ["71791", "-6255", "99999999999999999999", "words", ""] {
        let path = session.announce_path(torrent, &Query::leecher(6255));
        let path = path.replace("port=6255", &format!("port={port}"));
        if may_refuse(session, &path).await? {
            continue;
        }
        let announced = session.announce(torrent, &Query::leecher(6256)).await?;
        // The same spelling takes it back.
        may_refuse(session, &path.replace("event=started", "event=stopped")).await?;
        let strangers = announced.reply.peers.iter().any(|peer| peer.port() != 6256);
        ensure(!strangers, format_args!("GET {path}; another peer hears"), &announced)?;
    }
    Ok(())
}

async fn ip_parameter<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    let query = Query::leecher(6260).with(&format!("&ip={NOBODY}"));
    if may_refuse(session, &session.announce_path(torrent, &query)).await? {
        return Ok(());
    }
    let announced = session.announce(torrent, &Query::leecher(6261)).await?;
    let spoofed = announced.reply.peers.iter().any(|peer| peer.ip().to_canonical() == IpAddr::V4(NOBODY));
    ensure(!spoofed, format_args!("{query}; another peer hears"), &announced)
}

/// Leechers and seeders; the witness is counted or not, but always alike.
async fn counts<T: Transport, C: Clock>(
    session: &Session<T, C>,
    torrent: InfoHash,
) -> Result<(u32, u32), Trouble> {
    let announced = session.announce(torrent, &Query::leecher(WITNESS).regular()).await?;
    Ok(announced.counts())
}

/// After each of `steps` the counts must have grown by what stands beside it.
async fn expect_counts<T: Transport, C: Clock>(
    session: &Session<T, C>,
    steps: impl IntoIterator<Item = (Query, (u32, u32))> + Send,
) -> Outcome {
    let torrent = session.torrent().await?;
    counts(session, torrent).await?;
    let (leechers, seeders) = counts(session, torrent).await?;
    for (query, (more_leechers, more_seeders)) in steps.into_iter().collect::<Vec<_>>() {
        session.announce(torrent, &query).await?;
        let now = counts(session, torrent).await?;
        let due = (leechers + more_leechers, seeders + more_seeders);
        let got = format!("(incomplete, complete) {now:?}, due {due:?}");
        ensure(now == due, format_args!("{query}; another peer announces"), got)?;
    }
    Ok(())
}

async fn transitions<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = || Query::leecher(6301);
    let stopped = Query::seeder(6301).stopped();
    expect_counts(session, [(peer(), (1, 0)), (peer().completed(), (0, 1)), (stopped, (0, 0))]).await
}

async fn repeated<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = || Query::leecher(6305);
    expect_counts(session, [(peer(), (1, 0)), (peer(), (1, 0)), (peer().regular(), (1, 0))]).await
}

async fn regular<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(6310).regular()).await?;
    let announced = session.announce(torrent, &Query::leecher(6311)).await?;
    ensure(announced.names(6310), "an announce without event, port 6310; another peer hears", &announced)
}

async fn stopped_leaves<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = session.torrent().await?;
    session.announce(torrent, &Query::leecher(6320)).await?;
    session.announce(torrent, &Query::leecher(6320).stopped()).await?;
    let announced = session.announce(torrent, &Query::leecher(6321)).await?;
    ensure(!announced.names(6320), "port 6320 joins and stops; another peer hears", &announced)
}

async fn stopped_no_peers<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let torrent = crowd(session, 6330..6332).await?;
    let query = Query::leecher(6330).stopped();
    let announced = session.announce(torrent, &query).await?;
    ensure(announced.reply.peers.is_empty(), query, &announced)
}

async fn stopped_stranger<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    expect_counts(session, [(Query::leecher(6340).stopped(), (0, 0))]).await
}
