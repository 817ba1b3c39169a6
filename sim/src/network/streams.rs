//! What programs write into their connections and read from them: it goes past the stacks, straight into the flows.
//!
//! A stack would copy every byte four times and look each of them up again and again, and it knows neither loss nor
//! congestion; it is left what it does well, to open connections and to close them.

use std::net::SocketAddr;

use bytes::Bytes;
use proto::time::Instant;

use super::connection::Side;
use super::load::cut;
use super::nat::Protocol;
use super::slab::Key;
use super::{Network, packet};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId {
    connection: Key,
    side: Side,
}

/// What one end of a connection hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Whose it is.
    pub host: u32,
    /// Its own address, as its stack knows it.
    pub local: SocketAddr,
    /// The other end's, as its stack knows it.
    pub peer: SocketAddr,
    /// So many of its own sequence numbers are newly known to have arrived.
    pub freed: u64,
    /// Its FIN is among them: what its stack must hear.
    pub closed: Option<u32>,
}

impl Network {
    /// The stream of a connection, by its ends as the stack at `local` knows them.
    pub fn stream(&mut self, now: Instant, [local, peer]: [SocketAddr; 2]) -> Option<StreamId> {
        let public = self.public_name(now, Protocol::Tcp, local, peer).ok()?;
        self.find(public, peer).map(|(connection, side)| StreamId { connection, side })
    }

    /// A program has written so much, in however many calls; false if the network knows nothing (any more) of its
    /// connection.
    pub fn write(
        &mut self,
        now: Instant,
        stream: StreamId,
        written: impl IntoIterator<Item = Bytes>,
    ) -> bool {
        let StreamId { connection: key, side } = stream;
        if !self.keeps_name(now, stream) {
            return false;
        }
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.dead[side] {
            return false;
        }
        let (flow, segment_len) = (&mut connection.flows[side], connection.segment_len);
        for mut bytes in written {
            let mut seq = flow.write(bytes.len() as u32);
            if let Some((tail, takes)) = flow.sender.waiting_tail() {
                let moved = tail.fill(&mut bytes, segment_len);
                *takes += moved;
                seq = seq.wrapping_add(moved);
            }
            for load in cut(seq, bytes, segment_len) {
                let takes = load.takes();
                flow.sender.push(now, load, takes);
            }
        }
        self.pump(now, key, side);
        self.rearm(key);
        true
    }

    /// A program has read so many bytes of what came to it.
    pub fn read(&mut self, now: Instant, stream: StreamId, bytes: u32) {
        let StreamId { connection: key, side } = stream;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.flows[1 - side].read(bytes) && !connection.dead[side] {
            self.acknowledge(now, key, side, 0);
            self.rearm(key);
        }
    }

    /// A program has let go of both directions, with something `unread` or not. Whatever comes for it from now on is
    /// answered with a reset, and so is what it did not read (RFC 2525, 2.17): then its stack has to forget the
    /// connection as well, and this is true.
    pub fn abandon(&mut self, now: Instant, stream: StreamId, unread: bool) -> bool {
        let StreamId { connection: key, side } = stream;
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.dead[side] {
            return false;
        }
        connection.abandoned[side] = true;
        let unread = unread || !connection.flows[1 - side].inbox.is_empty();
        if unread {
            self.refuse(now, key, side);
        }
        unread
    }

    /// The next end that hears something, in the order of hosts; what came for its program is added to `content`.
    pub fn poll_news(&mut self, content: &mut Vec<Bytes>) -> Option<News> {
        while let Some((host, key, side)) = self.news.pop_front() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.noted[side] = false;
            let Some([local, peer]) = connection.views[side] else { continue };
            if connection.dead[side] {
                continue;
            }
            let inbox = &mut connection.flows[1 - side].inbox;
            if !inbox.is_empty() {
                content.append(inbox);
                self.spoken.push((key, side));
            }
            let (freed, closed) = connection.flows[side].learn();
            if connection.is_over() {
                let [a, b] = connection.ends;
                self.forget(a, b);
            }
            return Some(News { host, local, peer, freed, closed });
        }
        None
    }

    /// One host after the other: each is looked after while it is in the cache.
    pub(super) fn sort_news(&mut self) {
        self.news.make_contiguous().sort_by_key(|&(host, ..)| host);
    }

    /// There may be news for one end.
    pub(super) fn note_news(&mut self, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let is_news = connection.flows[side].is_heard() || !connection.flows[1 - side].inbox.is_empty();
        if is_news && !connection.noted[side] {
            connection.noted[side] = true;
            self.news.push_back((connection.hosts[side], key, side));
        }
    }

    /// Resets a connection whose program at this end takes no more.
    pub(super) fn refuse(&mut self, now: Instant, key: Key, side: Side) {
        let Some(connection) = self.connections.get(key) else { return };
        let [near, far] = [connection.ends[side], connection.ends[1 - side]];
        self.forget(near, far);
        self.send_raw(now, packet::reset(near, far), true);
    }

    /// Is an end still called outside what it was called when it was opened? A box may have forgotten it.
    fn keeps_name(&mut self, now: Instant, stream: StreamId) -> bool {
        if self.nats.is_empty() {
            return true;
        }
        let Some(connection) = self.connections.get(stream.connection) else { return false };
        let (name, view) = (connection.ends[stream.side], connection.views[stream.side]);
        view.is_some_and(|[local, peer]| self.public_name(now, Protocol::Tcp, local, peer) == Ok(name))
    }
}

#[cfg(test)]
mod tests;
