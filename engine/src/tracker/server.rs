//! The tracker's tasks: one for each socket ([`super::worker`]), one for the timers ([`super::keeper`]).
//!
//! They share the registry under a lock that is never held across an await; with one thread, as the simulator
//! and by default the binary run it, it is never contended.

use std::future::Future;
use std::sync::Arc;

use proto::seed::Seed;
use tokio::task::JoinSet;

use super::handle::{Shared, TrackerHandle};
use super::keeper::{Keeper, load};
use super::sites::Sites;
use super::store::Store;
use super::{TrackerConfig, TrackerError, worker};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::transport::{Transport, UdpSocket};

/// Starts a tracker: loads what `store` kept, binds every address, and leaves the rest to the root future.
pub async fn start<T: Transport, C: Clock, S: Store>(
    environment: Environment<T, C>,
    config: TrackerConfig,
    mut store: S,
    seed: Seed,
) -> Result<(TrackerHandle, impl Future<Output = ()> + Send + 'static), TrackerError> {
    let Environment { transport, clock } = environment;
    // Bind first: a second tracker on the same address must not touch the first one's database.
    let (sockets, local_addrs) = worker::bind(&transport, &config).await?;
    let sites = Sites::open(&transport, &config).await?;
    let (shared, secrets) = load(config, &mut store, seed, &clock)?;
    let shared = Arc::new(shared);
    let handle = TrackerHandle {
        shared: Arc::clone(&shared),
        http_addrs: sites.http_addrs(),
        admin_addr: sites.admin_addr(),
        local_addrs,
    };
    let mut tasks = JoinSet::new();
    sites.spawn(&mut tasks, &shared, &clock, handle.local_addrs.clone());
    let keeper = Keeper::new(Arc::clone(&shared), secrets, clock.clone(), store);
    Ok((handle, run(shared, tasks, sockets, clock, keeper)))
}

/// The root: owns every task until `stop`, those that are there already included.
pub(super) async fn run<C: Clock, S: Store, U: UdpSocket>(
    shared: Arc<Shared>,
    mut tasks: JoinSet<()>,
    sockets: Vec<U>,
    clock: C,
    mut keeper: Keeper<C, S>,
) {
    for socket in sockets {
        tasks.spawn(worker::serve(Arc::clone(&shared), socket, clock.clone()));
    }
    tokio::select! {
        biased;
        () = shared.stop.notified() => {}
        // Socket tasks run for ever; one that ended has panicked, and a deaf tracker helps nobody.
        _ = tasks.join_next() => tracing::error!("a socket's task ended"),
        () = keeper.keep_time() => {}
    }
    tasks.shutdown().await;
    keeper.finish();
}
