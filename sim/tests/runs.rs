//! Small swarms of the real tracker and the real peers, in the emulated network.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use engine::EngineConfig;
use proto::torrent::AnnounceEvent;
use proto::tracker::Request;
use proto::wire::Message;
use sim::defect::{At, Defect, Tampered, catalogue};
use sim::oracle::Rule;
use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// A seeder and some leechers on homely links; `more` goes to the end of the file.
fn swarm(leechers: &str, more: &str) -> Record {
    tampered_swarm(leechers, more, &Tampered::nobody())
}

fn tampered_swarm(leechers: &str, more: &str, tampered: &Tampered) -> Record {
    let text = format!(
        "# A small swarm.\nversion = 1\n[torrent]\nsize = \"1200 KiB\"\npiece_length = \"64 KiB\"\n\
         [tracker]\ninterval = \"20 s\"\n\
         [links.home]\nup = \"4 Mbit/s\"\ndown = \"16 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"200 kB\"\n\
         [[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
         [[peers]]\nrole = \"leecher\"\nlink = \"home\"\n{leechers}\n[run]\ntime_limit = \"3 min\"\n{more}"
    );
    let scenario = Scenario::parse("small.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs")
}

fn outcome(record: &Record) -> Outcome {
    Verdict::of(record.clone()).outcome
}

#[test]
fn everybody_gets_every_byte() {
    let record = swarm("count = 5", "");
    assert_eq!(outcome(&record), Outcome::Pass);
    // 18 pieces of 64 KiB and one of 48.
    assert!(record.peers.iter().all(|peer| peer.identical == 19));
    let total: u64 = record.peers.iter().map(|peer| peer.downloaded).sum();
    assert!(total >= 5 * 1200 * 1024, "{total}");
}

#[test]
fn who_leaves_on_completion_does_so_at_the_microsecond() {
    let record = swarm(
        "count = 3\narrival = { uniform = \"9 s\" }\ndeparture = { after_completion = \"100 ms\" }",
        "",
    );
    assert_eq!(outcome(&record), Outcome::Pass);
    let mut gone = 0;
    for peer in record.peers.iter().skip(1) {
        if let (Some(completed), Some(departed)) = (peer.completed, &peer.gone) {
            assert_eq!(departed.at, completed + Duration::from_millis(100));
            gone += 1;
        }
    }
    // The run is over as soon as the last one is complete.
    assert!(gone >= 1, "{:?}", record.peers.iter().map(|peer| &peer.gone).collect::<Vec<_>>());
}

/// In a long tick blocks are read and sent between the wish to leave and the engine that hears of it.
#[test]
fn who_leaves_is_recorded_with_what_it_told_the_tracker_last() {
    let leavers = "[[peers]]\nname = \"leaver\"\nrole = \"seeder\"\nlink = \"home\"\ncount = 8\n\
                   departure = { after = \"1 s\" }\n";
    let record = swarm("count = 4", &format!("tick = \"20 ms\"\nat_least = \"5 s\"\n{leavers}"));
    let mut recorded: Vec<_> =
        record.peers.iter().filter(|peer| peer.gone.is_some()).map(|peer| peer.uploaded).collect();
    let told = record.tracker.seen.iter().filter_map(|seen| match Request::decode(&seen.payload) {
        Ok(Request::Announce(told)) if told.event == Some(AnnounceEvent::Stopped) => Some(told),
        _ => None,
    });
    let told: BTreeMap<_, _> = told.map(|told| (told.peer_id, told.progress.uploaded)).collect();
    let mut told: Vec<_> = told.into_values().collect();
    recorded.sort_unstable();
    told.sort_unstable();
    assert_eq!((told.len(), recorded), (8, told));
}

#[test]
fn leechers_outlive_a_seeder_that_leaves_when_each_piece_has_a_copy() {
    let record = swarm("count = 4", "[[faults]]\nat = \"10 s\"\nleave = \"seeder\"\n");
    assert_eq!(outcome(&record), Outcome::Pass);
}

#[test]
fn a_crashed_tracker_returns_and_knows_new_peers_again() {
    // The second group comes while the tracker is away, and finds nobody until it is back.
    let late = "count = 2\n[[peers]]\nname = \"late\"\nrole = \"leecher\"\nlink = \"home\"\narrival = { at = \"20 s\" }\n";
    let record = swarm(late, "[[faults]]\nat = \"15 s\"\ncrash = \"tracker\"\nfor = \"20 s\"\n");
    assert_eq!(outcome(&record), Outcome::Pass);
    let late = record.peers.last().and_then(|peer| peer.completed).expect("complete");
    assert!(late > Duration::from_secs(35), "{late:?}");
}

#[test]
fn a_restarted_leecher_fetches_only_what_its_disk_lacks() {
    let whole = swarm("count = 1", "");
    let mut pieces: Vec<_> = whole.peers[1].pieces.iter().flatten().collect();
    pieces.sort_unstable();
    let at = *pieces[pieces.len() / 2] + Duration::from_millis(1);
    let fault = format!("[[faults]]\nat = \"{} us\"\ncrash = \"leecher\"\nfor = \"5 s\"\n", at.as_micros());
    let record = swarm("count = 1", &fault);
    assert_eq!(outcome(&record), Outcome::Pass);
    // Both lives together: a few pieces were half fetched, and nine had been finished.
    let (once, both) = (whole.peers[1].downloaded, record.peers[1].downloaded);
    assert!((once..once + 5 * 64 * 1024).contains(&both), "{once} and {both}");
}

#[test]
fn the_same_plan_has_the_same_record() {
    let crash = "[[faults]]\nat = \"2 s\"\ncrash = \"leecher\"\ncount = 2\nfor = \"3 s\"\n";
    let leechers = "count = 4\narrival = { poisson = \"400 ms\" }";
    assert_eq!(swarm(leechers, crash), swarm(leechers, crash));
}

/// Sends no more than 24 KiB a second, and is otherwise as its defect has it.
#[derive(Default)]
struct Limited<D>(D);

impl<D: Defect> Defect for Limited<D> {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.limits.up.global = NonZeroU64::new(24 * 1024);
    }

    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        self.0.says(at, message)
    }
}

/// What is said waits for seconds, while chokes come in and blocks that were on order elsewhere.
#[test]
fn engines_that_limit_themselves_break_no_rule_by_waiting() {
    #[derive(Default)]
    struct Nothing;
    impl Defect for Nothing {}
    fn limited<D: Defect + Default + 'static>() -> Verdict {
        let tampered = Tampered::only("seeder", Limited::<D>::default).and("leecher", Limited::<D>::default);
        Verdict::of(tampered_swarm("count = 5", "", &tampered))
    }
    let honest = limited::<Nothing>();
    assert_eq!(honest.outcome, Outcome::Pass, "{:?}", honest.complaints());
    let twice = limited::<catalogue::AnswersTwice>().record.conduct.broken;
    assert!(twice.contains_key(&Rule::Asked), "{twice:?}");
}
