//! The tracker conformance suite, checked: a sound tracker passes every rule, every rule catches a tracker
//! that breaks it, and what it says of a foreign tracker is known.

mod defects;
mod mutant;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::Environment;
use engine::probe::conformance::{ConformanceOptions, ConformanceReport, Level, Verdict, conformance, rules};
use proto::id::InfoHash;
use proto::seed::Seed;
use tokio::task::JoinSet;

use defects::DEFECTS;
use mutant::Defect;

async fn judge(addr: SocketAddr, what: ConformanceOptions) -> ConformanceReport {
    let environment = Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let url = format!("udp://{addr}").parse().expect("valid");
    conformance(&environment, &url, &what, Seed::from_u64(7)).await.expect("it answers")
}

#[tokio::test]
async fn a_sound_tracker_passes_every_rule() {
    let report = judge(mutant::start(&Defect::NONE).await, ConformanceOptions::default()).await;
    let tally = report.tally();
    assert_eq!((tally.passed, tally.failed + tally.warned + tally.skipped), (rules().len(), 0), "{report}");
    assert!(report.seconds < 20.0, "{} s", report.seconds);
}

#[tokio::test]
async fn rules_share_the_torrents_that_they_are_given() {
    let addr = mutant::start(&Defect::NONE).await;
    let what = |count: u8| ConformanceOptions {
        info_hashes: (0..count).map(|n| InfoHash([n; 20])).collect(),
        rules: ["peers.swarms-apart", "peers.meet", "completed.once", "completed.counted", "scrape.reply"]
            .map(str::to_owned)
            .to_vec(),
    };
    let report = judge(addr, what(2)).await;
    assert_eq!(report.tally().passed, 5, "{report}");
    let report = judge(addr, what(1)).await;
    assert_eq!((report.tally().passed, report.tally().skipped), (4, 1), "{report}");
}

#[tokio::test]
async fn every_rule_catches_a_tracker_that_breaks_it() {
    let mut runs = JoinSet::new();
    for defect in DEFECTS {
        runs.spawn(async move {
            let rules = defect.breaks.iter().map(ToString::to_string).collect();
            let what = ConformanceOptions { rules, ..ConformanceOptions::default() };
            (defect.name, judge(mutant::start(defect).await, what).await)
        });
    }
    while let Some(run) = runs.join_next().await {
        let (name, report) = run.expect("no panic");
        for finding in &report.sections[0].findings {
            let caught = match finding.verdict {
                Verdict::Fail { .. } => finding.rule.level == Level::Must,
                Verdict::Warn { .. } => finding.rule.level == Level::Should,
                Verdict::Pass | Verdict::Skip { .. } => false,
            };
            assert!(caught, "{name}:\n{report}");
        }
    }
    let tried: BTreeSet<&str> = DEFECTS.iter().flat_map(|defect| defect.breaks).copied().collect();
    assert_eq!(tried, rules().iter().map(|rule| rule.id).collect::<BTreeSet<_>>());
}

#[test]
fn every_rule_has_a_name_of_its_own_and_one_line() {
    let ids: BTreeSet<&str> = rules().iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules().len());
    assert!(rules().iter().all(|rule| rule.text.len() <= 96 && rule.id.len() <= 24));
}
