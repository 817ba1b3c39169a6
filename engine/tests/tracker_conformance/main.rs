//! The tracker conformance suite, checked: a sound tracker passes every rule, every rule catches a tracker
//! that breaks it, and what it says of a foreign tracker is known.

mod defects;
mod http_defects;
mod http_mutant;
mod mutant;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::Environment;
use engine::fetch::TrackerTrust;
use engine::probe::ProbeError;
use engine::probe::conformance::{
    ConformanceOptions, ConformanceReport, Level, Verdict, conformance, rules, rules_for,
};
use proto::id::InfoHash;
use proto::seed::Seed;
use proto::tracker::Scheme;
use tokio::task::JoinSet;

use defects::DEFECTS;
use http_defects::HTTP_DEFECTS;
use http_mutant::HttpDefect;
use mutant::Defect;

async fn try_rules(url: &str, what: ConformanceOptions) -> Result<ConformanceReport, ProbeError> {
    let environment = Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let url = url.parse().expect("valid");
    conformance(&environment, &TrackerTrust::default(), &url, &what, Seed::from_u64(7)).await
}

async fn judge(addr: SocketAddr, what: ConformanceOptions) -> ConformanceReport {
    try_rules(&format!("udp://{addr}"), what).await.expect("it answers")
}

async fn judge_http(addr: SocketAddr, what: ConformanceOptions) -> ConformanceReport {
    try_rules(&format!("http://{addr}/announce"), what).await.expect("it answers")
}

fn only(rules: &[&str]) -> ConformanceOptions {
    let rules = rules.iter().map(ToString::to_string).collect();
    ConformanceOptions { rules, ..ConformanceOptions::default() }
}

#[tokio::test]
async fn a_sound_tracker_passes_every_rule() {
    let over_udp = judge(mutant::start(&Defect::NONE).await, ConformanceOptions::default()).await;
    let over_http =
        judge_http(http_mutant::start(&HttpDefect::NONE).await, ConformanceOptions::default()).await;
    for (scheme, report) in [(Scheme::Udp, over_udp), (Scheme::Http, over_http)] {
        let tally = report.tally();
        let blemishes = tally.failed + tally.warned + tally.skipped;
        assert_eq!((tally.passed, blemishes), (rules_for(scheme).len(), 0), "{report}");
        assert!(report.seconds < 20.0, "{} s", report.seconds);
    }
}

#[tokio::test]
async fn rules_share_the_torrents_that_they_are_given() {
    let addr = mutant::start(&Defect::NONE).await;
    let what = |count: u8| ConformanceOptions {
        info_hashes: (0..count).map(|n| InfoHash([n; 20])).collect(),
        ..only(&["peers.swarms-apart", "peers.meet", "completed.once", "completed.counted", "scrape.reply"])
    };
    let report = judge(addr, what(2)).await;
    assert_eq!(report.tally().passed, 5, "{report}");
    let report = judge(addr, what(1)).await;
    assert_eq!((report.tally().passed, report.tally().skipped), (4, 1), "{report}");
    let addr = http_mutant::start(&HttpDefect::NONE).await;
    let given = |count: u8| ConformanceOptions { rules: Vec::new(), ..what(count) };
    let report = judge_http(addr, given(4)).await;
    assert_eq!(report.tally().passed, rules_for(Scheme::Http).len(), "{report}");
    let report = judge_http(addr, given(1)).await;
    assert_eq!((report.tally().failed, report.tally().skipped), (0, 3), "{report}");
}

#[tokio::test]
async fn a_rule_of_the_other_kind_of_tracker_is_refused() {
    let error = try_rules("http://127.0.0.1:1/announce", only(&["scrape.reply"])).await.expect_err("refused");
    assert!(matches!(&error, ProbeError::OtherRule { id, .. } if id == "scrape.reply"), "{error}");
    let error = try_rules("udp://127.0.0.1:1", only(&["http.reply"])).await.expect_err("refused");
    assert!(matches!(&error, ProbeError::OtherRule { id, .. } if id == "http.reply"), "{error}");
}

/// Did every rule that ran notice?
fn is_caught(report: &ConformanceReport) -> bool {
    report.sections[0].findings.iter().all(|finding| match finding.verdict {
        Verdict::Fail { .. } => finding.rule.level == Level::Must,
        Verdict::Warn { .. } => finding.rule.level == Level::Should,
        Verdict::Pass | Verdict::Skip { .. } => false,
    })
}

#[tokio::test]
async fn every_rule_catches_a_tracker_that_breaks_it() {
    let mut runs = JoinSet::new();
    for defect in DEFECTS {
        runs.spawn(
            async move { (defect.name, judge(mutant::start(defect).await, only(defect.breaks)).await) },
        );
    }
    for defect in HTTP_DEFECTS {
        runs.spawn(async move {
            (defect.name, judge_http(http_mutant::start(defect).await, only(defect.breaks)).await)
        });
    }
    let mut missed = Vec::new();
    while let Some(run) = runs.join_next().await {
        let (name, report) = run.expect("no panic");
        if !is_caught(&report) {
            missed.push(format!("{name}:\n{report}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let over_udp = DEFECTS.iter().flat_map(|defect| defect.breaks);
    let over_http = HTTP_DEFECTS.iter().flat_map(|defect| defect.breaks);
    let tried: BTreeSet<&str> = over_udp.chain(over_http).copied().collect();
    assert_eq!(tried, rules().iter().map(|rule| rule.id).collect::<BTreeSet<_>>());
}

#[test]
fn every_rule_has_a_name_of_its_own_and_one_line() {
    let ids: BTreeSet<&str> = rules().iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules().len());
    assert!(rules().iter().all(|rule| rule.text.len() <= 96 && rule.id.len() <= 24));
    let is_of_http = |scheme| rules_for(scheme).iter().filter(|rule| rule.id.starts_with("http.")).count();
    assert_eq!((is_of_http(Scheme::Udp), is_of_http(Scheme::Https)), (0, rules_for(Scheme::Http).len()));
}
