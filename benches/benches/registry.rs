//! The tracker's registry without sockets: announces a second, from the datagram to the reply.
//!
//! What the kernel costs per datagram comes on top; see the tracker's own measurements for that.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proto::id::{InfoHash, PeerId};
use proto::registry::{Datagram, Datagrams, Registry, RegistryConfig, Secret};
use proto::seed::{Random, Seed};
use proto::time::Instant;
use proto::torrent::Progress;
use proto::tracker::{AnnounceRequest, ConnectionId, Family, Reply, Request, TransactionId};

/// Datagrams of a batch, as the driver takes them.
const BATCH: usize = 64;

/// Distinct requests; more than any cache holds of the swarms they touch.
const REQUESTS: usize = 64 * 1024;

const NOW: Instant = Instant::from_micros(60_000_000);
const WALL: Duration = Duration::from_secs(1_800_000_000);

/// A registry with `torrents` swarms of about `members` each, and announces of those members.
struct Load {
    registry: Registry,
    requests: Vec<(SocketAddr, Vec<u8>)>,
}

impl Load {
    fn new(torrents: u32, members: u32) -> Self {
        let mut random = Seed::from_u64(1).rng();
        let registry = Registry::new(RegistryConfig::default(), Secret([1; 16]), Seed::from_u64(2), NOW);
        let mut load = Self { registry, requests: Vec::new() };
        for member in 0..torrents * members {
            let request = load.request(&mut random, member, member % torrents);
            load.answer(&request);
            if load.requests.len() < REQUESTS {
                load.requests.push(request);
            } else {
                let replaced = random.index(member as usize + 1);
                if let Some(slot) = load.requests.get_mut(replaced) {
                    *slot = request;
                }
            }
        }
        random.shuffle(&mut load.requests);
        load
    }

    /// The announce of `member`: three of four download.
    fn request(&mut self, random: &mut Random, member: u32, torrent: u32) -> (SocketAddr, Vec<u8>) {
        let from =
            SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + member / 8), 1024 + (member % 8) as u16));
        let connection = self.connect(from);
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&torrent.to_be_bytes());
        let mut payload = Vec::new();
        Request::Announce(AnnounceRequest {
            connection,
            transaction: TransactionId(random.next_u32()),
            info_hash: InfoHash(hash),
            peer_id: PeerId([0; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left: u64::from(!member.is_multiple_of(4)) },
            event: None,
            key: 0,
            num_want: Some(30),
            port: from.port(),
            options: &[],
        })
        .encode(&mut payload);
        (from, payload)
    }

    fn connect(&mut self, from: SocketAddr) -> ConnectionId {
        let mut payload = Vec::new();
        Request::Connect { transaction: TransactionId(1) }.encode(&mut payload);
        let reply = self.answer(&(from, payload));
        match Reply::decode(&reply, Family::V4) {
            Ok(Reply::Connect { connection, .. }) => connection,
            other => panic!("no connection id: {other:?}"),
        }
    }

    fn answer(&mut self, (from, payload): &(SocketAddr, Vec<u8>)) -> Vec<u8> {
        let mut out = Datagrams::default();
        self.registry.handle(NOW, WALL, [Datagram { from: *from, payload }], &mut out);
        out.iter().next().map(|(_, reply)| reply.to_vec()).unwrap_or_default()
    }
}

fn announces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry/announce");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (torrents, members) in [(1, 100), (10_000, 5), (10_000, 50), (10, 50_000)] {
        let mut load = Load::new(torrents, members);
        let mut next = 0;
        let mut out = Datagrams::default();
        let name = BenchmarkId::from_parameter(format!("{torrents} torrents of {members}"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let batch = (next..next + BATCH).map(|n| &load.requests[n % load.requests.len()]);
                let batch = batch.map(|(from, payload)| Datagram { from: *from, payload });
                load.registry.handle(NOW, WALL, batch, &mut out);
                next += BATCH;
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn connects(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry/connect");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut registry = Registry::new(RegistryConfig::default(), Secret([1; 16]), Seed::from_u64(2), NOW);
    let mut payload = Vec::new();
    Request::Connect { transaction: TransactionId(1) }.encode(&mut payload);
    let from = |n: usize| SocketAddr::from((Ipv4Addr::from_bits(n as u32), 6881));
    group.bench_function("64 sources", |bencher| {
        bencher.iter_batched_ref(
            Datagrams::default,
            |out| {
                let batch = (0..BATCH).map(|n| Datagram { from: from(n), payload: &payload });
                registry.handle(NOW, WALL, batch, out);
                black_box(out.len())
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, announces, connects);
criterion_main!(benches);
