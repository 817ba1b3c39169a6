//! `extends = "FILE"`: a scenario that says only in what it differs from another one beside it.
//!
//! What it says is laid over the other's text (`layers`), after what it is `without` has been taken away. Its name is
//! its own file's and its claim its own first line. The other may extend a third.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::fields::text;
use super::layers::{self, Layer};
use super::source::{Refusal, Source};

/// The keys; they stand at the top of the file.
const EXTENDS: &str = "extends";
const WITHOUT: &str = "without";

/// Files that build on each other at the most: nobody could follow more, and a mistake ends.
const MAX_FILES: usize = 8;

/// The longest scenario file, in bytes: an expanded one of 10,000 peers has 2 MB.
const MAX_FILE_LEN: u64 = 16 << 20;

/// Reads a scenario's file.
///
/// # Errors
/// If it cannot be read, or has more bytes than any scenario needs.
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // A pipe does not say how long it is.
    File::open(path)?.take(MAX_FILE_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_LEN {
        let message = format!("it has more than {MAX_FILE_LEN} bytes, which no scenario needs");
        return Err(io::Error::other(message));
    }
    Ok(text)
}

/// Adds to `source` the texts of the files that `file`, which it has, builds on, the nearest one first; returns their names.
pub(super) fn collect(source: &mut Source, file: &str) -> Result<Vec<String>, Refusal> {
    let path = Path::new(file);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names = vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned()];
    while let Some((name, span)) = extended(source)? {
        let refuse = |message: String| Refusal::new(span.clone(), message);
        if Path::new(&name).file_name() != Some(name.as_ref()) {
            return Err(refuse(format!("`{name}` is not the name of a file beside this one"))
                .hint("write its name alone, for example \"flash_crowd.toml\""));
        }
        if let Some(again) = names.iter().position(|other| *other == name) {
            let way = names.get(again..).unwrap_or_default().join(" extends ");
            return Err(refuse(format!("it goes in a circle: {way} extends {name}"))
                .hint("the last file of a family extends nothing"));
        }
        if names.len() == MAX_FILES {
            return Err(refuse(format!("more than {MAX_FILES} files that build on each other")));
        }
        let path = folder.join(&name);
        let text = read_file(&path).map_err(|error| {
            let refusal = refuse(format!("cannot read {}: {error}", path.display()));
            let beside = beside(folder);
            match super::quantity::suggestion(&name, beside.iter().map(String::as_str)) {
                Some(near) => refusal.hint(format!("did you mean \"{near}\"?")),
                None => refusal.hint("it is looked for in the folder of this file"),
            }
        })?;
        source.include(&path.to_string_lossy(), &text);
        names.push(name);
    }
    names.remove(0);
    Ok(names)
}

/// What the last file says that it extends, and where.
fn extended(source: &Source) -> Result<Option<(String, Range<usize>)>, Refusal> {
    // Most files are read once only.
    let Some(last) = source.files().last().filter(|text| text.contains(EXTENDS)) else { return Ok(None) };
    let table = parse(last)?;
    let Some(value) = table.get(EXTENDS) else { return Ok(None) };
    Ok(Some((text(value)?, value.span())))
}

fn parse(text: &str) -> Result<DeTable<'_>, Refusal> {
    DeTable::parse(text).map(Spanned::into_inner).map_err(|error| Refusal::syntax(&error))
}

/// The scenarios of a folder.
fn beside(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let scenarios = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let names = scenarios.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// All the files of `source` as one table; `check` looks at each one's, and where it begins.
pub(super) fn merged(
    source: &Source,
    check: impl Fn(&DeTable<'_>, Range<usize>) -> Result<(), Refusal>,
) -> Result<DeTable<'_>, Refusal> {
    let mut whole = DeTable::new();
    for text in source.files().iter().rev() {
        let mut table = parse(text)?;
        let start = text.len() - text.trim_start_matches(' ').len();
        check(&table, start..start)?;
        table.remove(EXTENDS);
        if let Some(without) = table.remove(WITHOUT) {
            layers::take_away(&mut whole, &without)?;
        }
        // A name is one file's own.
        whole.remove("name");
        layers::lay(&mut whole, table, Layer::File)?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
