//! `OurTorrent`'s test bench.

pub mod bound;
