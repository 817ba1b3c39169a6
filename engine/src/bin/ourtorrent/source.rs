//! What a user names a torrent by: the path of a torrent file, or a magnet link.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::metadata::{SearchError, SearchEvent, find_metadata};
use engine::{EngineConfig, Environment};
use proto::metainfo::{Magnet, Metainfo, Priority};
use proto::seed::Seed;

use crate::failure::{Failure, Status};
use crate::runtime::interrupted;
use crate::screen::note;
use crate::selection;
use crate::show::printable;
use crate::torrent_file;

/// Without any peer for this long, a magnet link is given up: trackers and dials had their retries.
const LONELY: Duration = Duration::from_secs(120);

/// The argument of `download`.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A torrent file.
    File(PathBuf),
    /// A magnet link.
    Magnet(Box<Magnet>),
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        text.parse().map(|magnet| Self::Magnet(Box::new(magnet))).map_err(|error| format!("{error}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Magnet(magnet) => f.write_str(&name(magnet)),
        }
    }
}

/// A torrent, and what its source asks for.
pub(crate) struct Opened {
    pub(crate) metainfo: Arc<Metainfo>,
    /// Peers to try, those of the command line among them.
    pub(crate) peers: Vec<SocketAddr>,
    /// How much each file is wanted; nothing if all are alike.
    pub(crate) priorities: Vec<Priority>,
}

impl Source {
    /// Reads the file, or finds the metadata of the link; nothing if the user interrupted the search.
    pub(crate) async fn open(&self, config: &EngineConfig, seed: Seed) -> Result<Option<Opened>, Failure> {
        match self {
            Self::File(path) => {
                let metainfo = from_file(path, config)?;
                Ok(Some(Opened { metainfo, peers: config.peers.clone(), priorities: Vec::new() }))
            }
            Self::Magnet(magnet) => from_peers(magnet, config, seed).await,
        }
    }
}

/// What a link calls its torrent, fit to be printed.
fn name(magnet: &Magnet) -> String {
    magnet.name.as_deref().map_or_else(|| magnet.info_hash.to_string(), printable)
}

fn from_file(path: &Path, config: &EngineConfig) -> Result<Arc<Metainfo>, Failure> {
    let metainfo = torrent_file::read(path)?;
    let web_seeds = config.torrent.web_seeds && !metainfo.web_seeds().is_empty();
    if metainfo.trackers().is_empty() && config.peers.is_empty() && !web_seeds {
        let what = format_args!("{} names no tracker", path.display());
        return Err(Failure::new(Status::Incomplete, what).advise("Name a peer with --peer IP:PORT."));
    }
    Ok(metainfo)
}

async fn from_peers(magnet: &Magnet, config: &EngineConfig, seed: Seed) -> Result<Option<Opened>, Failure> {
    if magnet.trackers.is_empty() && magnet.peers.is_empty() && config.peers.is_empty() {
        let what = "the magnet link names neither a tracker nor a peer";
        return Err(Failure::new(Status::Incomplete, what).advise("Name a peer with --peer IP:PORT."));
    }
    let name = name(magnet);
    note(format_args!("looking for {name} among its peers"));
    // Whenever the number of peers changes, the wait begins anew.
    let (alive, mut pulse) = tokio::sync::mpsc::unbounded_channel();
    let mut failures = Vec::new();
    let tell = |event| match event {
        SearchEvent::Peers(count) => drop(alive.send(count)),
        SearchEvent::TrackerFailed { url, error } => {
            let line = format!("{}: {}", printable(&url), printable(&error));
            note(format_args!("tracker {line}"));
            failures.push(line);
        }
        SearchEvent::Announced => {}
    };
    let lonely = async {
        let mut peers = 0;
        loop {
            match tokio::time::timeout(LONELY, pulse.recv()).await {
                Ok(Some(count)) => peers = count,
                Ok(None) => std::future::pending().await,
                Err(_) if peers == 0 => return,
                Err(_) => {}
            }
        }
    };
    let environment = Environment::os_at(&config.listen);
    let found = tokio::select! {
        biased;
        () = interrupted() => return Ok(None),
        found = find_metadata(environment, magnet, config, seed, tell) => found,
        () = lonely => {
            let what = [format!("no peer of {name} can be reached")].into_iter().chain(failures);
            let what = what.collect::<Vec<_>>().join("\n  ");
            return Err(Failure::new(Status::Incomplete, what).advise("Try again later, or name a peer with --peer."));
        }
    };
    match found {
        Ok(found) => {
            let priorities = selection::of_magnet(magnet, &found.metainfo);
            Ok(Some(Opened { metainfo: Arc::new(found.metainfo), peers: found.peers, priorities }))
        }
        Err(SearchError::Start(error)) => Err(error.into()),
        Err(error @ SearchError::Torrent(_)) => Err(Failure::new(Status::BadTorrent, error)),
    }
}
