//! Files in a temporary folder.

mod audit;
mod selection;

use std::fs;

use proto::metainfo::create::{Content, Draft};
use tempfile::TempDir;

use super::*;

const PIECE_LEN: u32 = 32 * 1024;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8 ^ (index >> 12) as u8).collect()
}

/// Three files of odd lengths and one without content; the second spans several pieces.
fn torrent() -> (Arc<Metainfo>, Vec<u8>) {
    let lens = [("a.bin", 10_000), ("empty", 0), ("b.bin", 100_001), ("c.bin", 7)];
    let files = lens.map(|(name, len)| (vec!["deep".to_owned(), name.to_owned()], len)).to_vec();
    let draft = Draft::new("set", Content::Multi(files), Some(PIECE_LEN)).expect("valid");
    let content = content(110_008);
    let hashes: Vec<PieceHash> = content.chunks(PIECE_LEN as usize).map(PieceHash::of).collect();
    let bytes = draft.finish(&hashes).expect("as many hashes as pieces");
    (Arc::new(Metainfo::parse(&bytes).expect("our own")), content)
}

fn open(root: &TempDir, metainfo: &Arc<Metainfo>) -> FileStorage {
    FileStorage::open(root.path(), Arc::clone(metainfo), Access::ReadWrite).expect("nothing in the way")
}

async fn store(storage: &FileStorage, metainfo: &Metainfo, content: &[u8], piece: PieceIndex) {
    let geometry = metainfo.geometry();
    for block in geometry.blocks(piece) {
        let start = geometry.start_of_block(block) as usize;
        let data = Bytes::copy_from_slice(&content[start..start + block.len() as usize]);
        storage.write(block, data).await.expect("room");
    }
}

#[tokio::test]
async fn pieces_land_in_their_files_and_survive_a_restart() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    for piece in metainfo.geometry().all_pieces().rev() {
        store(&storage, &metainfo, &content, piece).await;
        assert_eq!(storage.hash(piece).await.expect("written"), metainfo.hash_of(piece));
    }
    storage.flush().await.expect("saved");
    let file = |name| fs::read(root.path().join("set/deep").join(name)).expect("a file");
    assert!(file("a.bin") == content[..10_000] && file("c.bin") == content[110_001..]);
    assert!(file("b.bin") == content[10_000..110_001] && file("empty").is_empty());

    let again = open(&root, &metainfo);
    for piece in metainfo.geometry().all_pieces() {
        assert_eq!(again.hash(piece).await.expect("there"), metainfo.hash_of(piece));
        for block in metainfo.geometry().blocks(piece) {
            let start = metainfo.geometry().start_of_block(block) as usize;
            let data = again.read(block).await.expect("there");
            assert!(data == content[start..start + block.len() as usize]);
        }
    }
}

#[tokio::test]
async fn a_corrupt_piece_never_reaches_the_disk() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let piece = metainfo.geometry().piece(0).expect("a piece");
    let mut wrong = content.clone();
    wrong[5] ^= 1;
    store(&storage, &metainfo, &wrong, piece).await;
    assert_ne!(storage.hash(piece).await.expect("hashed"), metainfo.hash_of(piece));
    assert!(!root.path().join("set").exists());
    store(&storage, &metainfo, &content, piece).await;
    assert_eq!(storage.hash(piece).await.expect("written"), metainfo.hash_of(piece));
}

#[tokio::test]
async fn what_is_missing_or_short_is_an_error_that_names_the_file() {
    let (metainfo, _) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let piece = metainfo.geometry().piece(1).expect("a piece");
    let error = storage.hash(piece).await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("b.bin"), "{error}");
    assert!(!root.path().join("set").exists(), "looking makes nothing");
    fs::create_dir_all(root.path().join("set/deep")).expect("made");
    fs::write(root.path().join("set/deep/b.bin"), b"short").expect("written");
    let error = storage.hash(piece).await.expect_err("short");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[cfg(unix)]
