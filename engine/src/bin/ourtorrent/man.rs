//! `man`: the manual page, made from the same texts as `--help`.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::Args;
use crate::failure::{Failure, Status};

/// Prints the pages of the program and its subcommands in roff.
pub(crate) fn run() -> Result<Status, Failure> {
    print().map_err(|error| Failure::new(Status::Storage, format_args!("cannot print: {error}")))?;
    Ok(Status::Done)
}

fn print() -> io::Result<()> {
    let mut out = Vec::new();
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        clap_mangen::Man::new(subcommand.clone()).render(&mut out)?;
    }
    io::stdout().write_all(&out)
}
