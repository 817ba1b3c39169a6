//! What the bare world costs: plain byte streams between hosts with 50 connections each, no protocol above.
//!
//! `cargo bench -p benches --bench world` prints simulated seconds per wall second and the cost of a packet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine::clock::Clock;
use engine::environment::Environment;
use engine::transport::{Listener, Stream, Transport};
use mimalloc::MiMalloc;
use proto::seed::Seed;
use proto::time::Instant;
use sim::network::LinkProfile;
use sim::world::{HostId, HostSpec, SimClock, SimTransport, World, WorldSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// As in `sim`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PORT: u16 = 6881;

/// Connections that a host opens; as many are opened to it.
const DIALLED: usize = 25;

/// Of these, so many carry bulk data, as unchoked peers do; the rest get a short message a second.
const BUSY: usize = 5;

fn addr(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, (host >> 14) as u8, (host >> 7 & 127) as u8, (host & 127) as u8 + 1))
}

async fn host(environment: Environment<SimTransport, SimClock>, targets: Vec<SocketAddr>) {
    let own = SocketAddr::from(([0, 0, 0, 0], PORT));
    let Ok(listener) = environment.transport.listen(own).await else { return };
    tokio::spawn(async move {
        while let Ok(Stream { mut reader, writer, .. }) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                drop(writer);
            });
        }
    });
    for (number, target) in targets.into_iter().enumerate() {
        let environment = environment.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = environment.transport.connect(target).await else { return };
            let (message, pause) = if number < BUSY { (vec![0; 16_397], 0) } else { (vec![0; 17], 1) };
            while stream.writer.write_all(&message).await.is_ok() {
                let until = environment.clock.now() + Duration::from_secs(pause);
                environment.clock.sleep_until(until).await;
            }
        });
    }
    std::future::pending::<()>().await;
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures wall time")]
fn measure(hosts: usize, tick_ms: u64, seconds: u64) {
    let link = LinkProfile {
        up: 125_000,
        down: 2_000_000,
        latency: Duration::from_millis(25),
        queue: 200_000,
        loss: 0.0,
    };
    let specs: Vec<_> = (0..hosts)
        .map(|host| HostSpec { name: format!("host-{host}"), addrs: vec![addr(host)], link })
        .collect();
    let settings =
        WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(tick_ms), mtu: 1_500 };
    let Ok(mut world) = World::new(settings, &specs) else { return };
    let ids: Vec<HostId> = (0..hosts).filter_map(|index| world.host(index)).collect();
    for &id in &ids {
        let target = |step: usize| SocketAddr::new(addr((id.index() + step * step) % hosts), PORT);
        let targets = (1..=DIALLED).map(target).filter(|to| to.ip() != addr(id.index())).collect();
        world.start(id, host(world.environment(id), targets));
    }
    let start = std::time::Instant::now();
    world.run_until(Instant::from_micros(seconds * 1_000_000));
    let wall = start.elapsed().as_secs_f64();
    let packets = world.totals().delivered as f64;
    println!(
        "| {hosts} × {} | {tick_ms} ms | {:.2} | {:.2} | {:.2} |",
        2 * DIALLED,
        seconds as f64 / wall,
        wall * 1e6 / packets,
        world.totals().delivered_bytes as f64 / (hosts as f64 * 125_000.0 * seconds as f64)
    );
}

/// Arguments `HOSTS TICK_MS SECONDS` measure one row; none, the table.
fn main() {
    let row: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    println!("| hosts × sockets | tick | simulated s per wall s | µs per packet | share of the uplinks |");
    println!("|---|---|---|---|---|");
    if let &[hosts, tick_ms, seconds] = row.as_slice() {
        return measure(hosts as usize, tick_ms, seconds);
    }
    for (hosts, tick_ms, seconds) in
        [(100, 1, 20), (100, 2, 20), (100, 5, 20), (1_000, 1, 5), (1_000, 5, 10), (1_000, 10, 10)]
    {
        measure(hosts, tick_ms, seconds);
    }
}
