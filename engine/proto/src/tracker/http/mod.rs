//! Tracker requests over HTTP: announce (BEP 3, 7, 23) and scrape (BEP 48), as bytes only.
//!
//! The server's side is [`HttpRequest::parse`] for the request's target and [`put_announce`],
//! [`put_scrape`] and [`put_failure`] for bodies. A body is always bencoded and its status 200, refusals
//! included, because that is what clients read; only a path that is no tracker's is an error of HTTP.
//! Passkeys are not looked at here: see `Passkey::find_in`.
//!
//! The client's side is [`announce_path`] and [`scrape_path`] for what to ask, [`parse_announce`] and
//! [`parse_scrape`] for what comes back.

mod client;
mod query;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use client::{
    HttpReply, HttpReplyError, HttpWish, MAX_BODY, announce_path, parse_announce, parse_scrape, scrape_path,
};
pub use query::{MAX_TARGET_LEN, pairs, percent_decode, put_percent_encoded};
pub use reply::{HttpAnnounced, put_announce, put_failure, put_scrape};
pub use request::{HttpAnnounce, HttpRequest, RequestError};
