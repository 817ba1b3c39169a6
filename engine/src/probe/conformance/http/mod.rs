//! The rules of HTTP trackers: announces (BEP 3, 7, 23), scrapes (BEP 48), and what no honest client sends.
//!
//! Peers have one address here, so they are told apart by port. Rules that a BEP leaves to the tracker are
//! SHOULD: many trackers list whoever asks, and BEP 3 allows an `ip` parameter that anybody can forge.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::announce::GetError;
use proto::seed::Seed;
use proto::tracker::TrackerUrl;

use super::ConformanceOptions;
use super::report::Finding;
use super::rule::{Check, Trouble};
use super::run::{Workplace, chosen, run_all};
use super::torrents::Torrents;
use crate::clock::Clock;
use crate::environment::Environment;
use crate::fetch::TrackerTrust;
use crate::probe::ProbeError;
use crate::transport::Transport;
use session::{Bench, Query, Session};

mod hostile;
mod reply;
mod scrape;
mod session;
mod swarm;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    let parts = [reply::all(), swarm::peers(), swarm::members(), scrape::all(), hostile::all()];
    parts.into_iter().flatten().collect()
}

/// The rules of the HTTP tracker at one address.
pub(super) async fn judge<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    url: &TrackerUrl,
    addr: SocketAddr,
    what: &ConformanceOptions,
    seed: Seed,
) -> Result<Vec<Finding>, ProbeError> {
    let torrents = Torrents::new(&what.info_hashes);
    let bench =
        Bench { environment: environment.clone(), trust: trust.clone(), url: url.clone(), addr, torrents };
    let bench = Arc::new(bench);
    meet(&bench, seed.child(0)).await?;
    Ok(run_all::<Session<T, C>>(chosen(all(), &what.rules), &bench, seed.child(1)).await)
}

/// Is the tracker there, and may these torrents be announced? Whatever else is wrong is the rules' to tell.
async fn meet<T: Transport, C: Clock>(bench: &Arc<Bench<T, C>>, seed: Seed) -> Result<(), ProbeError> {
    let session = Session::at(Arc::clone(bench), seed.rng());
    let (url, addr) = (bench.url.to_string(), bench.addr);
    // Given torrents with strangers in them are each rule's to skip.
    let Ok(torrent) = session.torrent().await else { return Ok(()) };
    let outcome = match session.get(&session.announce_path(torrent, &Query::leecher(6000))).await {
        Err(GetError::NoAnswer) => Err(ProbeError::Unreachable { url, addr, tries: 1 }),
        Err(GetError::Http(reason)) if reason.starts_with(session::ANSWERS) => {
            Err(ProbeError::Refused { url, reason })
        }
        Err(GetError::Http(reason)) => Err(ProbeError::Socket { addr, reason }),
        Ok(body) => match session::read(body) {
            Err(Trouble::Broken { got, .. }) if got.starts_with(session::REFUSED) => {
                let reason = got.trim_start_matches(session::REFUSED).to_owned();
                Err(ProbeError::Refused { url, reason })
            }
            _ => Ok(()),
        },
    };
    session.finish().await;
    outcome
}
