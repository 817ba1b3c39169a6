//! The peer wire protocol (BEP 3): handshake, messages and an incremental decoder with limits.

pub mod message;

pub use message::{Message, RawBlock};
