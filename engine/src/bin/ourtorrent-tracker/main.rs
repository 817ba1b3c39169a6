//! The tracker on the command line.
//!
//! Arguments are typed in [`args`], settings are read in [`config`], serving is carried out in [`run`], the
//! rest in [`commands`]; nothing here knows the protocol.

use std::process::ExitCode;

use crate::args::Args;
use crate::config::{BadSettings, Settings};
use crate::flags::Flags;

mod args;
mod commands;
mod config;
mod flags;
mod logging;
mod run;
mod signals;

fn main() -> ExitCode {
    let (args, flags) = args::parse();
    match done(&args, &flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What failed, and why; nothing else stands on standard error then.
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<BadSettings>() { 2 } else { 1 })
        }
    }
}

fn done(args: &Args, flags: &Flags) -> anyhow::Result<()> {
    if args.man {
        return args::print_man_page();
    }
    let settings = Settings::load(args.config.as_deref(), flags)?;
    if args.print_config {
        print!("{}", settings.to_toml());
        return Ok(());
    }
    if args.check_config {
        settings.tracker()?;
        println!("the configuration is fine");
        return Ok(());
    }
    match &args.command {
        Some(command) => commands::run(command, settings.db.as_deref(), args.json),
        None => run::run(args, flags, settings),
    }
}
