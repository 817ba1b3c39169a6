//! The torrents that rules announce: random ones, or a few given ones that the rules share.

use std::sync::{Arc, Mutex};

use proto::id::InfoHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rule::Trouble;
use super::session::lock;

/// The info hashes that may be announced.
pub(super) enum Torrents {
    /// Any: drawn at random, so that no real swarm is disturbed.
    Random,
    /// Those that a tracker with a list allows; each is one rule's at a time.
    Given { free: Mutex<Vec<InfoHash>>, permits: Arc<Semaphore>, count: usize },
}

/// Given torrents in the hands of a rule.
pub(super) struct Lent {
    hashes: Vec<InfoHash>,
    permit: OwnedSemaphorePermit,
}

impl Torrents {
    pub(super) fn new(given: &[InfoHash]) -> Self {
        if given.is_empty() {
            return Self::Random;
        }
        let permits = Arc::new(Semaphore::new(given.len()));
        Self::Given { free: Mutex::new(given.to_vec()), permits, count: given.len() }
    }

    /// `N` torrents; what was lent is to be given back. `fill` draws random bytes.
    pub(super) async fn lend<const N: usize>(
        &self,
        fill: impl Fn(&mut [u8]) + Sync,
    ) -> Result<([InfoHash; N], Option<Lent>), Trouble> {
        let mut hashes = [InfoHash::default(); N];
        match self {
            Self::Random => {
                for hash in &mut hashes {
                    fill(&mut hash.0);
                }
                Ok((hashes, None))
            }
            Self::Given { count, .. } if *count < N => {
                Err(Trouble::Skipped(format!("needs {N} torrents: give --info-hash {N} times")))
            }
            Self::Given { free, permits, .. } => {
                let permit = Arc::clone(permits).acquire_many_owned(N as u32).await;
                let permit = permit.map_err(|_| Trouble::Skipped("no torrent is left".to_owned()))?;
                for hash in &mut hashes {
                    *hash = lock(free).pop().unwrap_or_default();
                }
                Ok((hashes, Some(Lent { hashes: hashes.to_vec(), permit })))
            }
        }
    }

    /// The other rules may have them.
    pub(super) fn give_back(&self, lent: impl IntoIterator<Item = Lent>) {
        if let Self::Given { free, .. } = self {
            for Lent { hashes, permit } in lent {
                lock(free).extend(hashes);
                drop(permit);
            }
        }
    }
}
