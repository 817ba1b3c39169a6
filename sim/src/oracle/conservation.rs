//! Conservation: nothing is received that was not sent, nobody counts what was not, and no link carries more than its
//! rate allows.

use super::{Oracle, Violation};
use crate::record::Record;

/// Bytes of the largest IP packet: one may have begun when time was up.
const LARGEST_PACKET: f64 = 65_535.0;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let messages =
        packets(record).into_iter().chain(blocks(record)).chain(counters(record)).chain(links(record));
    messages.map(|message| Violation { oracle: Oracle::Conservation, message }).collect()
}

/// Of the packets sent, each was delivered, was dropped or is under way.
fn packets(record: &Record) -> Option<String> {
    let packets = record.packets;
    let ended = packets.delivered + packets.dropped;
    (ended > packets.sent)
        .then(|| format!("{ended} packets were delivered or dropped, and only {} were sent", packets.sent))
}

/// Every block that somebody got had been sent to it, by the ledger.
fn blocks(record: &Record) -> impl Iterator<Item = String> {
    record.provenance.strays.iter().cloned()
}

/// What engines count is what crossed their sockets. Who crashes is asked for its sums at the last moment; one that
/// could not answer, because it stood still, leaves nothing to be said.
fn counters(record: &Record) -> impl Iterator<Item = String> {
    let peers = record.plan.peers.iter().zip(&record.peers);
    let counted = peers.filter(|(plan, peer)| plan.role.is_honest() && !peer.uncounted);
    counted.flat_map(|(plan, peer)| {
        let name = &plan.name;
        let heard = peer.statement.total().heard;
        let more = (peer.downloaded > heard)
            .then(|| format!("{name} counts {} bytes of payload received, and got {heard}", peer.downloaded));
        // The ledger goes on when the engines have been asked.
        let (said, most) = (peer.statement.least(record.end).said, peer.statement.total().sent_at_most());
        let wrong = (!(said..=most).contains(&peer.uploaded)).then(|| {
            let owed = most - peer.statement.total().said;
            format!("{name} counts {} bytes of payload sent, and sent {said} and owed {owed}", peer.uploaded)
        });
        more.into_iter().chain(wrong)
    })
}

/// A link carries at most its rate times the time, and what waits in its queue.
fn links(record: &Record) -> impl Iterator<Item = String> {
    let seconds = record.end.as_secs_f64();
    let peers = record.plan.peers.iter().zip(&record.peers);
    peers.flat_map(move |(plan, peer)| {
        let link = record.plan.link_of(plan);
        let lines = [("uplink", peer.up_bytes, link.up), ("downlink", peer.down_bytes, link.down)];
        lines.into_iter().filter_map(move |(which, bytes, rate)| {
            let most = rate as f64 * seconds + link.queue as f64 + LARGEST_PACKET;
            let name = &plan.name;
            (bytes as f64 > most).then(|| {
                format!(
                    "{name}'s {which} carried {bytes} bytes in {seconds:.1} s, and {most:.0} are possible"
                )
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::good;

    fn complaint(spoil: impl FnOnce(&mut Record)) -> String {
        let mut record = good();
        assert_eq!(check(&record), []);
        spoil(&mut record);
        check(&record).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn packets_do_not_come_from_nowhere() {
        let complaint = complaint(|record| record.packets.dropped += 1);
        assert_eq!(
            complaint,
            "conservation: 4322 packets were delivered or dropped, and only 4321 were sent"
        );
    }

    #[test]
    fn blocks_do_not_come_from_nowhere() {
        let stray = "at 1.0 s leecher-1 got a block from nobody".to_owned();
        assert_eq!(
            complaint(|record| record.provenance.strays = vec![stray.clone()]),
            format!("conservation: {stray}")
        );
    }

    #[test]
    fn nobody_counts_what_was_not() {
        let want = "conservation: leecher-1 counts 2097153 bytes of payload received, and got 2097152";
        assert_eq!(complaint(|record| record.peers[1].downloaded += 1), want);
        let want = "conservation: seeder counts 3145727 bytes of payload sent, and sent 3145728 and owed 0";
        let forgets = |record: &mut Record| record.peers[0].uploaded -= 1;
        assert_eq!(complaint(forgets), want);
        let want = "conservation: seeder counts 3145729 bytes of payload sent, and sent 3145728 and owed 0";
        assert_eq!(complaint(|record| record.peers[0].uploaded += 1), want);
        let mut record = good();
        forgets(&mut record);
        record.peers[0].uncounted = true;
        assert_eq!(check(&record), [], "nobody knows what it counts");
    }

    #[test]
    fn a_link_that_is_faster_than_it_is_gets_caught() {
        let complaint = complaint(|record| record.peers[1].up_bytes = 2_000_000);
        let want =
            "conservation: leecher-1's uplink carried 2000000 bytes in 13.0 s, and 1890535 are possible";
        assert_eq!(complaint, want);
    }
}
