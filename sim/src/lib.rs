//! `OurTorrent`'s test bench.

pub mod bound;
pub mod storage;
