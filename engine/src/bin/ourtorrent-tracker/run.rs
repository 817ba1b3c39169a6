//! Starts the tracker over the operating system and minds the signals.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use engine::Environment;
use engine::tracker::{self, Background, MemoryStore, SqliteStore, Store, TrackerHandle};
use engine::transport::os::Inherited;
use proto::seed::Seed;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};

use crate::args::Args;
use crate::config::Settings;
use crate::flags::Flags;
use crate::logging::Log;
use crate::signals::{Signal, Signals};

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(args: &Args, flags: &Flags, settings: Settings) -> anyhow::Result<()> {
    // Before there are threads: reading it changes the environment.
    let inherited = Inherited::from_environment().context("cannot use an inherited socket")?;
    let log = Log::start(settings.log_format, &settings.log_level);
    let runtime = runtime(settings.threads()).context("cannot start the runtime")?;
    let service = Service { args, flags, log, settings, inherited };
    if let Some(path) = &service.settings.db {
        let store = Background::new(SqliteStore::open(path)?);
        runtime.block_on(service.serve(store))
    } else {
        tracing::warn!("no --db: nothing outlives this process");
        runtime.block_on(service.serve(MemoryStore::default()))
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

/// A tracker in service.
struct Service<'a> {
    args: &'a Args,
    flags: &'a Flags,
    log: Log,
    settings: Settings,
    inherited: Inherited,
}

impl Service<'_> {
    async fn serve(mut self, store: impl Store) -> anyhow::Result<()> {
        // Handlers first: a signal while starting must not be lost.
        let mut signals = Signals::listen().context("cannot listen to signals")?;
        let Environment { transport, clock } = Environment::os(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let transport = transport
            .with_datagram_buffer(self.settings.socket_buffer)
            .with_inherited(self.inherited.clone());
        let environment = Environment { transport, clock };
        let (handle, root) = tracker::start(environment, self.settings.tracker()?, store, seed()?).await?;
        self.log_addresses(&handle);
        tell_system(&[NotifyState::Ready]);
        tokio::pin!(root);
        loop {
            let signal = tokio::select! {
                biased;
                signal = signals.next() => signal,
                () = &mut root => bail!("the tracker ended by itself"),
                () = pause(self.settings.stats_every) => {
                    log_counters(&handle);
                    continue;
                }
            };
            match signal {
                Signal::Stop => break,
                Signal::Reload => self.reload(&handle),
            }
        }
        tracing::info!("stopping");
        tell_system(&[NotifyState::Stopping]);
        let failures = handle.stats().store_failures;
        handle.stop();
        tokio::select! {
            biased;
            () = signals.stop() => bail!("told to stop twice: the last changes may not be kept"),
            () = &mut root => {}
        }
        let stats = handle.stats();
        if self.args.json {
            println!("{}", serde_json::to_string(&stats)?);
        }
        ensure!(stats.store_failures == failures, "the last changes could not be kept");
        Ok(())
    }

    fn log_addresses(&self, handle: &TrackerHandle) {
        for addr in handle.local_addrs() {
            tracing::info!("listening at udp://{addr}");
        }
        for addr in handle.http_addrs() {
            tracing::info!("listening at http://{addr}/announce");
        }
        if let Some(addr) = handle.admin_addr() {
            tracing::info!("the status page is at http://{addr}/");
            if !addr.ip().is_loopback() {
                tracing::warn!("whoever reaches {addr} can read info hashes and counters");
            }
        }
        for addr in self.inherited.left() {
            tracing::warn!("the inherited socket at {addr} is unused: no key of [listen] names it");
        }
    }

    /// Reads the settings again. What cannot be used changes nothing.
    fn reload(&mut self, handle: &TrackerHandle) {
        let loaded = Settings::load(self.args.config.as_deref(), self.flags);
        let loaded = loaded.and_then(|settings| Ok((settings.tracker()?, settings)));
        let (config, settings) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return tracing::error!("the settings stay as they are: {error}"),
        };
        for key in settings.needing_restart(&self.settings) {
            tracing::warn!("{key} has changed, which takes effect at the next start");
        }
        self.log.set_level(&settings.log_level);
        handle.reload(config);
        self.settings = settings;
        tracing::info!("settings read again");
    }
}

/// Tells the service manager, if there is one that wants to know (systemd's `Type=notify`).
fn tell_system(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Ends after `time`; never if it is zero.
async fn pause(time: Duration) {
    if time.is_zero() { std::future::pending().await } else { tokio::time::sleep(time).await }
}

fn log_counters(handle: &TrackerHandle) {
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

fn seed() -> anyhow::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("the system gives no random numbers: {error}"))?;
    Ok(Seed(seed))
}
