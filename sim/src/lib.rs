//! `OurTorrent`'s test bench.
