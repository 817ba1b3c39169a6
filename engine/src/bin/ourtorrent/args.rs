//! The command line as typed. What it means is decided by each subcommand's own file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use proto::id::InfoHash;
use proto::tracker::TrackerUrl;

use crate::selection::{Files, Urgency};
use crate::source::Source;

mod network;

pub(crate) use network::{AnnounceTo, NetworkArgs, PolicyArgs, ResumeArgs};

const STATUSES: &str = "\
Exit status:
  0    done
  1    not done, or not all of it: no peers, data missing, tracker silent
  2    wrong usage
  3    the torrent file is bad
  4    a file or folder cannot be read or written
  130  interrupted; running the same command again goes on";

const PROBE_STATUSES: &str = "\
Exit status:
  0    every question was answered; with --conformance: no rule is a FAIL
  1    the tracker is silent, refuses, or breaks a rule (FAIL)
  2    wrong usage";

/// BitTorrent peer: make, check, download and share torrents.
///
/// `-v` says more of what happens inside; `OURTORRENT_LOG=debug` does so too.
#[derive(Debug, Parser)]
#[command(name = "ourtorrent", version, after_help = STATUSES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LogArgs {
    /// Log more: -v what matters, -vv every connection, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log at this level, such as `debug`, or by part, such as `info,engine::peer=trace`
    #[arg(long, global = true, value_name = "FILTER", value_parser = log_filter, conflicts_with = "verbose")]
    pub(crate) log_level: Option<String>,
    /// Add the log to this file, from level `info` on, instead of showing it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a torrent file from a file or folder
    Create(CreateArgs),
    /// Print what a torrent file says
    Show(ShowArgs),
    /// Download torrents, going on where an earlier run stopped
    Download(DownloadArgs),
    /// Share complete data until interrupted
    Seed(SeedArgs),
    /// Hash data on disk and say what is missing
    Verify(VerifyArgs),
    /// Ask a tracker and measure its answers, or try whether it keeps the rules
    Probe(ProbeArgs),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUSES)]
pub(crate) struct CreateArgs {
    /// The file or folder to share
    pub(crate) path: PathBuf,
    /// Where to write the torrent file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Announce URL, such as `udp://tracker.example:6969`; each further one is a fallback
    #[arg(short, long, value_name = "URL", required_unless_present = "web_seed")]
    pub(crate) tracker: Vec<String>,
    /// Where an HTTP server has the same file, or the folder that holds it (BEP 19), such as
    /// `https://mirror.example/pub/`; may be repeated
    #[arg(short, long, value_name = "URL", value_parser = web_url)]
    pub(crate) web_seed: Vec<String>,
    /// Piece length: a power of two from 16K, such as 256K or 1M [default: by size]
    #[arg(long, value_name = "SIZE", value_parser = byte_size)]
    pub(crate) piece_length: Option<u32>,
    /// Peers come from the trackers only (BEP 27)
    #[arg(long)]
    pub(crate) private: bool,
    /// Fill up with zeros so that each file begins with a piece (BEP 47): then no piece belongs to two files, and
    /// whoever downloads one file needs nothing of its neighbours
    #[arg(long)]
    pub(crate) pad: bool,
    /// Free text for people to read
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUSES)]
pub(crate) struct ShowArgs {
    /// The torrent file
    pub(crate) torrent: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the magnet link and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(crate) magnet: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUSES)]
pub(crate) struct DownloadArgs {
    /// The torrent file, or a magnet link in quotes: its metadata then comes from peers. Several are downloaded side
    /// by side, on one port and within one set of limits
    #[arg(value_name = "TORRENT|MAGNET", required = true)]
    pub(crate) torrents: Vec<Source>,
    /// The folder to download into; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Go on sharing once complete, until interrupted
    #[arg(long, visible_alias = "keep-seeding")]
    pub(crate) seed: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUSES)]
pub(crate) struct SeedArgs {
    /// The torrent files
    #[arg(value_name = "TORRENT", required = true)]
    pub(crate) torrents: Vec<PathBuf>,
    /// The folder that holds each torrent's file or folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Show each peer one piece at a time until every piece is elsewhere (BEP 16): for the first seeder of a
    /// torrent, whose uplink is worth saving
    #[arg(long = "super")]
    pub(crate) super_seed: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct FileArgs {
    /// Download these files only: a number or range as `show` counts them, a name, a folder, or a pattern such as
    /// `*.srt`; may be repeated
    #[arg(long, value_name = "FILES")]
    pub(crate) select: Vec<Files>,
    /// How much these files are wanted: `skip`, `low`, `normal` or `high`, such as `high=*.srt`; may be repeated
    #[arg(long, value_name = "LEVEL=FILES")]
    pub(crate) priority: Vec<Urgency>,
    /// When the disk's room is taken: as content arrives, or all before the download starts
    #[arg(long, value_name = "WHEN", default_value = "sparse")]
    pub(crate) allocate: Allocate,
}

/// When the disk's room is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allocate {
    /// As content arrives
    #[default]
    Sparse,
    /// Before the download starts
    Full,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = STATUSES)]
