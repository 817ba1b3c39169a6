//! `OurTorrent`'s test bench.

pub mod bound;
pub mod scenario;
pub mod storage;
//! `OurTorrent`'s test bench: the real tracker and the real peers in a deterministic, emulated network.

pub mod network;

pub mod world;
