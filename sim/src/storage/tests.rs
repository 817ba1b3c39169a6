//! The shared-content disk against a plain one.

use proptest::prelude::*;

use super::*;

/// Content of two and a half pieces whose length is no multiple of a block's.
fn content() -> Arc<Content> {
    Content::generate(Geometry::new(100_001, 40_000).expect("valid"), Seed::from_u64(1))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn piece(content: &Content, index: u32) -> PieceIndex {
    content.geometry().piece(index).expect("in range")
}

#[test]
fn a_full_disk_serves_the_canonical_bytes_without_a_copy() {
    let content = content();
    let storage = SharedStorage::full(content.clone());
    let block = content.geometry().block(piece(&content, 1), 1).expect("in range");
    let read = run(storage.read(block)).expect("reads");
    let at = 40_000 + BLOCK_LEN as usize;
    assert_eq!(read.as_ptr(), content.bytes()[at..].as_ptr());
    assert!(storage.canonical_pieces().is_full());
    assert_eq!(storage.own_bytes(), 0);
}

#[test]
fn what_equals_the_canonical_bytes_costs_a_bit() {
    let content = content();
    let (from, to) = (SharedStorage::full(content.clone()), SharedStorage::empty(content.clone()));
    for block in content.geometry().all_pieces().flat_map(|piece| content.geometry().blocks(piece)) {
        let data = run(from.read(block)).expect("reads");
        run(to.write(block, Bytes::copy_from_slice(&data))).expect("writes");
    }
    assert!(to.canonical_pieces().is_full());
    assert_eq!(to.own_bytes(), 0);
}

#[test]
fn a_corrupt_block_is_kept_and_spoils_the_hash() {
    let content = content();
    let storage = SharedStorage::full(content.clone());
    let spoilt = piece(&content, 0);
    let block = content.geometry().block(spoilt, 0).expect("in range");
    let mut data = run(storage.read(block)).expect("reads").to_vec();
    data[5] ^= 1;
    run(storage.write(block, data.clone().into())).expect("writes");
    assert_eq!(run(storage.read(block)).expect("reads"), data);
    assert_ne!(run(storage.hash(spoilt)).expect("hashes"), content.hashes()[0]);
    assert!(!storage.canonical_pieces().has(spoilt));
    assert_eq!(storage.own_bytes(), BLOCK_LEN as usize);
    data[5] ^= 1;
    run(storage.write(block, data.into())).expect("writes");
    assert_eq!(run(storage.hash(spoilt)).expect("hashes"), content.hashes()[0]);
    assert_eq!(storage.own_bytes(), 0);
}

#[test]
fn a_piece_that_was_never_written_is_not_there() {
    let content = content();
    let storage = SharedStorage::empty(content.clone());
    let error = run(storage.hash(piece(&content, 2))).expect_err("nothing to hash");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let block = content.geometry().block(piece(&content, 2), 0).expect("in range");
    run(storage.write(block, vec![7; block.len() as usize].into())).expect("writes");
    assert!(run(storage.hash(piece(&content, 2))).is_ok());
}

#[test]
fn data_of_another_length_is_refused() {
    let content = content();
    let block = content.geometry().block(piece(&content, 0), 0).expect("in range");
    let error =
        run(SharedStorage::empty(content).write(block, Bytes::from_static(b"short"))).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

proptest! {
    /// The disk is a plain array of bytes, whatever is written where.
    #[test]
    fn it_behaves_like_a_file(
        writes in prop::collection::vec((0..3_u32, 0..40_000_u32, 1..=BLOCK_LEN, prop::option::of(any::<u8>())), 1..20),
    ) {
        let content = content();
        let geometry = content.geometry();
        let storage = SharedStorage::empty(content.clone());
        let mut file = vec![0; geometry.len() as usize];
        for (index, offset, len, fill) in writes {
            let Ok(block) = geometry.locate(index, offset, len) else { continue };
            let at = (geometry.start_of(block.piece()) + u64::from(offset)) as usize;
            let range = at..at + len as usize;
            let canonical = content.bytes().slice(range.clone());
            let data = fill.map_or(canonical, |byte| vec![byte; len as usize].into());
            file[range.clone()].copy_from_slice(&data);
            run(storage.write(block, data)).expect("writes");
            prop_assert_eq!(&run(storage.read(block)).expect("reads")[..], &file[range]);
        }
        let pieces = file.chunks(40_000).zip(content.bytes().chunks(40_000));
        for ((stored, canonical), index) in pieces.zip(0..) {
            let piece = piece(&content, index);
            match run(storage.hash(piece)) {
                Ok(hash) => prop_assert_eq!(hash, PieceHash::of(stored)),
                Err(_) => prop_assert!(stored.iter().all(|&byte| byte == 0)),
            }
            prop_assert_eq!(storage.canonical_pieces().has(piece), stored == canonical);
        }
    }
}

/// Writes all of `content` to `storage`.
fn fill(content: &Content, storage: &SharedStorage) {
    let full = SharedStorage::full(Content::generate(content.geometry(), Seed::from_u64(1)));
    for block in content.geometry().all_pieces().flat_map(|piece| content.geometry().blocks(piece)) {
        run(storage.write(block, run(full.read(block)).expect("reads"))).expect("writes");
    }
}

#[test]
fn a_power_cut_takes_or_tears_what_was_not_flushed() {
    let content = Content::generate(Geometry::new(100_001 * 16, 40_000).expect("valid"), Seed::from_u64(1));
    let (kept, lost) = (SharedStorage::empty(content.clone()), SharedStorage::empty(content.clone()));
    fill(&content, &kept);
    run(kept.flush()).expect("flushes");
    assert_eq!(kept.cut_power(Seed::from_u64(2)), Loss::default(), "what was flushed is safe");
    assert!(kept.canonical_pieces().is_full());

    fill(&content, &lost);
    let Loss { gone, unsafe_ones } = lost.cut_power(Seed::from_u64(2));
    let whole = lost.canonical_pieces();
    assert_eq!(gone.len() as u32 + whole.count(), whole.pieces());
    assert_eq!(unsafe_ones.len() as u32, whole.pieces(), "of every piece something was at stake");
    assert!(!gone.is_empty() && !whole.is_empty(), "some cells reach the disk by themselves");
    assert!(lost.own_bytes() > 0, "and some are torn");
    assert_eq!(lost.cut_power(Seed::from_u64(3)), Loss::default(), "the next cut finds nothing to take");
}

#[test]
fn rot_spoils_whole_pieces_and_leaves_no_trace() {
    let content = content();
    let storage = SharedStorage::full(content.clone());
    let before = run(storage.stamps()).expect("there");
    assert_eq!(storage.rot(2, Seed::from_u64(5)).len(), 2);
    assert_eq!(storage.canonical_pieces().count(), 1);
    assert_eq!(run(storage.stamps()).expect("there"), before);
    let spoilt = content.geometry().all_pieces().filter(|&piece| !storage.canonical_pieces().has(piece));
    for piece in spoilt {
        assert_ne!(run(storage.hash(piece)).expect("hashes"), content.hashes()[piece.as_usize()]);
    }
}

#[test]
fn a_full_disk_reads_and_a_failing_one_does_nothing() {
    let content = content();
    let storage = SharedStorage::full(content.clone());
    let block = content.geometry().block(piece(&content, 0), 0).expect("in range");
    let write = || run(storage.write(block, vec![0; block.len() as usize].into()));
    let kind = |error: io::Error| error.kind();
    storage.set_full(true);
    assert_eq!(write().map_err(kind), Err(io::ErrorKind::StorageFull));
    assert_eq!(run(storage.keep_record(Bytes::new())).map_err(kind), Err(io::ErrorKind::StorageFull));
    assert!(run(storage.read(block)).is_ok() && run(storage.flush()).is_ok());
    storage.set_full(false);
    storage.set_failing(true);
    assert!(write().is_err() && run(storage.read(block)).is_err() && run(storage.flush()).is_err());
    storage.set_failing(false);
    run(storage.keep_record(Bytes::from_static(b"record"))).expect("kept");
    assert_eq!(run(storage.load_record()).expect("there"), Some(Bytes::from_static(b"record")));
    assert!(storage.canonical_pieces().is_full(), "what failed changed nothing");
}
