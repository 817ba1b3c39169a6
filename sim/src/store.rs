//! The tracker's disk in the simulator: what it keeps through crashes, power cuts and worse.
//!
//! A *crash* of the tracker loses what it had not flushed; what was flushed lies in the kernel's cache and
//! stays. A *power cut* takes that, too: only what was there at the last sync is found again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::tracker::{Batch, Control, Store, StoreError, Stored};
use proto::id::InfoHash;
use proto::registry::{Secrets, SwarmPage};

/// A disk that outlives the tracker; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimStore(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    flushed: Content,
    synced: Content,
    is_full: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    secrets: Option<Secrets>,
    completed: BTreeMap<InfoHash, u32>,
    pages: BTreeMap<u16, Vec<u8>>,
}

impl SimStore {
    /// Forgets what was not synced. For when nobody uses it: a tracker that runs would not notice.
    pub fn cut_power(&self) {
        let mut disk = self.lock();
        disk.flushed = disk.synced.clone();
    }

    /// Forgets everything, the secret included.
    pub fn lose(&self) {
        let mut disk = self.lock();
        (disk.flushed, disk.synced) = Default::default();
    }

    /// From now on there is no room for anything, or there is again.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // No panic leaves a disk half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, write: impl FnOnce(&mut Disk)) -> Result<(), StoreError> {
        let mut disk = self.lock();
        if disk.is_full {
            return Err(StoreError::Full);
        }
        write(&mut disk);
        Ok(())
    }
}

impl Store for SimStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        let Content { secrets, completed, pages } = self.lock().flushed.clone();
        let pages = pages.into_iter().map(|(number, bytes)| SwarmPage { number, bytes }).collect();
        let control = Control { secrets, ..Control::default() };
        Ok(Stored { control, completed: completed.into_iter().collect(), pages })
    }

    fn keep_secrets(&mut self, secrets: &Secrets) -> Result<(), StoreError> {
        self.write(|disk| {
            disk.flushed.secrets = Some(*secrets);
            disk.synced.secrets = Some(*secrets);
        })
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.write(|disk| {
            let Content { completed, pages, .. } = &mut disk.flushed;
            completed.extend(batch.completed.iter().copied());
            completed.retain(|_, count| *count > 0);
            pages.extend(batch.pages.iter().map(|page| (page.number, page.bytes.clone())));
            pages.retain(|_, bytes| !bytes.is_empty());
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.write(|disk| disk.synced = disk.flushed.clone())
    }
}

#[cfg(test)]
mod tests {
    use proto::registry::Secret;

    use super::*;

    fn kept(store: &SimStore) -> Vec<u32> {
        let stored = store.clone().load().expect("it loads");
        stored.completed.into_iter().map(|(_, count)| count).collect()
    }

    fn flush(store: &mut SimStore, count: u32) -> Result<(), StoreError> {
        store.flush(&Batch { completed: vec![(InfoHash([1; 20]), count)], pages: Vec::new() })
    }

    #[test]
    fn a_power_cut_undoes_what_was_not_synced() {
        let mut store = SimStore::default();
        store.keep_secrets(&Secret([7; 16]).into()).expect("kept");
        flush(&mut store, 1).and_then(|()| store.sync()).expect("kept");
        flush(&mut store, 2).expect("flushed");
        assert_eq!(kept(&store), [2], "a crash leaves the kernel's cache alone");
        store.cut_power();
        assert_eq!(kept(&store), [1]);
        store.lose();
        assert_eq!(store.load(), Ok(Stored::default()));
    }

    #[test]
    fn a_full_disk_says_so_and_keeps_what_it_has() {
        let mut store = SimStore::default();
        flush(&mut store, 1).expect("flushed");
        store.set_full(true);
        assert_eq!(flush(&mut store, 2), Err(StoreError::Full));
        assert_eq!(store.sync(), Err(StoreError::Full));
        store.set_full(false);
        assert_eq!((kept(&store), flush(&mut store, 2)), (vec![1], Ok(())));
    }
}
