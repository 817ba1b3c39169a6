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

/// A batch of datagrams, each with the address at the other end; the buffers are used again after [`Datagrams::clear`].
#[derive(Clone, Debug, Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    /// Address and end of each datagram.
    ends: Vec<(SocketAddr, usize)>,
}

impl Datagrams {
    /// Empties it for the next batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of datagrams.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// No datagram.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Addresses and payloads, in the order of [`Datagrams::push`].
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (addr, end))| (*addr, self.bytes.get(start..*end).unwrap_or_default()))
    }

    /// Adds a datagram whose payload `write` appends to the buffer.
    pub fn push(&mut self, addr: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push((addr, self.bytes.len()));
    }

    /// The same if `write` says so; what it appended goes otherwise.
    pub(super) fn try_push(&mut self, addr: SocketAddr, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        if write(&mut self.bytes) {
            self.ends.push((addr, self.bytes.len()));
        } else {
            self.bytes.truncate(start);
        }
    }

    pub(super) const fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}
