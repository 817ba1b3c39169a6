//! What a host gives to the programs that run on it: a network and a clock.

use std::net::IpAddr;

use crate::clock::{Clock, OsClock};
use crate::transport::Transport;
use crate::transport::os::OsTransport;

/// A host's network and clock. Cheap to clone; every part of an engine gets its own.
#[derive(Clone, Debug)]
pub struct Environment<T: Transport, C: Clock> {
    /// The network stack.
    pub transport: T,
    /// Monotonic and wall time.
    pub clock: C,
}

impl Environment<OsTransport, OsClock> {
    /// The operating system's sockets and time. Streams leave from `source` if it is a specific address.
    pub fn os(source: IpAddr) -> Self {
        Self { transport: OsTransport::from_source(source), clock: OsClock::new() }
    }
}
