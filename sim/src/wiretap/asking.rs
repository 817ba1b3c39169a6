//! Announces under way at one host: what its sockets asked of trackers (BEP 15) and have no answer to yet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::tracker::{Family, Reply, Request, TransactionId};

/// The latest announce to each tracker that was not answered. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Asking(Arc<Mutex<BTreeMap<SocketAddr, TransactionId>>>);

impl Asking {
    /// Is one under way?
    pub fn is_asking(&self) -> bool {
        !self.asked().is_empty()
    }

    /// The host begins anew.
    pub(crate) fn forget(&self) {
        self.asked().clear();
    }

    /// A datagram left for `to`.
    pub(crate) fn said(&self, to: SocketAddr, payload: &[u8]) {
        if let Ok(Request::Announce(announce)) = Request::decode(payload) {
            self.asked().insert(to, announce.transaction);
        }
    }

    /// A datagram came from `from`.
    pub(crate) fn heard(&self, from: SocketAddr, payload: &[u8]) {
        let Ok(reply) = Reply::decode(payload, Family::of(from)) else { return };
        let mut asked = self.asked();
        if asked.get(&from) == Some(&reply.transaction()) {
            asked.remove(&from);
        }
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, TransactionId>> {
        // Nothing is left half done in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
