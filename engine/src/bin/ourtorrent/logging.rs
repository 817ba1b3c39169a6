//! Logs: how much is said, where it goes, and that it does not break what is drawn on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::args::LogArgs;
use crate::failure::{Failure, Status};
use crate::screen;

/// The variable that says what to log, if the command line does not.
const VARIABLE: &str = "OURTORRENT_LOG";

/// Starts logging, to a file or above what is drawn on the terminal.
pub(crate) fn start(args: &LogArgs) -> Result<(), Failure> {
    // The command line was looked at when it was read; what the environment says may be anything.
    let directives = directives(args, std::env::var(VARIABLE).ok());
    let filter = EnvFilter::new(directives);
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match &args.log_file {
        Some(path) => lines.with_ansi(false).with_writer(Mutex::new(open(path)?)).init(),
        None => lines.with_ansi(io::stderr().is_terminal()).with_writer(|| Above).init(),
    }
    Ok(())
}

/// What to log: by the filter, the count of `-v`, the environment, or what suits the place.
fn directives(args: &LogArgs, environment: Option<String>) -> String {
    let counted = match args.verbose {
        0 => None,
        1 => Some("info"),
        2 => Some("debug"),
        _ => Some("trace"),
    };
    let usual = if args.log_file.is_some() { "info" } else { "warn" };
    let said = args.log_level.clone().or(counted.map(str::to_owned)).or(environment);
    said.filter(|said| !said.trim().is_empty()).unwrap_or_else(|| usual.to_owned())
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|error| {
        Failure::new(Status::Storage, format_args!("cannot log to {}: {error}", path.display()))
    })
}

/// The error stream, above whatever is drawn at its end. A log line comes in one write.
struct Above;

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        screen::note(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(level: Option<&str>, verbose: u8, file: bool) -> LogArgs {
        LogArgs { log_level: level.map(str::to_owned), verbose, log_file: file.then(|| "log".into()) }
    }

    #[test]
    fn the_command_line_comes_before_the_environment_and_a_file_is_told_more() {
        let environment = || Some("engine=trace".to_owned());
        assert_eq!(directives(&args(Some("error"), 2, false), environment()), "error");
        assert_eq!(directives(&args(None, 2, false), environment()), "debug");
        assert_eq!(directives(&args(None, 0, false), environment()), "engine=trace");
        assert_eq!(directives(&args(None, 0, false), Some(String::new())), "warn");
        assert_eq!(directives(&args(None, 0, true), None), "info");
    }
}
