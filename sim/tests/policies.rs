//! Scenarios of exchange and choking, beyond what the suite sees: other lengths of pieces, and slots counted on the wire.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::time::Instant;
use proto::wire::Message;
use sim::defect::{At, Defect, Tampered};
use sim::report::{Outcome, Style, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// A scenario of the collection with `sets` over it, among tampered hosts.
fn verdict(name: &str, sets: &[&str], tampered: &Tampered) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let text = fs::read_to_string(path).expect("it is there");
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let scenario = Scenario::parse(name, &text, &sets).unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

fn passes(name: &str, sets: &[&str]) {
    let verdict = verdict(name, sets, &Tampered::nobody());
    assert_eq!(verdict.outcome, Outcome::Pass, "{}", verdict.table(Style::Plain));
}

#[test]
fn pieces_may_be_of_any_length() {
    let huge = [
        "torrent.size=32 MiB",
        "torrent.piece_length=16 MiB",
        "peers.leecher.count=2",
        "expect.time=<= 4 min",
    ];
    passes("tiny_and_huge_pieces", &huge);
    passes("tiny_and_huge_pieces", &["torrent.piece_length=16 MiB", "expect.time=<= 2 min"]);
}

/// How long each peer was unchoked, and since when those are that still are.
type Unchoked = Arc<Mutex<BTreeMap<IpAddr, (Duration, Option<Instant>)>>>;

/// Honest; writes down what the seeder says.
struct Notes(Unchoked);

/// Nobody is complete before.
const WATCHED: Duration = Duration::from_secs(1800);

impl Defect for Notes {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let now = at.now.min(Instant::ZERO + WATCHED);
        let mut notes = self.0.lock().expect("no panic");
        let (total, since) = notes.entry(at.peer.ip()).or_default();
        if message == Message::Unchoke {
            *since = Some(now);
        } else if message == Message::Choke {
            *total += since.take().map_or(Duration::ZERO, |since| now - since);
        }
        vec![message]
    }
}

#[test]
fn each_of_twenty_peers_is_unchoked_as_long_as_any_other() {
    let notes = Unchoked::default();
    let heard = Arc::clone(&notes);
    let tampered = Tampered::only("seeder", move || Notes(Arc::clone(&heard)));
    let verdict = verdict("optimistic_unchoke_is_fair", &[], &tampered);
    assert_eq!(verdict.outcome, Outcome::Pass, "{}", verdict.table(Style::Plain));
    let earliest = verdict.completion.map(|completion| completion.p50).unwrap_or_default();
    assert!(earliest > WATCHED.as_secs_f64(), "{earliest}");
    let served: Vec<_> = notes.lock().expect("no panic").values().map(|(total, _)| *total).collect();
    assert_eq!(served.len(), 20);
    let (share, rotation) = (WATCHED / 20, Duration::from_secs(30));
    assert!(served.iter().all(|&time| time.abs_diff(share) <= rotation), "{served:?}");
}
