//! What may stand on the command line, as typed values.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::Command;
use crate::flags::Flags;

/// What `--help` says about statuses, signals and variables.
const AFTER_HELP: &str = "\
Exit status:
  0  done; when serving: ended by Ctrl-C or SIGTERM, and everything is kept
  1  could not start, or could not do it, or could not keep the last changes
  2  wrong arguments or configuration

Signals:
  SIGTERM, Ctrl-C  answer nobody more, keep everything, end; a second one ends at once
  SIGHUP           read the configuration and its lists again; a bad file changes nothing

Examples:
  ourtorrent-tracker --bind 0.0.0.0:6969 --bind '[::]:6969' --db tracker.db
  ourtorrent-tracker --config tracker.toml
  ourtorrent-tracker --print-config > tracker.toml
  ourtorrent-tracker torrent deny --db tracker.db 0123456789abcdef0123456789abcdef01234567
  ourtorrent-tracker backup --db tracker.db tracker-backup.db";

/// A BitTorrent tracker (BEP 15).
///
/// Without a command it serves. Swarms live in memory; what must outlive a restart lives in the database:
/// counts of completed downloads, the secret of connection ids, and the swarms of a minute ago at most.
///
/// Every key of the configuration is a flag too; a flag goes before the file.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Parser)]
#[command(name = "ourtorrent-tracker", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// Print the effective configuration, every key explained, and end
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Read the configuration and what it names, say what is wrong, and end
    #[arg(long, conflicts_with = "print_config")]
    pub(crate) check_config: bool,

    /// Results as JSON on standard output; when serving: the counters, at the end
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print the manual page
    #[arg(long, hide = true)]
    pub(crate) man: bool,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The whole command line: what is typed above, and a flag for every key.
fn definition() -> clap::Command {
    Flags::define(Args::command())
}

/// Reads the command line; wrong arguments end the process with status 2.
pub(crate) fn parse() -> (Args, Flags) {
    from(&definition().get_matches()).unwrap_or_else(|error| error.exit())
}

fn from(matches: &clap::ArgMatches) -> Result<(Args, Flags), clap::Error> {
    Ok((Args::from_arg_matches(matches)?, Flags::of(matches)))
}

/// Writes the manual page, made from the same definitions as `--help`.
pub(crate) fn print_man_page() -> anyhow::Result<()> {
    Ok(clap_mangen::Man::new(definition()).render(&mut std::io::stdout().lock())?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_help_is_what_users_know() {
        let help = definition().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help);
    }

    #[test]
    fn the_definitions_are_sound() {
        definition().debug_assert();
    }

    fn settings(line: &str) -> Result<Settings, String> {
        let matches =
            definition().try_get_matches_from(line.split(' ')).map_err(|error| error.to_string())?;
        let (_, flags) = from(&matches).map_err(|error| error.to_string())?;
        Settings::load(None, &flags).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_mean_what_they_say() {
        let line = "x --bind 127.0.0.1:1 --bind [::1]:2 --interval 60 --max-torrents 3 --stats-every 0";
        let settings_of = settings(line).expect("good flags");
        assert_eq!(settings_of.bind.len(), 2);
        assert_eq!(
            (settings_of.registry.interval, settings_of.registry.max_torrents),
            (Duration::from_secs(60), 3)
        );
        assert_eq!(settings_of.stats_every, Duration::ZERO);
        assert_eq!(
            settings("x --interval 1min").map(|all| all.registry.interval),
            Ok(Duration::from_secs(60))
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        let refusal = |line: &str| settings(line).expect_err("refused");
        assert_eq!(refusal("x --interval 1"), "--interval: 1 s is not within 10 s to 1440 min");
        let due = "--bind: `localhost` is not an address with a port; write for example \"0.0.0.0:6969\" or \"[::1]:6969\"";
        assert_eq!(refusal("x --bind localhost"), due);
        assert!(refusal("x --intervall 9").contains("'--interval'"), "clap suggests");
    }
}
