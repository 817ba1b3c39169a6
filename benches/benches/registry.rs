//! The tracker's registry without sockets: memory by shape, time from datagram to reply, warm restart.
//!
//! What the kernel costs per datagram comes on top; see the tracker's own measurements for that. Memory is
//! counted by the allocator, in bytes that were asked for, and printed before the timings.

use std::alloc::System;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cap::Cap;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proto::id::{InfoHash, PeerId};
use proto::registry::{
    Announce, BATCH, Datagram, Datagrams, PAGES, Registry, RegistryConfig, Secret, SwarmPage,
};
use proto::seed::{Random, Seed};
use proto::time::Instant;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeRequest, TransactionId};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Distinct requests of a load; more than any cache holds of the swarms they touch.
const REQUESTS: usize = 64 * 1024;

/// What the load generator that we measure with asks for.
const NUM_WANT: u32 = 30;

const NOW: Instant = Instant::from_micros(60_000_000);
const WALL: Duration = Duration::from_secs(1_800_000_000);
const SECRET: Secret = Secret([1; 16]);

fn registry() -> Registry {
    registry_from(2)
}

fn registry_from(seed: u64) -> Registry {
    let config = RegistryConfig { max_members_per_source: usize::MAX, ..RegistryConfig::default() };
    Registry::new(config, SECRET, Seed::from_u64(seed), NOW)
}

fn info_hash(torrent: usize) -> InfoHash {
    let mut hash = [0; 20];
    Seed::from_u64(torrent as u64).rng().fill(&mut hash);
    InfoHash(hash)
}

fn addr(member: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + (member / 8) as u32), 1024 + (member % 8) as u16))
}

/// The torrents of `members` members in all, of which the n-th most popular has a share of 1 / n, each at
/// least one.
fn zipf(torrents: usize, members: usize) -> Vec<u32> {
    // In millionths, so that all is whole numbers.
    let weights: usize = (1..=torrents).map(|rank| 1_000_000 / rank).sum();
    let mut left = members - torrents;
    let mut sizes = vec![1; torrents];
    for (rank, size) in (1..).zip(&mut sizes) {
        let share = (members * 1_000_000 / weights / rank).min(left);
        *size += share as u32;
        left -= share;
    }
    sizes
}

/// Enters everybody, in a random order as it happens: three of four download.
fn fill(registry: &mut Registry, sizes: &[u32]) -> Vec<(u32, u32)> {
    let mut joins: Vec<(u32, u32)> = Vec::with_capacity(sizes.iter().sum::<u32>() as usize);
    for (torrent, size) in (0..).zip(sizes) {
        joins.extend((0..*size).map(|_| (torrent, joins.len() as u32)).collect::<Vec<_>>());
    }
    for (at, join) in joins.iter_mut().enumerate() {
        join.1 = at as u32;
    }
    Seed::from_u64(3).rng().shuffle(&mut joins);
    let hashes: Vec<InfoHash> = (0..sizes.len()).map(info_hash).collect();
    let mut peers = Vec::new();
    for (torrent, member) in &joins {
        let request = Announce {
            info_hash: hashes[*torrent as usize],
            addr: addr(*member as usize),
            left: u64::from(!member.is_multiple_of(4)),
            event: Some(AnnounceEvent::Started),
            num_want: Some(0),
            passkey: None,
        };
        registry.announce(NOW, &request, &mut peers).expect("a place");
    }
    joins
}

/// Prints what each shape takes: asked for, estimated, and per torrent and peer.
fn memory(_: &mut Criterion) {
    println!("{:<34} {:>10} {:>10} {:>12} {:>10}", "shape", "MiB", "estimate", "B/torrent", "B/peer");
    let shapes: [(&str, Vec<u32>); 6] = [
        ("empty", vec![]),
        ("1 peer in each of 1,000,000", vec![1; 1_000_000]),
        ("4 peers in each of 400,000", vec![4; 400_000]),
        ("20 peers in each of 50,000", vec![20; 50_000]),
        ("180,000 peers in each of 8", vec![180_000; 8]),
        ("430,000 torrents, 2 M peers, zipf", zipf(430_000, 2_000_000)),
    ];
    for (name, sizes) in shapes {
        let before = ALLOCATOR.allocated();
        let mut registry = registry();
        drop(fill(&mut registry, &sizes));
        let stats = registry.stats();
        let bytes = (ALLOCATOR.allocated() - before) as f64;
        let per = |count: u64| if count == 0 { 0.0 } else { bytes / count as f64 };
        println!(
            "{name:<34} {:>10.1} {:>10.1} {:>12.1} {:>10.1}",
            bytes / f64::from(1 << 20),
            stats.memory_bytes as f64 / f64::from(1 << 20),
            per(stats.torrents),
            per(stats.members),
        );
    }
}

/// A registry, and requests of its members.
struct Load {
    registry: Registry,
    requests: Vec<(SocketAddr, Vec<u8>)>,
    out: Datagrams,
    next: usize,
}

