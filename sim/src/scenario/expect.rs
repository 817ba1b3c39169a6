//! Expectations: what a scenario's author demands of the outcome.

use std::fmt::{self, Write as _};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::fields::{Fields, Value, duration, share, text, written, wrong};
use super::justice::{self, ExpectJustice};
use super::quantity;
use super::schema::{Key, Shape, may, or};
use super::source::Refusal;

/// What must come out of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expect {
    /// How many of the leechers that stay must complete.
    pub completed: Completed,
    /// The least efficiency: lower bound / time of the last completion.
    pub efficiency: Option<f64>,
    /// The latest time of the last completion.
    pub time: Option<Duration>,
    /// The most payload that came more than once, as a share of all payload due.
    pub duplicates: Option<f64>,
    /// The most that the wire may carry beyond the payload due, as a share of it.
    pub overhead: Option<f64>,
    /// The most that the seeders together may upload, in copies of the content.
    pub seed_copies: Option<f64>,
    /// The most leechers that are there at once and not complete.
    pub population: Option<Population>,
    /// The most addresses that any peer may know in the end: what does not forget grows.
    pub known: Option<f64>,
    /// Of the tracker.
    pub tracker: ExpectTracker,
    /// Where hostile peers are about.
    pub justice: ExpectJustice,
}

/// What must come out for the tracker: the least share of each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpectTracker {
    /// Of the announces that show a connection id of its own, those that it answers.
    pub answered: Option<f64>,
    /// Of the peers that it names, those that are there and of use to whoever asked.
    pub useful: Option<f64>,
    /// Of the peers that it counts, those that are rightly counted.
    pub counts: Option<f64>,
    /// Of the regular announces, those that come when the tracker had asked for them.
    pub punctual: Option<f64>,
    /// Of the downloads that ended, those that it counts in the end.
    pub counted: Option<f64>,
}

/// The keys of `[expect.tracker]`, in the order of [`ExpectTracker::shares`].
const TRACKER_KEYS: [Key; 5] = [
    may(
        "answered",
        Shape::AtLeast,
        "Share of announces with a good connection id that got counts and peers.",
    ),
    may("useful", Shape::AtLeast, "Share of named peers that were there and of use to whoever asked."),
    may(
        "counts",
        Shape::AtLeast,
        "Share of the peers in its counts that were rightly counted, give or take who just came or went.",
    ),
    may(
        "punctual",
        Shape::AtLeast,
        "Share of regular announces that came when the last reply had asked for them.",
    ),
    may(
        "counted",
        Shape::AtLeast,
        "Share of ended downloads that it counts in the end, scraped from outside.",
    ),
];

impl ExpectTracker {
    /// The shares and their names.
    pub const fn shares(&self) -> [(&'static str, Option<f64>); 5] {
        let Self { answered, useful, counts, punctual, counted } = *self;
        [
            (TRACKER_KEYS[0].name, answered),
            (TRACKER_KEYS[1].name, useful),
            (TRACKER_KEYS[2].name, counts),
            (TRACKER_KEYS[3].name, punctual),
            (TRACKER_KEYS[4].name, counted),
        ]
    }
}

/// How many leechers must complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Completed {
    /// Every one that does not leave for good before.
    All,
    /// At least this share of them.
    AtLeast(f64),
}

/// How large a crowd of incomplete leechers may become, or must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Never more than so many at once.
    AtMost(u32),
    /// So many at once at some time.
    AtLeast(u32),
}

impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            completed: Completed::All,
            efficiency: None,
            time: None,
            duplicates: None,
            overhead: None,
            seed_copies: None,
            population: None,
            known: None,
            tracker: ExpectTracker::default(),
            justice: ExpectJustice::default(),
        }
    }
}

/// The keys.
pub(super) const KEYS: &[Key] = &[
    or(
        "\"all\"",
        "completed",
        Shape::Either(&[Shape::Word(|| vec!["all"]), Shape::AtLeast]),
        "How many of the leechers that stay must complete: \"all\", or for example \">= 90 %\".",
    ),
    may("efficiency", Shape::AtLeast, "Least possible time / time of the last completion."),
    may("time", Shape::Within, "Time of the last completion."),
    may("duplicates", Shape::AtMost, "Payload that came more than once, as a share of the content."),
    may("overhead", Shape::AtMost, "Bytes on the wire beyond the content, as a share of it."),
    may("seed_copies", Shape::Times, "Payload that the seeders sent, in copies of the content."),
    may("population", Shape::Crowd, "The most leechers that are there at once and not complete."),
    may("known", Shape::Times, "Addresses that any peer knows in the end, at the most."),
    may("tracker", Shape::Table(&[&TRACKER_KEYS]), "What must come out for the tracker."),
    may("justice", Shape::Table(&[justice::KEYS]), "What must come out where hostile peers are about."),
];

