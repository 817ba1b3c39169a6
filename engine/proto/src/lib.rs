//! `OurTorrent`'s core: pure protocol machines.
//!
//! Bytes and events go in (`handle_*`), actions come out (`poll_*`), and time is an argument. There is no
//! tokio here, no socket, no clock, no file and no global random number; `Cargo.toml` is the proof. After
//! each `handle_*` call the caller drains `poll_output` to `None` and re-reads `poll_timeout`.
//!
//! Everything that arrives from a network or a file is hostile: every length has a named limit, and
//! malformed input is a typed error, never a panic.

pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod id;
pub mod lsd;
pub mod metainfo;
pub mod piece;
pub mod rate;
pub mod registry;
pub mod resume;
pub mod seed;
pub mod share;
pub mod time;
pub mod torrent;
pub mod tracker;
pub mod wire;
