//! What a rule is, and what it may find.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Clients that follow the BEP depend on it: breaking it is a FAIL.
    Must,
    /// Good practice that no BEP demands: neglecting it is a WARN.
    Should,
}

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Beside others.
    Shared,
    /// Alone and at the end, because it might stop a weak tracker, and then the others must not be blamed.
    Alone,
}

/// One rule in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name, such as `announce.counts-order`.
    pub id: &'static str,
    /// Where it stands, such as `BEP 15`.
    pub citation: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What must hold, in one line.
    pub text: &'static str,
}

/// Why a rule does not hold, or cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The tracker breaks it.
    Broken {
        /// What was sent, in one line.
        sent: String,
        /// What came back, in one line.
        got: String,
    },
    /// It cannot be judged, and why.
    Skipped(String),
}

/// A rule holds, or there is trouble.
pub(super) type Outcome = Result<(), Trouble>;

/// A rule under way.
type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A rule and the function that judges it in a session `S`.
pub(super) struct Check<S> {
    pub(super) rule: Rule,
    pub(super) turn: Turn,
    pub(super) run: fn(Arc<S>) -> Running,
}

/// Writes a list of [`Check`]s: a citation, and for each rule its level, turn, id, function and text.
macro_rules! checks {
    ($citation:literal: $($level:ident $turn:ident $id:literal $run:ident, $text:literal;)*) => {
        vec![$($crate::probe::conformance::rule::Check {
            rule: $crate::probe::conformance::Rule {
                id: $id,
                citation: $citation,
                level: $crate::probe::conformance::Level::$level,
                text: $text,
            },
            turn: $crate::probe::conformance::rule::Turn::$turn,
            run: |session| Box::pin(async move { $run(&session).await }),
        }),*]
    };
}
pub(super) use checks;

/// `sent` was answered by `got`, which breaks the rule.
pub(super) fn broken(sent: impl fmt::Display, got: impl fmt::Display) -> Trouble {
    Trouble::Broken { sent: sent.to_string(), got: got.to_string() }
}

/// Does the rule hold? If not, `sent` and `got` say why.
pub(super) fn ensure(holds: bool, sent: impl fmt::Display, got: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(broken(sent, got)) }
}
