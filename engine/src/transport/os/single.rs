//! Batches of datagrams with a call of the system for each: what every system can do.
//!
//! It stands in for [`super::mmsg`] where that is not to be had. Tests run it everywhere.

use std::io;
use std::net::SocketAddr;

use proto::registry::Datagrams;
use socket2::SockRef;
use tokio::net::UdpSocket;

use crate::transport::MAX_DATAGRAM;

/// Takes up to `max` datagrams; an error, also for want of datagrams, ends it.
#[cfg_attr(all(target_os = "linux", not(test)), expect(dead_code, reason = "`mmsg` does it there"))]
pub(super) fn recv(
    socket: &UdpSocket,
    _local_addr: SocketAddr,
    max: usize,
    each: &mut impl FnMut(SocketAddr, &[u8]),
) -> io::Result<()> {
    let mut buffer = [0; MAX_DATAGRAM];
    for _ in 0..max.max(1) {
        let (len, from) = socket.try_recv_from(&mut buffer)?;
        each(from, buffer.get(..len).unwrap_or_default());
    }
    Ok(())
}

/// Sends a batch of any length; gives back how many datagrams were not taken.
#[cfg_attr(all(target_os = "linux", not(test)), expect(dead_code, reason = "`mmsg` does it there"))]
pub(super) fn send(socket: &UdpSocket, batch: &Datagrams) -> usize {
    batch.iter().filter(|(to, payload)| send_to(socket, payload, *to).is_err()).count()
}

/// Sends a datagram or fails at once.
///
/// Not through tokio, which takes a socket for full until its first poll has found it writable: a question
/// asked right after binding would be lost. Nor does it wait for room: who waits does not read, and loses
/// requests instead of replies.
pub(super) fn send_to(socket: &UdpSocket, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
    SockRef::from(socket).send_to(payload, &to.into())
}
