//! The peer on the command line: parse, do, and turn the outcome into an exit status.

mod args;
mod create;
mod download;
mod failure;
mod limits;
mod logging;
mod man;
mod network;
mod outlook;
mod probe;
mod report;
mod runtime;
mod screen;
mod seed;
mod selection;
mod session;
mod show;
mod source;
mod table;
mod torrent_file;
mod transfer;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let started = logging::start(&args.log);
    let outcome = started.and_then(|()| match args.command {
        Command::Create(args) => create::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Download(args) => download::run(&args),
        Command::Seed(args) => seed::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Man => man::run(),
    });
    let status = outcome.unwrap_or_else(|failure| {
        screen::note(format_args!("ourtorrent: {failure}"));
        failure.status
    });
    status.into()
}
