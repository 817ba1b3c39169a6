//! Finding scenarios: by path, or by name in `scenarios/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use sim::scenario::{Scenario, read_file};

/// Where names are looked up, from the current folder.
const FOLDER: &str = "scenarios";

/// Reads the scenario called `name`, with `sets` over it. Returns its path, too.
pub(crate) fn load(name: &str, sets: &[String]) -> Result<(PathBuf, Scenario)> {
    let path = resolve(name)?;
    let text = read_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let scenario = Scenario::parse(&path.to_string_lossy(), &text, sets)?;
    Ok((path, scenario))
}

/// The scenario files of `folder`, in the order of their names.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn resolve(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.is_dir() {
        bail!("{name} is a folder; `sim list {name}` lists its scenarios");
    }
    if path.exists() {
        return Ok(path);
    }
    let in_folder = Path::new(FOLDER).join(format!("{name}.toml"));
    if in_folder.is_file() {
        return Ok(in_folder);
    }
    Err(anyhow!("there is no scenario {name}{}", hint(name)))
}

/// What may have been meant: a command, or a scenario that is there.
fn hint(name: &str) -> String {
    const COMMANDS: [&str; 10] =
        ["run", "compare", "core", "merge", "diff", "shrink", "trace", "check", "schema", "list"];
    let files = in_folder(Path::new(FOLDER)).unwrap_or_default();
    let near = |candidate: &str, word: &str| strsim::jaro_winkler(candidate, word) >= 0.85;
    if let Some(command) = COMMANDS.iter().find(|command| near(command, name)) {
        return format!("; did you mean the command `{command}`?");
    }
    let word = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match files.iter().find(|path| near(&stem(path), &word)) {
        Some(path) => format!("; did you mean {}?", path.display()),
        None if files.is_empty() => String::new(),
        None => "; `sim list` shows those that are there".to_owned(),
    }
}
