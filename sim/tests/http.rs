//! The HTTP tracker in the emulated network: the same code, timers by the host's clock, the same bytes in
//! every run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::clock::Clock;
use engine::environment::Environment;
use engine::tracker::{HttpConfig, MemoryStore, TrackerConfig, start};
use engine::transport::{Stream, Transport};
use proto::seed::Seed;
use proto::time::Instant;
use sim::network::LinkProfile;
use sim::world::{HostSpec, SimClock, SimTransport, World, WorldSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Log = Arc<Mutex<Vec<String>>>;
type Host = Environment<SimTransport, SimClock>;

fn addr(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 6969)
}

async fn tracker(host: Host) {
    let http = HttpConfig { bind: vec![addr(1)], ..HttpConfig::default() };
    let config = TrackerConfig { http, ..TrackerConfig::at(addr(1)) };
    let (_handle, root) =
        start(host, config, MemoryStore::default(), Seed::from_u64(1)).await.expect("it starts");
    root.await;
}

async fn connect(host: &Host) -> Stream<impl AsyncReadExt + Unpin, impl AsyncWriteExt + Unpin> {
    host.transport.connect(addr(1)).await.expect("the tracker listens")
}

/// Announces at `port`; notes what comes back, with its head.
async fn client(host: Host, port: u16, log: Log) {
    let mut stream = connect(&host).await;
    let target =
        format!("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port={port}&left=1");
    let request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n");
    stream.writer.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = Vec::new();
    stream.reader.read_to_end(&mut reply).await.expect("answered");
    log.lock().expect("not poisoned").push(reply.escape_ascii().to_string());
}

/// Opens a connection, sends half a head, and notes when it is cut.
async fn loris(host: Host, log: Log) {
    let mut stream = connect(&host).await;
    stream.writer.write_all(b"GET /ann").await.expect("sent");
    let mut rest = Vec::new();
    let _ = stream.reader.read_to_end(&mut rest).await;
    let seconds = host.clock.now().since(Instant::ZERO).as_secs();
    log.lock().expect("not poisoned").push(format!("cut after {seconds} s"));
}

/// Two clients one after the other, and a slow one; what they saw, and the digest of all packets.
fn run() -> (Vec<String>, String) {
    let latency = Duration::from_millis(25);
    let link = LinkProfile { up: 125_000, down: 125_000, latency, queue: 50_000, loss: 0.0 };
    let spec = |last: u8| HostSpec { name: format!("host-{last}"), addrs: vec![addr(last).ip()], link };
    let settings = WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(1), mtu: 1_500 };
    let mut world = World::new(settings, &[1, 2, 3, 4].map(spec)).expect("a runtime");
    let ids: Vec<_> = (0..4).filter_map(|index| world.host(index)).collect();
    let log = Log::default();
    world.start(ids[0], tracker(world.environment(ids[0])));
    world.run_until(Instant::from_micros(1_000_000));
    for (id, port) in [(ids[1], 1001), (ids[2], 1002)] {
        world.start(id, client(world.environment(id), port, Arc::clone(&log)));
        world.run_until(Instant::from_micros(u64::from(port - 999) * 1_000_000));
    }
    world.start(ids[3], loris(world.environment(ids[3]), Arc::clone(&log)));
    world.run_until(Instant::from_micros(60_000_000));
    let seen = log.lock().expect("not poisoned").clone();
    (seen, world.digest())
}

#[test]
fn clients_meet_over_http_and_a_slow_one_is_cut_by_the_hosts_clock() {
    let (seen, digest) = run();
    assert!(seen[0].ends_with("5:peers0:e"), "{seen:?}");
    assert!(seen[1].ends_with("5:peers6:\\n\\x00\\x00\\x02\\x03\\xe9e"), "{seen:?}");
    assert_eq!(seen[2..], ["cut after 18 s"], "15 s after the accept");
    assert_eq!(run(), (seen, digest), "the same bytes again");
}
