//! Faults that wait for the state of a peer come in exactly that state: what it had said and heard by then is the witness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::time::Instant;
use proto::wire::Message;
use sim::defect::Tampered;
use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::{Watching, run_watched};
use sim::scenario::{Scenario, Target};
use sim::wiretap::{Event, Listen, Way, What};

const SWARM: &str = "# Four fetch from one and each other, and one comes late.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[links.home]
up = \"2 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"20 ms\"
queue = \"100 kB\"
[[peers]]
role = \"seeder\"
link = \"home\"
[[peers]]
role = \"leecher\"
count = 4
link = \"home\"
[[peers]]
name = \"late\"
role = \"leecher\"
link = \"home\"
arrival = { at = \"15 s\" }
[run]
tick = \"2 ms\"
time_limit = \"5 min\"
";

const TICK: Duration = Duration::from_millis(2);
const PIECES: u32 = 16;
const BLOCKS: u32 = 4;

#[derive(Default)]
struct Heard(Vec<Event>);

impl Listen for Heard {
    fn hear(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

/// What came of a run with this fault, and all that peers said.
fn run(fault: &str) -> (Record, Vec<Event>) {
    let text = format!("{SWARM}[[faults]]\n{fault}\n");
    let scenario = Scenario::parse("swarm.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let heard = Arc::new(Mutex::new(Heard::default()));
    let watching = Watching { messages: Some(heard.clone()), ..Watching::default() };
    let record =
        run_watched(&scenario.expand(1), &Tampered::nobody(), &watching, &mut |_| ()).expect("it runs");
    let verdict = Verdict::of(record);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.complaints());
    assert_eq!(verdict.record.vacuous, [] as [String; 0]);
    let heard = std::mem::take(&mut heard.lock().expect("nobody panicked").0);
    (verdict.record, heard)
}

/// A peer at the time of a fault: its place, and what it had asked for, heard and told of until then.
struct Moment {
    at: Duration,
    place: usize,
    /// When each block was asked for first.
    asked: BTreeMap<(u32, u32), Duration>,
    heard: BTreeSet<(u32, u32)>,
    told: BTreeSet<u32>,
}

impl Moment {
    fn of_each_fault(record: &Record, events: &[Event]) -> Vec<Self> {
        let moment = |fault: &sim::scenario::FaultPlan| {
            let Target::Peer(place) = fault.target else { panic!("not the tracker") };
            let (asked, heard, told) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
            let mut moment = Self { at: fault.at, place, asked, heard, told };
            let until = events.iter().filter(|event| event.at.since(Instant::ZERO) <= fault.at);
            until.filter(|event| event.line.host == place + 1).for_each(|event| moment.note(event));
            moment
        };
        record.plan.faults.iter().map(moment).collect()
    }

    fn note(&mut self, event: &Event) {
        let at = event.at.since(Instant::ZERO);
        match (event.way, &event.what) {
            (Way::Said, What::Message(Message::Request(block))) => {
                self.asked.entry((block.piece, block.offset)).or_insert(at);
            }
            (Way::Said, What::Message(Message::Have { piece })) => {
                self.told.insert(*piece);
            }
            (Way::Heard, What::Block(block)) => {
                self.heard.insert((block.piece, block.offset));
            }
            _ => {}
        }
    }

    /// Pieces of which everything had come and that were not yet known to be right.
    fn untold(&self, record: &Record) -> Vec<u32> {
        let whole = |piece: &u32| (0..BLOCKS).all(|number| self.heard.contains(&(*piece, number << 14)));
        let known =
            |piece: &u32| record.peers[self.place].pieces[*piece as usize].is_some_and(|at| at <= self.at);
        (0..PIECES).filter(|piece| whole(piece) && !known(piece)).collect()
    }
}

#[test]
fn a_crash_between_the_hash_and_the_have() {
    let (record, events) = run("when = { before_have = \"leecher\" }\ncrash = \"it\"\nfor = \"1 s\"");
    let moments = Moment::of_each_fault(&record, &events);
    assert_eq!(moments.len(), 4, "each of them, once");
    for moment in moments {
        let [piece] = moment.untold(&record)[..] else {
            panic!("at {:?}: {:?}", moment.at, moment.untold(&record))
        };
        assert!(!moment.told.contains(&piece), "nobody has heard of it");
    }
    // At any other time there is no such piece.
    let (record, events) = run("at = \"4 s\"\ncrash = \"leecher\"\nfor = \"1 s\"");
    for moment in Moment::of_each_fault(&record, &events) {
        assert!(moment.heard.len() > 4, "in the midst of it");
        assert_eq!(moment.untold(&record), [] as [u32; 0]);
    }
}

#[test]
fn a_crash_at_the_beginning_of_the_endgame() {
    let (record, events) =
        run("when = { endgame = [\"leecher-1\", \"leecher-2\"] }\ncrash = \"it\"\nfor = \"1 s\"");
    let moments = Moment::of_each_fault(&record, &events);
    assert_eq!(moments.len(), 2);
    for moment in moments {
        assert_eq!(moment.asked.len() as u32, PIECES * BLOCKS, "everything is or was on order");
        assert!(moment.heard.len() < moment.asked.len(), "and something is still to come");
        let last = *moment.asked.values().max().expect("some");
        assert!(moment.at <= last + TICK, "the last order is new: {last:?}, {:?}", moment.at);
    }
}

#[test]
fn a_crash_with_an_announce_under_way() {
    // From `late` to the tracker (whose link has 10 ms) and back it is 60 ms: it has a connection id after one such
    // time and the answer after two.
    let (least, most) = (Duration::from_millis(15_060), Duration::from_millis(15_120));
    let (record, _) = run("when = { announcing = \"late\" }\ncrash = \"it\"\nfor = \"1 s\"");
    let at = record.plan.faults[0].at;
    assert!((least..most).contains(&at), "{at:?}");
    // The same instant, and the tracker dies of it: nobody else is to be known from then on, until it is back.
    let (record, _) = run("when = { announcing = \"late\" }\ncrash = \"tracker\"\nfor = \"2 s\"");
    assert_eq!(record.plan.faults[0].at, at);
    let completed = record.peers[5].completed.expect("it asks again");
    assert!(completed > Duration::from_secs(17), "{completed:?}");
}

#[test]
fn what_waits_for_a_peer_says_whose_state_it_is() {
    let parse = |fault: &str| {
        let text = format!("{SWARM}[[faults]]\n{fault}\n");
        Scenario::parse("swarm.toml", &text, &[]).map_err(|error| error.to_string())
    };
    for (fault, complaint) in [
        ("when = \"endgame\"\ncrash = \"it\"", "write for example: when = { copies = 1 }"),
        ("when = { copies = 1 }\ncrash = \"it\"", "`it` is the peer of whom `when` speaks"),
        ("at = \"3 s\"\ncrash = \"it\"", "`it` is the peer of whom `when` speaks"),
        ("when = { endgame = \"seeder\" }\ncrash = \"it\"", "only leechers are watched for that"),
        (
            "when = { announcing = \"tracker\" }\ncrash = \"it\"",
            "only seeders and leechers are watched for that",
        ),
        ("when = { endgame = [\"leecher-1\", \"late\"] }\ncrash = \"it\"", "these do not follow each other"),
        ("when = { endgame = \"leechr\" }\ncrash = \"it\"", "did you mean \"leecher\"?"),
        ("when = { end_game = \"leecher\" }\ncrash = \"it\"", "did you mean `endgame`?"),
        (
            "when = { endgame = \"leecher\", copies = 1 }\ncrash = \"it\"",
            "`when` needs exactly one of: completed",
        ),
        ("when = { endgame = \"leecher\" }\nlose_database = \"it\"", "there is no peer or group `it`"),
        ("when = { endgame = \"leecher\" }\ncrash = \"it\"\ncount = 5", "5 is not within 1 to 4"),
    ] {
        let refused = parse(fault).expect_err(fault);
        assert!(refused.contains(complaint), "{refused}\n… where `{complaint}` was due");
    }
    // Each of them waits for itself, and what is expanded says so.
    for fault in [
        "crash = \"it\"\ncount = 2",
        "stall = \"it\"\ncount = 2\nfor = \"3 s\"",
        "stall = \"seeder\"\nfor = \"3 s\"",
    ] {
        let plan =
            parse(&format!("when = {{ before_have = \"leecher\" }}\n{fault}")).expect("valid").expand(1);
        let again =
            Scenario::parse("again.toml", &plan.to_toml(), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.expand(1), plan);
    }
}
