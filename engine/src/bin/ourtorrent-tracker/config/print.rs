//! The effective configuration as a file that explains itself and reads back as the same.

use std::fmt::Write;

use super::Settings;
use super::keys::{Effect, KEYS, SECTIONS};

/// Columns of a comment at the most.
const WIDTH: usize = 96;

/// What stands above everything.
const HEADER: &str = "\
# Configuration of ourtorrent-tracker, as it takes effect: defaults, then this file, then the command line.
# A running tracker reads it again at SIGHUP; what a restart is needed for says so. Every key may be left out.
";

impl Settings {
    /// All keys with their meaning and present value, as TOML.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = HEADER.to_owned();
        for section in SECTIONS {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[{section}]\n");
            for key in KEYS.iter().filter(|key| key.section == *section) {
                let restart = if key.effect == Effect::AtStart { ". Needs a restart" } else { "" };
                comment(&mut text, &format!("{}{restart}.", key.doc));
                let _ = writeln!(text, "{} = {}", key.name, (key.show)(self));
            }
        }
        text
    }
}

/// Appends `words` as comment lines.
fn comment(text: &mut String, words: &str) {
    let mut column = WIDTH;
    for word in words.split(' ') {
        let len = word.chars().count() + 1;
        if column + len > WIDTH {
            text.push_str(if column == WIDTH && !text.ends_with(|c: char| c != '\n') { "#" } else { "\n#" });
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += len;
    }
    text.push('\n');
}
