//! Text that people write for us: strict TOML tables, quantities with units, and complaints that point at
//! the place and say what would be right.
//!
//! The simulator's scenarios and the tracker's configuration are read with the same few functions, so that
//! one who knows how to write one file knows how to write the other. Nothing here knows what the keys mean.

pub mod fields;
pub mod quantity;
pub mod source;
