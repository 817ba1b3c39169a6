//! What may stand on the command line, as typed values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use engine::tracker::{HttpConfig, MAX_WORKERS, TrackerConfig};
use proto::registry::RegistryConfig;

/// What `--help` says about statuses and signals.
const AFTER_HELP: &str = "\
Exit status:
  0  ended by Ctrl-C or SIGTERM, and everything is kept
  1  could not start, or could not keep the last changes
  2  wrong arguments

Example:
  ourtorrent-tracker --bind 0.0.0.0:6969 --bind '[::]:6969' --db tracker.db";

/// A BitTorrent tracker over UDP (BEP 15).
///
/// It answers anybody about any torrent. Swarms live in memory; counts of completed downloads and the
/// secret of connection ids live in the database, so that a restart loses neither.
///
/// Set `OURTORRENT_LOG=debug` to see what happens inside.
#[derive(Debug, Parser)]
#[command(name = "ourtorrent-tracker", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Address to listen at; repeat it for more. An IPv6 socket serves IPv6 only
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:6969")]
    bind: Vec<SocketAddr>,

    /// Database file, made if it does not exist; without it nothing outlives the process
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,

    /// Threads that answer requests; 0 takes one for each processor. One is enough up to some 200,000
    /// requests a second
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MAX_WORKERS as u64))]
    workers: u64,

    /// Time that clients wait between announces; a silent one is forgotten after twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    interval: u64,

    /// Torrents at the most
    #[arg(long, value_name = "COUNT", default_value_t = RegistryConfig::default().max_torrents)]
    max_torrents: usize,

    /// Peers of all torrents together at the most
    #[arg(long, value_name = "COUNT", default_value_t = RegistryConfig::default().max_members_in_total)]
    max_peers: usize,

    /// Print the counters as JSON on standard output at the end
    #[arg(long)]
    pub(crate) json: bool,

    /// Log a line of counters this often; 0 never does
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    stats_every: u64,

    /// Print the manual page
    #[arg(long, hide = true)]
    pub(crate) man: bool,
}

impl Args {
    /// What the arguments mean for the tracker.
    pub(crate) fn config(&self) -> TrackerConfig {
        let registry = RegistryConfig {
            interval: Duration::from_secs(self.interval),
            max_torrents: self.max_torrents,
            max_members_in_total: self.max_peers,
            ..RegistryConfig::default()
        };
        TrackerConfig {
            bind: self.bind.clone(),
            workers: self.workers(),
            http: HttpConfig::default(),
            admin: None,
            registry,
        }
    }

    /// Threads that answer requests.
    pub(crate) fn workers(&self) -> usize {
        match self.workers {
            0 => available_parallelism().map_or(1, usize::from).min(MAX_WORKERS),
            workers => workers as usize,
        }
    }

    /// The pause between two lines of counters.
    pub(crate) fn stats_every(&self) -> Option<Duration> {
        (self.stats_every > 0).then_some(Duration::from_secs(self.stats_every))
    }
}

/// Writes the manual page, made from the same definitions as `--help`.
pub(crate) fn print_man_page() -> anyhow::Result<()> {
    Ok(clap_mangen::Man::new(Args::command()).render(&mut std::io::stdout().lock())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_what_users_know() {
        let help = Args::command().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help);
    }

    #[test]
    fn the_definitions_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn arguments_mean_what_they_say() {
        let line = "x --bind 127.0.0.1:1 --bind [::1]:2 --interval 60 --max-torrents 3 --stats-every 0";
        let args = Args::parse_from(line.split(' '));
        let config = args.config();
        assert_eq!(config.bind.len(), 2);
        assert_eq!((config.registry.interval, config.registry.max_torrents), (Duration::from_secs(60), 3));
        assert_eq!(args.stats_every(), None);
        assert!(Args::try_parse_from(["x", "--interval", "1"]).is_err());
        assert!(Args::try_parse_from(["x", "--bind", "localhost"]).is_err());
    }
}
