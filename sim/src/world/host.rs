//! One simulated host: which stack its calls go to, and how the world learns that there is work.
//!
//! The socket stack keeps a *current host* per thread. Every call, poll and `Drop` of a socket must make
//! its own host current first: a connect future dropped under another host once closed that host's
//! listener, because descriptors are plain numbers.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use turmoil_net::NetstatEntry;

use super::buffers::{Buffers, Connections};
use super::clock::ClockError;
use super::gate::Gate;
use super::service::Service;
use crate::wiretap::{Asking, Wiretap};

/// A host of a world, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) u32);

impl HostId {
    /// The host's place in the list that the world was made from.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Tells the world that there is something to do for it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    raised: AtomicBool,
    /// Some stack may have packets to send: to ask all of them costs a look at every socket.
    stirred: AtomicBool,
    notify: Notify,
    /// Connections that the network has something to do for.
    errands: Mutex<Vec<(usize, Arc<Buffers>)>>,
}

impl Pulse {
    /// Something was written, or read that the far end waits for.
    pub(super) fn raise(&self) {
        if !self.raised.swap(true, Ordering::Relaxed) {
            self.notify.notify_one();
        }
    }

    /// A stack was asked for something that it may answer with packets.
    pub(super) fn stir(&self) {
        self.stirred.store(true, Ordering::Relaxed);
        self.raise();
    }

    /// The network has something to do for a connection of a host.
    pub(super) fn call(&self, host: usize, buffers: &Arc<Buffers>) {
        let errand = (host, Arc::clone(buffers));
        self.errands.lock().unwrap_or_else(PoisonError::into_inner).push(errand);
    }

    /// Takes the connections that the network has something to do for, and their hosts.
    pub(super) fn take_errands(&self) -> Vec<(usize, Arc<Buffers>)> {
        std::mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    pub(super) fn lower(&self) {
        self.raised.store(false, Ordering::Relaxed);
    }

    /// Has a stack been stirred since the last call?
    pub(super) fn settle(&self) -> bool {
        self.stirred.swap(false, Ordering::Relaxed)
    }

    /// Ends at the next [`Self::raise`]; may end once too often.
    pub(super) async fn raised(&self) {
        self.notify.notified().await;
    }
}

/// What all sockets of a host share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) addrs: Vec<IpAddr>,
    pub(super) stack: turmoil_net::HostId,
    pub(super) pulse: Arc<Pulse>,
    pub(super) names: Arc<BTreeMap<String, Vec<IpAddr>>>,
    /// It has no name server.
    pub(super) is_lost: AtomicBool,
    pub(super) sockets: AtomicUsize,
    /// The buffers of its connections.
    pub(super) connections: Connections,
    /// Shut while the host is paused.
    pub(super) gate: Gate,
    /// What its programs take for datagrams.
    pub(super) service: Service,
    /// Bytes of the receive buffer that were read since the world asked.
    pub(super) taken: AtomicU64,
    pub(super) clock_skew: AtomicI64,
    pub(super) clock_drift: AtomicI32,
    /// The host's place in the world.
    pub(super) index: usize,
    /// Bytes of the largest IP packet on its line.
    pub(super) mtu: u32,
    /// Who listens to its streams, if anybody does.
    pub(super) wiretap: OnceLock<Wiretap>,
    /// Its announces under way, if anybody wants to know.
    pub(super) asking: OnceLock<Asking>,
}

impl Host {
    /// Makes this host the one that the stack's calls go to.
    pub(super) fn enter(&self) {
        turmoil_net::set_current(self.stack);
    }

    /// Is it an address of this host? What goes there never leaves the stack.
    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.addrs.contains(&ip)
    }

    /// How its clocks are wrong at present.
    pub(super) fn clock_error(&self) -> ClockError {
        let (skew, drift) = (&self.clock_skew, &self.clock_drift);
        ClockError { skew: skew.load(Ordering::Relaxed), drift: drift.load(Ordering::Relaxed) }
    }

    /// Bytes of payload that fit into one datagram to `addr`: the packet less IP's and UDP's headers.
    pub(super) const fn most_in_a_datagram(&self, addr: SocketAddr) -> usize {
        (self.mtu as usize).saturating_sub(if addr.is_ipv4() { 28 } else { 48 })
    }

    /// Its socket table, of all addresses: the stack names a host by any of them.
    pub(super) fn netstat(&self) -> Vec<NetstatEntry> {
        self.addrs.first().map(|&addr| turmoil_net::netstat(addr).entries).unwrap_or_default()
    }
}

/// Something that belongs to a host's stack: made, used and dropped with that host current.
#[derive(Debug)]
pub(super) struct Owned<T> {
    host: Arc<Host>,
    inner: Option<T>,
}

impl<T> Owned<T> {
    /// Takes ownership of `inner`, which lives in `host`'s stack.
    pub(super) fn new(host: &Arc<Host>, inner: T) -> Self {
        host.sockets.fetch_add(1, Ordering::Relaxed);
        Self { host: Arc::clone(host), inner: Some(inner) }
    }

    pub(super) const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Uses it with its host current. `None` only if `self` is being dropped.
    pub(super) fn with<R>(&mut self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.host.enter();
        self.inner.as_mut().map(act)
    }

    /// Uses it with its host current.
    pub(super) fn with_ref<'a, R>(&'a self, act: impl FnOnce(&'a T) -> R) -> Option<R> {
        self.host.enter();
        self.inner.as_ref().map(act)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.host.enter();
        self.inner = None;
        self.host.sockets.fetch_sub(1, Ordering::Relaxed);
        self.host.pulse.stir();
    }
}

/// A future that is polled and dropped with its host current.
pub(super) struct OnHost<F>(Owned<Pin<Box<F>>>);

impl<F: Future> OnHost<F> {
    pub(super) fn new(host: &Arc<Host>, future: F) -> Self {
        Self(Owned::new(host, Box::pin(future)))
    }
}

impl<F: Future> Future for OnHost<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.with(|future| future.as_mut().poll(context)).unwrap_or(Poll::Pending)
    }
}
