//! What a hostile peer did, by its own account: what the oracles hold against the words of its victims.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::clock::Clock;
use proto::time::Instant;

use crate::record::PeerRecord;
use crate::world::SimClock;

/// Wrong blocks that are remembered: a poisoner that serves on for ever proves nothing new.
const MAX_POISONED: usize = 1 << 16;

/// A wrong block that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poisoned {
    /// When, in true time.
    pub at: Duration,
    /// To whom.
    pub victim: IpAddr,
    /// Of which piece.
    pub piece: u32,
}

/// The account so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Bytes of blocks sent, right or wrong.
    pub uploaded: u64,
    /// Bytes of blocks received.
    pub downloaded: u64,
    /// Bytes of the content that it holds now.
    pub loot: u64,
    /// Wrong blocks, in the order in which they were sent.
    pub poisoned: Vec<Poisoned>,
}

impl Account {
    /// Adds it to what the runner knows; nothing of whoever keeps the rules.
    pub(crate) fn confess(self, seen: &mut PeerRecord) {
        seen.uploaded += self.uploaded;
        seen.downloaded += self.downloaded;
        seen.loot = self.loot;
        seen.poisoned = self.poisoned;
    }
}

/// An account that the script writes and the runner reads. It outlives the host's crashes.
#[derive(Clone, Debug)]
pub struct Deeds {
    account: Arc<Mutex<Account>>,
    /// True time.
    clock: SimClock,
}

impl Deeds {
    pub(crate) fn new(clock: SimClock) -> Self {
        Self { account: Arc::default(), clock }
    }

    /// What it has done until now.
    pub(crate) fn account(&self) -> Account {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn write(&self, entry: impl FnOnce(&mut Account)) {
        entry(&mut self.account.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A wrong block of `piece` goes out to `victim`.
    pub(super) fn poisons(&self, victim: IpAddr, piece: u32) {
        let at = self.clock.now().since(Instant::ZERO);
        self.write(|account| {
            if account.poisoned.len() < MAX_POISONED {
                account.poisoned.push(Poisoned { at, victim: victim.to_canonical(), piece });
            }
        });
    }
}
