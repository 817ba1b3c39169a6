//! A store in memory: for tests, the simulator and trackers that need not remember.
//!
//! Clones share their content, so that a test keeps what a tracker wrote and hands it to the next one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::id::InfoHash;
use proto::registry::{Secrets, SwarmPage};

use super::store::{Batch, Control, Store, StoreError, Stored};

/// What outlives a tracker, as long as a clone of it lives.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    control: Control,
    is_control_changed: bool,
    completed: BTreeMap<InfoHash, u32>,
    pages: BTreeMap<u16, Vec<u8>>,
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

    /// Changes what the operator decides, as commands on a database do.
    pub fn change_control(&self, change: impl FnOnce(&mut Control)) {
        self.with(|content| {
            change(&mut content.control);
            content.is_control_changed = true;
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Content) -> R) -> R {
        // No caller's panic leaves the content half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.with(|content| {
            content.is_control_changed = false;
            let completed = content.completed.iter().map(|(hash, count)| (*hash, *count)).collect();
            let page =
                |(number, bytes): (&u16, &Vec<u8>)| SwarmPage { number: *number, bytes: bytes.clone() };
            let pages = content.pages.iter().map(page).collect();
            Ok(Stored { control: content.control.clone(), completed, pages })
        })
    }

    fn keep_secrets(&mut self, secrets: &Secrets) -> Result<(), StoreError> {
        self.with(|content| content.control.secrets = Some(*secrets));
        Ok(())
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.with(|content| {
            if let Some(failure) = &content.failure {
                return Err(failure.clone());
            }
            content.flushes += 1;
            content.completed.extend(batch.completed.iter().copied());
            content.completed.retain(|_, count| *count > 0);
            content.pages.extend(batch.pages.iter().map(|page| (page.number, page.bytes.clone())));
            content.pages.retain(|_, bytes| !bytes.is_empty());
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn poll_control(&mut self) -> Result<Option<Control>, StoreError> {
        self.with(|content| {
            let is_changed = std::mem::take(&mut content.is_control_changed);
            Ok(is_changed.then(|| content.control.clone()))
        })
    }
}
