//! What a host gives to the programs that run on it: a network and a clock.

use std::net::{IpAddr, SocketAddr};

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

    /// The same for an engine that listens at these addresses: streams leave from where they are accepted.
    pub fn os_at(listen: &[SocketAddr]) -> Self {
        let sources: Vec<_> = listen.iter().map(SocketAddr::ip).collect();
        Self { transport: OsTransport::from_sources(&sources), clock: OsClock::new() }
    }
}
