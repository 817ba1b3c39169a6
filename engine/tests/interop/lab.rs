//! One test's world: a folder, a tracker, some content, and peers around it.

use std::cell::Cell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proto::metainfo::{Magnet, Metainfo};
use tempfile::TempDir;

use crate::client::{Client, Role, not_run};
use crate::content::Content;
use crate::process::{Process, wait_until};

/// A folder on disk and the address of a tracker in it.
pub(crate) struct Lab {
    folder: TempDir,
    tracker: SocketAddr,
    scheme: &'static str,
    /// Folders that leechers have been given.
    folders: Cell<u32>,
}

/// A torrent file or a magnet link, and what is in the torrent.
#[derive(Clone)]
pub(crate) struct Torrent {
    pub(crate) path: PathBuf,
    pub(crate) metainfo: Metainfo,
}

/// A peer that has everything or gets it; it leaves the swarm when dropped.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) process: Process,
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
}

/// Seeders and leechers, as a tracker counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) seeders: u32,
    pub(crate) leechers: u32,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::at(free_address())
    }

    fn at(tracker: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, tracker, scheme: "udp", folders: Cell::new(0) }
    }

    /// A world at the address of this machine's own that its network would see, if it has one: transmission never
    /// dials a loopback address. Nothing leaves the machine.
    pub(crate) fn at_the_machines_address() -> Option<Self> {
        // Connecting a datagram socket sends nothing; it only asks which address would be used (192.0.2.0/24 is for
        // documentation, RFC 5737, and 198.51.100.0/24 as well).
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        let own = socket.connect(("198.51.100.1", 9)).and_then(|()| socket.local_addr());
        let found = own.ok().filter(|addr| !addr.ip().is_loopback() && !addr.ip().is_unspecified());
        if found.is_none() {
            not_run("this machine has no address but loopback, which transmission never dials");
        }
        Some(Self::at(free_address_at(found?.ip())?))
    }

    /// The same over HTTP on IPv6, if this machine has it.
    pub(crate) fn over_http_on_ipv6() -> Option<Self> {
        let tracker = free_address_at(Ipv6Addr::LOCALHOST.into())?;
        Some(Self { tracker, ..Self::over_http() })
    }

    /// A world whose torrents name the tracker's HTTP side.
    pub(crate) fn over_http() -> Self {
        Self { scheme: "http", ..Self::new() }
    }

    pub(crate) fn announce_url(&self) -> String {
        format!("{}://{}/announce", self.scheme, self.tracker)
    }

    /// A new folder in the lab's own.
    pub(crate) fn subfolder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// Starts our tracker.
    pub(crate) fn track(&self) -> Process {
        let folder = self.subfolder("tracker");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent-tracker"));
        let addr = self.tracker.to_string();
        command.args(["--bind", &addr, "--http", &addr, "--db"]).arg(folder.join("tracker.sqlite"));
        self.await_tracker(Process::spawn(&mut command, &folder, "ourtorrent-tracker"))
    }

    /// Starts opentracker, which Debian builds so that it serves listed torrents only.
    pub(crate) fn track_with_opentracker(&self, torrent: &Torrent) -> Process {
        let folder = self.subfolder("opentracker");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("our folder");
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
        write("whitelist.txt", format!("{}\n", torrent.metainfo.info_hash()));
        write("opentracker.conf", format!("listen.tcp_udp {}\n", self.tracker));
        let mut command = Command::new("opentracker");
        command.current_dir(&folder).arg("-f").arg(folder.join("opentracker.conf"));
        command.arg("-d").arg(&folder).args(["-w", "whitelist.txt"]);
        self.await_tracker(Process::spawn(&mut command, &folder, "opentracker"))
    }

    fn await_tracker(&self, mut tracker: Process) -> Process {
        tracker.until("answers", |_| self.connect().is_some());
        tracker
    }

    /// The address at which everything happens, as URLs have it.
    pub(crate) fn host(&self) -> String {
        match self.tracker.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }

    /// A free port there.
    pub(crate) fn free_address(&self) -> SocketAddr {
        free_address_at(self.tracker.ip()).expect("a free port")
    }

    /// Has `client` make a torrent of `content`.
    pub(crate) fn create(&self, client: Client, content: &Content) -> Torrent {
        self.create_with(client, content, &[])
    }

    /// The same, with more words on its command line.
    pub(crate) fn create_with(&self, client: Client, content: &Content, more: &[&str]) -> Torrent {
        let path = self.subfolder("torrents").join(format!("{client:?}.torrent"));
        client.create(self, content, &path, more);
        let bytes = fs::read(&path).expect("the torrent file");
        let metainfo = Metainfo::parse(&bytes).unwrap_or_else(|error| panic!("{client:?}: {error}"));
        Torrent { path, metainfo }
    }

    /// Starts a seeder, and waits until the tracker knows it.
    pub(crate) fn seed(&self, client: Client, torrent: &Torrent, content: &Content) -> Peer {
        let before = self.counts(torrent).seeders;
        let mut peer = self.start(client, Role::Seed, torrent, content.parent(), &[]);
        peer.process.until("is in the swarm", |_| self.counts(torrent).seeders > before);
        peer
    }

    /// Starts a seeder of which no tracker hears, and waits until one can dial it.
    pub(crate) fn seed_alone(
        &self,
        client: Client,
        torrent: &Torrent,
        content: &Content,
        more: &[&str],
    ) -> Peer {
        let peer = self.start(client, Role::Seed, &self.trackerless(torrent), content.parent(), more);
        let mut peer = peer.listening();
        // It accepts peers before it has looked at its files.
        if client == Client::Libtorrent {
            peer.process.until("has checked", |process| process.output().contains("ready"));
        }
        peer
    }

    /// Starts a leecher of which no tracker hears; a foreign one has to wait to be dialled, so it listens by then.
    pub(crate) fn leech_alone(&self, client: Client, torrent: &Torrent, more: &[&str]) -> Peer {
        let torrent = self.trackerless(torrent);
        let peer = self.start(client, Role::Leech, &torrent, &self.empty_folder(), more);
        if client == Client::Ours { peer } else { peer.listening() }
    }

    /// The same torrent, known by no more than its magnet link.
    pub(crate) fn by_magnet(torrent: &Torrent) -> Torrent {
        let link = Magnet::of(&torrent.metainfo).to_string();
        Torrent { path: PathBuf::from(link), metainfo: torrent.metainfo.clone() }
    }

    /// The same torrent in a file that names no tracker.
    pub(crate) fn trackerless(&self, torrent: &Torrent) -> Torrent {
        let path = self.subfolder("torrents").join("trackerless.torrent");
        fs::write(&path, [&b"d4:info"[..], torrent.metainfo.info(), b"e"].concat()).expect("a file");
        Torrent { path, metainfo: torrent.metainfo.clone() }
    }

    /// A folder for somebody's downloads.
    pub(crate) fn empty_folder(&self) -> PathBuf {
        self.folders.set(self.folders.get() + 1);
        self.subfolder(&format!("downloads-{}", self.folders.get()))
    }

    /// Starts a leecher.
    pub(crate) fn leech(&self, client: Client, torrent: &Torrent) -> Peer {
        self.start(client, Role::Leech, torrent, &self.empty_folder(), &[])
    }

    /// Starts a peer at a free port; `more` are words of its own command line.
    pub(crate) fn start(
        &self,
        client: Client,
        role: Role,
        torrent: &Torrent,
        folder: &Path,
        more: &[&str],
    ) -> Peer {
        client.start(self, role, self.free_address(), (torrent, folder), more)
    }

    /// Waits until the tracker knows a leecher that has nobody to download from yet.
    pub(crate) fn joined(&self, mut peer: Peer, torrent: &Torrent) -> Peer {
        peer.process.until("is in the swarm", |_| self.counts(torrent).leechers > 0);
        peer
    }

    /// Waits until a leecher has everything, and compares it with the original.
    pub(crate) fn complete(&self, mut peer: Peer, torrent: &Torrent, content: &Content) {
        peer.finish();
        self.same_files(&peer, torrent, content);
    }

    /// Waits until what a peer says that it has is on disk, as in the original.
    pub(crate) fn same_files(&self, peer: &Peer, torrent: &Torrent, content: &Content) {
        let log = self.folder.path().join("no log");
        // Transmission says so a moment before its last blocks are on disk.
        wait_until(&format!("{:?} has written its files", peer.client), &log, || {
            content.difference(&torrent.metainfo, &peer.folder, peer.client.makes_empty_files()).is_none()
        });
    }

    /// A connection id, if the tracker gives one (BEP 15).
    fn connect(&self) -> Option<[u8; 8]> {
        let reply = self.ask(&[&0x0417_2710_1980_u64.to_be_bytes()[..], &[0; 8]].concat())?;
        reply.get(8..16)?.try_into().ok()
    }

    /// What the tracker counts (BEP 15's scrape); nobody if it does not answer.
    pub(crate) fn counts(&self, torrent: &Torrent) -> Counts {
        let scrape = || {
            let id = self.connect()?;
            let hash = torrent.metainfo.info_hash();
            let reply = self.ask(&[&id[..], &2_u32.to_be_bytes(), &[0; 4], hash.as_bytes()].concat())?;
            let number = |at: usize| Some(u32::from_be_bytes(reply.get(at..at + 4)?.try_into().ok()?));
            (number(0)? == 2).then_some(Counts { seeders: number(8)?, leechers: number(16)? })
        };
        scrape().unwrap_or(Counts { seeders: 0, leechers: 0 })
    }

    /// Tells the tracker (BEP 15) of a peer at `addr`, which is of this machine, with `left` bytes to go.
    pub(crate) fn announce(&self, torrent: &Torrent, addr: SocketAddr, left: u64) {
        let id = self.connect().expect("the tracker answers");
        let hash = torrent.metainfo.info_hash();
        let head = [&id[..], &1_u32.to_be_bytes(), &[0; 4], hash.as_bytes(), &[b'-'; 20]].concat();
        let sums = [0, left, 0].map(u64::to_be_bytes).concat();
        // Event `started`; no address, no key; no peers wanted.
        let tail = [[0, 0, 0, 2], [0; 4], [0; 4], [0; 4]].concat();
        let reply = self.ask(&[&head[..], &sums, &tail, &addr.port().to_be_bytes()].concat());
        assert_eq!(reply.expect("the tracker answers")[..4], [0, 0, 0, 1], "an announce was refused");
    }

    fn ask(&self, request: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((self.tracker.ip(), 0)).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
        socket.connect(self.tracker).ok()?;
        socket.send(request).ok()?;
        let mut reply = vec![0; 2048];
        let len = socket.recv(&mut reply).ok()?;
        reply.truncate(len);
        Some(reply)
    }
}

impl Peer {
    /// Waits until it accepts connections.
    pub(crate) fn listening(mut self) -> Self {
        let addr = self.listen;
        self.process.until("listens", |_| TcpStream::connect(addr).is_ok());
        self
    }
}

/// An address on loopback that is free for TCP and UDP.
pub(crate) fn free_address() -> SocketAddr {
    free_address_at(Ipv4Addr::LOCALHOST.into()).expect("a free port")
}

/// Below the ports that systems give to sockets that name none (Linux: from 32768), and each once: what is free here is
/// still free when a client binds it.
fn free_address_at(ip: IpAddr) -> Option<SocketAddr> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let both = || {
        // Another run at the same time begins elsewhere.
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(199));
        let addr = SocketAddr::new(ip, (FIRST + number % COUNT) as u16);
        let _stream = TcpListener::bind(addr).ok()?;
        UdpSocket::bind(addr).ok().map(|_| addr)
    };
    std::iter::repeat_with(both).take(100).flatten().next()
}

/// Where a script of these tests lies.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}
