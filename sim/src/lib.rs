//! `OurTorrent`'s test bench: the real tracker and the real peers in a deterministic, emulated network.

pub mod bound;
pub mod capture;
pub mod compare;
pub mod core;
pub mod defect;
pub mod diff;
pub mod hostile;
pub mod network;
pub mod oracle;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod storage;
pub mod store;
pub mod trace;
pub mod wiretap;
pub mod world;