impl Load {
    /// Requests in the ratio of `weights`: connect, announce, scrape.
    fn new(sizes: &[u32], weights: [u64; 3]) -> Self {
        let mut registry = registry();
        let joins = fill(&mut registry, sizes);
        let mut load = Self { registry, requests: Vec::new(), out: Datagrams::default(), next: 0 };
        let mut random = Seed::from_u64(4).rng();
        for (torrent, member) in joins.into_iter().cycle().take(REQUESTS) {
            let drawn = random.below(weights.iter().sum());
            let request = if drawn < weights[0] {
                connect(&mut random, addr(member as usize))
            } else {
                load.request(&mut random, member, torrent, drawn < weights[0] + weights[1])
            };
            load.requests.push(request);
        }
        load
    }

    fn request(
        &mut self,
        random: &mut Random,
        member: u32,
        torrent: u32,
        is_announce: bool,
    ) -> (SocketAddr, Vec<u8>) {
        let from = addr(member as usize);
        let (connection, transaction) = (self.connect(random, from), TransactionId(random.next_u32()));
        let info_hash = info_hash(torrent as usize);
        let mut payload = Vec::new();
        if is_announce {
            let progress =
                Progress { uploaded: 0, downloaded: 0, left: u64::from(!member.is_multiple_of(4)) };
            Request::Announce(AnnounceRequest {
                connection,
                transaction,
                info_hash,
                peer_id: PeerId([0; 20]),
                progress,
                event: None,
                key: 0,
                num_want: Some(NUM_WANT),
                port: from.port(),
                options: &[],
            })
            .encode(&mut payload);
        } else {
            Request::Scrape(ScrapeRequest { connection, transaction, hashes: &[info_hash.0] })
                .encode(&mut payload);
        }
        (from, payload)
    }

    fn connect(&mut self, random: &mut Random, from: SocketAddr) -> ConnectionId {
        let request = connect(random, from);
        let mut out = Datagrams::default();
        self.registry.handle(NOW, WALL, [Datagram { from, payload: &request.1 }], &mut out);
        let reply = out.iter().next().map(|(_, reply)| Reply::decode(reply, Family::V4));
        match reply {
            Some(Ok(Reply::Connect { connection, .. })) => connection,
            other => panic!("no connection id: {other:?}"),
        }
    }

    /// Answers one batch; the bytes of its replies.
    fn batch(&mut self) -> usize {
        let Self { registry, requests, out, next } = self;
        out.clear();
        let batch = (*next..*next + BATCH).map(|n| &requests[n % requests.len()]);
        registry.handle(NOW, WALL, batch.map(|(from, payload)| Datagram { from: *from, payload }), out);
        *next += BATCH;
        out.len()
    }
}

fn connect(random: &mut Random, from: SocketAddr) -> (SocketAddr, Vec<u8>) {
    let mut payload = Vec::new();
    Request::Connect { transaction: TransactionId(random.next_u32()) }.encode(&mut payload);
    (from, payload)
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry");
    group.throughput(Throughput::Elements(BATCH as u64));
    let popular = zipf(100_000, 200_000);
    let loads = [
        ("connects", vec![1; 1], [1, 0, 0]),
        ("announces, 1 torrent of 100", vec![100], [0, 1, 0]),
        ("announces, 10,000 torrents of 50", vec![50; 10_000], [0, 1, 0]),
        ("announces, 10 torrents of 50,000", vec![50_000; 10], [0, 1, 0]),
        ("announces, 100,000 torrents, 200,000 peers, zipf", popular.clone(), [0, 1, 0]),
        ("50:50:1, 100,000 torrents, 200,000 peers, zipf", popular, [50, 50, 1]),
        ("50:50:1, 430,000 torrents, 2 M peers, zipf", zipf(430_000, 2_000_000), [50, 50, 1]),
    ];
    for (name, sizes, weights) in loads {
        let mut load = Load::new(&sizes, weights);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(load.batch()));
        });
        let stats = load.registry.stats();
        let peers = stats.bytes_out as f64 / stats.announces as f64 / 6.0;
        println!("about {peers:.1} peers for each announce");
    }
    group.finish();
}

/// A million members into pages and back.
fn restart(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restart");
    group.sample_size(10);
    let mut full = registry();
    drop(fill(&mut full, &zipf(215_000, 1_000_000)));
    let mut pages: Vec<SwarmPage> = Vec::new();
    loop {
        let taken = full.take_all_pages(NOW, WALL, PAGES);
        if taken.is_empty() {
            break;
        }
        pages.extend(taken);
    }
    let bytes: usize = pages.iter().map(|page| page.bytes.len()).sum();
    println!("1 M members are {bytes} bytes in {} pages", pages.len());
    group.bench_function("restore 1 M members", |bencher| {
        bencher.iter_batched(
            // Another seed, as after every restart: with the same one members would come in the order of their
            // hashes.
            || registry_from(3),
            |mut registry| {
                let restored = pages.iter().map(|page| registry.restore_page(NOW, WALL, page));
                assert_eq!(restored.map(|members| members.expect("ours")).sum::<usize>(), 1_000_000);
                registry
            },
            BatchSize::PerIteration,
        );
    });
    let numbers: Vec<u16> = (0..PAGES as u16).collect();
    let mut now = NOW;
    group.bench_function("pack a sixtieth of 1 M members", |bencher| {
        bencher.iter(|| {
            full.keep_pages(&numbers[..PAGES / 60]);
            now += Duration::from_secs(1);
            black_box(full.take_pages(now, WALL, PAGES / 60)).len()
        });
    });
    group.finish();
}

criterion_group!(benches, memory, requests, restart);
criterion_main!(benches);
