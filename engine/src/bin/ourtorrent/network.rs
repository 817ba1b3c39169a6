//! What the network options mean: an engine's settings.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use engine::EngineConfig;

use crate::args::NetworkArgs;

/// The usual port of BitTorrent.
const PORT: u16 = 6881;

/// The settings of an engine as the command line asks for them.
pub(crate) fn config(args: &NetworkArgs) -> EngineConfig {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let mut config = EngineConfig { peers: args.peer.clone(), ..EngineConfig::new(any) };
    if !args.listen.is_empty() {
        config.listen.clone_from(&args.listen);
    } else if has_ipv6() {
        config.listen.push((Ipv6Addr::UNSPECIFIED, PORT).into());
    }
    config
}

/// A system without IPv6 refuses even a socket.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}
