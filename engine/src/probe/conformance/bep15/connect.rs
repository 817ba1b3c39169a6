//! Connect, and what a connection id is good for (BEP 15).

use std::collections::BTreeSet;

use proto::tracker::ConnectionId;

use super::super::line::{Arrived, glimpse, glimpse_of};
use super::super::peer::{Say, connect_request, is_error};
use super::super::rule::{Check, Outcome, broken, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// Connects that are under way at once.
const IN_FLIGHT: usize = 64;

/// Addresses whose connection ids are compared.
const SOURCES: usize = 16;

/// Where a request has its connection id.
const CONNECTION: std::ops::Range<usize> = 0..8;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "connect.reply" reply,
            "a connect reply has 16 bytes, action 0 and the request's transaction id";
        Must Shared "connect.source" source,
            "a reply comes from the address that was asked";
        Must Shared "connect.in-flight" in_flight,
            "of many connects under way each is answered, once, by its transaction id";
        Must Shared "connect.longer" longer,
            "a longer connect is accepted: packets may grow at the tail";
        Must Shared "connect.id-reused" id_reused,
            "a connection id serves many requests";
        Must Shared "connect.id-forged" id_forged,
            "an announce with a connection id that was never issued is refused or unanswered";
        Must Shared "connect.id-forged-scrape" id_forged_scrape,
            "a scrape with a connection id that was never issued is refused or unanswered";
        Must Shared "connect.id-foreign" id_foreign,
            "a connection id is good only at the address to which it was sent";
        Should Shared "connect.id-unguessable" id_unguessable,
            "connection ids of different addresses share no pattern";
        Should Shared "connect.protocol-id" protocol_id,
            "a connect without the magic number gets no connection id";
    }
}

async fn reply<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let request = connect_request(session.random_u32());
    let reply = session.line().await?.ask_anything(&request).await.map(|arrived| arrived.bytes);
    let due = reply.as_ref().is_some_and(|bytes| {
        bytes.len() == 16 && bytes.get(..4) == Some(&[0; 4]) && bytes.get(4..8) == request.get(12..16)
    });
    ensure(due, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn source<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let line = session.line().await?;
    let Some(Arrived { from, .. }) = line.ask_anything(&connect_request(session.random_u32())).await else {
        return Err(broken("connect", "nothing"));
    };
    ensure(from == line.addr(), "connect", format_args!("a reply from {from}"))
}

async fn in_flight<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let line = session.line().await?;
    let mut asked = BTreeSet::new();
    while asked.len() < IN_FLIGHT {
        asked.insert(session.random_u32());
    }
    for transaction in &asked {
        line.send(&connect_request(*transaction)).await;
    }
    let replies = line.gather(IN_FLIGHT, session.patience()).await;
    let echoed = |arrived: &Arrived| Some(u32::from_be_bytes(arrived.bytes.get(4..8)?.try_into().ok()?));
    let answered: BTreeSet<u32> = replies.iter().filter_map(echoed).collect();
    let known = answered.intersection(&asked).count();
    let got = format!("{} replies, {known} of the transaction ids", replies.len());
    ensure(known == IN_FLIGHT && replies.len() == IN_FLIGHT, format_args!("{IN_FLIGHT} connects"), got)
}

async fn longer<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut request = connect_request(session.random_u32());
    request.extend([0; 8]);
    let reply = session.line().await?.ask(&request).await;
    let connected = reply.as_ref().is_some_and(|bytes| bytes.len() >= 16 && bytes.starts_with(&[0; 4]));
    ensure(connected, glimpse(&request), glimpse_of(reply.as_ref()))
}

async fn id_reused<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6001..6006 {
        peer.announce(torrent, &Say::leecher(port)).await?;
        peer.scrape(&[torrent]).await?;
    }
    Ok(())
}

/// Neither an id of zero nor a random one nor the good one with a bit changed may do.
async fn id_forged<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let witness = session.peer().await?;
    let mut sent = Vec::new();
    for (port, forged) in (6010..).zip(forgeries(session, peer.connection)) {
        let mut request = peer.announce_request(torrent, &Say::leecher(port));
        forge(&mut request, forged);
        peer.line.send(&request).await;
        sent.push(request);
    }
    for Arrived { bytes, .. } in peer.line.gather(sent.len(), session.patience()).await {
        ensure(is_error(&bytes), "announce with a forged connection id", glimpse(&bytes))?;
    }
    let listed = witness.announce(torrent, &Say::leecher(6020)).await?;
    let spoofed = (6010..6013).any(|port| listed.names(port));
    ensure(!spoofed, "announce with a forged connection id, then an honest one", listed)
}

async fn id_forged_scrape<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let forged = forgeries(session, peer.connection);
    for forged in forged {
        let mut request = peer.scrape_request(&[torrent]);
        forge(&mut request, forged);
        peer.line.send(&request).await;
    }
    for Arrived { bytes, .. } in peer.line.gather(forged.len(), session.patience()).await {
        ensure(is_error(&bytes), "scrape with a forged connection id", glimpse(&bytes))?;
    }
    Ok(())
}

fn forgeries<T: Transport, C: Clock>(session: &Session<T, C>, good: ConnectionId) -> [ConnectionId; 3] {
    [ConnectionId(0), ConnectionId(session.random_u64()), ConnectionId(good.0 ^ 1 << 17)]
}

fn forge(request: &mut [u8], connection: ConnectionId) {
    if let Some(field) = request.get_mut(CONNECTION) {
        field.copy_from_slice(&connection.0.to_be_bytes());
    }
}

async fn id_foreign<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, owner) = (session.torrent().await?, session.peer().await?);
    let thief = session.peer_from(1).await?;
    let mut request = thief.announce_request(torrent, &Say::leecher(6030));
    forge(&mut request, owner.connection);
    let reply = thief.line.ask_once(&request, session.patience()).await;
    let refused = reply.as_ref().is_none_or(|bytes| is_error(bytes));
    ensure(refused, "announce with another address's connection id", glimpse_of(reply.as_ref()))
}

async fn id_unguessable<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut ids = Vec::new();
    for source in 0..SOURCES {
        ids.push(session.peer_from(source).await?.connection.0);
    }
    let steps: BTreeSet<u64> =
        ids.windows(2).map(|pair| pair.iter().fold(0_u64, |step, id| id.wrapping_sub(step))).collect();
    let seen: BTreeSet<&u64> = ids.iter().collect();
    let got = || {
        let shown: Vec<String> = ids.iter().take(4).map(|id| format!("{id:016x}")).collect();
        format!("{} …", shown.join(" "))
    };
    let is_random = seen.len() == SOURCES && steps.len() == SOURCES - 1;
    ensure(is_random, format_args!("connects from {SOURCES} addresses"), got())
}

async fn protocol_id<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut request = connect_request(session.random_u32());
    forge(&mut request, ConnectionId(0x1122_3344_5566_7788));
    let reply = session.line().await?.ask_once(&request, session.patience()).await;
    let refused = reply.as_ref().is_none_or(|bytes| is_error(bytes));
    ensure(refused, glimpse(&request), glimpse_of(reply.as_ref()))
}
