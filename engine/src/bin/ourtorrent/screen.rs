//! Printing that survives a reader who left: `ourtorrent show x | head` ends quietly, and a seeder whose log
//! is gone goes on sharing. The standard macros panic there. What is drawn at the end of a terminal stays whole: lines
//! go above it.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

/// What is drawn at the end of the terminal, if anything is.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// From now on lines go above `bar`, or are just printed.
pub(crate) fn draw(bar: Option<ProgressBar>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Writes a line to the output stream: what was asked for.
pub(crate) fn print(text: impl Display) {
    // Nobody reads; there is nobody to tell.
    let _ = writeln!(stdout(), "{text}");
}

/// Writes a line to the error stream: what happens on the way.
pub(crate) fn note(text: impl Display) {
    if let Some(bar) = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        return bar.println(text.to_string());
    }
    let _ = writeln!(stderr(), "{text}");
}
