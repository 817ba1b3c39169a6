//! What the torrents of one process share, and who gets it: pure machines, one for each kind of thing.
//!
//! | file | decides |
//! |---|---|
//! | `places` | who may dial next, and who parts with a connection when all are taken |
//! | `slots` | how many peers each torrent may serve |
//!
//! Both keep two promises: the limit is never passed, and no torrent that asks waits without an end. Rates are
//! shared by [`crate::rate`].

mod places;
mod slots;

pub use places::{PlaceLimits, PlaceOutput, Places};
pub use slots::SlotShare;