#[tokio::test]
async fn a_symbolic_link_is_not_followed() {
    let (metainfo, content) = torrent();
    let (root, outside) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    fs::create_dir(root.path().join("set")).expect("made");
    std::os::unix::fs::symlink(outside.path(), root.path().join("set/deep")).expect("linked");
    let opened = FileStorage::open(root.path(), Arc::clone(&metainfo), Access::ReadWrite);
    assert!(opened.is_err_and(|error| error.to_string().contains("symbolic link")));

    fs::remove_file(root.path().join("set/deep")).expect("unlinked");
    let storage = open(&root, &metainfo);
    std::os::unix::fs::symlink(outside.path(), root.path().join("set/deep")).expect("linked");
    let piece = metainfo.geometry().piece(0).expect("a piece");
    store(&storage, &metainfo, &content, piece).await;
    let error = storage.hash(piece).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_longer_file_in_the_way_is_left_alone() {
    let (metainfo, _) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    fs::create_dir_all(root.path().join("set/deep")).expect("made");
    fs::write(root.path().join("set/deep/c.bin"), b"longer than 7").expect("written");
    let opened = FileStorage::open(root.path(), Arc::clone(&metainfo), Access::ReadWrite);
    assert!(matches!(opened, Err(OpenError::TooLong { found: 13, want: 7, .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn a_failed_write_loses_nothing_and_can_be_repeated() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let piece = metainfo.geometry().piece(0).expect("a piece");
    // A file where a folder must be makes the first write fail.
    fs::write(root.path().join("set"), b"in the way").expect("written");
    store(&storage, &metainfo, &content, piece).await;
    let error = storage.hash(piece).await.expect_err("no folder");
    assert!(error.to_string().contains("set/deep/a.bin"), "{error}");
    let block = metainfo.geometry().block(piece, 1).expect("two blocks");
    assert!(storage.read(block).await.expect("in memory") == content[16_384..32_768]);
    fs::remove_file(root.path().join("set")).expect("removed");
    assert_eq!(storage.hash(piece).await.expect("written now"), metainfo.hash_of(piece));
    assert!(fs::read(root.path().join("set/deep/a.bin")).expect("a file") == content[..10_000]);
}

/// Many small files, so that reading overtakes a writing that is under way.
#[tokio::test]
async fn a_piece_that_is_being_written_out_is_not_hashed_half_written() {
    const LEN: u32 = 64 << 20;
    let files = (0..4096).map(|number| (vec![format!("{number}")], 32 * 1024)).collect();
    let draft = Draft::new("set", Content::Multi(files), Some(LEN)).expect("valid");
    let data = Bytes::from(vec![7; 16 * 1024]);
    let hash = PieceHash::of(&vec![7; LEN as usize]);
    let bytes = draft.finish(&[hash, hash]).expect("as many hashes as pieces");
    let metainfo = Arc::new(Metainfo::parse(&bytes).expect("our own"));
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let [first, second] = [0, 1].map(|piece| metainfo.geometry().piece(piece).expect("in range"));
    let mut rest = metainfo.geometry().blocks(first).collect::<Vec<_>>();
    let last = rest.pop().expect("many blocks");
    for block in rest {
        storage.write(block, data.clone()).await.expect("in memory");
    }
    let mut others = metainfo.geometry().blocks(second);
    storage.write(others.next().expect("many blocks"), data.clone()).await.expect("in memory");
    let over = storage.write(others.next().expect("many blocks"), data.clone());
    let hashed = async {
        storage.write(last, data.clone()).await.expect("room");
        storage.hash(first).await
    };
    let (over, hashed) = tokio::join!(over, hashed);
    over.expect("written");
    assert_eq!(hashed.expect("all of it is there"), hash);
}

#[test]
fn many_threads_may_make_a_file_at_once() {
    let (metainfo, content) = torrent();
    for _ in 0..200 {
        let root = TempDir::new().expect("a temporary folder");
        let storage = open(&root, &metainfo);
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|threads| {
            for part in 0..4 {
                let (storage, start, content) = (&storage, &start, &content);
                threads.spawn(move || {
                    let offset = 20_000 + part * 10;
                    start.wait();
                    let written = storage.shared.disk.write(offset as u64, &content[offset..offset + 10]);
                    written.expect("whoever comes second uses the first one's file");
                });
            }
        });
        let made = fs::read(root.path().join("set/deep/b.bin")).expect("made");
        assert!(made[10_000..] == content[20_000..20_040]);
    }
}
