//! Who was really there, as the runner knows it: the truth that the tracker's words are measured against.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use proto::tracker::AnnounceHead;

use super::census::Census;
use super::figures::Figures;
use super::swarm::Asked;
use crate::record::{PeerRecord, Record};
use crate::scenario::{PeerPlan, Role};

/// The runner's ledger.
#[derive(Debug)]
pub(super) struct Truth<'a> {
    record: &'a Record,
    by_addr: BTreeMap<SocketAddr, usize>,
    census: Census,
}

impl<'a> Truth<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let peers = record.peers.iter().enumerate();
        let by_addr = peers.flat_map(|(index, peer)| peer.addrs.iter().map(move |addr| (*addr, index)));
        Self { record, by_addr: by_addr.collect(), census: Census::of(record) }
    }

    fn peer(&self, addr: SocketAddr) -> Option<(&PeerPlan, &PeerRecord)> {
        let index = *self.by_addr.get(&addr)?;
        self.record.plan.peers.get(index).zip(self.record.peers.get(index))
    }

    /// Is `addr` there, and does whoever asked lack something that it may have, or the other way round?
    pub(super) fn is_useful(&self, at: Duration, asked: &Asked, addr: SocketAddr) -> bool {
        self.peer(addr).is_some_and(|(plan, peer)| {
            let is_there = peer.lives.iter().any(|life| life.covers(at));
            let is_complete = peer.completed.is_some_and(|completed| completed <= at);
            is_there && plan.role.is_honest() && !(asked.is_complete && is_complete)
        })
    }

    /// Compares the counts that a peer of the torrent was told with who was there.
    pub(super) fn compare(&self, at: Duration, asked: &Asked, head: &AnnounceHead, figures: &mut Figures) {
        if self.peer(asked.addr).is_none_or(|(plan, _)| !plan.role.is_honest()) {
            return;
        }
        let [seeders, leechers] = self.census.at(at);
        let wrong = distance(head.seeders, &seeders) + distance(head.leechers, &leechers);
        let told = u64::from(head.seeders) + u64::from(head.leechers);
        figures.told += told.max(u64::from(*seeders.start()) + u64::from(*leechers.start()));
        figures.wrong += wrong;
    }

    /// Downloads that ended: by the ledger, or by the word of the client itself to the tracker, which has nothing
    /// else to count by. What a power cut undid had ended all the same, and ends once more.
    pub(super) fn completions(&self, told: &BTreeSet<SocketAddr>) -> usize {
        let ended = |peer: &PeerRecord| {
            let once = peer.completed.is_some() || peer.addrs.iter().any(|addr| told.contains(addr));
            usize::from(once) + peer.undone as usize
        };
        let is_leecher =
            |addr: &SocketAddr| self.peer(*addr).is_some_and(|(plan, _)| plan.role == Role::Leecher);
        let others = told.iter().filter(|addr| !is_leecher(addr)).count();
        self.record.leechers().map(|(_, peer)| ended(peer)).sum::<usize>() + others
    }
}

fn distance(told: u32, truth: &RangeInclusive<u32>) -> u64 {
    u64::from(truth.start().saturating_sub(told)) + u64::from(told.saturating_sub(*truth.end()))
}