pub(super) fn decode(value: Option<&Value<'_>>) -> Result<Expect, Refusal> {
    let Some(value) = value else { return Ok(Expect::default()) };
    let fields = Fields::of(value, "[expect]", KEYS)?;
    Ok(Expect {
        completed: fields.optional("completed", completed)?.unwrap_or(Completed::All),
        efficiency: fields.optional("efficiency", |value| share(&operand(value, ">=", "0.65")?))?,
        time: fields.optional("time", |value| duration(&operand(value, "<=", "90 s")?))?,
        duplicates: fields.optional("duplicates", |value| share(&operand(value, "<=", "5 %")?))?,
        overhead: fields.optional("overhead", |value| share(&operand(value, "<=", "20 %")?))?,
        population: fields.optional("population", population)?,
        seed_copies: fields
            .optional("seed_copies", |value| number(&operand(value, "<=", "1.2")?, "copies"))?,
        known: fields.optional("known", |value| number(&operand(value, "<=", "80")?, "addresses"))?,
        tracker: fields.optional("tracker", tracker)?.unwrap_or_default(),
        justice: fields.optional("justice", justice::decode)?.unwrap_or_default(),
    })
}

fn tracker(value: &Value<'_>) -> Result<ExpectTracker, Refusal> {
    let fields = Fields::of(value, "[expect.tracker]", &TRACKER_KEYS)?;
    let at_least = |key| fields.optional(key, |value| share(&operand(value, ">=", "95 %")?));
    Ok(ExpectTracker {
        answered: at_least("answered")?,
        useful: at_least("useful")?,
        counts: at_least("counts")?,
        punctual: at_least("punctual")?,
        counted: at_least("counted")?,
    })
}

fn number(value: &Value<'_>, of: &str) -> Result<f64, Refusal> {
    let number = text(value)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| wrong(value, &format!("a number of {of} such as \"<= 1.2\"")))
}

fn population(value: &Value<'_>) -> Result<Population, Refusal> {
    let count = |operator| {
        let count = text(&operand(value, operator, "25")?)?;
        count.parse().map_err(|_| wrong(value, "a number of leechers such as \"<= 25\" or \">= 25\""))
    };
    if text(value)?.trim_start().starts_with('>') {
        count(">=").map(Population::AtLeast)
    } else {
        count("<=").map(Population::AtMost)
    }
}

fn completed(value: &Value<'_>) -> Result<Completed, Refusal> {
    const HINT: &str = "it can be \"all\" or for example \">= 90 %\"";
    if value.get_ref().as_str() == Some("all") {
        return Ok(Completed::All);
    }
    share(&operand(value, ">=", "90 %").map_err(|refusal| refusal.hint(HINT))?).map(Completed::AtLeast)
}

/// The right-hand side of a comparison with `operator`, which is the only one that makes sense there.
pub(super) fn operand<'a>(value: &Value<'a>, operator: &str, example: &str) -> Result<Value<'a>, Refusal> {
    let due = format!("a text such as \"{operator} {example}\"");
    let unit = example.split_once(' ').map_or(String::new(), |(_, unit)| format!(" {unit}"));
    let text = value.get_ref().as_str().ok_or_else(|| match written(value) {
        // A share may be said without its unit.
        Some(number) if number.contains('.') => {
            wrong(value, &due).hint(format!("write \"{operator} {number}\""))
        }
        Some(number) => wrong(value, &due).hint(format!("write \"{operator} {number}{unit}\"")),
        None => wrong(value, &due),
    })?;
    let rest = text.trim().strip_prefix(operator).ok_or_else(|| {
        let refusal = Refusal::new(value.span(), format!("`{text}` must begin with `{operator}`"));
        let meant = text.trim_start_matches([' ', '<', '>', '=']);
        if meant.starts_with(|c: char| c.is_ascii_digit()) {
            refusal.hint(format!("write \"{operator} {meant}\""))
        } else {
            refusal.hint(format!("write for example \"{operator} {example}\""))
        }
    })?;
    Ok(Spanned::new(value.span(), DeValue::String(rest.trim().to_owned().into())))
}

/// The `[expect]` table that says `expect`.
pub(super) fn write(expect: &Expect) -> String {
    let mut out = "[expect]\n".to_owned();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key} = \"{value}\"");
    };
    line(
        "completed",
        match expect.completed {
            Completed::All => "all".to_owned(),
            Completed::AtLeast(share) => format!(">= {share}"),
        },
    );
    expect.efficiency.inspect(|least| line("efficiency", format!(">= {least}")));
    expect.time.inspect(|most| line("time", format!("<= {}", quantity::duration_text(*most))));
    expect.duplicates.inspect(|most| line("duplicates", format!("<= {most}")));
    expect.overhead.inspect(|most| line("overhead", format!("<= {most}")));
    expect.seed_copies.inspect(|most| line("seed_copies", format!("<= {most}")));
    expect.population.inspect(|population| line("population", population.to_string()));
    expect.known.inspect(|most| line("known", format!("<= {most}")));
    for (key, least) in expect.tracker.shares() {
        least.inspect(|least| line(&format!("tracker.{key}"), format!(">= {least}")));
    }
    justice::lines(&expect.justice).for_each(|(key, value)| line(key, value));
    out
}
