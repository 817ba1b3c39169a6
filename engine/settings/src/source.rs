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
        Self::new(error.span().unwrap_or(0..0), error.message().replace('\n', "; "))
    }

    /// Adds what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
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

/// The text of a file, then one line for each `--set`.
///
/// One text for both, so that a span alone tells where a value was written.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    text: String,
    file_len: usize,
    sets: Vec<String>,
}

impl Source {
    /// The text of `file`.
    pub fn new(file: &str, text: &str) -> Self {
        let mut text = text.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self { file: file.to_owned(), file_len: text.len(), text, sets: Vec::new() }
    }

    /// Appends a `--set`, as the TOML line that it means.
    pub fn append(&mut self, line: &str) {
        // Blanks before it give every span its offset in the whole text.
        self.sets.push(format!("{}{line}", " ".repeat(self.text.len())));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The `--set`s, each with blanks before it that stand for everything before it.
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of the file alone.
    pub fn file_text(&self) -> &str {
        &self.text[..self.file_len]
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
        let (file, base) =
            if at < self.file_len { (self.file.as_str(), 0) } else { ("--set", self.file_len) };
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
}
