//! A text, and complaints that point into it.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// What is wrong with a part of a text, before anybody knows which file it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Bytes of the text that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Refusal {
    /// Complains about `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// What the TOML parser complains about.
    pub fn syntax(error: &toml::de::Error) -> Self {
        let refusal = Self::new(error.span().unwrap_or(0..0), error.message().replace('\n', "; "));
        let hints = [
            ("string values must be quoted", "put the text in quotes"),
            ("invalid basic string", "a text ends with its second quote, in the same line"),
            (
                "duplicate key",
                "each key stands once; of tables there may be several where they are written [[NAME]]",
            ),
        ];
        match hints.iter().find(|(start, _)| refusal.message.starts_with(start)) {
            Some((_, hint)) => refusal.hint(*hint),
            None => refusal,
        }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what would be right, unless that is said already.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }
}

/// A text that was refused: where, why, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct RefusedText {
    /// The file, or `--set`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending line.
    pub text: String,
    /// Characters to underline.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for RefusedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, text, width, message, hint } = self;
        let gutter = " ".repeat(line.to_string().len());
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        writeln!(f, " {gutter} |")?;
        writeln!(f, "{}", format!(" {line} | {text}").trim_end())?;
        write!(f, " {gutter} | {}{}", " ".repeat(column - 1), "^".repeat(*width))?;
        match hint {
            Some(hint) => write!(f, "\n {gutter} = {hint}"),
            None => Ok(()),
        }
    }
}

/// The text of a file, those of others that it names, and one line for each `--set`.
///
/// One text for all, so that a span alone tells where a value was written.
#[derive(Clone, Debug)]
pub struct Source {
    text: String,
    /// What each stretch of the text is called, and where it begins.
    parts: Vec<(String, usize)>,
    files: Vec<String>,
    sets: Vec<String>,
}

/// What the part of the `--set`s is called.
const SETS: &str = "--set";

impl Source {
    /// The text of `file`.
    pub fn new(file: &str, text: &str) -> Self {
        let mut source = Self { text: String::new(), parts: Vec::new(), files: Vec::new(), sets: Vec::new() };
        source.include(file, text);
        source
    }

    /// Appends the text of one more file; before any `--set`.
    pub fn include(&mut self, file: &str, text: &str) {
        self.parts.push((file.to_owned(), self.text.len()));
        self.files.push(self.padded(text));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Appends a `--set`, as the TOML line that it means.
    pub fn append(&mut self, line: &str) {
        if self.sets.is_empty() {
            self.parts.push((SETS.to_owned(), self.text.len()));
        }
        self.sets.push(self.padded(line));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Blanks before it give every span its offset in the whole text.
    fn padded(&self, text: &str) -> String {
        format!("{}{text}", " ".repeat(self.text.len()))
    }

    /// The texts of the files, each with blanks before it that stand for everything before it.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The `--set`s, in the same manner.
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The last character boundary at or before `at`.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }

    /// Turns a refusal into what the user reads.
    pub fn locate(&self, refusal: Refusal) -> RefusedText {
        let at = self.boundary(refusal.span.start);
        let from = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let to = self.text[at..].find('\n').map_or(self.text.len(), |length| at + length);
        let end = self.boundary(refusal.span.end.clamp(at, to));
        let part = self.parts.iter().rev().find(|(_, base)| *base <= at);
        let (file, base) = part.map_or(("", 0), |(file, base)| (file.as_str(), *base));
        RefusedText {
            file: file.to_owned(),
            line: self.text[base..at].matches('\n').count() + 1,
            column: self.text[from..at].chars().count() + 1,
            text: self.text[from..to].to_owned(),
            width: self.text[at..end].chars().count().max(1),
            message: refusal.message,
            hint: refusal.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_points_at_its_place() {
        let source = Source::new("a.toml", "x = 1\nyéé = 2\n");
        let error = source.locate(Refusal::new(6..11, "unknown key `yéé`").hint("did you mean `y`?"));
        assert_eq!(
            error.to_string(),
            "a.toml:2:1: unknown key `yéé`\n   |\n 2 | yéé = 2\n   | ^^^\n   = did you mean `y`?"
        );
    }

    #[test]
    fn a_complaint_about_an_override_names_it() {
        let mut source = Source::new("a.toml", "x = 1");
        source.append("x=2");
        source.append("y = 3");
        let error = source.locate(Refusal::new(10..15, "no"));
        assert_eq!((error.file.as_str(), error.line, error.column), ("--set", 2, 1));
        assert_eq!(error.text, "y = 3");
    }

    #[test]
    fn a_complaint_about_an_included_file_names_that() {
        let mut source = Source::new("a.toml", "x = 1");
        source.include("b.toml", "# all\nz = 4");
        source.append("y = 3");
        assert_eq!(source.files()[1], "      # all\nz = 4");
        let error = source.locate(Refusal::new(12..13, "no"));
        assert_eq!((error.file.as_str(), error.line, error.column), ("b.toml", 2, 1));
        let error = source.locate(Refusal::new(18..19, "no"));
        assert_eq!((error.file.as_str(), error.line, error.text.as_str()), ("--set", 1, "y = 3"));
    }
}
