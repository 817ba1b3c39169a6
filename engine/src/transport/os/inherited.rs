//! Sockets that a service manager opened for us (systemd's socket activation), so that a privileged port needs
//! no privilege here, and requests wait in the kernel while the program restarts.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use listenfd::ListenFd;

/// What was handed over and has not been taken. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Inherited(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    datagrams: Vec<(SocketAddr, UdpSocket)>,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Inherited {
    /// Everything that the environment names (`LISTEN_FDS`), which it names no more afterwards. To be asked
    /// once, before there are threads.
    pub fn from_environment() -> io::Result<Self> {
        let mut given = Given::default();
        let mut fds = ListenFd::from_env();
        for at in 0..fds.len() {
            if let Ok(Some(socket)) = fds.take_udp_socket(at) {
                given.datagrams.push((socket.local_addr()?, socket));
            } else if let Some(listener) = fds.take_tcp_listener(at)? {
                given.listeners.push((listener.local_addr()?, listener));
            }
        }
        Ok(Self(Arc::new(Mutex::new(given))))
    }

    /// Addresses of what nobody has taken.
    pub fn left(&self) -> Vec<SocketAddr> {
        let given = self.lock();
        let datagrams = given.datagrams.iter().map(|(addr, _)| *addr);
        datagrams.chain(given.listeners.iter().map(|(addr, _)| *addr)).collect()
    }

    pub(super) fn take_datagrams(&self, addr: SocketAddr) -> Vec<UdpSocket> {
        let mut given = self.lock();
        given.datagrams.extract_if(.., |(at, _)| *at == addr).map(|(_, socket)| socket).collect()
    }

    pub(super) fn take_listener(&self, addr: SocketAddr) -> Option<TcpListener> {
        let mut given = self.lock();
        let at = given.listeners.iter().position(|(at, _)| *at == addr)?;
        Some(given.listeners.swap_remove(at).1)
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        // No panic leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
