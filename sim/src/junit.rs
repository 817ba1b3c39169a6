//! Results as `JUnit` XML, which every CI system shows: a scenario is a suite, a run is a case.
//!
//! The dialect is the one that Jenkins' schema and GitLab, Azure and GitHub's reporters have in common.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::results::Run;

/// The runs as one document.
pub(crate) fn document(runs: &[&Run]) -> String {
    let mut suites: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        suites.entry(run.key.variant()).or_default().push(run);
    }
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(out, "<testsuites name=\"sim\" {}>", counts(runs));
    for (name, runs) in &suites {
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escaped(name), counts(runs));
        for run in runs {
            write_case(&mut out, name, run);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn seconds(run: &Run) -> f64 {
    run.value["wall_seconds"].as_f64().unwrap_or_default()
}

fn counts(runs: &[&Run]) -> String {
    let failures = runs.iter().filter(|run| run.status != 0).count();
    let time: f64 = runs.iter().map(|run| seconds(run)).sum();
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{time:.3}\"", runs.len())
}

fn write_case(out: &mut String, suite: &str, run: &Run) {
    let (seed, time) = (run.key.seed, seconds(run));
    let _ =
        write!(out, "    <testcase classname=\"{}\" name=\"seed {seed}\" time=\"{time:.3}\"", escaped(suite));
    if run.status == 0 {
        out.push_str("/>\n");
        return;
    }
    let kind = match run.status {
        1 => "expectation",
        3 => "safety",
        4 => "liveness",
        _ => "determinism",
    };
    let complaints = run.value["violations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let text: Vec<_> = complaints.chain([format!("replay: sim {}", run.key).as_str()]).map(escaped).collect();
    let _ = writeln!(
        out,
        ">\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>",
        escaped(&run.first_complaint()),
        text.join("\n")
    );
}

/// As text of an element or of an attribute. What XML 1.0 cannot hold at all is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_can_read_it() {
        let run = |seed: u64, status, violations: &[&str]| {
            let value = serde_json::json!({
                "scenario": "churn", "seed": seed, "wall_seconds": 1.25, "violations": violations,
            });
            Run::of(value, &[], status).expect("it is whole")
        };
        let (one, two) = (run(1, 0, &[]), run(2, 3, &["integrity: 1 < 2 & \"so\"\u{7}", "and more"]));
        insta::assert_snapshot!(document(&[&one, &two]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="sim" tests="2" failures="1" errors="0" time="2.500">
          <testsuite name="churn" tests="2" failures="1" errors="0" time="2.500">
            <testcase classname="churn" name="seed 1" time="1.250"/>
            <testcase classname="churn" name="seed 2" time="1.250">
              <failure type="safety" message="integrity: 1 &lt; 2 &amp; &quot;so&quot;">integrity: 1 &lt; 2 &amp; &quot;so&quot;
        and more
        replay: sim churn --seed 2</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
