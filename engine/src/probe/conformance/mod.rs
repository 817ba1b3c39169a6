//! The tracker conformance suite: rules of the BEPs, tried on any tracker at its address.
//!
//! For people who write or choose trackers. It knows nothing of the tracker but its URL, and disturbs no
//! swarm: torrents are random unless given, and whatever it announces it takes back. It runs over any
//! [`Transport`] and [`Clock`], and every rule has a test in which a tracker breaks it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proto::id::InfoHash;
use proto::seed::Seed;
use proto::tracker::{Scheme, TrackerUrl, options};

use self::line::{Line, TRIES};
use self::peer::{Peer, Say, connect_request};
use self::rule::{Check, Trouble};
use self::run::{chosen, run_all};
use self::session::{Bench, Session};
use self::torrents::Torrents;
use super::{ProbeError, resolve};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::fetch::TrackerTrust;
use crate::transport::Transport;

mod bep15;
mod bep41;
mod http;
mod line;
mod peer;
mod report;
mod rule;
mod run;
mod session;
mod torrents;

pub use report::{ConformanceReport, Finding, Section, Tally, Verdict};
pub use rule::{Level, Rule};

/// How long silence must last: this many round trips, within these bounds.
const PATIENCE_IN_TRIPS: u32 = 8;
const MIN_PATIENCE: Duration = Duration::from_millis(400);
const MAX_PATIENCE: Duration = Duration::from_secs(2);

/// Addresses that a loopback tracker is asked from.
const LOOPBACK_SOURCES: u8 = 16;

/// What to try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConformanceOptions {
    /// Torrents that the tracker allows and nobody uses; random ones if there are none.
    pub info_hashes: Vec<InfoHash>,
    /// Ids of the rules to try; all if there are none.
    pub rules: Vec<String>,
}

/// Every rule, in the order of a report: those of UDP trackers, then those of HTTP trackers.
pub fn rules() -> Vec<Rule> {
    [Scheme::Udp, Scheme::Http].into_iter().flat_map(rules_for).collect()
}

/// The rules of trackers whose URLs have this scheme.
pub fn rules_for(scheme: Scheme) -> Vec<Rule> {
    use crate::clock::OsClock;
    use crate::transport::os::OsTransport;
    match scheme {
        Scheme::Udp => all::<OsTransport, OsClock>().into_iter().map(|check| check.rule).collect(),
        Scheme::Http | Scheme::Https => {
            http::all::<OsTransport, OsClock>().into_iter().map(|check| check.rule).collect()
        }
    }
}

fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    bep15::all().into_iter().chain(bep41::all()).collect()
}

/// Tries the rules on the tracker at `url`, at the first address of each family that its name has.
pub async fn conformance<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    url: &TrackerUrl,
    what: &ConformanceOptions,
    seed: Seed,
) -> Result<ConformanceReport, ProbeError> {
    let is_ours = |id: &String| rules_for(url.scheme()).iter().any(|rule| rule.id == id);
    if let Some(id) = what.rules.iter().find(|id| !is_ours(id)) {
        return Err(ProbeError::OtherRule { url: url.to_string(), id: id.clone() });
    }
    let began = environment.clock.now();
    let mut addrs = resolve(environment, url).await?;
    addrs.dedup_by_key(|addr| addr.is_ipv6());
    let mut sections = Vec::new();
    let mut silent = None;
    for (number, addr) in (0..).zip(addrs) {
        let seed = seed.child(number);
        let findings = if url.scheme() == Scheme::Udp {
            judge(environment, url, addr, what, seed).await
        } else {
            http::judge(environment, trust, url, addr, what, seed).await
        };
        match findings {
            Ok(findings) => sections.push(Section { addr, findings }),
            // `localhost` has two addresses; a tracker at one of them is no fault.
            Err(error @ (ProbeError::Unreachable { .. } | ProbeError::Socket { .. })) => silent = Some(error),
            Err(error) => return Err(error),
        }
    }
    match silent {
        Some(error) if sections.is_empty() => Err(error),
        _ => {
            let seconds = (environment.clock.now() - began).as_secs_f64();
            Ok(ConformanceReport { url: url.to_string(), sections, seconds })
        }
    }
}

/// The rules of a UDP tracker at one address.
async fn judge<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    url: &TrackerUrl,
    addr: SocketAddr,
    what: &ConformanceOptions,
    seed: Seed,
) -> Result<Vec<Finding>, ProbeError> {
    let bench = bench(environment, url, addr, what, seed).await?;
    Ok(run_all(chosen(all(), &what.rules), &Arc::new(bench), seed).await)
}

/// Meets the tracker: is it there, how far is it, and may these torrents be announced?
async fn bench<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    url: &TrackerUrl,
    addr: SocketAddr,
    what: &ConformanceOptions,
    seed: Seed,
) -> Result<Bench<T, C>, ProbeError> {
    let sources = sources(addr);
    let source = sources.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let bound = environment.transport.bind(SocketAddr::new(source, 0)).await;
    let socket = bound.map_err(|error| ProbeError::Socket { addr, reason: error.to_string() })?;
    let line: Line<T, C> = Line::new(socket, environment.clock.clone(), addr);
    let mut random = seed.rng();
    let asked = environment.clock.now();
    if line.ask_anything(&connect_request(random.next_u32())).await.is_none() {
        return Err(ProbeError::Unreachable { url: url.to_string(), addr, tries: TRIES });
    }
    let trip = environment.clock.now() - asked;
    let options = options::with_url_data(url.path());
    let torrent = what.info_hashes.first().copied().unwrap_or_else(|| {
        let mut hash = InfoHash::default();
        random.fill(&mut hash.0);
        hash
    });
    // Whatever else goes wrong here is the rules' to tell.
    if let Ok(peer) = Peer::connect(line, random, &options).await {
        let announced = peer.announce(torrent, &Say::leecher(6000)).await;
        peer.leave_all(MIN_PATIENCE).await;
        if let Err(Trouble::Broken { got, .. }) = announced
            && let Some(reason) = refusal(&got)
        {
            return Err(ProbeError::Refused { url: url.to_string(), reason });
        }
    }
    let patience = (trip * PATIENCE_IN_TRIPS).clamp(MIN_PATIENCE, MAX_PATIENCE);
    let torrents = Torrents::new(&what.info_hashes);
    Ok(Bench { environment: environment.clone(), addr, sources, options, patience, torrents })
}

/// Does this answer mean that the torrent is not on the tracker's list? opentracker says so with the head
/// of an announce reply and nothing behind it.
fn refusal(got: &str) -> Option<String> {
    let cut = || got.starts_with("8 bytes 00000001 ").then(|| "the torrent is not on its list".to_owned());
    got.strip_prefix("refused: ").map(str::to_owned).or_else(cut)
}

/// Where to ask `addr` from: on loopback there are many addresses.
fn sources(addr: SocketAddr) -> Vec<IpAddr> {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            (1..=LOOPBACK_SOURCES).map(|host| IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))).collect()
        }
        IpAddr::V4(_) => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        IpAddr::V6(_) => vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    }
}
