//! The tracker on the command line.
//!
//! Arguments are typed in [`args`], carried out in [`run`]; nothing here knows the protocol.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Args;

mod args;
mod run;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("OURTORRENT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let done = if args.man { args::print_man_page() } else { run::run(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what failed, and why.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
