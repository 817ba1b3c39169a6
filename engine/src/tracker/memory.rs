//! A store in memory: for tests, the simulator and trackers that need not remember.
//!
//! Clones share their content, so that a test keeps what a tracker wrote and hands it to the next one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::id::InfoHash;
use proto::registry::Secret;

use super::store::{Batch, Store, StoreError, Stored};

/// What outlives a tracker, as long as a clone of it lives.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    secret: Option<Secret>,
    completed: BTreeMap<InfoHash, u32>,
    flushes: usize,
    failure: Option<StoreError>,
}

impl MemoryStore {
    /// Completed downloads of a torrent, as flushed.
    pub fn completed(&self, info_hash: InfoHash) -> Option<u32> {
        self.with(|content| content.completed.get(&info_hash).copied())
    }

    /// Flushes so far that had something to keep.
    pub fn flushes(&self) -> usize {
        self.with(|content| content.flushes)
    }

    /// Every flush fails like this from now on, or works again.
    pub fn fail_with(&self, failure: Option<StoreError>) {
        self.with(|content| content.failure = failure);
    }

    fn with<R>(&self, work: impl FnOnce(&mut Content) -> R) -> R {
        // No caller's panic leaves the content half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.with(|content| {
            let completed = content.completed.iter().map(|(hash, count)| (*hash, *count)).collect();
            Ok(Stored { secret: content.secret, completed })
        })
    }

    fn keep_secret(&mut self, secret: Secret) -> Result<(), StoreError> {
        self.with(|content| content.secret = Some(secret));
        Ok(())
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.with(|content| {
            if let Some(failure) = &content.failure {
                return Err(failure.clone());
            }
            content.flushes += 1;
            content.completed.extend(batch.completed.iter().copied());
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
