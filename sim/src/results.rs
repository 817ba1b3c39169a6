//! Files of results: one JSON object a run, written as soon as the run is over, so that a sweep can be interrupted.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// Which run: two with the same key do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) scenario: String,
    /// What `--set` replaced.
    pub(crate) set: Vec<String>,
    pub(crate) seed: u64,
}

impl Key {
    /// All but the seed.
    pub(crate) fn variant(&self) -> String {
        let sets = self.set.iter().map(|set| format!(" --set {set}"));
        std::iter::once(self.scenario.clone()).chain(sets).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --seed {}", self.variant(), self.seed)
    }
}

/// One run of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) key: Key,
    /// The exit status that it had.
    pub(crate) status: u8,
    pub(crate) value: Value,
}

impl Run {
    /// Its line, from the object that `--json` prints.
    pub(crate) fn of(mut value: Value, set: &[String], status: u8) -> Option<Self> {
        value["set"] = set.into();
        value["status"] = status.into();
        Self::from_value(value)
    }

    /// The line of a run that ended without a verdict.
    pub(crate) fn failed(scenario: &str, seed: u64, set: &[String], status: u8, why: &str) -> Option<Self> {
        let value = serde_json::json!({ "scenario": scenario, "seed": seed, "violations": [why] });
        Self::of(value, set, status)
    }

    fn from_value(value: Value) -> Option<Self> {
        let sets = value.get("set")?.as_array()?;
        let key = Key {
            scenario: value.get("scenario")?.as_str()?.to_owned(),
            set: sets.iter().filter_map(|set| set.as_str().map(str::to_owned)).collect(),
            seed: value.get("seed")?.as_u64()?,
        };
        Some(Self { key, status: u8::try_from(value.get("status")?.as_u64()?).ok()?, value })
    }

    pub(crate) fn first_complaint(&self) -> String {
        let first = self.value["violations"].get(0).and_then(Value::as_str);
        first.unwrap_or("something else than twice the same").to_owned()
    }
}

/// The runs of a file. A last line without an end was interrupted, and does not count.
pub(crate) fn read(path: &Path) -> Result<Vec<Run>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    let run = |(number, line): (usize, &str)| {
        let run = serde_json::from_str(line).ok().and_then(Run::from_value);
        run.ok_or_else(|| anyhow!("{}:{}: no run of `sim --results`", path.display(), number + 1))
    };
    whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(run).collect()
}

/// A file that runs are appended to.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Opens or makes the file; returns the runs that are in it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Run>)> {
        let runs = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(_) | Ok(_) => read(path)?,
        };
        let context = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
        // What was interrupted is written anew.
        let text = fs::read(path).with_context(context)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).with_context(context)?;
        Ok((Self { path: path.to_owned(), file }, runs))
    }

    /// Writes a run's line, at once.
    pub(crate) fn append(&mut self, run: &Run) -> Result<()> {
        let line = format!("{}\n", run.value);
        self.file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Run {
        let value = serde_json::json!({ "scenario": "tiny", "seed": seed, "digest": "00", "violations": [] });
        Run::of(value, &["torrent.size=1 MiB".to_owned()], 0).expect("it is whole")
    }

    #[test]
    fn what_was_written_is_read_and_a_torn_line_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.jsonl");
        let (mut results, none) = Results::open(&path).expect("it opens");
        assert_eq!(none, []);
        results.append(&run(1)).expect("written");
        results.append(&run(2)).expect("written");
        let text = fs::read_to_string(&path).expect("reads");
        fs::write(&path, text.get(..text.len() - 9).expect("long enough")).expect("written");
        let (mut results, runs) = Results::open(&path).expect("it opens");
        assert_eq!(runs, [run(1)]);
        results.append(&run(3)).expect("written");
        assert_eq!(read(&path).expect("reads"), [run(1), run(3)]);
        assert_eq!(run(3).key.to_string(), "tiny --set torrent.size=1 MiB --seed 3");
    }

    #[test]
    fn another_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("other.jsonl");
        fs::write(&path, "{\"scenario\":\"tiny\"}\n").expect("written");
        let error = read(&path).expect_err("no run").to_string();
        assert!(error.ends_with("other.jsonl:1: no run of `sim --results`"), "{error}");
    }
}
