//! Rough paths and faults of the network in small swarms: each shows its effect, and everybody survives it.

use std::time::Duration;

use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::run;
use sim::scenario::Scenario;

/// A seeder and three leechers on homely links; `peers` goes to the leechers, `more` to the end of the file.
fn swarm(peers: &str, more: &str) -> Record {
    let text = format!(
        "# A small swarm.\nversion = 1\n[torrent]\nsize = \"600 KiB\"\npiece_length = \"32 KiB\"\n\
         [tracker]\ninterval = \"15 s\"\n\
         [links.home]\nup = \"2 Mbit/s\"\ndown = \"8 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"4 MB\"\n\
         [links.slow]\nup = \"100 kbit/s\"\ndown = \"8 Mbit/s\"\nlatency = \"300 ms\"\nqueue = \"30 kB\"\n\
         [links.radio]\nup = \"2 Mbit/s\"\ndown = \"8 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"4 MB\"\n\
         jitter = {{ normal = {{ mean = \"20 ms\", deviation = \"8 ms\" }} }}\n\
         bursts = {{ gap = \"2 s\", length = \"200 ms\", loss = \"80 %\" }}\n\
         duplicate = \"10 %\"\nreorder = {{ share = \"10 %\", hold = \"30 ms\" }}\n\
         [[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
         [[peers]]\nrole = \"leecher\"\nlink = \"home\"\ncount = 3\n{peers}\n\
         [run]\ntick = \"2 ms\"\ntime_limit = \"10 min\"\n{more}"
    );
    let scenario = Scenario::parse("small.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario.expand(1), &mut |_| ()).expect("it runs")
}

/// When the last one completed, of a run in which nothing was wrong.
fn last(record: Record) -> f64 {
    let last = record.completions().last().copied().expect("somebody completes");
    let verdict = Verdict::of(record);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.complaints());
    last.as_secs_f64()
}

fn fault(lines: &str) -> Record {
    swarm("", &format!("[[faults]]\n{lines}\n"))
}

/// Seconds that it takes when nothing goes wrong.
fn plain() -> f64 {
    let plain = last(swarm("", ""));
    assert!((2.0..10.0).contains(&plain), "{plain}");
    plain
}

#[test]
fn rough_links_lose_packets_and_nothing_else() {
    let smooth = swarm("", "[[peers]]\nname = \"radio\"\nrole = \"leecher\"\nlink = \"home\"\ncount = 2\n");
    let rough = swarm("", "[[peers]]\nname = \"radio\"\nrole = \"leecher\"\nlink = \"radio\"\ncount = 2\n");
    assert!(rough.packets.dropped > smooth.packets.dropped + 10, "{:?}", rough.packets);
    assert!(last(rough) > 2.0 && last(smooth) > 2.0, "all is well with both");
}

#[test]
fn a_partition_parts_and_heals() {
    let plain = plain();
    let cut = fault("at = \"1 s\"\npartition = \"seeder\"\nfor = \"20 s\"");
    assert!(last(cut) > 21.0);
    let partial = last(fault("at = \"1 s\"\npartition = \"seeder\"\nfrom = \"leecher-1\"\nfor = \"20 s\""));
    assert!(partial < 20.0, "the others carry it to the third: {partial}");
    let one_way = last(fault("at = \"1 s\"\npartition = \"seeder\"\none_way = true\nfor = \"20 s\""));
    assert!(one_way > 21.0 && one_way > plain, "what it sends is lost: {one_way}");
}

#[test]
fn a_long_partition_ends_in_a_reset_and_everybody_comes_back() {
    let record = fault("at = \"1 s\"\npartition = \"seeder\"\nfor = \"6 min\"");
    assert!(last(record) > 360.0);
}

#[test]
fn a_stall_ends_in_a_burst() {
    let stalled = last(fault("at = \"1 s\"\nstall = \"seeder\"\nfor = \"5 s\""));
    assert!((6.0..25.0).contains(&stalled), "{stalled}");
}

#[test]
fn connections_into_a_black_hole_open_and_carry_nothing() {
    let hole = fault("at = \"0 s\"\nblack_hole = \"seeder\"\nfor = \"30 s\"");
    assert!(last(hole) > 30.0);
}

#[test]
fn a_worse_link_counts_while_it_lasts() {
    let plain = plain();
    let worse = last(fault("at = \"1 s\"\ndegrade = \"seeder\"\nto = \"slow\"\nfor = \"15 s\""));
    assert!(worse > plain + 5.0 && worse < 60.0, "{worse}, and {plain} without");
}

#[test]
fn names_that_cannot_be_looked_up_keep_newcomers_away_until_they_can() {
    let lost = fault("at = \"0 s\"\ndns_fails = \"leecher\"\nfor = \"20 s\"");
    assert!(last(lost) > 20.0);
}

#[test]
fn a_fault_comes_again_and_again() {
    let often = last(fault("at = \"1 s\"\nevery = \"4 s\"\npartition = \"seeder\"\nfor = \"2 s\""));
    assert!(often > plain() + 2.0, "{often}");
}

#[test]
fn a_fault_waits_for_its_state() {
    let record = fault("when = { copies = 1 }\nleave = \"seeder\"");
    let left = record.peers[0].gone.as_ref().expect("it left").at;
    let everywhere = |at: Duration| {
        (0..19).all(|piece| {
            record.peers[1..].iter().any(|peer| peer.pieces[piece].is_some_and(|held| held <= at))
        })
    };
    assert!(everywhere(left) && !everywhere(left.saturating_sub(Duration::from_millis(100))));
    assert_eq!(record.plan.faults[0].at, left, "the record says when it came");
    last(record);
    let record = fault("when = { completed = 3 }\ncrash = \"seeder\"\nfor = \"1 s\"");
    assert_eq!(Verdict::of(record).outcome, Outcome::Pass);
    let never = swarm(
        "departure = { holding = \"30 %\" }",
        "[[faults]]\nwhen = { completed = 1 }\nleave = \"seeder\"\n",
    );
    assert_eq!(never.vacuous, ["fault when = { completed = 1 }: that was never the case"]);
}

#[test]
fn peers_leave_when_they_hold_or_gave_enough() {
    let half = swarm("departure = { holding = \"50 %\" }", "");
    for peer in &half.peers[1..] {
        let held = peer.pieces.iter().flatten().count();
        assert!(peer.gone.is_some() && (10..14).contains(&held), "{held} of 19");
    }
    let generous = swarm(
        "departure = { ratio = 0.25 }",
        "[[peers]]\nname = \"late\"\nrole = \"leecher\"\nlink = \"home\"\narrival = { at = \"12 s\" }\n",
    );
    let left: Vec<_> = generous.peers[1..4].iter().filter(|peer| peer.gone.is_some()).collect();
    assert!(!left.is_empty());
    assert!(left.iter().all(|peer| peer.completed.is_some() && peer.uploaded >= 150 * 1024));
}
