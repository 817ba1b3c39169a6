//! Files that are wanted and files that are not, padding, links, room.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proto::metainfo::Priority::{Normal, Skip};

use super::*;

/// The files below `root`, hidden ones too, but without folders.
fn names(root: &TempDir) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if fs::symlink_metadata(&path).expect("there").is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(root.path()).expect("below the root");
                found.insert(below.display().to_string());
            }
        }
    }
    found
}

async fn fetch(storage: &FileStorage, metainfo: &Metainfo, content: &[u8], piece: PieceIndex) {
    store(storage, metainfo, content, piece).await;
    assert_eq!(storage.hash(piece).await.expect("written"), metainfo.hash_of(piece));
}

#[tokio::test]
async fn what_is_not_wanted_is_not_made_and_its_neighbours_pieces_are_whole() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    // `a.bin` and `c.bin` share pieces with `b.bin`; nobody wants `empty`.
    let only_b = vec![Skip, Skip, Normal, Skip];
    let storage = open(&root, &metainfo);
    storage.select(only_b.clone()).await.expect("nothing to do");
    for piece in metainfo.geometry().all_pieces() {
        fetch(&storage, &metainfo, &content, piece).await;
    }
    storage.flush().await.expect("saved");
    let parts = format!(".{}.parts", metainfo.info_hash());
    assert_eq!(names(&root), BTreeSet::from([parts.clone(), "set/deep/b.bin".to_owned()]));
    assert!(fs::read(root.path().join("set/deep/b.bin")).expect("there") == content[10_000..110_001]);

    // A restart finds every piece, for a reader too; then the others are wanted.
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let again =
            FileStorage::open(root.path(), Arc::clone(&metainfo), access).expect("nothing in the way");
        again.select(only_b.clone()).await.expect("nothing to do");
        for piece in metainfo.geometry().all_pieces() {
            assert_eq!(again.hash(piece).await.expect("there"), metainfo.hash_of(piece));
        }
    }
    let again = open(&root, &metainfo);
    again.select(vec![Normal, Normal, Normal, Skip]).await.expect("moved");
    again.flush().await.expect("saved");
    assert!(names(&root).contains(&parts), "the end of the last piece is not wanted yet");
    assert!(fs::read(root.path().join("set/deep/a.bin")).expect("there") == content[..10_000]);
    again.select(Vec::new()).await.expect("moved");
    let all = ["set/deep/a.bin", "set/deep/b.bin", "set/deep/c.bin", "set/deep/empty"];
    assert_eq!(names(&root), BTreeSet::from(all.map(str::to_owned)));
    for piece in metainfo.geometry().all_pieces() {
        assert_eq!(again.hash(piece).await.expect("there"), metainfo.hash_of(piece));
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_used_although_nobody_wants_it() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let first = metainfo.geometry().piece(0).expect("in range");
    fetch(&storage, &metainfo, &content, first).await;
    storage.select(vec![Skip; 4]).await.expect("nothing to do");
    for piece in metainfo.geometry().all_pieces() {
        fetch(&storage, &metainfo, &content, piece).await;
    }
    assert!(fs::read(root.path().join("set/deep/b.bin")).expect("there") == content[10_000..110_001]);
    assert!(!root.path().join("set/deep/c.bin").exists());
}

fn special(entries: &str, len: usize) -> (Arc<Metainfo>, Vec<u8>) {
    let mut content = content(len);
    content[5..PIECE_LEN as usize].fill(0);
    let hashes: Vec<u8> =
        content.chunks(PIECE_LEN as usize).flat_map(|piece| PieceHash::of(piece).0).collect();
    let mut bytes = format!("d4:infod5:filesl{entries}e4:name3:set12:piece lengthi{PIECE_LEN}e").into_bytes();
    bytes.extend(format!("6:pieces{}:", hashes.len()).bytes().chain(hashes).chain(*b"ee"));
    (Arc::new(Metainfo::parse(&bytes).expect("valid")), content)
}

