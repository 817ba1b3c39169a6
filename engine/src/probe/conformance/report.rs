//! What a conformance run found, for a person and for a program.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use super::rule::{Level, Outcome, Rule, Trouble};

/// All rules at all addresses of one tracker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConformanceReport {
    /// The tracker.
    pub url: String,
    /// One for each address family that the tracker's name has.
    pub sections: Vec<Section>,
    /// Seconds from the first question to the last answer.
    pub seconds: f64,
}

/// The rules at one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// Where they were tried.
    pub addr: SocketAddr,
    /// What came out, in the order of the suite.
    pub findings: Vec<Finding>,
}

/// One rule and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// What came out.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What came of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It is broken: a client may suffer.
    Fail {
        /// What was sent.
        sent: String,
        /// What came back.
        got: String,
    },
    /// Good practice is neglected.
    Warn {
        /// What was sent.
        sent: String,
        /// What came back.
        got: String,
    },
    /// It could not be judged.
    Skip {
        /// Why.
        reason: String,
    },
}

/// How many rules came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rules that hold.
    pub passed: usize,
    /// Rules that are broken.
    pub failed: usize,
    /// Good practice neglected.
    pub warned: usize,
    /// Not judged.
    pub skipped: usize,
}

impl Finding {
    pub(super) fn of(rule: Rule, outcome: Outcome) -> Self {
        let verdict = match (outcome, rule.level) {
            (Ok(()), _) => Verdict::Pass,
            (Err(Trouble::Skipped(reason)), _) => Verdict::Skip { reason },
            (Err(Trouble::Broken { sent, got }), Level::Must) => Verdict::Fail { sent, got },
            (Err(Trouble::Broken { sent, got }), Level::Should) => Verdict::Warn { sent, got },
        };
        Self { rule, verdict }
    }
}

impl ConformanceReport {
    /// How many rules came out how, at all addresses together.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for finding in self.sections.iter().flat_map(|section| &section.findings) {
            match finding.verdict {
                Verdict::Pass => tally.passed += 1,
                Verdict::Fail { .. } => tally.failed += 1,
                Verdict::Warn { .. } => tally.warned += 1,
                Verdict::Skip { .. } => tally.skipped += 1,
            }
        }
        tally
    }
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail { .. } => "FAIL",
            Self::Warn { .. } => "WARN",
            Self::Skip { .. } => "SKIP",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { id, citation, text, .. } = self.rule;
        writeln!(f, "{}  {id:<24} {citation:<7} {text}", self.verdict.word())?;
        match &self.verdict {
            Verdict::Pass => Ok(()),
            Verdict::Fail { sent, got } | Verdict::Warn { sent, got } => {
                writeln!(f, "      sent: {sent}\n      got:  {got}")
            }
            Verdict::Skip { reason } => writeln!(f, "      {reason}"),
        }
    }
}

impl fmt::Display for ConformanceReport {
    /// A table for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "{} at {}\n", self.url, section.addr)?;
            section.findings.iter().try_for_each(|finding| write!(f, "{finding}"))?;
            writeln!(f)?;
        }
        let Tally { passed, failed, warned, skipped } = self.tally();
        let rules = passed + failed + warned + skipped;
        let counts = format!("{passed} PASS, {failed} FAIL, {warned} WARN, {skipped} SKIP");
        writeln!(f, "{rules} rules in {:.1} s: {counts}", self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_well() {
        let rule = |level| Rule {
            id: "announce.counts-order",
            citation: "BEP 15",
            level,
            text: "an announce reply says leechers, then seeders",
        };
        let broken = || Err(Trouble::Broken { sent: "announce".to_owned(), got: "nothing".to_owned() });
        let findings = vec![
            Finding::of(rule(Level::Must), Ok(())),
            Finding::of(rule(Level::Must), broken()),
            Finding::of(rule(Level::Should), broken()),
            Finding::of(rule(Level::Must), Err(Trouble::Skipped("needs two torrents".to_owned()))),
        ];
        let report = ConformanceReport {
            url: "udp://tracker.example.org:1337/announce".to_owned(),
            sections: vec![Section { addr: SocketAddr::from(([192, 0, 2, 1], 1337)), findings }],
            seconds: 1.5,
        };
        assert_eq!(report.tally(), Tally { passed: 1, failed: 1, warned: 1, skipped: 1 });
        insta::assert_snapshot!(report.to_string());
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).expect("JSON"));
    }
}
