//! What a start believes of an earlier run, seen by what it hashes: real files and records, whole engines.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::storage::file::{Access, FileStorage};
use engine::storage::{Loss, Storage};
use engine::{Engine, EngineConfig, EngineEvent, Environment};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::piece::{Block, PieceIndex};
use proto::resume::{SAMPLE, Stamp};
use proto::seed::Seed;
use tempfile::TempDir;

const PIECE: usize = 16 * 1024;

/// Pieces of each of the two files: the border between them is one of pieces, too.
const PIECES: usize = 40;

/// A storage that writes down which pieces it hashes, and stops answering after some of them.
#[derive(Clone)]
struct Watched {
    files: FileStorage,
    hashed: Arc<Mutex<Vec<u32>>>,
    /// Hashes until it falls silent.
    patience: Arc<AtomicUsize>,
}

impl Storage for Watched {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        self.files.read(block).await
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        self.files.write(block, data).await
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        let less = |left: usize| left.checked_sub(1);
        if self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            std::future::pending::<()>().await;
        }
        self.hashed.lock().expect("whole").push(piece.get());
        self.files.hash(piece).await
    }

    async fn flush(&self) -> io::Result<()> {
        self.files.flush().await
    }

    async fn stamps(&self) -> io::Result<Vec<Option<Stamp>>> {
        self.files.stamps().await
    }

    async fn audit(&self) -> io::Result<Vec<Loss>> {
        self.files.audit().await
    }

    async fn load_record(&self) -> io::Result<Option<Bytes>> {
        self.files.load_record().await
    }

    async fn keep_record(&self, record: Bytes) -> io::Result<()> {
        self.files.keep_record(record).await
    }
}

/// Two files and their torrent, complete on the disk.
struct Shelf {
    folder: TempDir,
    metainfo: Arc<Metainfo>,
}

/// What a start found, and what it hashed for that.
#[derive(Debug, PartialEq)]
struct Start {
    have: u32,
    hashed: Vec<u32>,
}

impl Shelf {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut content = vec![0; 2 * PIECES * PIECE];
        Seed::from_u64(1).rng().fill(&mut content);
        fs::create_dir(folder.path().join("set")).expect("made");
        for (name, bytes) in ["a", "b"].iter().zip(content.chunks(PIECES * PIECE)) {
            fs::write(folder.path().join("set").join(name), bytes).expect("written");
        }
        let files = ["a", "b"].map(|name| (vec![name.to_owned()], (PIECES * PIECE) as u64)).to_vec();
        let draft = Draft::new("set", Content::Multi(files), Some(PIECE as u32)).expect("valid");
        let hashes: Vec<_> = content.chunks(PIECE).map(PieceHash::of).collect();
        let bytes = draft.finish(&hashes).expect("complete");
        Self { folder, metainfo: Arc::new(Metainfo::parse(&bytes).expect("our own")) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("set").join(name)
    }

    fn record(&self, folder: &Path) -> PathBuf {
        folder.join(format!(".{}.resume", self.metainfo.info_hash()))
    }

    fn open(&self, patience: usize) -> Watched {
        let files = FileStorage::open(self.folder.path(), Arc::clone(&self.metainfo), Access::ReadWrite);
        let files = files.expect("nothing in the way");
        Watched { files, hashed: Arc::default(), patience: Arc::new(AtomicUsize::new(patience)) }
    }

    /// Starts an engine, and stops it in order once it knows what it has.
    async fn start(&self, change: impl FnOnce(&mut EngineConfig)) -> Start {
        self.start_on(self.open(usize::MAX), change).await
    }

    async fn start_on(&self, storage: Watched, change: impl FnOnce(&mut EngineConfig)) -> Start {
        let mut config = EngineConfig::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        change(&mut config);
        let (environment, hashed) = (Environment::os_at(&config.listen), Arc::clone(&storage.hashed));
        let started =
            Engine::start(environment, Arc::clone(&self.metainfo), storage, config, Seed::from_u64(2));
        let (mut handle, root) = started.await.expect("started");
        let root = tokio::spawn(root);
        let have = loop {
            if let EngineEvent::Checked { have, .. } = handle.next_event().await.expect("it runs") {
                break have;
            }
        };
        handle.stop();
        root.await.expect("no panic");
        let mut hashed = hashed.lock().expect("whole").clone();
        hashed.sort_unstable();
        Start { have, hashed }
    }
}

const ALL: u32 = 2 * PIECES as u32;

fn everything() -> Start {
    Start { have: ALL, hashed: (0..ALL).collect() }
}

#[tokio::test]
async fn a_second_start_hashes_a_sample() {
    let shelf = Shelf::new();
    assert_eq!(shelf.start(|_| ()).await, everything(), "nobody has been here before");
    let second = shelf.start(|_| ()).await;
    assert_eq!((second.have, second.hashed.len()), (ALL, SAMPLE));
    assert_eq!(shelf.start(|config| config.resume.check = true).await, everything());
    assert!(shelf.record(shelf.folder.path()).exists());
}

#[tokio::test]
async fn what_looks_changed_is_hashed_and_the_rest_is_not() {
    let shelf = Shelf::new();
    shelf.start(|_| ()).await;
    let mut bytes = fs::read(shelf.file("b")).expect("there");
    bytes[3 * PIECE] ^= 1;
    fs::write(shelf.file("b"), &bytes).expect("written");
    let without_sample = |config: &mut EngineConfig| config.resume.sample = 0;
    let changed = shelf.start(without_sample).await;
    assert_eq!(changed, Start { have: ALL - 1, hashed: (PIECES as u32..ALL).collect() });

    // The file is cut, then gone.
    fs::File::options().write(true).open(shelf.file("b")).expect("there").set_len(PIECE as u64).expect("cut");
    assert_eq!(shelf.start(without_sample).await.have, PIECES as u32 + 1);
    fs::remove_file(shelf.file("b")).expect("removed");
    assert_eq!(shelf.start(without_sample).await.have, PIECES as u32);
}

