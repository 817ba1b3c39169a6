//! The tracker on the command line.

fn main() {}
