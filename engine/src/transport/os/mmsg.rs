//! Many datagrams in one call of the system: `recvmmsg` and `sendmmsg`, which Linux has.
//!
//! Both through safe wrappers, which cost nothing measurable against the bare calls. nix receives, because
//! rustix cannot; rustix sends, because nix counts what was sent by reading addresses that nobody wrote.
//! Elsewhere [`super::single`] does the same with a call for each datagram.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};
use proto::registry::Datagrams;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::transport::MAX_DATAGRAM;

/// Datagrams of one call at the most: beyond this the calls no longer matter, and others wait longer.
pub(super) const MAX: usize = 64;

/// Room for one datagram. Not a power of two, or the beginnings of all would compete for the same few lines of
/// the processor's cache.
const SLOT: usize = MAX_DATAGRAM + 64;

/// What a call of `recvmmsg` writes to. One for each thread: nothing is kept in it between calls.
struct Inbox {
    v4: MultiHeaders<SockaddrIn>,
    v6: MultiHeaders<SockaddrIn6>,
    bytes: Vec<u8>,
}

impl Default for Inbox {
    fn default() -> Self {
        let v4 = MultiHeaders::preallocate(MAX, None);
        let v6 = MultiHeaders::preallocate(MAX, None);
        Self { v4, v6, bytes: vec![0; MAX * SLOT] }
    }
}

thread_local! {
    static INBOX: Cell<Option<Box<Inbox>>> = const { Cell::new(None) };
}

/// Takes up to `max` datagrams, at most [`MAX`]; an error, also for want of datagrams, ends it.
pub(super) fn recv(
    socket: &UdpSocket,
    local_addr: SocketAddr,
    max: usize,
    each: &mut impl FnMut(SocketAddr, &[u8]),
) -> io::Result<()> {
    let max = max.clamp(1, MAX);
    let mut inbox = INBOX.take().unwrap_or_default();
    let Inbox { v4, v6, bytes } = &mut *inbox;
    let received = socket.try_io(Interest::READABLE, || {
        let taken = match local_addr {
            SocketAddr::V4(_) => take(socket, v4, bytes, max, &mut |from, payload| {
                each(SocketAddrV4::from(from).into(), payload);
            })?,
            SocketAddr::V6(_) => take(socket, v6, bytes, max, &mut |from, payload| {
                each(SocketAddrV6::from(from).into(), payload);
            })?,
        };
        // What came short has emptied the socket: wait for the next edge, without a call that only says so.
        if taken < max { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    INBOX.set(Some(inbox));
    received
}

fn take<S: SockaddrLike + Copy>(
    socket: &impl AsRawFd,
    headers: &mut MultiHeaders<S>,
    bytes: &mut [u8],
    max: usize,
    each: &mut impl FnMut(S, &[u8]),
) -> io::Result<usize> {
    let mut rooms = bytes.chunks_exact_mut(SLOT);
    let mut slots: [[IoSliceMut<'_>; 1]; MAX] =
        std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
    let received =
        recvmmsg(socket.as_raw_fd(), headers, slots.iter_mut().take(max), MsgFlags::MSG_DONTWAIT, None)?;
    let mut taken = 0;
    for message in received {
        taken += 1;
        let payload = message.iovs().next().unwrap_or_default();
        let payload = payload.get(..MAX_DATAGRAM).unwrap_or(payload);
        if let Some(from) = message.address {
            each(from, payload);
        }
    }
    Ok(taken)
}

/// Sends a batch of any length; gives back how many datagrams were not taken.
pub(super) fn send(socket: &impl AsFd, batch: &Datagrams) -> usize {
    let mut batch = batch.iter();
    let mut lost = 0;
    loop {
        let mut parts: Vec<_> = batch
            .by_ref()
            .take(MAX)
            .map(|(to, payload)| (to.as_any(), [IoSlice::new(payload)], SendAncillaryBuffer::default()))
            .collect();
        if parts.is_empty() {
            return lost;
        }
        let message = |(to, payload, control)| MMsgHdr::new_with_addr(to, payload, control);
        let mut messages: Vec<_> = parts.iter_mut().map(|(a, b, c)| message((&*a, &*b, c))).collect();
        let mut unsent = messages.as_mut_slice();
        while !unsent.is_empty() {
            // The call stops at a datagram that fails and fails if that is the first: leave it behind.
            let done = sendmmsg(socket, unsent, SendFlags::DONTWAIT).unwrap_or_else(|error| {
                tracing::trace!(%error, "a datagram was not taken");
                lost += 1;
                1
            });
            unsent = unsent.get_mut(done.max(1)..).unwrap_or_default();
        }
    }
}
