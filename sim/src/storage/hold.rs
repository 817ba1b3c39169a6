//! Holding a disk still for one instant: a piece has turned out to be right, and its engine does not know yet.
//!
//! Between the hash of a piece and the first word of it (its `have`) an engine does not wait, so nothing from outside
//! could happen in between. A disk that is held answers only once whoever holds it has looked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::piece::PieceIndex;
use tokio::sync::Notify;

/// Holds a disk, or does not.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_armed: bool,
    caught: Option<PieceIndex>,
    /// How often it was released.
    releases: u64,
}

impl Hold {
    /// From now on the next piece that is right is caught; or none is.
    pub(crate) fn arm(&self, is_armed: bool) {
        self.state().is_armed = is_armed;
        if !is_armed {
            self.release();
        }
    }

    /// The piece whose hash is right and whose engine does not know it yet.
    pub(crate) fn caught(&self) -> Option<PieceIndex> {
        self.state().caught
    }

    /// What is caught goes on.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        if state.caught.take().is_some() {
            state.releases += 1;
            self.released.notify_waiters();
        }
    }

    /// The hash of `piece` is right; ends at once unless it is caught.
    pub(super) async fn pass(&self, piece: PieceIndex) {
        let before = {
            let mut state = self.state();
            if !state.is_armed {
                return;
            }
            state.caught.get_or_insert(piece);
            state.releases
        };
        loop {
            let released = self.released.notified();
            if self.state().releases != before {
                return;
            }
            released.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
