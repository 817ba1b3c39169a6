//! Hosts that crash, restart and talk: the world's own promises.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::clock::Clock;
use engine::environment::Environment;
use engine::transport::{Listener, Transport};
use proto::seed::Seed;
use proto::time::Instant;
use sim::network::LinkProfile;
use sim::world::{HostId, HostSpec, SimClock, SimTransport, World, WorldSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Log = Arc<Mutex<Vec<String>>>;
type Host = Environment<SimTransport, SimClock>;

const PORT: u16 = 6881;

fn addr(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), PORT)
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn world(hosts: u8) -> (World, Vec<HostId>) {
    let link = LinkProfile {
        up: 125_000,
        down: 125_000,
        latency: Duration::from_millis(25),
        queue: 50_000,
        loss: 0.0,
    };
    let specs: Vec<_> = (1..=hosts)
        .map(|last| HostSpec { name: format!("host-{last}"), addrs: vec![addr(last).ip()], link })
        .collect();
    let settings = WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(1), mtu: 1_500 };
    let world = World::new(settings, &specs).expect("a runtime");
    let ids = (0..hosts).filter_map(|index| world.host(index.into())).collect();
    (world, ids)
}

/// Greets everyone who dials, and holds the streams open, in tasks of its own as the engine does.
async fn greeter(host: Host, name: &'static str) {
    let listener = host.transport.listen(addr(0).port_any()).await.expect("the port is free");
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let mut stream = listener.accept().await.expect("a stream");
        tasks.spawn(async move {
            stream.writer.write_all(name.as_bytes()).await.expect("fits the buffer");
            let mut rest = Vec::new();
            let _ = stream.reader.read_to_end(&mut rest).await;
        });
    }
}

trait PortAny {
    fn port_any(self) -> SocketAddr;
}

impl PortAny for SocketAddr {
    fn port_any(self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.port())
    }
}

/// Dials the greeter, notes what it hears, and sends a byte a second until the stream ends.
async fn caller(host: Host, log: Log) {
    let say = |what: String| log.lock().expect("not poisoned").push(what);
    loop {
        let Ok(mut stream) = host.transport.connect(addr(1)).await else {
            say("refused".into());
            host.clock.sleep_until(host.clock.now() + Duration::from_secs(1)).await;
            continue;
        };
        let mut greeting = [0; 5];
        if stream.reader.read_exact(&mut greeting).await.is_ok() {
            say(String::from_utf8_lossy(&greeting).into_owned());
        }
        while stream.writer.write_all(b".").await.is_ok() {
            host.clock.sleep_until(host.clock.now() + Duration::from_secs(1)).await;
        }
        say("reset".into());
    }
}

#[test]
fn a_crashed_host_is_silent_and_its_port_is_free_after_the_restart() {
    let (mut world, ids) = world(2);
    let log = Log::default();
    world.start(ids[0], greeter(world.environment(ids[0]), "first"));
    world.start(ids[1], caller(world.environment(ids[1]), Arc::clone(&log)));
    world.run_until(seconds(10));
    world.crash(ids[0]);
    assert!(!world.is_running(ids[0]));
    world.run_until(seconds(15));
    assert_eq!(*log.lock().expect("not poisoned"), ["first"], "a power cut says nothing to anybody");
    world.start(ids[0], greeter(world.environment(ids[0]), "again"));
    world.run_until(seconds(30));
    assert_eq!(*log.lock().expect("not poisoned"), ["first", "reset", "again"]);
}

#[test]
fn a_host_may_crash_in_the_middle_of_a_transfer_a_hundred_times() {
    let (mut world, ids) = world(2);
    let received = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&received);
    let host = world.environment(ids[1]);
    world.start(ids[1], async move {
        let listener = host.transport.listen(addr(2)).await.expect("the port is free");
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let mut stream = listener.accept().await.expect("a stream");
            let sink = Arc::clone(&sink);
            tasks.spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = stream.reader.read(&mut buffer).await {
                    *sink.lock().expect("not poisoned") += read;
                }
            });
        }
    });
    let mut now = Instant::ZERO;
    for round in 0..100_u64 {
        let host = world.environment(ids[0]);
        world.start(ids[0], async move {
            let listener = host.transport.listen(addr(1)).await.expect("free after a crash");
            let mut stream = host.transport.connect(addr(2)).await.expect("the other side listens");
            while stream.writer.write_all(&[7; 10_000]).await.is_ok() {}
            drop(listener);
        });
        now += Duration::from_millis(300 + round * 7);
        world.run_until(now);
        world.crash(ids[0]);
    }
    assert!(*received.lock().expect("not poisoned") > 1_000_000);
}

