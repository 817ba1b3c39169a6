//! The simulated world: hosts with a socket stack each, one emulated network, one virtual clock.
//!
//! One current-thread runtime with a paused clock runs everything. At each *tick* the world lets the
//! network act, hands what arrived to programs and stacks, and gives what they send to the network. Ticks
//! in which nothing can happen are skipped: the clock jumps to the next packet or timer.
//!
//! *Invariant:* the order of everything follows from the scenario and the seed alone.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::environment::Environment;
use proto::seed::Seed;
use proto::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use turmoil_net::{EnterGuard, KernelConfig, Net};

use crate::network::{LinkCounts, LinkProfile, Network, Totals};

mod buffers;
mod clock;
mod conditions;
mod gate;
mod half_open;
mod host;
mod service;
mod ticks;
mod transport;

use buffers::Connections;
pub(crate) use clock::virtual_time;
pub use clock::{ClockError, SimClock};
use gate::Gate;
use half_open::HalfOpen;
pub use host::HostId;
use host::{Host, OnHost, Pulse};
use service::Service;
use ticks::Core;
pub use transport::{SimListener, SimReader, SimSocket, SimTransport, SimWriter};

/// The stacks' own socket buffers in each direction, in bytes, for what stays inside a host.
const SOCKET_BUFFER: usize = 64 * 1024;

/// The largest IP packet of the stacks themselves, out of reach: content is cut in the network (`streams`), and datagrams
/// are held to the size of the wire where they are sent.
const STACK_MTU: u32 = 128 * 1024;
const _: () = assert!(STACK_MTU as usize > SOCKET_BUFFER + 60, "headers and a whole window");

/// Whenever the runtime is turned, programs run until all of them wait; more in a row than any world has.
const TASKS_IN_A_ROW: u32 = 1 << 20;

/// How often the runtime is turned at most until an aborted host's tasks are gone: one turn for each level
/// of task nesting would do.
const DRAIN_TURNS: usize = 64;

/// What does not differ from host to host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldSettings {
    /// All randomness of the network follows from it.
    pub seed: Seed,
    /// How often packets move between stacks and network: whole milliseconds, at least one.
    pub tick: Duration,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
}

/// A host to be.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// What other hosts may resolve.
    pub name: String,
    /// Its address, or one of each family; none that ends in .0 or .255.
    pub addrs: Vec<IpAddr>,
    /// Its access link.
    pub link: LinkProfile,
}

/// The world. Only one can exist in a thread at a time.
pub struct World {
    // Dropped in this order: tasks hold sockets, sockets need the stack.
    tasks: Vec<Option<JoinHandle<()>>>,
    runtime: Runtime,
    core: Core,
    guard: EnterGuard,
}

