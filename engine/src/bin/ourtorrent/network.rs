//! What the network options mean: an engine's settings.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use engine::EngineConfig;
use engine::fetch::TrackerTrust;
use engine::storage::file::FileStorage;

use proto::announce::Reach;
use proto::torrent::policy::Policies;

use crate::args::{AnnounceTo, NetworkArgs, PolicyArgs, ResumeArgs};
use crate::failure::Failure;

/// The usual port of BitTorrent.
const PORT: u16 = 6881;

/// The settings of an engine as the command line asks for them.
pub(crate) fn config(args: &NetworkArgs) -> Result<EngineConfig, Failure> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let mut config = EngineConfig { peers: args.peer.clone(), ..EngineConfig::new(any) };
    config.torrent.web_seeds = !args.no_web_seeds;
    config.torrent.reach = match args.announce_to_all {
        Some(AnnounceTo::Trackers) => Reach::EachTracker,
        Some(AnnounceTo::Tiers) => Reach::EachTier,
        None => Reach::OneTracker,
    };
    args.limits.apply(&mut config);
    // The names have been checked when the command line was read.
    let policies = Policies::shipped();
    let PolicyArgs { picker, choker, seed_choker } = &args.policies;
    let torrent = &mut config.torrent;
    torrent.picker = policies.picker(picker).unwrap_or(torrent.picker);
    torrent.choker = policies.choker(choker).unwrap_or(torrent.choker);
    torrent.seed_choker = policies.choker(seed_choker).unwrap_or(torrent.seed_choker);
    if !args.listen.is_empty() {
        config.listen.clone_from(&args.listen);
    } else if has_ipv6() {
        config.listen.push((Ipv6Addr::UNSPECIFIED, PORT).into());
    }
    let is_reachable = config.listen.iter().any(|addr| !addr.ip().is_loopback());
    config.torrent.lsd = args.lsd || is_reachable && !args.no_lsd;
    config.resume.check = args.resume.check;
    config.resume.flush_every = args.resume.save_every;
    if let Some(path) = &args.tracker_ca {
        config.tracker_trust = trust(path)?;
    }
    Ok(config)
}

/// The storage with its resume data where the user wants them.
pub(crate) fn with_record(args: &ResumeArgs, storage: FileStorage) -> FileStorage {
    match &args.resume_dir {
        Some(folder) => storage.with_record_in(folder),
        None => storage,
    }
}

/// Mozilla's roots and those in a user's file.
pub(crate) fn trust(path: &Path) -> Result<TrackerTrust, Failure> {
    TrackerTrust::with_file(path).map_err(|error| Failure::of_file("read certificates from", path, &error))
}

/// A system without IPv6 refuses even a socket.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}
