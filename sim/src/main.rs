//! The test bench on the command line.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod command;
mod core_swarms;
mod differ;
mod find;
mod junit;
mod merge;
mod onlookers;
mod progress;
mod results;
mod runner;
mod shrinker;
mod sweep;
mod tracer;
mod versus;

use args::{Args, Command};
use mimalloc::MiMalloc;

/// A run makes and frees tens of millions of packets and buffers, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit status: bad usage or a bad scenario.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let status = match args.command {
        None => runner::run(&args.run),
        Some(Command::Run(run)) => runner::run(&run),
        Some(Command::Compare(args)) => versus::compare(&args),
        Some(Command::Merge(args)) => merge::merge(&args),
        Some(Command::Diff(args)) => differ::diff(&args),
        Some(Command::Core(args)) => core_swarms::run(&args),
        Some(Command::Shrink(args)) => shrinker::print(&args),
        Some(Command::Trace(args)) => tracer::print(&args),
        Some(Command::Check { scenarios, sets }) => command::check(&scenarios, &sets),
        Some(Command::Schema) => command::schema(),
        Some(Command::List { folder, json }) => command::list(&folder, json),
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(BAD_USAGE)
        }
    }
}
