//! The transport conformance suite over the simulated world, with the links that a swarm has.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::transport::conformance::{Seat, Violation, dial, serve};
use proto::seed::Seed;
use proto::time::Instant;
use sim::network::LinkProfile;
use sim::world::{HostSpec, World, WorldSettings};

fn addr(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// Runs both halves on two hosts behind `link`; returns what each said, and the digest.
fn run(link: LinkProfile, seed: u64) -> (Vec<Result<(), Violation>>, String) {
    let settings = WorldSettings { seed: Seed::from_u64(seed), tick: Duration::from_millis(1), mtu: 1_500 };
    let specs = [1, 2].map(|last| HostSpec { name: format!("host-{last}"), addrs: vec![addr(last)], link });
    let mut world = World::new(settings, &specs).expect("a runtime");
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    for (index, here, there) in [(0, addr(1), addr(2)), (1, addr(2), addr(1))] {
        let host = world.host(index).expect("two hosts");
        let seat = Seat { environment: world.environment(host), here, there, first_port: 1_000 };
        let verdicts = Arc::clone(&verdicts);
        world.start(host, async move {
            let verdict = if index == 0 { serve(&seat).await } else { dial(&seat).await };
            verdicts.lock().expect("not poisoned").push(verdict);
        });
    }
    let mut until = Instant::ZERO;
    while verdicts.lock().expect("not poisoned").len() < 2 && until < Instant::from_micros(1_200_000_000) {
        until += Duration::from_secs(1);
        world.run_until(until);
    }
    let verdicts = verdicts.lock().expect("not poisoned").clone();
    (verdicts, world.digest())
}

#[test]
fn the_simulated_stack_conforms_on_a_fast_link() {
    let link = LinkProfile { latency: Duration::from_millis(5), ..LinkProfile::UNLIMITED };
    assert_eq!(run(link, 1).0, [Ok(()), Ok(())]);
}

#[test]
fn it_conforms_on_a_lossy_link_and_repeats_itself() {
    let link = LinkProfile {
        up: 12_500_000,
        down: 12_500_000,
        latency: Duration::from_millis(2),
        queue: 500_000,
        loss: 0.002,
    };
    let (verdicts, digest) = run(link, 7);
    assert_eq!(verdicts.len(), 2, "both halves come to an end");
    // Datagrams may be lost here, so the datagram checks may rightly complain; streams may not.
    for violation in verdicts.iter().filter_map(|verdict| verdict.as_ref().err()) {
        assert!(["batches", "empty_datagram"].contains(&violation.check), "{violation}");
    }
    assert_eq!(digest, run(link, 7).1);
}
