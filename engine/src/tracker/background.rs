//! Any store in a thread of its own, so that no announce ever waits for a disk.
//!
//! What is flushed while the thread is busy is merged: values are absolute, so only the last of each
//! counts, and what waits is bounded by the number of torrents and the size of their swarms.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use proto::id::InfoHash;
use proto::registry::{Secrets, SwarmPage};

use super::store::{Batch, Control, Store, StoreError, Stored};

/// How long [`Store::close`] waits for the last writes. A disk takes a fraction of a second for a million
/// peers; one that takes longer than this does not come back.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The pause before a failed write is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Rows of one transaction: a few milliseconds of work, so that others have their turn.
const MAX_ROWS: usize = 10_000;

/// Bytes of swarms in one transaction, for the same reason.
const MAX_BYTES: usize = 8 << 20;

/// Hands everything to a thread that owns `S`.
///
/// A failed write is told by the *next* call and tried again until it works or the store is closed.
#[derive(Debug)]
pub struct Background<S> {
    shared: Arc<Shared>,
    /// Until the thread has it.
    store: Option<S>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    completed: BTreeMap<InfoHash, u32>,
    pages: BTreeMap<u16, Vec<u8>>,
    is_sync_due: bool,
    is_poll_due: bool,
    control: Option<Control>,
    phase: Phase,
    failure: Option<StoreError>,
}

/// How far the thread's life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Open,
    /// It writes what is left.
    Closing,
    /// It writes no more.
    Finished,
}

impl<S: Store> Background<S> {
    /// Wraps `store`; the thread starts with the first flush or sync.
    pub fn new(store: S) -> Self {
        Self { shared: Arc::default(), store: Some(store) }
    }

    fn store(&mut self) -> Result<&mut S, StoreError> {
        let too_late = || StoreError::Failed("the store is in use already".to_owned());
        self.store.as_mut().ok_or_else(too_late)
    }

    /// Changes the state, wakes the thread and reports an earlier failure.
    fn tell(&mut self, change: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        if let Some(mut store) = self.store.take() {
            let shared = Arc::clone(&self.shared);
            let work = move || write_until_closed(&shared, &mut store);
            let spawned = thread::Builder::new().name("tracker-store".to_owned()).spawn(work);
            spawned.map_err(|error| StoreError::Failed(error.to_string()))?;
        }
        let mut state = self.shared.lock();
        change(&mut state);
        self.shared.changed.notify_all();
        state.failure.take().map_or(Ok(()), Err)
    }
}

