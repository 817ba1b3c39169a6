//! What was seen in one run: plain data, from which the oracles judge and the report is written.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::tracker::ScrapeEntry;

use crate::bound::{Leecher, Swarm};
use crate::hostile::Poisoned;
use crate::network::Seen;
use crate::oracle::{Conduct, Provenance, Statement};
use crate::scenario::{Behaviour, FaultKind, PeerPlan, Plan, Role};

/// One run. Everything in it follows from the plan, so equal plans have equal records.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What was run.
    pub plan: Plan,
    /// Over every packet, drop, fault and completion.
    pub digest: String,
    /// The same after each second of simulated time: where two runs part is the first that differs.
    pub seconds: Vec<u32>,
    /// Simulated time at the end.
    pub end: Duration,
    /// One for each peer of the plan, in its order.
    pub peers: Vec<PeerRecord>,
    /// The tracker, seen from outside.
    pub tracker: TrackerRecord,
    /// How the peers behaved towards each other, by the rules.
    pub conduct: Conduct,
    /// Where the blocks came from that they got.
    pub provenance: Provenance,
    /// Packets of the whole network.
    pub packets: Packets,
    /// IP bytes that the hosts sent.
    pub wire_bytes: u64,
    /// The engine's and the tracker's settings, for the reader.
    pub settings: String,
    /// What the scenario asked for and the run had no occasion for.
    pub vacuous: Vec<String>,
    /// When the last honest leecher would have been complete without the hostile peers, if that was asked for.
    pub undisturbed: Option<Duration>,
}

/// What was seen of the tracker, at its door: nothing here is its own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackerRecord {
    /// The interval that it was told to ask for.
    pub interval: Duration,
    /// When it ran.
    pub lives: Vec<Presence>,
    /// How each life but the last ended.
    pub ends: Vec<FaultKind>,
    /// Every datagram at its door, in order.
    pub seen: Vec<Seen>,
    /// Datagrams that there was no room to remember.
    pub missed: u64,
    /// Datagrams that found its receive buffer full.
    pub refused: u64,
    /// What it said of the torrent in the end, if it was there to be asked.
    pub in_the_end: Option<ScrapeEntry>,
}

/// A time during which a host's program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its start.
    pub from: Duration,
    /// Its end, if it ended.
    pub until: Option<Duration>,
}

impl Presence {
    /// Was it there at this time?
    pub fn covers(&self, at: Duration) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Packets of the whole network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Packets {
    /// Handed to an uplink.
    pub sent: u64,
    /// Arrived.
    pub delivered: u64,
    /// Lost on the way.
    pub dropped: u64,
}

/// One peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerRecord {
    /// Where it can be reached.
    pub addrs: Vec<SocketAddr>,
    /// When its program ran; leaving in order ends a presence when it begins.
    pub lives: Vec<Presence>,
    /// When the engine said that every piece is in; at its start for a seeder.
    pub completed: Option<Duration>,
    /// When it left or crashed, and did not come back.
    pub gone: Option<Departed>,
    /// For each piece, when the peer first held it, hash checked.
    pub pieces: Vec<Option<Duration>>,
    /// Pieces that are byte-identical to the source in the end.
    pub identical: u32,
    /// IP bytes through its uplink.
    pub up_bytes: u64,
    /// IP bytes through its downlink.
    pub down_bytes: u64,
    /// Payload that it sent, in bytes.
    pub uploaded: u64,
    /// Payload that it received, in bytes.
    pub downloaded: u64,
    /// The same by what crossed its sockets, over time, whatever it counts itself.
    pub statement: Statement,
    /// Payload that it had no more use for, in bytes.
    pub duplicate: u64,
    /// How often a power cut took pieces from it when it was complete.
    pub undone: u32,
    /// Pieces that it fetched although they were whole on its disk.
    pub needless: u32,
    /// Pieces that it called its own at a start and that were not whole on its disk.
    pub false_claims: u32,
    /// A life of it ended before it could say what it had sent and received.
    pub uncounted: bool,
    /// The most addresses of others that it knew whenever it was asked: now and then, and in the end or as it left.
    pub known: Option<usize>,
    /// The engine's complaint, if it ended with one.
    pub failure: Option<String>,
    /// Pieces that failed their hash check, and when.
    pub failed: Vec<(Duration, u32)>,
    /// Whom the engine refuses from some time on, and why.
    pub bans: Vec<Ban>,
    /// Wrong blocks that a hostile peer sent, by its own account.
    pub poisoned: Vec<Poisoned>,
    /// Bytes of the content that a hostile peer holds, by its own account.
    pub loot: u64,
}

/// Somebody is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Since when.
    pub at: Duration,
    /// Who.
    pub who: IpAddr,
    /// Why, in the engine's words.
    pub reason: String,
}

/// How a peer went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// When.
    pub at: Duration,
    /// Why, as the end of "peer-4 …".
    pub how: String,
}

impl Record {
    /// The leechers: what was planned and what was seen.
    pub fn leechers(&self) -> impl Iterator<Item = (&PeerPlan, &PeerRecord)> {
        let peers = self.plan.peers.iter().zip(&self.peers);
        peers.filter(|(plan, _)| plan.role == Role::Leecher)
    }

    /// The hostile peers: how they behave, what was planned and what was seen.
    pub fn hostile(&self) -> impl Iterator<Item = (Behaviour, &PeerPlan, &PeerRecord)> {
        let peers = self.plan.peers.iter().zip(&self.peers);
        peers.filter_map(|(plan, peer)| Some((plan.role.behaviour()?, plan, peer)))
    }

