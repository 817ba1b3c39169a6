//! A host's gate: shut while the host is paused, as a machine is whose owner closes the lid.
//!
//! Whatever waits for the network or for time waits on. The kernel below goes on: it acknowledges what
//! arrives, until its buffers are full.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Open, unless the host is paused.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    /// Nothing gets through from now on.
    pub(super) fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
    }

    /// Lets everything through, and wakes whoever waited.
    pub(super) fn open(&self) {
        self.is_shut.store(false, Ordering::Relaxed);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Is it open?
    pub(super) fn poll_opened(&self, context: &Context<'_>) -> Poll<()> {
        if !self.is_shut.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that is asked again and again waits once.
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Ends when it is open.
    pub(super) async fn opened(&self) {
        std::future::poll_fn(|context| self.poll_opened(context)).await;
    }
}
