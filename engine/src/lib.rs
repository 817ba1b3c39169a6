//! `OurTorrent`'s driver: thin, async, generic over the transport.
//!
//! **A decision goes in the core ([`proto`]); a wait goes here.** Nothing in this crate asks whether it is
//! simulated: production runs over [`transport::os`], the test bench gives another [`transport::Transport`],
//! and the code between is the same.

mod announce;
pub mod check;
pub mod clock;
mod dialler;
mod disk_jobs;
mod door;
pub mod engine;
pub mod environment;
mod events;
pub mod fetch;
pub mod handle;
mod lsd;
pub mod metadata;
mod paced;
pub mod peer;
mod places;
pub mod probe;
mod process;
mod queue;
pub mod resume;
mod routes;
mod seats;
mod shared;
pub mod snapshot;
pub mod storage;
mod throttle;
mod torrent;
pub mod tracker;
pub mod transport;
mod web_seed;

pub use engine::{AddError, Engine, EngineConfig, EngineCounts, EngineHandle, StartError, TorrentOptions};
pub use environment::Environment;
pub use handle::{EngineEvent, TorrentHandle};
pub use shared::SharedLimits;
pub use snapshot::{Crowd, TorrentSnapshot, TrackerSnapshot};
pub use throttle::{RateLimits, TorrentLimits};
