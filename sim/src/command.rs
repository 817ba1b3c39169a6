//! The small commands, and what all of them share.

use std::io::{ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use settings::quantity::duration_text;
use sim::report::Style;
use sim::run::imagine;
use sim::scenario::{Cost, Scenario};

use crate::args::Sets;
use crate::find;

/// Exit status: a safety oracle fired.
pub(crate) const UNSAFE: u8 = 3;
/// Exit status: two runs of one seed differ.
pub(crate) const DIFFERENT: u8 = 5;

/// Colours on terminals, unless the user asks for none (no-color.org).
pub(crate) fn style() -> Style {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if coloured { Style::Coloured } else { Style::Plain }
}

/// The worse of two exit statuses: safety before determinism before liveness before expectations.
pub(crate) fn worse(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 6] = [UNSAFE, DIFFERENT, 4, 2, 1, 0];
    let rank = |status| ORDER.iter().position(|&other| other == status);
    if rank(b) < rank(a) { b } else { a }
}

/// `word` as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// This program as it was called, so that a command can be pasted.
pub(crate) fn program() -> String {
    quoted(&std::env::args().next().unwrap_or_else(|| "sim".to_owned()))
}

/// Writes to standard output. Whoever has closed it wants no more, which is no failure.
pub(crate) fn say(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads scenarios and says what they would run.
pub(crate) fn check(names: &[String], sets: &Sets) -> Result<u8> {
    for name in names {
        let (path, scenario) = find::load(name, &sets.sets)?;
        say(&format!("{}: {}\n", path.display(), describe(&scenario)))?;
    }
    Ok(0)
}

fn describe(scenario: &Scenario) -> String {
    let plan = scenario.expand(scenario.seed);
    let imagined = imagine(&plan, plan.run.time_limit);
    let leechers = plan.leechers().count();
    let (seeders, faults) = (plan.peers.len() - leechers, plan.faults.len());
    let bound = imagined.swarm().bound();
    let bound = bound.map_or_else(String::new, |bound| {
        format!("; at least {:.1} s, set by {}", bound.seconds, bound.term)
    });
    let counts = [
        (seeders, "seeder"),
        (leechers, "leecher"),
        (imagined.piece_count() as usize, "piece"),
        (faults, "fault"),
    ];
    let counted =
        |(count, what): (usize, &str)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let extends = match &scenario.extends[..] {
        [] => String::new(),
        files => format!("extends {}; ", files.join(", which extends ")),
    };
    format!("fine; {extends}{}{bound}", counts.map(counted).join(", "))
}

/// Lists the scenarios of a folder, for people or as JSON.
pub(crate) fn list(folder: &Path, json: bool) -> Result<u8> {
    let files = find::in_folder(folder)?;
    let mut long = Vec::new();
    let width = files.iter().map(|path| stem(path).chars().count()).max().unwrap_or(0);
    for path in &files {
        let scenario = find::load(&path.to_string_lossy(), &[]).map(|(_, scenario)| scenario);
        if json {
            say(&format!("{}\n", entry(path, &scenario)))?;
            continue;
        }
        let claim = match scenario {
            Ok(Scenario { run, claim, .. }) if run.cost.is_long() => {
                long.push((path, run.cost));
                format!("({}) {claim}", takes(run.cost))
            }
            Ok(scenario) => scenario.claim,
            Err(error) => format!("refused: {}", error.to_string().lines().next().unwrap_or_default()),
        };
        say(&format!("{:<width$}  {claim}\n", stem(path)))?;
    }
    if !long.is_empty() {
        say(&asking_for(&long))?;
    }
    Ok(0)
}

/// How long a long run takes, as far as the scenario says it.
fn takes(cost: Cost) -> String {
    match cost {
        Cost::About(time) => format!("long: about {}", duration_text(time)),
        Cost::Long | Cost::Short => "long".to_owned(),
    }
}

/// The command that runs those that CI leaves to whoever asks for them.
fn asking_for(long: &[(&PathBuf, Cost)]) -> String {
    let files: Vec<_> = long.iter().map(|(path, _)| quoted(&path.to_string_lossy())).collect();
    let costs: Option<Duration> = long.iter().map(|(_, cost)| cost.time()).sum();
    let all = costs.map_or_else(String::new, |all| format!(", about {} together", duration_text(all)));
    format!("\nCI runs all but the long ones{all}: {} {}\n", program(), files.join(" "))
}

fn entry(path: &Path, scenario: &Result<Scenario>) -> serde_json::Value {
    let file = path.to_string_lossy();
    match scenario {
        Ok(Scenario { name, claim, extends, run, .. }) => {
            let seconds = run.cost.time().map(|time| time.as_secs());
            serde_json::json!({ "file": file, "name": name, "claim": claim, "long": run.cost.is_long(), "seconds": seconds, "extends": extends })
        }
        Err(error) => serde_json::json!({ "file": file, "refused": error.to_string() }),
    }
}

/// Prints the language's JSON schema.
pub(crate) fn schema() -> Result<u8> {
    say(&format!("{}\n", serde_json::to_string_pretty(&sim::scenario::json_schema())?))?;
    Ok(0)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What could have been named.
pub(crate) fn available() -> String {
    let files: Vec<PathBuf> = find::in_folder(Path::new("scenarios")).unwrap_or_default();
    match files.first() {
        Some(first) => {
            let names: Vec<_> = files.iter().map(|path| stem(path)).collect();
            format!("For example: sim {}\n(known: {})", first.display(), names.join(", "))
        }
        None => "Name a file: sim PATH/TO/SCENARIO.toml".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_run_decides() {
        assert_eq!([0, 1, 4, 5, 3].into_iter().fold(0, worse), 3);
        assert_eq!([1, 5, 0].into_iter().fold(0, worse), 5);
        assert_eq!([1, 0, 4].into_iter().fold(0, worse), 4);
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("scenarios/a-1.toml"), "scenarios/a-1.toml");
        assert_eq!(quoted("torrent.size=4 MiB"), "'torrent.size=4 MiB'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
