//! Any store in a thread of its own, so that no announce ever waits for a disk.
//!
//! What is flushed while the thread is busy is merged: values are absolute, so only the last of each
//! counts, and what waits is bounded by the number of torrents.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use proto::id::InfoHash;
use proto::registry::Secret;

use super::store::{Batch, Store, StoreError, Stored};

/// How long [`Store::close`] waits for the last write.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// The pause before a failed write is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Rows of one transaction: a few milliseconds of work, so that a close never waits long.
const MAX_ROWS: usize = 10_000;

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
    pending: BTreeMap<InfoHash, u32>,
    is_sync_due: bool,
    is_closing: bool,
    is_finished: bool,
    failure: Option<StoreError>,
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

    fn keep_secret(&mut self, secret: Secret) -> Result<(), StoreError> {
        self.store()?.keep_secret(secret)
    }

    fn flush(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.tell(|state| state.pending.extend(batch.completed.iter().copied()))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.tell(|state| state.is_sync_due = true)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        // A failure of before may be over; what counts is the last write.
        let _ = self.tell(|state| state.is_closing = true);
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, CLOSE_WAIT, |state| !state.is_finished);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.is_finished {
            return Err(StoreError::TooSlow);
        }
        state.failure.take().map_or(Ok(()), Err)
    }
}

impl<S> Drop for Background<S> {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do.
    fn wait(&self) -> MutexGuard<'_, State> {
        let is_idle = |state: &mut State| state.pending.is_empty() && !state.is_sync_due && !state.is_closing;
        self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's work. Ends once the store is closed, whether or not the last write worked.
fn write_until_closed(shared: &Shared, store: &mut impl Store) {
    loop {
        let (batch, is_sync_due, is_last) = {
            let mut state = shared.wait();
            let rest = state.pending.iter().nth(MAX_ROWS).map(|(info_hash, _)| *info_hash);
            let rest = rest.map(|first| state.pending.split_off(&first)).unwrap_or_default();
            let rows = mem::replace(&mut state.pending, rest);
            let is_last = state.is_closing && state.pending.is_empty();
            let batch = Batch { completed: rows.into_iter().collect() };
            (batch, mem::take(&mut state.is_sync_due) || is_last, is_last)
        };
        let written = if batch.completed.is_empty() { Ok(()) } else { store.flush(&batch) };
        let done = written.and_then(|()| if is_sync_due { store.sync() } else { Ok(()) });
        let mut state = shared.lock();
        if let Err(error) = done {
            state.failure = Some(error);
            state.is_sync_due = is_sync_due;
            for (info_hash, count) in batch.completed {
                // A newer value may have come meanwhile.
                state.pending.entry(info_hash).or_insert(count);
            }
            if state.is_closing {
                break;
            }
            let pause = |state: &mut State| !state.is_closing;
            drop(shared.changed.wait_timeout_while(state, RETRY_PAUSE, pause));
        } else if is_last {
            break;
        }
    }
    let mut state = shared.lock();
    state.is_finished = true;
    shared.changed.notify_all();
}
