//! One socket and the tracker at its other end: raw questions and raw answers.
//!
//! Unlike a client it sends what no client would, and looks at every byte that comes back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::{Clock, within};
use crate::transport::{Transport, UdpSocket};

/// How often a question that must be answered is sent.
pub(super) const TRIES: u32 = 3;

/// How long each of these waits: far more than any round trip.
const WAIT: Duration = Duration::from_secs(2);

/// Where a request has its transaction id, and where its reply has it.
const REQUEST_TRANSACTION: usize = 12;
const REPLY_TRANSACTION: usize = 4;

/// Bytes that a glimpse of a datagram shows.
const GLIMPSE: usize = 40;

/// A datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// A socket that asks one tracker.
pub(super) struct Line<T: Transport, C> {
    socket: T::Socket,
    clock: C,
    addr: SocketAddr,
}

impl<T: Transport, C: Clock> Line<T, C> {
    pub(super) fn new(socket: T::Socket, clock: C, addr: SocketAddr) -> Self {
        Self { socket, clock, addr }
    }

    /// The tracker.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) async fn send(&self, bytes: &[u8]) {
        if let Err(error) = self.socket.send_to(bytes, self.addr).await {
            tracing::debug!(%error, addr = %self.addr, "sending failed");
        }
    }

    /// The next datagram, whoever sent it.
    pub(super) async fn next(&self, wait: Duration) -> Option<Arrived> {
        let mut arrived = None;
        within(&self.clock, wait, async {
            while arrived.is_none() {
                let each = |from, bytes: &[u8]| arrived = Some(Arrived { from, bytes: bytes.to_vec() });
                if self.socket.recv_batch(1, each).await.is_err() {
                    // The socket is broken: this is silence, and the limit ends it.
                    std::future::pending::<()>().await;
                }
            }
        })
        .await;
        arrived
    }

    /// Everything that arrives within `wait`, or until there are `enough`.
    pub(super) async fn gather(&self, enough: usize, wait: Duration) -> Vec<Arrived> {
        let deadline = self.clock.now() + wait;
        let mut all = Vec::new();
        while all.len() < enough {
            let Some(arrived) = self.next(deadline - self.clock.now()).await else { break };
            all.push(arrived);
        }
        all
    }

    /// Sends `request` until something comes back; the first thing that does.
    pub(super) async fn ask_anything(&self, request: &[u8]) -> Option<Arrived> {
        for _ in 0..TRIES {
            self.send(request).await;
            if let Some(arrived) = self.next(WAIT).await {
                return Some(arrived);
            }
        }
        None
    }

    /// Sends `request` until the tracker answers it; its transaction id tells which answer that is.
    pub(super) async fn ask(&self, request: &[u8]) -> Option<Vec<u8>> {
        for _ in 0..TRIES {
            self.send(request).await;
            if let Some(reply) = self.answer(request, WAIT).await {
                return Some(reply);
            }
        }
        None
    }

    /// Sends `request`, for which silence is a good answer, once.
    pub(super) async fn ask_once(&self, request: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.send(request).await;
        self.answer(request, patience).await
    }

    /// The tracker's answer to `request`; everything else that arrives is passed over.
    async fn answer(&self, request: &[u8], wait: Duration) -> Option<Vec<u8>> {
        let transaction = request.get(REQUEST_TRANSACTION..REQUEST_TRANSACTION + 4)?;
        let deadline = self.clock.now() + wait;
        loop {
            let Arrived { from, bytes } = self.next(deadline - self.clock.now()).await?;
            let echoed = bytes.get(REPLY_TRANSACTION..REPLY_TRANSACTION + 4);
            if from == self.addr && echoed == Some(transaction) {
                return Some(bytes);
            }
        }
    }
}

/// A datagram in one line: its length and first bytes.
pub(super) fn glimpse(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes", bytes.len());
    for (index, byte) in bytes.iter().take(GLIMPSE).enumerate() {
        // Words of four bytes, as the fields of BEP 15 are.
        let gap = if index % 4 == 0 { " " } else { "" };
        let _ = write!(text, "{gap}{byte:02x}");
    }
    if bytes.len() > GLIMPSE {
        text.push_str(" …");
    }
    text
}

/// The same for silence.
pub(super) fn glimpse_of(reply: Option<&Vec<u8>>) -> String {
    reply.map_or_else(|| "nothing".to_owned(), |bytes| glimpse(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glimpse_is_one_short_line() {
        assert_eq!(glimpse(&[]), "0 bytes");
        assert_eq!(glimpse(&[0, 0, 0, 1, 255]), "5 bytes 00000001 ff");
        assert!(glimpse(&[7; 2000]).ends_with("07070707 …"));
        assert_eq!(glimpse_of(None), "nothing");
    }
}
