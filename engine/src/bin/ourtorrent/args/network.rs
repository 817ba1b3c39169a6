//! The options of `download` and `seed` about the network, the way to play and resume data, as typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args as ClapArgs, ValueEnum};
use proto::torrent::policy::{NEEDIEST, Named, Policies, RAREST_FIRST, TIT_FOR_TAT};

use super::seconds;
use crate::limits::LimitArgs;

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub(crate) struct NetworkArgs {
    /// Where to accept peers; port 0 takes any free one. Give it twice for IPv4 and IPv6
    /// [default: 0.0.0.0:6881 and, where there is IPv6, `[::]:6881`]
    #[arg(short, long, value_name = "IP:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// A peer to try besides those that the trackers know; may be repeated
    #[arg(short, long, value_name = "IP:PORT")]
    pub(crate) peer: Vec<SocketAddr>,
    /// Announce to every tracker at once, or to one of each tier: trackers that do not share their peers then name
    /// more of them. A private torrent has one tracker at a time all the same (BEP 27) [default: the first that
    /// answers, BEP 12]
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "trackers")]
    pub(crate) announce_to_all: Option<AnnounceTo>,
    /// Find peers in the local network (BEP 14) even if none of them could reach us, as on a loopback address
    #[arg(long, overrides_with = "no_lsd")]
    pub(crate) lsd: bool,
    /// Do not announce torrents to the local network. A private torrent is never announced there (BEP 27)
    #[arg(long, overrides_with = "lsd")]
    pub(crate) no_lsd: bool,
    /// Certificates in PEM that a tracker or web seed at https:// may have, besides those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub(crate) tracker_ca: Option<PathBuf>,
    /// Do not download from the HTTP servers that the torrent names (BEP 19)
    #[arg(long)]
    pub(crate) no_web_seeds: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) resume: ResumeArgs,
    #[command(flatten)]
    pub(crate) policies: PolicyArgs,
    /// Show the trackers and the busiest peers as well
    #[arg(long)]
    pub(crate) peers: bool,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who hears of us at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnnounceTo {
    /// Every tracker
    Trackers,
    /// The first of each tier that answers
    Tiers,
}

/// How to play.
#[derive(Debug, ClapArgs)]
pub(crate) struct PolicyArgs {
    /// Which piece to fetch next; `sequential` is for watching while it comes
    #[arg(long, value_name = "NAME", value_parser = picker_names(), default_value = RAREST_FIRST.name)]
    pub(crate) picker: String,
    /// Whom to serve first while downloading
    #[arg(long, value_name = "NAME", value_parser = choker_names(), default_value = TIT_FOR_TAT.name)]
    pub(crate) choker: String,
    /// Whom to serve first once complete: `fair` is a round robin, `fastest` uses a fast uplink
    #[arg(long, value_name = "NAME", value_parser = choker_names(), default_value = NEEDIEST.name)]
    pub(crate) seed_choker: String,
}

fn picker_names() -> PossibleValuesParser {
    possible(Policies::shipped().pickers())
}

fn choker_names() -> PossibleValuesParser {
    possible(Policies::shipped().chokers())
}

fn possible<P: ?Sized>(policies: &[Named<P>]) -> PossibleValuesParser {
    policies
        .iter()
        .map(|policy| PossibleValue::new(policy.name).help(policy.about))
        .collect::<Vec<_>>()
        .into()
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ResumeArgs {
    /// Hash everything at the start, whatever the resume data of an earlier run say
    #[arg(long)]
    pub(crate) check: bool,
    /// Keep the resume data in this folder [default: beside the content, as `.INFOHASH.resume`]
    #[arg(long, value_name = "DIR")]
    pub(crate) resume_dir: Option<PathBuf>,
    /// Make what came in safe this often: so much of a download a power cut may cost
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) save_every: Duration,
}
