//! Datagram sockets in a multicast group, for local service discovery (BEP 14).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A socket that hears what is sent to `group` and sends from `interface`; the unspecified address leaves the choice
/// of the interface to the system, which follows its routes. What is sent stays in this network (a TTL of 1).
pub(super) fn join(group: SocketAddr, interface: IpAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None)?;
    // Every client of this machine has a socket at this port.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "linux")))]
    socket.set_reuse_port(true)?;
    match (group.ip(), interface) {
        (IpAddr::V4(ip), IpAddr::V4(interface)) => {
            socket.bind(&place(group).into())?;
            socket.join_multicast_v4(&ip, &interface)?;
            socket.set_multicast_if_v4(&interface)?;
        }
        (IpAddr::V6(ip), IpAddr::V6(_)) => {
            socket.set_only_v6(true)?;
            socket.bind(&place(group).into())?;
            socket.join_multicast_v6(&ip, 0)?;
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a group and an interface of two families"));
        }
    }
    Ok(socket)
}

/// Bound to the group itself, a socket hears nothing that is sent to this machine alone: who is not in the network
/// cannot name peers. Windows knows no such thing.
fn place(group: SocketAddr) -> SocketAddr {
    if cfg!(not(windows)) {
        return group;
    }
    let any =
        if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(any, group.port())
}
