//! Where two runs part, and what a trace tells.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use proto::time::Instant;
use proto::wire::Message;
use sim::defect::{At, Defect, Tampered};
use sim::diff::part;
use sim::run::run;
use sim::scenario::{Plan, Scenario};
use sim::trace::{Filter, Kind, trace};

fn plan(sets: &[&str]) -> Plan {
    let text = "# Three get a file from one.\nversion = 1\n[torrent]\nsize = \"1 MiB\"\npiece_length = \"64 KiB\"\n\
                [links.home]\nup = \"1 Mbit/s\"\ndown = \"8 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"200 kB\"\n\
                [[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
                [[peers]]\nrole = \"leecher\"\ncount = 3\nlink = \"home\"\n";
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    Scenario::parse("three.toml", text, &sets).expect("valid").expand(1)
}

/// Swallows the first `have` that is due after some time.
struct LosesOne(Duration, Cell<bool>);

impl Defect for LosesOne {
    fn says(&mut self, at: At, message: Message) -> Vec<Message> {
        let is_it = matches!(message, Message::Have { .. }) && at.now.since(Instant::ZERO) >= self.0;
        if is_it && !self.1.replace(true) { vec![] } else { vec![message] }
    }
}

#[test]
fn a_run_does_not_part_from_itself() {
    let plan = plan(&[]);
    assert_eq!(part((&plan, &Tampered::nobody()), (&plan, &Tampered::nobody())).expect("it runs"), None);
}

#[test]
fn the_second_and_the_host_of_a_defect_are_found() {
    let plan = plan(&[]);
    let after = Duration::from_secs(5);
    let tampered = Tampered::only("leecher-2", move || LosesOne(after, Cell::new(false)));
    let filter = Filter { from: after, ..Filter::default() };
    let (entries, missed, record) = trace(&plan, &Tampered::nobody(), filter).expect("it runs");
    let is_have = |kind: &Kind| matches!(kind, Kind::Said(body) if body.message == "have");
    let lost = entries.iter().find(|entry| entry.host == "leecher-2" && is_have(&entry.kind));
    let lost = lost.expect("it says have after that");
    assert_eq!(missed, 0);
    assert_eq!(
        record.digest,
        run(&plan, &mut |_| ()).expect("it runs").digest,
        "to be looked at changes nothing"
    );

    let parting =
        part((&plan, &Tampered::nobody()), (&plan, &tampered)).expect("it runs").expect("they differ");
    assert_eq!(parting.second as u64, lost.micros / 1_000_000);
    assert_eq!(parting.a.as_ref(), Some(lost), "{}", parting.text());
    assert_ne!(parting.b.as_ref(), Some(lost));
}

#[test]
fn another_seed_parts_at_once() {
    let one = plan(&[]);
    let two = Plan { seed: 2, ..one.clone() };
    let parting = part((&one, &Tampered::nobody()), (&two, &Tampered::nobody())).expect("it runs");
    assert_eq!(parting.expect("they differ").second, 0);
}

#[test]
fn a_trace_is_filtered_by_peer_piece_and_time() {
    let plan = plan(&[]);
    let of = |filter: Filter| trace(&plan, &Tampered::nobody(), filter).expect("it runs").0;
    let all = of(Filter::default());
    let piece = of(Filter { pieces: BTreeSet::from([3]), ..Filter::default() });
    assert!(piece.iter().all(|entry| entry.piece() == Some(3) || matches!(entry.kind, Kind::Noted { .. })));
    assert!(piece.iter().any(|entry| matches!(&entry.kind, Kind::Heard(body) if body.message == "block")));
    let peer = of(Filter { peers: BTreeSet::from(["leecher-1".to_owned()]), ..Filter::default() });
    let named = peer.iter().filter(|entry| entry.host == "leecher-1").count();
    assert_eq!(named, all.iter().filter(|entry| entry.host == "leecher-1").count());
    assert!(peer.len() < all.len() && piece.len() < all.len());
    let times = (Duration::from_secs(2), Duration::from_secs(3));
    let second = of(Filter { from: times.0, until: times.1, packets: true, ..Filter::default() });
    assert!(second.iter().all(|entry| entry.micros / 1_000_000 == 2));
    assert!(second.iter().any(|entry| matches!(entry.kind, Kind::Delivered { .. })));
    assert_eq!(all.iter().filter(|entry| matches!(entry.kind, Kind::Noted { .. })).count(), 4, "completions");
}

#[test]
fn an_entry_is_a_line_of_json_and_reads_back() {
    for entry in trace(&plan(&[]), &Tampered::nobody(), Filter { packets: true, ..Filter::default() })
        .expect("it runs")
        .0
    {
        let line = serde_json::to_string(&entry).expect("serialises");
        assert!(!line.contains('\n') && !entry.to_string().contains('\n'));
        assert_eq!(serde_json::from_str::<sim::trace::Entry>(&line).expect("reads"), entry, "{line}");
    }
}
