//! The peer on the command line.

fn main() {}
