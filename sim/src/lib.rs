//! `OurTorrent`'s test bench.

pub mod bound;
pub mod scenario;
pub mod storage;
