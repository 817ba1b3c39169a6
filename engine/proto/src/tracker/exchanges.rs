//! Whose answer a datagram is, where many torrents ask their trackers over one socket (BEP 15).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::TransactionId;
use crate::rate::TorrentKey;

/// Questions to one tracker that an answer may be for: one over each family, and those they followed.
const MAX_OPEN: usize = 4;

/// Bytes before the transaction id: in a request the connection id and the action, in a reply the action.
const BEFORE_ASKING: usize = 12;
const BEFORE_ANSWERING: usize = 4;

/// The questions under way.
#[derive(Debug, Default)]
pub struct Exchanges {
    asked: BTreeSet<(TransactionId, TorrentKey)>,
    latest: BTreeMap<TorrentKey, VecDeque<TransactionId>>,
}

impl Exchanges {
    /// A torrent that asks so many trackers at a time sends this request.
    pub fn ask(&mut self, torrent: TorrentKey, trackers: usize, request: &[u8]) {
        let Some(transaction) = transaction(request, BEFORE_ASKING) else { return };
        let latest = self.latest.entry(torrent).or_default();
        if !self.asked.insert((transaction, torrent)) {
            return;
        }
        latest.push_back(transaction);
        if latest.len() > MAX_OPEN * trackers
            && let Some(oldest) = latest.pop_front()
        {
            self.asked.remove(&(oldest, torrent));
        }
    }

    /// The torrents for which a reply may be: one, save that two drew the same number, and none for a stranger's.
    //= BEP 15: "Check whether the transaction ID is equal to the one you chose."
    pub fn askers(&self, reply: &[u8]) -> impl Iterator<Item = TorrentKey> {
        let transaction = transaction(reply, BEFORE_ANSWERING);
        let span = transaction.map(|it| (it, TorrentKey(0))..=(it, TorrentKey(u32::MAX)));
        span.into_iter().flat_map(|span| self.asked.range(span)).map(|&(_, torrent)| torrent)
    }

    /// A torrent asks no more.
    pub fn forget(&mut self, torrent: TorrentKey) {
        for transaction in self.latest.remove(&torrent).into_iter().flatten() {
            self.asked.remove(&(transaction, torrent));
        }
    }
}

fn transaction(packet: &[u8], before: usize) -> Option<TransactionId> {
    let bytes = packet.get(before..)?.first_chunk()?;
    Some(TransactionId(u32::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::tracker::{ConnectionId, Reply, Request};

    fn ask(exchanges: &mut Exchanges, torrent: u32, transaction: u32) {
        let mut request = BytesMut::new();
        Request::Connect { transaction: TransactionId(transaction) }.encode(&mut request);
        exchanges.ask(TorrentKey(torrent), 1, &request);
    }

    fn askers(exchanges: &Exchanges, transaction: u32) -> Vec<u32> {
        let mut reply = BytesMut::new();
        let transaction = TransactionId(transaction);
        Reply::Connect { transaction, connection: ConnectionId(7) }.encode(&mut reply);
        exchanges.askers(&reply).map(|torrent| torrent.0).collect()
    }

    #[test]
    fn an_answer_goes_to_who_asked() {
        let mut exchanges = Exchanges::default();
        ask(&mut exchanges, 1, 10);
        ask(&mut exchanges, 2, 20);
        ask(&mut exchanges, 3, 20);
        assert_eq!([10, 20, 30].map(|id| askers(&exchanges, id)), [vec![1], vec![2, 3], vec![]]);
        exchanges.forget(TorrentKey(2));
        assert_eq!(askers(&exchanges, 20), [3]);
    }

    proptest! {
        #[test]
        fn only_the_latest_questions_are_remembered(ids in prop::collection::vec(0u32..50, 1..100)) {
            let mut exchanges = Exchanges::default();
            for &id in &ids {
                ask(&mut exchanges, 1, id);
            }
            prop_assert_eq!(askers(&exchanges, ids[ids.len() - 1]), [1]);
            prop_assert!(exchanges.asked.len() <= MAX_OPEN);
            prop_assert_eq!(exchanges.asked.len(), exchanges.latest[&TorrentKey(1)].len());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let mut exchanges = Exchanges::default();
            exchanges.ask(TorrentKey(1), 1, &bytes);
            prop_assert!(exchanges.askers(&bytes).count() <= 1);
        }
    }
}