#[cfg(unix)]
#[tokio::test]
async fn padding_is_not_stored_programs_can_be_run_and_links_lead_inside() {
    use std::os::unix::fs::PermissionsExt;
    let gap = PIECE_LEN - 5;
    let entries = format!(
        "d4:attr1:x6:lengthi5e4:pathl3:runeed4:attr1:p6:lengthi{gap}e4:pathl4:.pad3:gapee\
         d6:lengthi9e4:pathl1:a1:beed4:attr1:l6:lengthi0e4:pathl1:c4:linke12:symlink pathl1:a1:bee"
    );
    let (metainfo, content) = special(&entries, PIECE_LEN as usize + 9);
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    for piece in metainfo.geometry().all_pieces() {
        fetch(&storage, &metainfo, &content, piece).await;
    }
    storage.flush().await.expect("saved");
    storage.flush().await.expect("what is there stays");
    let all = ["set/a/b", "set/c/link", "set/run"];
    assert_eq!(names(&root), BTreeSet::from(all.map(str::to_owned)));
    let mode = fs::metadata(root.path().join("set/run")).expect("there").permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    assert!(
        fs::read(root.path().join("set/c/link")).expect("leads to a file") == content[PIECE_LEN as usize..]
    );
    let again = open(&root, &metainfo);
    for piece in metainfo.geometry().all_pieces() {
        assert_eq!(again.hash(piece).await.expect("there"), metainfo.hash_of(piece));
        let block = metainfo.geometry().block(piece, 0).expect("one block");
        let start = metainfo.geometry().start_of(piece) as usize;
        assert!(again.read(block).await.expect("there") == content[start..start + block.len() as usize]);
    }
}

#[tokio::test]
async fn room_is_made_before_anything_comes_and_only_for_what_is_wanted() {
    let (metainfo, content) = torrent();
    let root = TempDir::new().expect("a temporary folder");
    let storage =
        FileStorage::open_with(root.path(), Arc::clone(&metainfo), Access::ReadWrite, Allocation::Full)
            .expect("nothing in the way");
    storage.select(vec![Normal, Normal, Normal, Skip]).await.expect("room");
    let len = |name| fs::metadata(root.path().join("set/deep").join(name)).map(|found| found.len()).ok();
    assert_eq!([len("a.bin"), len("b.bin"), len("c.bin")], [Some(10_000), Some(100_001), None]);
    let first = metainfo.geometry().piece(0).expect("in range");
    assert_ne!(storage.hash(first).await.expect("zeros"), metainfo.hash_of(first));
    fetch(&storage, &metainfo, &content, first).await;
}

#[tokio::test]
async fn a_piece_of_zeros_in_a_hole_is_there() {
    let draft = Draft::new("zeros", Content::Single(100_000), Some(PIECE_LEN)).expect("valid");
    let zeros = vec![0; 100_000];
    let hashes: Vec<_> = zeros.chunks(PIECE_LEN as usize).map(PieceHash::of).collect();
    let metainfo = Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own"));
    let root = TempDir::new().expect("a temporary folder");
    let storage = open(&root, &metainfo);
    let file = fs::File::create(root.path().join("zeros")).expect("made");
    file.set_len(70_000).expect("room");
    let hash = async |index| storage.hash(metainfo.geometry().piece(index).expect("in range")).await;
    for index in [0, 1] {
        assert_eq!(hash(index).await.expect("a hole"), hashes[index as usize]);
    }
    assert_eq!(hash(2).await.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    file.set_len(100_000).expect("room");
    assert_eq!(hash(3).await.expect("a hole"), hashes[3]);
}

/// What may happen to a storage.
#[derive(Clone, Debug)]
enum Act {
    Select(Vec<bool>),
    Fetch(u32),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        prop::collection::vec(any::<bool>(), 4).prop_map(Act::Select),
        (0u32..4).prop_map(Act::Fetch),
        (0u32..4).prop_map(Act::Fetch),
        Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_piece_that_came_in_stays_whatever_is_chosen_and_whoever_restarts(
        acts in prop::collection::vec(act(), 1..25)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (metainfo, content) = torrent();
            let root = TempDir::new().expect("a temporary folder");
            let mut storage = open(&root, &metainfo);
            let (mut chosen, mut have) = (vec![Skip; 4], BTreeSet::new());
            storage.select(chosen.clone()).await.expect("nothing to do");
            let mut ever = [false; 4];
            for act in acts {
                match act {
                    Act::Select(wanted) => {
                        chosen = wanted.into_iter().map(|wanted| if wanted { Normal } else { Skip }).collect();
                        storage.select(chosen.clone()).await.expect("room");
                    }
                    Act::Fetch(index) => {
                        let piece = metainfo.geometry().piece(index).expect("in range");
                        fetch(&storage, &metainfo, &content, piece).await;
                        have.insert(piece);
                    }
                    Act::Restart => {
                        storage = open(&root, &metainfo);
                        storage.select(chosen.clone()).await.expect("room");
                    }
                }
                for (ever, priority) in ever.iter_mut().zip(&chosen) {
                    *ever |= *priority == Normal;
                }
                for &piece in &have {
                    assert_eq!(storage.hash(piece).await.expect("there"), metainfo.hash_of(piece));
                }
                for (file, ever) in metainfo.files().iter().zip(ever) {
                    let path: std::path::PathBuf = file.path.iter().collect();
                    assert!(ever || !root.path().join(&path).exists(), "{path:?} was never wanted");
                }
            }
        });
    }
}
