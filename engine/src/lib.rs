//! `OurTorrent`'s driver: thin, async, generic over the transport.
//!
//! **A decision goes in the core ([`proto`]); a wait goes here.** Nothing in this crate asks whether it is
//! simulated: production runs over [`transport::os`], the test bench gives another [`transport::Transport`],
//! and the code between is the same.

pub mod clock;
pub mod environment;
pub mod peer;
pub mod storage;
pub mod transport;
