//! Killed at any moment, again and again: `kill -9` on the real program, with real files and a real seeder.
//!
//! The seeder is an engine in this process whose storage writes down what it is asked for. After each kill the
//! test hashes what lies on the disk. Every piece that is whole then is *finished*: the next life must claim
//! each of them, nothing else, and ask nobody for one of them again.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use engine::storage::Storage;
use engine::storage::memory::MemoryStorage;
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::piece::{Block, PieceIndex};
use proto::seed::{Random, Seed};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Kills altogether, shared by the lanes.
const KILLS: usize = 240;

/// Downloads that are killed side by side: most of a life is waiting.
const LANES: usize = 4;

/// A life ends after this at the latest: starting alone takes some tens of milliseconds.
const LONGEST_LIFE_MS: u64 = 180;

const PIECE: u32 = 16 * 1024;

/// Odd, so that the last piece is short; the files' border lies inside a piece.
const LENS: [usize; 2] = [700_001, 500_000];

/// A disk that remembers which pieces were asked for.
#[derive(Clone)]
struct Watched {
    content: Arc<MemoryStorage>,
    served: Arc<Mutex<BTreeSet<u32>>>,
}

impl Storage for Watched {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        self.served.lock().expect("whole").insert(block.piece().get());
        self.content.read(block).await
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        self.content.write(block, data).await
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        self.content.hash(piece).await
    }

    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A torrent of two files, and its seeder.
struct Swarm {
    content: Vec<u8>,
    metainfo: Arc<Metainfo>,
    served: Arc<Mutex<BTreeSet<u32>>>,
    addr: SocketAddr,
    torrent_file: PathBuf,
    _seeder: (TorrentHandle, JoinHandle<()>),
}

impl Swarm {
    async fn new(folder: &Path, number: u64) -> Self {
        let mut content = vec![0; LENS.iter().sum()];
        Seed::from_u64(number).rng().fill(&mut content);
        let files =
            LENS.iter().zip(["a", "b"]).map(|(&len, name)| (vec![name.to_owned()], len as u64)).collect();
        let draft = Draft::new("set", Content::Multi(files), Some(PIECE)).expect("valid");
        let hashes: Vec<_> = content.chunks(PIECE as usize).map(PieceHash::of).collect();
        let bytes = draft.finish(&hashes).expect("complete");
        let torrent_file = folder.join(format!("{number}.torrent"));
        fs::write(&torrent_file, &bytes).expect("written");
        let metainfo = Arc::new(Metainfo::parse(&bytes).expect("our own"));
        let memory = MemoryStorage::with_content(metainfo.geometry(), content.clone());
        let storage = Watched { content: Arc::new(memory), served: Arc::default() };
        let served = Arc::clone(&storage.served);
        let mut config = EngineConfig::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        // Slow enough that most lives end in the middle.
        config.limits.up.global = NonZeroU64::new(3_000_000);
        let environment = Environment::os_at(&config.listen);
        let started =
            Engine::start(environment, Arc::clone(&metainfo), storage, config, Seed::from_u64(number));
        let (mut handle, root) = started.await.expect("started");
        let root = tokio::spawn(root);
        let addr = loop {
            match handle.next_event().await {
                Some(EngineEvent::Listening(addr)) => break addr,
                Some(_) => {}
                None => panic!("the seeder ended"),
            }
        };
        Self { content, metainfo, served, addr, torrent_file, _seeder: (handle, root) }
    }

    /// The pieces that are whole below `folder`.
    fn whole(&self, folder: &Path) -> BTreeSet<u32> {
        let mut stored = Vec::new();
        for (name, len) in ["a", "b"].into_iter().zip(LENS) {
            let mut bytes = fs::read(folder.join("set").join(name)).unwrap_or_default();
            assert!(bytes.len() <= len, "{name} is too long");
            bytes.resize(len, 0);
            stored.extend(bytes);
        }
        let pieces = stored.chunks(PIECE as usize).zip(self.content.chunks(PIECE as usize));
        (0..).zip(pieces).filter(|(_, (stored, wanted))| stored == wanted).map(|(index, _)| index).collect()
    }

