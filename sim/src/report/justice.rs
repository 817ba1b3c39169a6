//! What the verdict says of hostile peers: a row of the table, and the expectations of `[expect.justice]`.

use super::Check;
use super::text::percent;
use crate::oracle::JusticeFigures;
use crate::scenario::ExpectJustice;
use crate::scenario::quantity::duration_text;

/// What was not measured because nothing of the kind happened.
const NO_OCCASION: &str = "no occasion";

/// The expectations; one that was not put to the test is not met.
pub(super) fn checks(expect: &ExpectJustice, figures: Option<JusticeFigures>) -> Vec<Check> {
    let of = figures.unwrap_or_default();
    let check = |name, expected: String, measured: Option<String>, met| Check {
        // Each of them has a figure if it had an occasion.
        occasions: measured.is_some().into(),
        name,
        expected: format!("<= {expected}"),
        measured: measured.unwrap_or_else(|| NO_OCCASION.to_owned()),
        met,
    };
    let within = |measured: Option<f64>, most: f64| measured.is_some_and(|measured| measured <= most);
    let banned = expect.banned.map(|most| {
        let measured = of.slowest.map(|slowest| format!("{slowest:.1} s"));
        check("banned", duration_text(most), measured, within(of.slowest, most.as_secs_f64()))
    });
    let slowdown = expect.slowdown.map(|most| {
        let measured = of.slowdown.map(|slowdown| format!("{slowdown:.2}"));
        check("slowdown", most.to_string(), measured, within(of.slowdown, most))
    });
    let loot =
        expect.loot.map(|most| check("loot", percent(most), of.loot.map(percent), within(of.loot, most)));
    [banned, slowdown, loot].into_iter().flatten().collect()
}

/// The row of the table.
pub(super) fn row(figures: JusticeFigures) -> String {
    let mut parts = vec![format!("{} hostile", figures.hostile)];
    if let Some(slowest) = figures.slowest {
        let (refused, sufferers) = (figures.refused, figures.sufferers);
        parts.push(format!("refused in {refused} of {sufferers} cases, at the latest after {slowest:.1} s"));
    }
    parts.extend(figures.loot.map(|loot| format!("free riders have {}", percent(loot))));
    parts.extend(figures.slowdown.map(|slowdown| format!("slowdown {slowdown:.2}")));
    parts.join("; ")
}
