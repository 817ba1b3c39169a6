//! The registry's memory as the allocator counts it: what `max_bytes` promises under a flood, and that the
//! estimate behind it is true.
//!
//! In a file of its own, for the allocator is the whole process's.

use std::alloc::System;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use cap::Cap;
use proto::id::InfoHash;
use proto::registry::{Announce, Registry, RegistryConfig, Secret};
use proto::seed::{Random, Seed};
use proto::time::Instant;
use proto::torrent::AnnounceEvent;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const NOW: Instant = Instant::from_micros(60_000_000);

fn join(registry: &mut Registry, info_hash: InfoHash, addr: SocketAddr) -> bool {
    let event = Some(AnnounceEvent::Started);
    let request = Announce { info_hash, addr, left: 1, event, num_want: Some(0), passkey: None };
    registry.announce(NOW, &request, &mut Vec::new()).is_ok()
}

fn random_hash(random: &mut Random) -> InfoHash {
    let mut hash = [0; 20];
    random.fill(&mut hash);
    InfoHash(hash)
}

fn random_addr(random: &mut Random, is_v6: bool) -> SocketAddr {
    let port = 1 + random.below(65_535) as u16;
    if is_v6 {
        let high = u128::from(random.next_u64()) << 64;
        SocketAddr::from((Ipv6Addr::from_bits(high), port))
    } else {
        SocketAddr::from((Ipv4Addr::from_bits(random.next_u32()), port))
    }
}

/// Floods an empty registry with `each(n)`, and checks cap and estimate against the allocator.
fn flood(name: &str, max_bytes: usize, mut each: impl FnMut(u32, &mut Random) -> (InfoHash, SocketAddr)) {
    let before = ALLOCATOR.allocated();
    let config = RegistryConfig { max_bytes, ..RegistryConfig::default() };
    let mut registry = Registry::new(config, Secret([1; 16]), Seed::from_u64(1), NOW);
    let mut random = Seed::from_u64(2).rng();
    let mut refused = 0;
    for number in 0..200_000 {
        let (info_hash, addr) = each(number, &mut random);
        refused += usize::from(!join(&mut registry, info_hash, addr));
        if number % 1000 == 0 {
            let taken = ALLOCATOR.allocated() - before;
            assert!(taken < max_bytes + max_bytes / 4, "{name}: {taken} bytes after {number}");
        }
    }
    assert!(refused > 1000, "{name}: the cap was reached, {refused} refused");
    let (taken, estimate) = (ALLOCATOR.allocated() - before, registry.stats().memory_bytes as usize);
    // The estimate adds what an allocator needs for itself beside each allocation.
    let is_true = taken * 95 < estimate * 100 && estimate * 100 < taken * 120;
    assert!(is_true, "{name}: {taken} bytes taken, {estimate} estimated");
}

/// One test, for two at a time would count each other's bytes.
#[test]
fn floods_stay_within_the_bytes_and_the_estimate_is_true() {
    flood("random hashes", 4 << 20, |_, random| (random_hash(random), random_addr(random, false)));
    flood("random hashes over IPv6", 4 << 20, |_, random| (random_hash(random), random_addr(random, true)));
    let few = |number: u32| InfoHash([(number % 100) as u8; 20]);
    flood("random members", 2 << 20, |number, random| (few(number), random_addr(random, number % 3 == 0)));
}
