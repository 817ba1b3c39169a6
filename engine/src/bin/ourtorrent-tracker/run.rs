//! Starts the tracker over the operating system and waits for a signal.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use engine::Environment;
use engine::tracker::{self, Background, MemoryStore, SqliteStore, Store, TrackerHandle};
use proto::seed::Seed;
use tokio::runtime::{Builder, Runtime};

use crate::args::Args;

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = runtime(args.workers()).context("cannot start the runtime")?;
    if let Some(path) = &args.db {
        let store = Background::new(SqliteStore::open(path)?);
        runtime.block_on(serve(args, store))
    } else {
        tracing::warn!("no --db: nothing outlives this process");
        runtime.block_on(serve(args, MemoryStore::default()))
    }
}

/// A thread for each worker, this one if there is only one: passing work between threads costs more than the
/// work. The store has a thread of its own.
fn runtime(workers: usize) -> io::Result<Runtime> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(workers).enable_all().build()
}

async fn serve(args: &Args, store: impl Store) -> anyhow::Result<()> {
    // Handlers first: a signal while starting must not be lost.
    let stop = stop_signal().context("cannot listen to signals")?;
    let environment = Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let (handle, root) = tracker::start(environment, args.config(), store, seed()?).await?;
    for addr in handle.local_addrs() {
        tracing::info!("listening at udp://{addr}");
    }
    tokio::pin!(root);
    tokio::select! {
        biased;
        () = stop => tracing::info!("stopping"),
        () = &mut root => bail!("the tracker ended by itself"),
        () = report(&handle, args.stats_every()) => {}
    }
    let failures = handle.stats().store_failures;
    handle.stop();
    root.await;
    let stats = handle.stats();
    if args.json {
        println!("{}", serde_json::to_string(&stats)?);
    }
    ensure!(stats.store_failures == failures, "the last changes could not be kept");
    Ok(())
}

/// Logs the counters for ever.
async fn report(handle: &TrackerHandle, every: Option<Duration>) {
    let Some(every) = every else { return std::future::pending().await };
    loop {
        tokio::time::sleep(every).await;
        let stats = handle.stats();
        let counters = stats.registry;
        tracing::info!(
            torrents = counters.torrents,
            peers = counters.members,
            requests = counters.requests,
            announces = counters.announces,
            scrapes = counters.scrapes,
            completed = counters.completed,
            malformed = counters.malformed,
            unverified = counters.unverified,
            refused = counters.refused.total(),
            store_failures = stats.store_failures,
            "counters"
        );
    }
}

fn seed() -> anyhow::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    Ok(Seed(seed))
}

/// Ends with the first Ctrl-C or SIGTERM from now on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends with the first Ctrl-C from now on.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
