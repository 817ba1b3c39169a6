//! The ticks of a world: what moves between its network and the programs and stacks of its hosts, and in which order.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proto::time::Instant;
use turmoil_net::{EnterGuard, Packet, Transport};

use super::buffers::Buffers;
use super::clock;
use super::half_open::HalfOpen;
use super::host::{Host, HostId, Pulse};
use crate::network::{Network, News, acknowledgement, reset};

pub(super) struct Core {
    pub(super) start: tokio::time::Instant,
    pub(super) tick: u64,
    pub(super) turns: u64,
    pub(super) network: Network,
    pub(super) pulse: Arc<Pulse>,
    pub(super) hosts: Vec<Arc<Host>>,
    /// Hosts whose receive buffer is bounded.
    pub(super) bounded: Vec<HostId>,
    pub(super) half_open: HalfOpen,
    pub(super) packets: Vec<Packet>,
    pub(super) content: Vec<Bytes>,
}

impl Core {
    pub(super) fn host(&self, id: HostId) -> &Arc<Host> {
        // A `HostId` is only made by the world for a host that it has.
        #[expect(clippy::indexing_slicing, reason = "see above")]
        &self.hosts[id.index()]
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(clock::virtual_now().duration_since(self.start).as_micros() as u64)
    }

    pub(super) async fn run(&mut self, guard: &EnterGuard, until: Instant) {
        while self.now() < until {
            let wake = self.next_tick().min(until);
            let sleep = tokio::time::sleep_until(self.start + wake.since(Instant::ZERO));
            if self.pulse.is_raised() {
                sleep.await;
            } else {
                tokio::select! { biased;
                    () = self.pulse.raised() => continue,
                    () = sleep => {}
                }
            }
            let now = self.now();
            if now.as_micros().is_multiple_of(self.tick) {
                self.turn(guard, now).await;
            }
        }
    }

    /// The next tick at which something can happen.
    fn next_tick(&self) -> Instant {
        let next = self.now().as_micros() + 1;
        let busy = self.pulse.is_raised().then_some(next);
        let event = self.network.next_event().map(|at| at.as_micros().max(next));
        let due = [busy, event].into_iter().flatten().min();
        due.map_or(Instant::from_micros(u64::MAX / 2), |at| {
            Instant::from_micros(at.next_multiple_of(self.tick))
        })
    }

    /// One tick: the network acts, what arrived is heard, programs answer, and what they and their stacks send leaves.
    async fn turn(&mut self, guard: &EnterGuard, now: Instant) {
        self.turns += 1;
        for host in &self.bounded {
            let taken = self.host(*host).taken.swap(0, Ordering::Relaxed);
            self.network.taken(host.0, taken);
        }
        self.network.advance(now);
        if self.hear(guard, now) {
            // What programs answer leaves at the same tick.
            tokio::task::yield_now().await;
        } else if !self.pulse.is_raised() {
            return;
        }
        self.pulse.lower();
        self.collect(guard, now, &[]);
    }

    /// Programs and stacks hear what arrived for them; false if nothing did.
    fn hear(&mut self, guard: &EnterGuard, now: Instant) -> bool {
        let mut content = std::mem::take(&mut self.content);
        let mut is_any = false;
        while let Some(News { host, local, peer, freed, closed }) = self.network.poll_news(&mut content) {
            is_any = true;
            let acks =
                [self.half_open.opens(local, peer), closed.map(|ack| acknowledgement(peer, local, ack))];
            acks.into_iter().flatten().for_each(|ack| self.tell(guard, ack));
            if let Some(host) = self.hosts.get(host as usize) {
                host.connections.hear([local, peer], freed, &mut content);
            }
            content.clear();
        }
        self.content = content;
        while let Some((host, packet)) = self.network.poll_delivery(now) {
            is_any = true;
            self.half_open.before(&packet).into_iter().for_each(|opens| self.tell(guard, opens));
            self.hosts.get(host as usize).inspect(|host| host.connections.see(&packet));
            self.tell(guard, packet);
        }
        is_any
    }

    /// A stack hears a packet; what is TCP's it may answer.
    fn tell(&self, guard: &EnterGuard, packet: Packet) {
        if matches!(packet.payload, Transport::Tcp(_)) {
            self.pulse.stir();
        }
        guard.deliver(packet);
    }

    /// Takes what programs write and what stacks send; nothing of `silent`.
    fn collect(&mut self, guard: &EnterGuard, now: Instant, silent: &[IpAddr]) {
        for (host, buffers) in self.pulse.take_errands() {
            if !silent.contains(&buffers.ends[0].ip()) {
                self.run_errand(guard, now, host, &buffers);
            }
        }
        if self.pulse.settle() {
            self.send_all(guard, now, silent);
        }
        self.network.flush(now);
    }

    /// Takes what stacks send; nothing of `silent`.
    fn send_all(&mut self, guard: &EnterGuard, now: Instant, silent: &[IpAddr]) {
        let mut packets = std::mem::take(&mut self.packets);
        guard.egress_all(&mut packets);
        for packet in packets.drain(..).filter(|packet| !silent.contains(&packet.src)) {
            self.half_open.sent(&packet);
            self.network.send(now, packet);
        }
        self.packets = packets;
    }

    /// Does what a connection needs of the network.
    fn run_errand(&mut self, guard: &EnterGuard, now: Instant, host: usize, buffers: &Arc<Buffers>) {
        let [local, peer] = buffers.ends;
        let errand = buffers.take_errand();
        if let (Some(_), Some(host)) = (errand.abandoned, self.hosts.get(host)) {
            host.connections.close(buffers);
        }
        let stream = errand.stream.or_else(|| self.network.stream(now, buffers.ends));
        let writes = !errand.written.is_empty();
        let is_carried = |stream| !writes || self.network.write(now, stream, errand.written);
        let Some(stream) = stream.filter(|&stream| is_carried(stream)) else {
            // To what the network knows nothing of, the far end's stack answers with a reset.
            if writes {
                self.network.send(now, acknowledgement(local, peer, 0));
            }
            return;
        };
        if errand.stream.is_none() {
            buffers.find(stream);
        }
        if errand.read > 0 {
            self.network.read(now, stream, errand.read);
        }
        if let Some(unread) = errand.abandoned
            && self.network.abandon(now, stream, unread)
        {
            self.tell(guard, reset(peer, local));
        }
    }

    /// Removes every trace of a crashed host's connections from its stack, in silence.
    pub(super) fn empty_stack(&mut self, guard: &EnterGuard, now: Instant, host: HostId) {
        let host = Arc::clone(self.host(host));
        self.collect(guard, now, &host.addrs);
        for entry in host.netstat() {
            if let Some(peer) = entry.peer {
                self.tell(guard, reset(peer, entry.local));
            }
        }
        self.collect(guard, now, &host.addrs);
        self.half_open.forget(&host.addrs);
    }
}
