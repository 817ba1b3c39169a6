//! The codecs on the hot path: blocks through the wire decoder, a torrent file through the parser.
//!
//! `cargo bench -p benches --bench codec`

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proto::metainfo::Metainfo;
use proto::piece::BLOCK_LEN;
use proto::wire::{Decoder, Message, RawBlock};

/// Messages of each kind in one run.
const MESSAGES: u32 = 64;

fn wire_of(message: impl Fn(u32) -> Message) -> BytesMut {
    let mut wire = BytesMut::new();
    (0..MESSAGES).for_each(|number| message(number).encode(&mut wire));
    wire
}

fn decode_all(wire: &BytesMut) -> usize {
    let mut buf = wire.clone();
    let mut decoder = Decoder::new(MESSAGES);
    let mut count = 0;
    while let Ok(Some(message)) = decoder.decode(&mut buf) {
        black_box(message);
        count += 1;
    }
    count
}

fn wire(criterion: &mut Criterion) {
    let data = Bytes::from(vec![7; BLOCK_LEN as usize]);
    let blocks = wire_of(|piece| Message::Piece { piece, offset: 0, data: data.clone() });
    let requests = wire_of(|piece| Message::Request(RawBlock { piece, offset: 0, len: BLOCK_LEN }));
    for (name, wire) in [("decode/blocks", blocks), ("decode/requests", requests)] {
        assert_eq!(decode_all(&wire), MESSAGES as usize);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function("64 messages", |bencher| bencher.iter(|| decode_all(black_box(&wire))));
        group.finish();
    }
}

fn metainfo(criterion: &mut Criterion) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/mktorrent-single.torrent");
    let Ok(file) = std::fs::read(path) else { return };
    let mut group = criterion.benchmark_group("metainfo");
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| Metainfo::parse(black_box(&file))));
    group.finish();
}

criterion_group!(benches, wire, metainfo);
criterion_main!(benches);