impl World {
    /// A world of these hosts; [`HostId`]s follow their order.
    ///
    /// # Errors
    /// If the runtime cannot be made.
    pub fn new(settings: WorldSettings, specs: &[HostSpec]) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .event_interval(TASKS_IN_A_ROW)
            .build()?;
        let start = runtime.block_on(async { clock::virtual_now() });
        // The stack's own retransmission would fight the network's flows: out of reach.
        let config = KernelConfig::default()
            .mtu(STACK_MTU)
            .send_buf_cap(SOCKET_BUFFER)
            .recv_buf_cap(SOCKET_BUFFER)
            .retx_threshold(u32::MAX);
        let mut net = Net::with_config(config);
        let mut network = Network::new(settings.seed.rng().next_u64(), settings.mtu);
        let names: BTreeMap<_, _> =
            specs.iter().map(|spec| (spec.name.clone(), spec.addrs.clone())).collect();
        let (names, pulse) = (Arc::new(names), Arc::new(Pulse::default()));
        let hosts = specs.iter().enumerate().map(|(index, spec)| {
            network.add_host(&spec.addrs, spec.link);
            Arc::new(Host {
                addrs: spec.addrs.clone(),
                stack: net.add_host(spec.addrs.clone()),
                pulse: Arc::clone(&pulse),
                names: Arc::clone(&names),
                is_lost: false.into(),
                sockets: 0.into(),
                connections: Connections::default(),
                gate: Gate::default(),
                service: Service::default(),
                taken: 0.into(),
                clock_skew: 0.into(),
                clock_drift: 0.into(),
                index,
                mtu: settings.mtu,
                wiretap: OnceLock::new(),
                asking: OnceLock::new(),
            })
        });
        let hosts = hosts.collect();
        let tick = (settings.tick.as_millis() as u64).max(1) * 1_000;
        let core = Core {
            start,
            tick,
            turns: 0,
            network,
            pulse,
            hosts,
            bounded: Vec::new(),
            half_open: HalfOpen::default(),
            packets: Vec::new(),
            content: Vec::new(),
        };
        let tasks = specs.iter().map(|_| None).collect();
        Ok(Self { tasks, runtime, core, guard: net.enter() })
    }

    /// The host at `index` of the list that the world was made from.
    pub fn host(&self, index: usize) -> Option<HostId> {
        (index < self.core.hosts.len()).then_some(HostId(index as u32))
    }

    /// What programs on a host get: its network and its clock.
    pub fn environment(&self, host: HostId) -> Environment<SimTransport, SimClock> {
        let host = self.core.host(host);
        let transport = SimTransport(Arc::clone(host));
        Environment { transport, clock: SimClock { start: self.core.start, host: Some(Arc::clone(host)) } }
    }

    /// True time, for those who watch.
    pub const fn clock(&self) -> SimClock {
        SimClock { start: self.core.start, host: None }
    }

    /// Runs a host's root future; a host that crashed is up again. A root that still runs is replaced.
    pub fn start(&mut self, host: HostId, root: impl Future<Output = ()> + Send + 'static) {
        self.core.network.set_down(host.0, false);
        let root = OnHost::new(self.core.host(host), root);
        let task = self.runtime.spawn(root);
        if let Some(old) = self.tasks.get_mut(host.index()).and_then(|place| place.replace(task)) {
            old.abort();
        }
    }

    /// Does the host's root future still run?
    pub fn is_running(&self, host: HostId) -> bool {
        let task = self.tasks.get(host.index()).and_then(Option::as_ref);
        task.is_some_and(|task| !task.is_finished())
    }

    /// The host loses power: its tasks end, nothing they say on the way out leaves the host, and its stack
    /// is empty when it starts again. Peers hear nothing until they get a reset for an old connection.
    pub fn crash(&mut self, host: HostId) {
        if let Some(task) = self.tasks.get_mut(host.index()).and_then(Option::take) {
            task.abort();
        }
        // A paused host dies like any other.
        self.resume(host);
        self.drain(host);
        self.core.network.set_down(host.0, true);
        self.core.host(host).service.clear();
        self.core.host(host).connections.clear();
        let now = self.now();
        self.core.empty_stack(&self.guard, now, host);
    }

    /// Lets virtual time pass.
    pub fn run_until(&mut self, until: Instant) {
        let Self { runtime, core, guard, .. } = self;
        runtime.block_on(core.run(guard, until));
    }

    /// Virtual time.
    pub fn now(&self) -> Instant {
        let _context = self.runtime.enter();
        self.core.now()
    }

    /// Counts of all packets.
    pub const fn totals(&self) -> Totals {
        self.core.network.totals()
    }

    /// Ticks at which the network or a stack acted; the clock jumped over all others.
    pub const fn turns(&self) -> u64 {
        self.core.turns
    }

    /// Bytes through a host's uplink and downlink.
    pub fn link_counts(&self, host: HostId) -> (LinkCounts, LinkCounts) {
        self.core.network.link_counts(host.0).unwrap_or_default()
    }

    /// Writes a fault or a completion into the digest.
    pub fn note(&mut self, what: &str) {
        let now = self.now();
        self.core.network.note(now, what);
    }

    /// The digest of all that has happened.
    pub fn digest(&self) -> String {
        self.core.network.digest()
    }

    /// Lets everybody answer what they were asked, without time passing.
    pub fn settle(&self) {
        self.runtime.block_on(async {
            for _ in 0..DRAIN_TURNS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Turns the runtime, without time passing, until an aborted host holds no socket.
    fn drain(&self, host: HostId) {
        let host = self.core.host(host);
        self.runtime.block_on(async {
            for _ in 0..DRAIN_TURNS {
                if host.sockets.load(Ordering::Relaxed) == 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        debug_assert_eq!(host.sockets.load(Ordering::Relaxed), 0, "a crashed host's tasks are all gone");
    }
}