    /// Leechers that went for good before they were complete.
    pub fn left_early(&self) -> usize {
        self.leechers().filter(|(_, peer)| peer.completed.is_none() && peer.gone.is_some()).count()
    }

    /// Completion times of the leechers, in order.
    pub fn completions(&self) -> Vec<Duration> {
        let mut times: Vec<_> = self.leechers().filter_map(|(_, peer)| peer.completed).collect();
        times.sort_unstable();
        times
    }

    /// The same of those who want everything: what the bounds are about.
    pub fn whole_completions(&self) -> Vec<Duration> {
        let whole = self.leechers().filter(|(plan, _)| plan.select.is_none());
        let mut times: Vec<_> = whole.filter_map(|(_, peer)| peer.completed).collect();
        times.sort_unstable();
        times
    }

    /// The swarm as the bounds see it.
    pub fn swarm(&self) -> Swarm {
        let torrent = self.plan.torrent;
        // Whoever serves right bytes adds to the supply, whatever else it does.
        let serves = |role: Role| role == Role::Seeder || role.behaviour().is_some_and(Behaviour::serves);
        let seeders = || self.plan.peers.iter().filter(|peer| serves(peer.role));
        let up = |seeder: &PeerPlan| self.plan.link_of(seeder).up as f64;
        let leecher = |(plan, seen): (&PeerPlan, &PeerRecord)| {
            let link = self.plan.link_of(plan);
            Leecher {
                up: link.up as f64,
                down: link.down as f64,
                arrival: plan.arrival.as_secs_f64(),
                departure: seen.gone.as_ref().map_or(f64::INFINITY, |gone| gone.at.as_secs_f64()),
                // Who wants less than everything may be done before any bound for the whole.
                finishes: seen.completed.is_some() && plan.select.is_none(),
                open: self.plan.is_open(plan),
            }
        };
        let last_piece = torrent.size % u64::from(torrent.piece_length);
        let shortest = if last_piece == 0 { u64::from(torrent.piece_length) } else { last_piece };
        Swarm {
            content: torrent.size as f64,
            piece: shortest as f64,
            seed_up: seeders().map(up).sum(),
            open_seed_up: seeders().filter(|seeder| self.plan.is_open(seeder)).map(up).sum(),
            leechers: self.leechers().map(leecher).collect(),
        }
    }

    /// Pieces of the torrent.
    pub fn piece_count(&self) -> u32 {
        // A plan's torrent has passed `Geometry::new`, so this is within its limit.
        self.plan.torrent.size.div_ceil(u64::from(self.plan.torrent.piece_length)) as u32
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::oracle::Account;
    use crate::scenario::Scenario;

    const TEXT: &str = "# Two fetch from one.
version = 1
[torrent]
size = \"2 MiB\"
piece_length = \"1 MiB\"
[[peers]]
role = \"seeder\"
link = \"cable\"
[[peers]]
role = \"leecher\"
count = 2
link = \"adsl\"
[expect]
efficiency = \">= 0.1\"
time = \"<= 60 s\"
duplicates = \"<= 5 %\"
overhead = \"<= 20 %\"
";

    /// All of it at one time.
    fn statement(millis: u64, said: u64, heard: u64) -> Statement {
        let mut statement = Statement::default();
        statement.book(Duration::from_millis(millis), |account| *account = Account { said, heard, owed: 0 });
        statement
    }

    /// A run in which both leechers complete, at 10 and 12.5 s, and nothing is wrong.
    pub(crate) fn good() -> Record {
        let plan = Scenario::parse("pair.toml", TEXT, &[]).expect("valid").expand(1);
        let full = |at: u64| PeerRecord {
            statement: statement(at, 524_288, 2_097_152),
            completed: Some(Duration::from_millis(at)),
            pieces: vec![Some(Duration::from_millis(at)); 2],
            identical: 2,
            lives: vec![Presence { from: Duration::ZERO, until: None }],
            up_bytes: 900_000,
            down_bytes: 2_300_000,
            uploaded: 524_288,
            downloaded: 2_097_152,
            ..PeerRecord::default()
        };
        let statement = statement(8_000, 3_145_728, 0);
        let seeder =
            PeerRecord { up_bytes: 3_300_000, uploaded: 3_145_728, downloaded: 0, statement, ..full(0) };
        Record {
            plan,
            digest: "0123456789abcdef".to_owned(),
            seconds: vec![0x0123_4567, 0x89ab_cdef],
            end: Duration::from_secs(13),
            peers: vec![seeder, full(10_000), full(12_500)],
            tracker: TrackerRecord::default(),
            conduct: Conduct::default(),
            provenance: Provenance { blocks: 256, strays: Vec::new() },
            packets: Packets { sent: 4_321, delivered: 4_300, dropped: 21 },
            wire_bytes: 4_600_000,
            settings: "50 connections".to_owned(),
            vacuous: Vec::new(),
            undisturbed: None,
        }
    }

    #[test]
    fn a_record_tells_the_bounds_who_finished() {
        let mut record = good();
        record.peers[2].completed = None;
        record.peers[2].gone = Some(Departed { at: Duration::from_secs(3), how: "left".to_owned() });
        let swarm = record.swarm();
        assert_eq!((swarm.finishers(), record.left_early()), (1, 1));
        assert!((swarm.leechers[1].departure - 3.0).abs() < 1e-12);
        assert_eq!(record.completions(), [Duration::from_secs(10)]);
    }
}
