//! Resume data: what a later run may believe of what this one has stored.
//!
//! | file | decides |
//! |---|---|
//! | `record` | the format: versioned, checked, foreign and damaged ones refused |
//! | `keeper` | when a piece may be claimed: only once it was flushed |
//! | `trust` | what of a record is believed at a start, and what is hashed again |
//!
//! The rule is the same in all three: *when in doubt, hash*. A record that is lost or refused costs time, a
//! record that is believed wrongly would cost correctness.

mod keeper;
mod record;
#[cfg(test)]
mod tests;
mod trust;

pub use keeper::{Keeper, Step};
pub use record::{MAX_PEERS, MAX_RECORD_LEN, Record, RecordError, Stamp, VERSION};
pub use trust::{SAMPLE, Trust};