#[tokio::test]
async fn rot_that_the_sample_shows_has_everything_hashed() {
    let shelf = Shelf::new();
    shelf.start(|_| ()).await;
    // All of file `b` rots, and its time does not tell.
    let time = fs::metadata(shelf.file("b")).and_then(|found| found.modified()).expect("there");
    fs::write(shelf.file("b"), vec![0; PIECES * PIECE]).expect("written");
    fs::File::options().write(true).open(shelf.file("b")).expect("there").set_modified(time).expect("set");
    let believing = shelf.start(|config| config.resume.sample = 0).await;
    assert_eq!(believing, Start { have: ALL, hashed: vec![] }, "without a sample nobody would know");
    let start = shelf.start(|_| ()).await;
    assert_eq!((start.have, start.hashed.len()), (PIECES as u32, SAMPLE + ALL as usize));
    assert_eq!(start.hashed.iter().collect::<BTreeSet<_>>().len(), ALL as usize);
}

/// A program that changes a file under a running engine must not get a record that vouches for it.
#[tokio::test]
async fn what_changes_during_a_run_is_not_claimed_at_its_end() {
    let shelf = Shelf::new();
    shelf.start(|_| ()).await;
    let config = EngineConfig::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let (environment, storage) = (Environment::os_at(&config.listen), shelf.open(usize::MAX));
    let started = Engine::start(environment, Arc::clone(&shelf.metainfo), storage, config, Seed::from_u64(2));
    let (handle, root) = started.await.expect("started");
    let root = tokio::spawn(root);
    let record = shelf.record(shelf.folder.path());
    let first = fs::metadata(&record).and_then(|found| found.modified()).expect("there");
    while fs::metadata(&record).and_then(|found| found.modified()).expect("there") == first {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    fs::write(shelf.file("b"), vec![0; PIECES * PIECE]).expect("written");
    handle.stop();
    root.await.expect("no panic");
    let start = shelf.start(|config| config.resume.sample = 0).await;
    assert_eq!(start.have, PIECES as u32, "{start:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_believed_has_everything_hashed() {
    let shelf = Shelf::new();
    shelf.start(|_| ()).await;
    let record = shelf.record(shelf.folder.path());
    let whole = fs::read(&record).expect("there");
    // Its last bytes are `7:versioni1ee`.
    let later = [&whole[..whole.len() - 3], b"2ee"].concat();
    for damage in [&whole[..whole.len() / 2], b"", b"d7:versioni2ee", &later] {
        fs::write(&record, damage).expect("written");
        assert_eq!(shelf.start(|_| ()).await, everything());
    }
    // The last start has kept a good one again.
    assert_eq!(shelf.start(|_| ()).await.hashed.len(), SAMPLE);
}

#[tokio::test]
async fn a_record_may_lie_elsewhere() {
    let (shelf, elsewhere) = (Shelf::new(), TempDir::new().expect("a temporary folder"));
    let storage = || {
        let storage = shelf.open(usize::MAX);
        Watched { files: storage.files.clone().with_record_in(&elsewhere.path().join("deep")), ..storage }
    };
    assert_eq!(shelf.start_on(storage(), |_| ()).await, everything());
    assert_eq!(shelf.start_on(storage(), |_| ()).await.hashed.len(), SAMPLE);
    assert!(shelf.record(&elsewhere.path().join("deep")).exists());
    assert!(!shelf.record(shelf.folder.path()).exists());
}

/// Large pieces, so that the check keeps what it has hashed before it is cut off.
#[tokio::test]
async fn an_interrupted_check_goes_on_where_it_was() {
    const LARGE: u32 = 64 << 20;
    let folder = TempDir::new().expect("a temporary folder");
    // Zeros: the disk keeps no byte of it.
    let file = fs::File::create(folder.path().join("zeros")).expect("made");
    file.set_len(8 * u64::from(LARGE)).expect("sparse");
    let draft = Draft::new("zeros", Content::Single(8 * u64::from(LARGE)), Some(LARGE)).expect("valid");
    let hash = PieceHash::of(&vec![0; LARGE as usize]);
    let bytes = draft.finish(&[hash; 8]).expect("complete");
    let shelf = Shelf { folder, metainfo: Arc::new(Metainfo::parse(&bytes).expect("our own")) };

    let storage = shelf.open(6);
    let hashed = Arc::clone(&storage.hashed);
    let metainfo = Arc::clone(&shelf.metainfo);
    let config = EngineConfig::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let environment = Environment::os_at(&config.listen);
    let check = tokio::spawn(async move {
        drop(Engine::start(environment, metainfo, storage, config, Seed::from_u64(3)).await);
    });
    let record = shelf.record(shelf.folder.path());
    while !record.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    check.abort();
    let first = hashed.lock().expect("whole").len();
    assert!((4..=6).contains(&first), "{first}");

    let second = shelf.start(|config| config.resume.sample = 0).await;
    assert_eq!(second.have, 8);
    assert!(second.hashed.len() <= 4, "256 MiB had been hashed and kept: {:?}", second.hashed);
    assert_eq!(shelf.start(|config| config.resume.sample = 0).await, Start { have: 8, hashed: vec![] });
}