pub(crate) struct VerifyArgs {
    /// The torrent file
    pub(crate) torrent: PathBuf,
    /// The folder that holds the torrent's file or folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = PROBE_STATUSES)]
pub(crate) struct ProbeArgs {
    /// The tracker, such as `udp://tracker.example:6969` or `https://tracker.example/announce`
    pub(crate) url: TrackerUrl,
    /// Try every rule that a tracker should keep, over UDP (BEP 15, 41) or HTTP (BEP 3, 7, 23, 48), and print PASS, FAIL,
    /// WARN (good practice only) or SKIP for each
    #[arg(long)]
    pub(crate) conformance: bool,
    /// The torrent to ask about, as 40 hexadecimal digits; a random one by default. For the moment of the
    /// probe it gets peers that nobody can reach. With `--conformance` it may be repeated: a tracker that
    /// serves listed torrents needs three that nobody uses
    #[arg(long, value_name = "HASH", value_parser = info_hash)]
    pub(crate) info_hash: Vec<InfoHash>,
    /// Try only this rule, such as `scrape.reply`; may be repeated
    #[arg(long, value_name = "ID", requires = "conformance", value_parser = rule)]
    pub(crate) rule: Vec<String>,
    /// Certificates in PEM that a tracker at https:// may have, besides those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub(crate) tracker_ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads the id of a conformance rule.
fn rule(text: &str) -> Result<String, String> {
    let ids: Vec<_> = engine::probe::conformance::rules().into_iter().map(|rule| rule.id).collect();
    if ids.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("no such rule; there are {}", ids.join(", ")))
}

/// Reads what to log.
fn log_filter(text: &str) -> Result<String, String> {
    let read = tracing_subscriber::EnvFilter::try_new(text);
    read.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads the URL of a web seed.
fn web_url(text: &str) -> Result<String, String> {
    let known = proto::metainfo::web_seed::root(text);
    known.map(|_| text.to_owned()).ok_or_else(|| "a web seed has a URL with http:// or https://".to_owned())
}

/// Reads 40 hexadecimal digits.
fn info_hash(text: &str) -> Result<InfoHash, String> {
    InfoHash::from_hex(text).ok_or_else(|| "an info hash has 40 hexadecimal digits".to_owned())
}

/// Reads a time in seconds, a hundredth or more.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| time.as_millis() >= 10);
    time.ok_or_else(|| "write a number of seconds, 0.01 or more".to_owned())
}

/// Reads a size in bytes, with an optional K or M for 1024 or its square.
pub(crate) fn byte_size(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.trim_end_matches(['K', 'k', 'M', 'm']) {
        digits if digits.len() == text.len() => (digits, 1),
        digits if text.get(digits.len()..).is_some_and(|unit| unit.eq_ignore_ascii_case("k")) => {
            (digits, 1 << 10)
        }
        digits if text.get(digits.len()..).is_some_and(|unit| unit.eq_ignore_ascii_case("m")) => {
            (digits, 1 << 20)
        }
        _ => return Err("write bytes, or K or M behind a number, such as 256K".to_owned()),
    };
    let number: u32 = digits.parse().map_err(|_| format!("{digits:?} is not a number of bytes"))?;
    number.checked_mul(unit).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_texts_are_as_reviewed() {
        let mut command = Args::command().term_width(100);
        command.build();
        insta::assert_snapshot!("help", command.render_long_help().to_string());
        for name in ["create", "show", "download", "seed", "verify", "probe"] {
            let subcommand = command.find_subcommand_mut(name).expect("it exists");
            insta::assert_snapshot!(format!("help_{name}"), subcommand.render_long_help().to_string());
        }
    }

    #[test]
    fn info_hashes_have_40_digits() {
        assert_eq!(info_hash(&"aB".repeat(20)), Ok(InfoHash([0xab; 20])));
        for wrong in ["", "ab", &"g".repeat(40), &"a".repeat(39), &"a".repeat(42)] {
            assert!(info_hash(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "1e400", "NaN", "ten"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        assert_eq!(byte_size("16384"), Ok(16_384));
        assert_eq!((byte_size("256K"), byte_size("2m")), (Ok(256 << 10), Ok(2 << 20)));
        for wrong in ["", "K", "1G", "1KM", "-1", "5000000K"] {
            assert!(byte_size(wrong).is_err(), "{wrong}");
        }
    }
}
