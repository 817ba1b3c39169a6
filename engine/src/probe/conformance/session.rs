//! What a rule works with: torrents, peers at different addresses, and a clean-up behind them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::id::InfoHash;
use proto::seed::{Random, Seed};

use super::line::Line;
use super::peer::Peer;
use super::rule::{Trouble, broken};
use super::run::Workplace;
use super::torrents::{Lent, Torrents};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::transport::Transport;

/// What all rules at one address share.
pub(super) struct Bench<T: Transport, C: Clock> {
    pub(super) environment: Environment<T, C>,
    pub(super) addr: SocketAddr,
    /// Addresses to ask from; the first is the usual one.
    pub(super) sources: Vec<IpAddr>,
    /// BEP 41's options for the URL's path: a passkey may be in it.
    pub(super) options: Vec<u8>,
    /// How long silence must last to be one.
    pub(super) patience: Duration,
    pub(super) torrents: Torrents,
}

/// One rule's work on one tracker.
pub(super) struct Session<T: Transport, C: Clock> {
    pub(super) bench: Arc<Bench<T, C>>,
    random: Mutex<Random>,
    peers: Mutex<Vec<Arc<Peer<T, C>>>>,
    lent: Mutex<Vec<Lent>>,
}

impl<T: Transport, C: Clock> Session<T, C> {
    pub(super) fn patience(&self) -> Duration {
        self.bench.patience
    }

    pub(super) fn random_u32(&self) -> u32 {
        lock(&self.random).next_u32()
    }

    pub(super) fn random_u64(&self) -> u64 {
        lock(&self.random).next_u64()
    }

    pub(super) fn fill(&self, bytes: &mut [u8]) {
        lock(&self.random).fill(bytes);
    }

    /// A socket that has asked nothing yet.
    pub(super) async fn line(&self) -> Result<Line<T, C>, Trouble> {
        self.line_from(0).await
    }

    /// The same at source address number `source`.
    pub(super) async fn line_from(&self, source: usize) -> Result<Line<T, C>, Trouble> {
        let Bench { environment, addr, sources, .. } = &*self.bench;
        let ip = sources.get(source).ok_or_else(|| {
            Trouble::Skipped(format!("needs {} source addresses, which a loopback target gives", source + 1))
        })?;
        let bound = environment.transport.bind(SocketAddr::new(*ip, 0)).await;
        let socket = bound.map_err(|error| Trouble::Skipped(format!("cannot bind {ip}: {error}")))?;
        Ok(Line::new(socket, environment.clock.clone(), *addr))
    }

    /// A peer that has a connection id.
    pub(super) async fn peer(&self) -> Result<Arc<Peer<T, C>>, Trouble> {
        self.peer_from(0).await
    }

    /// The same at source address number `source`.
    pub(super) async fn peer_from(&self, source: usize) -> Result<Arc<Peer<T, C>>, Trouble> {
        let line = self.line_from(source).await?;
        let mut seed = Seed([0; 32]);
        self.fill(&mut seed.0);
        let peer = Arc::new(Peer::connect(line, seed.rng(), &self.bench.options).await?);
        lock(&self.peers).push(Arc::clone(&peer));
        Ok(peer)
    }

    /// A torrent that is this rule's alone.
    pub(super) async fn torrent(&self) -> Result<InfoHash, Trouble> {
        self.torrents::<1>().await.map(|[torrent]| torrent)
    }

    /// `N` torrents. To be called once by a rule, or two rules could wait for each other.
    pub(super) async fn torrents<const N: usize>(&self) -> Result<[InfoHash; N], Trouble> {
        let (hashes, lent) = self.bench.torrents.lend(|bytes| self.fill(bytes)).await?;
        if let Some(lent) = lent {
            lock(&self.lent).push(lent);
            self.expect_empty(&hashes).await?;
        }
        Ok(hashes)
    }

    /// Strangers in a given torrent would spoil what the rules count.
    async fn expect_empty(&self, hashes: &[InfoHash]) -> Result<(), Trouble> {
        let counts = self.peer().await?.scrape(hashes).await?;
        if counts.iter().all(|swarm| swarm.seeders + swarm.leechers == 0) {
            return Ok(());
        }
        Err(Trouble::Skipped("the given torrent has other peers; choose one without".to_owned()))
    }

    /// Is the tracker still there? If not, what it was `sent` is to blame.
    pub(super) async fn expect_alive(&self, sent: &str) -> Result<(), Trouble> {
        match self.peer().await {
            Ok(_) => Ok(()),
            Err(Trouble::Skipped(reason)) => Err(Trouble::Skipped(reason)),
            Err(Trouble::Broken { .. }) => Err(broken(sent, "it answers no connect any more")),
        }
    }
}

impl<T: Transport, C: Clock> Workplace for Session<T, C> {
    type Bench = Bench<T, C>;

    fn at(bench: Arc<Self::Bench>, random: Random) -> Self {
        let (peers, lent) = (Mutex::default(), Mutex::default());
        Self { bench, random: Mutex::new(random), peers, lent }
    }

    async fn is_alive(&self) -> bool {
        self.peer().await.is_ok()
    }

    async fn finish(&self) {
        let peers = std::mem::take(&mut *lock(&self.peers));
        for peer in peers {
            peer.leave_all(self.patience()).await;
        }
        self.bench.torrents.give_back(std::mem::take(&mut *lock(&self.lent)));
    }
}

/// A panic of one rule is no reason to stop the others.
pub(super) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
