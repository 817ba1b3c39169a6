//! Printing that survives a reader who left: `ourtorrent show x | head` ends quietly, and a seeder whose log
//! is gone goes on sharing. The standard macros panic there.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// Writes a line to the output stream: what was asked for.
pub(crate) fn print(text: impl Display) {
    // Nobody reads; there is nobody to tell.
    let _ = writeln!(stdout(), "{text}");
}

/// Writes a line to the error stream: what happens on the way.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}