#[test]
fn idle_time_costs_nothing() {
    let (mut world, ids) = world(1);
    let host = world.environment(ids[0]);
    world.start(ids[0], async move {
        host.clock.sleep_until(seconds(10_000_000)).await;
    });
    // A hundred days in ticks of a millisecond would take hours.
    world.run_until(seconds(8_640_000));
    assert!(world.is_running(ids[0]));
    assert_eq!(world.now(), seconds(8_640_000));
}

#[test]
fn faults_and_completions_enter_the_digest() {
    let digest = |note: Option<&str>| {
        let (mut world, _) = world(1);
        world.run_until(seconds(1));
        if let Some(note) = note {
            world.note(note);
        }
        world.digest()
    };
    assert_eq!(digest(None), digest(None));
    assert_ne!(digest(None), digest(Some("crash host-1")));
    assert_ne!(digest(Some("crash host-2")), digest(Some("crash host-1")));
}

/// Dials the greeter and says something every minute.
async fn rare_caller(host: Host) {
    let mut stream = host.transport.connect(addr(1)).await.expect("the greeter listens");
    while stream.writer.write_all(b".").await.is_ok() {
        host.clock.sleep_until(host.clock.now() + Duration::from_secs(60)).await;
    }
}

#[test]
fn idle_time_is_skipped_and_nothing_comes_out_differently() {
    // Whoever asks the world for every single tick gets every single tick.
    let after = |step: u64| {
        let (mut world, ids) = world(2);
        world.start(ids[0], greeter(world.environment(ids[0]), "hello"));
        world.start(ids[1], rare_caller(world.environment(ids[1])));
        for end in (0..=600_000_u64).step_by(step as usize) {
            world.run_until(Instant::from_micros(end * 1_000));
        }
        (world.digest(), world.totals(), world.turns())
    };
    let (every_tick, jumps) = (after(1), after(600_000));
    assert_eq!((&every_tick.0, every_tick.1), (&jumps.0, jumps.1));
    assert_eq!(every_tick.2, 600_000);
    // A byte and its acknowledgement a minute: each is taken, carried and handed over.
    assert!((20..200).contains(&jumps.2), "{} turns", jumps.2);
}

#[test]
fn a_program_that_always_writes_keeps_the_window_full() {
    // 64 KiB less the part that no whole segment fits into, in each round trip of 100 ms and a tick at each end.
    const WINDOW: u64 = 65_535 / 1_460 * 1_460;
    let link = LinkProfile { latency: Duration::from_millis(25), ..LinkProfile::UNLIMITED };
    let specs =
        [1, 2].map(|last| HostSpec { name: format!("host-{last}"), addrs: vec![addr(last).ip()], link });
    let settings = WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(1), mtu: 1_500 };
    let mut world = World::new(settings, &specs).expect("a runtime");
    let [near, far] = [0, 1].map(|index| world.host(index).expect("two hosts"));
    let received = Arc::new(Mutex::new(0));
    let (sink, host) = (Arc::clone(&received), world.environment(far));
    world.start(far, async move {
        let listener = host.transport.listen(addr(2)).await.expect("the port is free");
        let mut stream = listener.accept().await.expect("a stream");
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = stream.reader.read(&mut buffer).await {
            *sink.lock().expect("not poisoned") += read as u64;
        }
    });
    let host = world.environment(near);
    world.start(near, async move {
        let mut stream = host.transport.connect(addr(2)).await.expect("the other side listens");
        while stream.writer.write_all(&[7; 10_000]).await.is_ok() {}
    });
    world.run_until(seconds(5));
    let before = *received.lock().expect("not poisoned");
    world.run_until(seconds(15));
    let rate = (*received.lock().expect("not poisoned") - before) / 10;
    let limit = WINDOW * 1_000 / 100;
    // A window more or less may come within the ten seconds.
    assert!(rate.abs_diff(limit) * 100 <= limit * 3, "{rate} B/s of {limit}");
}
