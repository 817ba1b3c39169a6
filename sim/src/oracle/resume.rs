//! Resume: after a crash a peer claims what its disk holds and nothing else, and fetches none of that again.

use super::{Oracle, Violation};
use crate::record::{PeerRecord, Record};
use crate::scenario::PeerPlan;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let peers = record.plan.peers.iter().zip(&record.peers);
    let messages = peers.flat_map(|(plan, peer)| [lies(plan, peer), waste(plan, peer)]).flatten();
    messages.map(|message| Violation { oracle: Oracle::Resume, message }).collect()
}

fn lies(plan: &PeerPlan, peer: &PeerRecord) -> Option<String> {
    let (name, pieces) = (&plan.name, peer.false_claims);
    (pieces > 0).then(|| format!("{name} started with {pieces} pieces that its disk does not hold"))
}

fn waste(plan: &PeerPlan, peer: &PeerRecord) -> Option<String> {
    let (name, pieces) = (&plan.name, peer.needless);
    (pieces > 0).then(|| format!("{name} fetched {pieces} pieces again that were whole on its disk"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::good;

    #[test]
    fn false_claims_and_needless_pieces_are_caught() {
        let mut record = good();
        assert_eq!(check(&record), []);
        record.peers[1].false_claims = 2;
        record.peers[2].needless = 1;
        let said: Vec<_> = check(&record).iter().map(ToString::to_string).collect();
        let want = [
            "resume: leecher-1 started with 2 pieces that its disk does not hold",
            "resume: leecher-2 fetched 1 pieces again that were whole on its disk",
        ];
        assert_eq!(said, want);
    }
}