    fn start(&self, folder: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
        command.arg("download").arg(&self.torrent_file).arg("-o").arg(folder);
        command.args(["--json", "--listen", "127.0.0.1:0", "--save-every", "0.02"]);
        command.args(["--peer", &self.addr.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("the program is built")
    }
}

/// How many pieces the program said that it found; nothing if it did not come so far.
fn claimed(child: &mut Child) -> Option<u64> {
    let lines = BufReader::new(child.stdout.take()?).lines().map_while(Result::ok);
    let objects = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    let mut checked = objects.filter(|object| object["event"] == "checked");
    checked.next()?["have"].as_u64()
}

/// What the lanes have seen.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Lives that said what they found.
    claims: usize,
    /// Kills with something finished on the disk and something missing.
    midway: usize,
    completed: usize,
    /// Kills after which a record was there.
    records: usize,
}

/// Kills one download after the other until its share is done.
async fn lane(root: PathBuf, number: u64) -> Tally {
    let (mut tally, mut random) = (Tally::default(), Seed::from_u64(number).rng());
    let mut round = 0;
    while tally.kills < KILLS / LANES {
        let swarm = Swarm::new(&root, number * 1000 + round).await;
        let folder = root.join(format!("{number}-{round}"));
        download(&swarm, &folder, &mut random, &mut tally).await;
        round += 1;
    }
    tally
}

/// One download with as many kills as it takes.
async fn download(swarm: &Swarm, folder: &Path, random: &mut Random, tally: &mut Tally) {
    let pieces = swarm.metainfo.geometry().pieces() as usize;
    let record = folder.join(format!(".{}.resume", swarm.metainfo.info_hash()));
    loop {
        let finished = swarm.whole(folder);
        swarm.served.lock().expect("whole").clear();
        let mut child = swarm.start(folder);
        tokio::time::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS))).await;
        let ended = child.try_wait().expect("ours");
        if ended.is_none() {
            child.kill().expect("it runs");
            child.wait().expect("ours");
            tally.kills += 1;
        }
        if let Some(claimed) = claimed(&mut child) {
            assert_eq!(claimed, finished.len() as u64, "it claims what is whole, no more and no less");
            tally.claims += 1;
        }
        let served = swarm.served.lock().expect("whole").clone();
        let again: Vec<_> = served.intersection(&finished).collect();
        assert!(again.is_empty(), "finished pieces were fetched again: {again:?}");
        let whole = swarm.whole(folder);
        assert!(whole.is_superset(&finished), "what was whole stays whole");
        tally.midway += usize::from(!whole.is_empty() && whole.len() < pieces);
        tally.records += usize::from(record.exists());
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            assert_eq!(whole.len(), pieces, "complete means every byte");
            tally.completed += 1;
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_killed_at_any_moment_fetches_no_finished_piece_again() {
    let root = TempDir::new().expect("a temporary folder");
    let lanes: Vec<_> =
        (0..LANES as u64).map(|number| tokio::spawn(lane(root.path().to_owned(), number + 1))).collect();
    let mut all = Tally::default();
    for lane in lanes {
        let Tally { kills, claims, midway, completed, records } = lane.await.expect("no panic");
        all.kills += kills;
        all.claims += claims;
        all.midway += midway;
        all.completed += completed;
        all.records += records;
    }
    println!("{all:?}");
    assert!(all.kills >= 200, "{all:?}");
    // Kills that find nothing to spoil would prove nothing.
    assert!(all.midway >= all.kills / 4 && all.claims >= all.kills / 4 && all.completed >= 4, "{all:?}");
    assert!(all.records >= all.kills / 4, "{all:?}");
}