impl<S: Store> Store for Background<S> {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.store()?.load()
    }

    fn keep_secrets(&mut self, secrets: &Secrets) -> Result<(), StoreError> {
        self.store()?.keep_secrets(secrets)
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.tell(|state| {
            state.completed.extend(batch.completed.iter().copied());
            state.pages.extend(batch.pages.iter().map(|page| (page.number, page.bytes.clone())));
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.tell(|state| state.is_sync_due = true)
    }

    /// What the last call made the thread look for.
    fn poll_control(&mut self) -> Result<Option<Control>, StoreError> {
        self.tell(|state| state.is_poll_due = true)?;
        Ok(self.shared.lock().control.take())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        // A failure of before may be over; what counts is the last write.
        let _ = self.tell(|state| state.phase = Phase::Closing);
        let state = self.shared.lock();
        let waited =
            self.shared.changed.wait_timeout_while(state, CLOSE_WAIT, |state| state.phase < Phase::Finished);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.phase < Phase::Finished {
            return Err(StoreError::TooSlow);
        }
        state.failure.take().map_or(Ok(()), Err)
    }
}

impl<S> Drop for Background<S> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.phase = state.phase.max(Phase::Closing);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do and takes a transaction's worth of it.
    fn next(&self) -> Work {
        let is_idle = |state: &mut State| state.is_empty() && state.phase == Phase::Open;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the thread does next.
struct Work {
    batch: Batch,
    is_sync_due: bool,
    is_poll_due: bool,
    is_last: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.completed.is_empty() && self.pages.is_empty() && !self.is_sync_due && !self.is_poll_due
    }

    fn take(&mut self) -> Work {
        // Counts go first: they cannot be had again, and are few.
        let rest = self.completed.keys().nth(MAX_ROWS).copied();
        let rest = rest.map(|first| self.completed.split_off(&first)).unwrap_or_default();
        let completed: Vec<_> = mem::replace(&mut self.completed, rest).into_iter().collect();
        let (mut pages, mut bytes) = (Vec::new(), 0);
        while bytes < MAX_BYTES && completed.len() + pages.len() < MAX_ROWS {
            let Some((number, page)) = self.pages.pop_first() else { break };
            bytes += page.len();
            pages.push(SwarmPage { number, bytes: page });
        }
        let is_last = self.phase == Phase::Closing && self.completed.is_empty() && self.pages.is_empty();
        Work {
            batch: Batch { completed, pages },
            is_sync_due: mem::take(&mut self.is_sync_due) || is_last,
            is_poll_due: mem::take(&mut self.is_poll_due) && !is_last,
            is_last,
        }
    }

    /// Takes back what could not be written, unless something newer has come meanwhile.
    fn take_back(&mut self, batch: Batch) {
        for (info_hash, count) in batch.completed {
            self.completed.entry(info_hash).or_insert(count);
        }
        for page in batch.pages {
            self.pages.entry(page.number).or_insert(page.bytes);
        }
    }
}

impl Work {
    fn do_with(&self, store: &mut impl Store) -> Result<Option<Control>, StoreError> {
        if !self.batch.is_empty() {
            store.flush(&self.batch)?;
        }
        if self.is_sync_due {
            store.sync()?;
        }
        if self.is_poll_due { store.poll_control() } else { Ok(None) }
    }
}

/// The thread's work. Ends once the store is closed, whether or not the last write worked.
fn write_until_closed(shared: &Shared, store: &mut impl Store) {
    loop {
        let work = shared.next();
        let done = work.do_with(store);
        let mut state = shared.lock();
        match done {
            Ok(control) => {
                state.control = control.or(state.control.take());
                if work.is_last {
                    break;
                }
            }
            Err(error) => {
                state.failure = Some(error);
                state.is_sync_due |= work.is_sync_due;
                state.take_back(work.batch);
                if state.phase == Phase::Closing {
                    break;
                }
                let pause = |state: &mut State| state.phase == Phase::Open;
                drop(shared.changed.wait_timeout_while(state, RETRY_PAUSE, pause));
            }
        }
    }
    let mut state = shared.lock();
    state.phase = Phase::Finished;
    shared.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::MemoryStore;

    fn batch(rows: impl IntoIterator<Item = (u8, u32)>, pages: &[(u16, &[u8])]) -> Batch {
        let page = |(number, bytes): &(u16, &[u8])| SwarmPage { number: *number, bytes: bytes.to_vec() };
        Batch {
            completed: rows.into_iter().map(|(byte, count)| (InfoHash([byte; 20]), count)).collect(),
            pages: pages.iter().map(page).collect(),
        }
    }

    #[test]
    fn the_background_thread_keeps_everything_by_the_time_it_is_closed() {
        let kept = MemoryStore::default();
        let mut store = Background::new(kept.clone());
        assert_eq!(store.load(), Ok(Stored::default()));
        for round in 1..=50 {
            store.flush(&batch((0..40).map(|n| (n, round)), &[(round as u16, &[7; 100])])).expect("taken");
        }
        store.close().expect("closed");
        assert!((0..40).all(|n| kept.completed(InfoHash([n; 20])) == Some(50)));
        assert!(kept.flushes() <= 50);
    }

    #[test]
    fn the_background_thread_tells_a_failure_and_tries_again() {
        let kept = MemoryStore::default();
        kept.fail_with(Some(StoreError::Full));
        let mut store = Background::new(kept.clone());
        store.flush(&batch([(1, 1)], &[(5, b"old")])).expect("taken");
        let told = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            store.flush(&batch([(2, 2)], &[(5, b"new")])).err()
        });
        assert_eq!(told, Some(StoreError::Full));
        assert_eq!(kept.completed(InfoHash([1; 20])), None);
        kept.fail_with(None);
        store.close().expect("closed");
        assert_eq!(kept.completed(InfoHash([1; 20])), Some(1));
        assert_eq!(kept.completed(InfoHash([2; 20])), Some(2));
    }
}
