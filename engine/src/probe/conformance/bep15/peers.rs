//! Which peers an announce reply names, and how many (BEP 15).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use proto::tracker::Family;

use super::super::line::glimpse_of;
use super::super::peer::{Say, is_error};
use super::super::rule::{Check, Outcome, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// An address that nobody has (RFC 5737).
const NOBODY: [u8; 4] = [198, 51, 100, 9];

/// Peers that join when a reply's length is tried: their addresses exceed a datagram of any network.
const CROWD_V4: u16 = 260;
const CROWD_V6: u16 = 90;

/// What an Ethernet frame carries behind the headers of IP and UDP, in bytes.
const MTU_V4: usize = 1500 - 28;
const MTU_V6: usize = 1500 - 48;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "peers.meet" meet,
            "two peers of a swarm hear of each other by source address and announced port";
        Must Shared "peers.swarms-apart" swarms_apart,
            "a peer of one swarm is not named in another";
        Must Shared "peers.num-want" num_want,
            "no more peers are named than num_want asks for";
        Must Shared "peers.num-want-default" num_want_default,
            "num_want -1 gets a number of the tracker's choice";
        Should Shared "peers.num-want-zero" num_want_zero,
            "num_want 0 gets no peers";
        Should Shared "peers.num-want-huge" num_want_huge,
            "however many are wanted, a reply fits one datagram of a 1500-byte network";
        Should Shared "peers.distinct" distinct,
            "no peer is named twice in a reply";
        Should Shared "peers.not-self" not_self,
            "who asks is not named to itself";
        Should Shared "peers.seeder" seeder,
            "a seeder hears of leechers, and of no seeders";
        Should Shared "peers.port-zero" port_zero,
            "a peer at port 0 is refused, or not named to others";
        Should Shared "peers.ip-field" ip_field,
            "the packet's ip field does not put another address into the swarm";
    }
}

async fn meet<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, first) = (session.torrent().await?, session.peer().await?);
    let second = session.peer().await?;
    first.announce(torrent, &Say::leecher(6201)).await?;
    let to_second = second.announce(torrent, &Say::seeder(6202)).await?;
    let to_first = first.announce(torrent, &Say::leecher(6201).regular()).await?;
    let sent = "a leecher at port 6201, then a seeder at 6202";
    ensure(to_second.names(6201), format_args!("{sent}; the seeder hears"), &to_second)?;
    ensure(to_first.names(6202), format_args!("{sent}; the leecher hears"), &to_first)?;
    // Only where the way to the tracker changes no addresses can they be compared.
    let source = session.bench.sources.first().copied().filter(|ip| !ip.is_unspecified());
    let as_sent = source.is_none_or(|ip| to_second.peers.iter().all(|peer| peer.ip() == ip));
    ensure(as_sent, format_args!("{sent}, both from {source:?}"), &to_second)
}

async fn swarms_apart<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let ([one, other], peer) = (session.torrents().await?, session.peer().await?);
    peer.announce(one, &Say::leecher(6210)).await?;
    let announced = peer.announce(other, &Say::leecher(6211)).await?;
    let apart = !announced.names(6210) && announced.head.leechers <= 1;
    ensure(apart, "port 6210 joins one torrent, port 6211 another; it hears", &announced)
}

async fn num_want<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6220..6226 {
        peer.announce(torrent, &Say::leecher(port)).await?;
    }
    for wanted in [1, 3] {
        let say = Say::leecher(6220).regular().wanting(wanted);
        let announced = peer.announce(torrent, &say).await?;
        let found = 1..=wanted as usize;
        ensure(found.contains(&announced.peers.len()), format_args!("{say} in a swarm of 6"), &announced)?;
    }
    Ok(())
}

async fn num_want_default<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6230..6234 {
        peer.announce(torrent, &Say::leecher(port)).await?;
    }
    let say = Say::leecher(6230).regular();
    let announced = peer.announce(torrent, &say).await?;
    ensure(!announced.peers.is_empty(), format_args!("{say}, num_want -1, in a swarm of 4"), &announced)
}

async fn num_want_zero<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6240..6242 {
        peer.announce(torrent, &Say::leecher(port)).await?;
    }
    let say = Say::leecher(6240).regular().wanting(0);
    let announced = peer.announce(torrent, &say).await?;
    ensure(announced.peers.is_empty(), say, &announced)
}

async fn num_want_huge<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let (crowd, limit) = match peer.family() {
        Family::V4 => (CROWD_V4, MTU_V4),
        Family::V6 => (CROWD_V6, MTU_V6),
    };
    let all: Vec<_> = (7000..7000 + crowd).map(|port| Say::leecher(port).wanting(0)).collect();
    peer.announce_all(torrent, &all).await?;
    let say = Say::leecher(7000).regular().wanting(i32::MAX.unsigned_abs());
    let announced = peer.announce(torrent, &say).await?;
    let got = format!("{} bytes with {} peers", announced.len, announced.peers.len());
    ensure(announced.len <= limit, format_args!("{say}, in a swarm of {crowd}"), got)
}

async fn distinct<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    for port in 6250..6256 {
        peer.announce(torrent, &Say::leecher(port)).await?;
    }
    let say = Say::leecher(6250).regular().wanting(50);
    let announced = peer.announce(torrent, &say).await?;
    let distinct: BTreeSet<_> = announced.peers.iter().collect();
    ensure(distinct.len() == announced.peers.len(), say, &announced)
}

async fn not_self<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(6260)).await?;
    peer.announce(torrent, &Say::leecher(6261)).await?;
    let say = Say::leecher(6260).regular();
    let announced = peer.announce(torrent, &say).await?;
    ensure(!announced.names(6260), say, &announced)
}

async fn seeder<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(6270)).await?;
    peer.announce(torrent, &Say::seeder(6271)).await?;
    let announced = peer.announce(torrent, &Say::seeder(6272)).await?;
    let useful = announced.names(6270) && !announced.names(6271);
    ensure(useful, "a leecher at port 6270 and a seeder at 6271 join; another seeder hears", &announced)
}

async fn port_zero<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let request = peer.announce_request(torrent, &Say::leecher(0));
    let reply = peer.line.ask_once(&request, session.patience()).await;
    if reply.as_ref().is_none_or(|bytes| is_error(bytes)) {
        return Ok(());
    }
    let announced = peer.announce(torrent, &Say::leecher(6280)).await?;
    let sent = format!("announce at port 0, answered by {}; another peer hears", glimpse_of(reply.as_ref()));
    ensure(!announced.names(0), sent, &announced)
}

async fn ip_field<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let spoofed = Say { ip: NOBODY, ..Say::leecher(6290) };
    peer.announce(torrent, &spoofed).await?;
    let announced = peer.announce(torrent, &Say::leecher(6291)).await?;
    let named = |ip: IpAddr| announced.peers.iter().any(|peer| peer.ip().to_canonical() == ip);
    let sent = format!("announce with ip field {}; another peer hears", Ipv4Addr::from(NOBODY));
    ensure(!named(IpAddr::V4(NOBODY.into())), sent, &announced)
}
