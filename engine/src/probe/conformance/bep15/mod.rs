//! The rules of BEP 15, in the order in which a client meets them.

use super::rule::Check;
use super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

mod announce;
mod connect;
mod hostile;
mod membership;
mod peers;
mod scrape;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    let parts = [connect::all(), announce::all(), peers::all(), membership::all(), scrape::all()];
    parts.into_iter().flatten().chain(hostile::all()).collect()
}
