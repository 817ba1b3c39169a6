//! Datagrams in and out of the registry, without an allocation for each.

use std::net::SocketAddr;

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its source.
    pub from: SocketAddr,
    /// Its content.
    pub payload: &'a [u8],
}

/// Replies to a batch; the buffers are used again after [`Replies::clear`].
#[derive(Clone, Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// Target and end of each reply.
    ends: Vec<(SocketAddr, usize)>,
}

impl Replies {
    /// Empties it for the next batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of replies.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// No reply.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Targets and payloads, in the order of the requests.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (to, end))| (*to, self.bytes.get(start..*end).unwrap_or_default()))
    }

    /// Adds a reply that `write` appends to the buffer.
    pub(super) fn push(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push((to, self.bytes.len()));
    }

    pub(super) const fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}
