//! Files that others move, cut, replace and change.

use super::*;

const A: &str = "set/deep/a.bin";
const B: &str = "set/deep/b.bin";

async fn complete(root: &TempDir) -> (FileStorage, Arc<Metainfo>) {
    let (metainfo, content) = torrent();
    let storage = open(root, &metainfo);
    for piece in metainfo.geometry().all_pieces() {
        store(&storage, &metainfo, &content, piece).await;
        assert_eq!(storage.hash(piece).await.expect("written"), metainfo.hash_of(piece));
    }
    (storage, metainfo)
}

async fn losses(storage: &FileStorage, root: &TempDir) -> Vec<(String, &'static str, Vec<u32>)> {
    let losses = storage.audit().await.expect("looked");
    let plain = |loss: Loss| {
        let path = loss.path.strip_prefix(root.path()).expect("below the root").display().to_string();
        (path, loss.what, loss.pieces.into_iter().map(PieceIndex::get).collect())
    };
    losses.into_iter().map(plain).collect()
}

#[tokio::test]
async fn our_own_writing_is_no_loss() {
    let root = TempDir::new().expect("a temporary folder");
    let (storage, metainfo) = complete(&root).await;
    assert_eq!(losses(&storage, &root).await, []);
    let (_, content) = torrent();
    let first = metainfo.geometry().piece(0).expect("in range");
    store(&storage, &metainfo, &content, first).await;
    storage.hash(first).await.expect("written");
    assert_eq!(losses(&storage, &root).await, []);
}

#[tokio::test]
async fn a_file_that_is_gone_is_said_once_and_not_read_any_more() {
    let root = TempDir::new().expect("a temporary folder");
    let (storage, metainfo) = complete(&root).await;
    storage.audit().await.expect("looked");
    let block = metainfo.geometry().block(metainfo.geometry().piece(0).expect("in range"), 0);
    let block = block.expect("in range");
    storage.read(block).await.expect("there");
    fs::rename(root.path().join(A), root.path().join("elsewhere")).expect("moved");
    storage.read(block).await.expect("the file is open");
    assert_eq!(losses(&storage, &root).await, [(A.to_owned(), "is gone", vec![0])]);
    assert_eq!(losses(&storage, &root).await, []);
    assert_eq!(storage.read(block).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[tokio::test]
async fn a_file_that_was_cut_replaced_or_changed_is_noticed() {
    let root = TempDir::new().expect("a temporary folder");
    let (storage, _) = complete(&root).await;
    storage.audit().await.expect("looked");
    let b = fs::OpenOptions::new().write(true).open(root.path().join(B)).expect("there");
    b.set_len(100).expect("cut");
    assert_eq!(losses(&storage, &root).await, [(B.to_owned(), "is shorter than it was", vec![0, 1, 2, 3])]);
    let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(60);
    b.set_modified(later).expect("dated");
    assert_eq!(losses(&storage, &root).await[0].1, "was changed by another program");
    if cfg!(unix) {
        fs::write(root.path().join("other"), vec![7; 10_000]).expect("written");
        fs::rename(root.path().join("other"), root.path().join(A)).expect("replaced");
        assert_eq!(losses(&storage, &root).await, [(A.to_owned(), "was replaced by another file", vec![0])]);
    }
}
