//! Disk jobs under way: a few at a time, the others in order behind them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proto::metainfo::Priority;
use proto::piece::{Block, PieceIndex};
use proto::torrent::PeerKey;
use tokio::task::JoinSet;

use crate::queue::{Done, Happening, Queue};
use crate::storage::Storage;

/// Jobs under way at once: enough to keep a disk's queue busy, few enough to keep threads few.
const PARALLEL_JOBS: usize = 16;

/// Something for the storage to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Store a block.
    Write(Block, Bytes),
    /// Hash a piece as it is stored.
    Hash(PieceIndex),
    /// Read a block for a peer.
    Read(PeerKey, Block),
    /// Make everything stored so far safe.
    Flush,
    /// Replace the resume record.
    Keep(Bytes),
    /// Look whether the files are what they were.
    Audit,
    /// Keep files out that are not wanted, and make room for those that are.
    Select(Vec<Priority>),
}

/// A storage of any kind, as its jobs see it.
pub(crate) trait Disk: Send + Sync {
    /// Does a job.
    fn perform(self: Arc<Self>, job: Job) -> Pin<Box<dyn Future<Output = Done> + Send>>;
}

impl<S: Storage> Disk for S {
    fn perform(self: Arc<Self>, job: Job) -> Pin<Box<dyn Future<Output = Done> + Send>> {
        Box::pin(perform(self, job))
    }
}

/// Runs jobs over a storage. What waits here is bounded by the core: blocks being written, pieces being
/// hashed, and for each peer what its socket needs next.
pub(crate) struct DiskJobs {
    storage: Arc<dyn Disk>,
    queue: Queue,
    waiting: VecDeque<Job>,
    running: usize,
    tasks: JoinSet<()>,
}

impl DiskJobs {
    /// Results will come through `queue`.
    pub(crate) fn new(storage: Arc<dyn Disk>, queue: Queue) -> Self {
        Self { storage, queue, waiting: VecDeque::new(), running: 0, tasks: JoinSet::new() }
    }

    /// Starts `job`, or lets it wait for its turn. Returns its result if the storage had it at hand.
    pub(crate) fn submit(&mut self, job: Job) -> Option<Done> {
        if self.running >= PARALLEL_JOBS {
            self.waiting.push_back(job);
            return None;
        }
        self.start(job)
    }

    /// A connection has ended: nobody needs what was to be read for it.
    pub(crate) fn forget(&mut self, peer: PeerKey) {
        self.waiting.retain(|job| !matches!(job, Job::Read(of, _) if *of == peer));
    }

    /// A result has come through the queue: starts what waited for it. Returns one that was at hand; call
    /// again until there is none.
    pub(crate) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Starts waiting jobs while there is room, up to the first whose result was at hand.
    pub(crate) fn next_done(&mut self) -> Option<Done> {
        while self.running < PARALLEL_JOBS {
            let job = self.waiting.pop_front()?;
            let done = self.start(job);
            if done.is_some() {
                return done;
            }
        }
        None
    }

    fn start(&mut self, job: Job) -> Option<Done> {
        let mut work = Arc::clone(&self.storage).perform(job);
        // A storage that answers from memory costs no task and no wake-up.
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        self.running += 1;
        let queue = self.queue.clone();
        self.tasks.spawn(async move {
            // The loop is gone only while everything is being dropped.
            let _ = queue.send(Happening::Disk(work.await));
        });
        None
    }
}

async fn perform<S: Storage>(storage: Arc<S>, job: Job) -> Done {
    match job {
        Job::Write(block, data) => Done::Written(block, storage.write(block, data).await),
        Job::Hash(piece) => Done::Hashed(piece, storage.hash(piece).await),
        Job::Read(peer, block) => Done::Read(peer, block, storage.read(block).await),
        Job::Flush => flush(&*storage).await,
        Job::Keep(record) => Done::Kept(storage.keep_record(record).await),
        Job::Audit => Done::Audited(storage.audit().await.unwrap_or_default()),
        Job::Select(of_files) => Done::Selected(storage.select(of_files).await),
    }
}

/// The stamps come first: what is written meanwhile then looks newer than its record, and is hashed at the
/// next start. What others changed before must not get a record that vouches for it, so the files are looked at.
async fn flush<S: Storage>(storage: &S) -> Done {
    let stamps = storage.stamps().await;
    let losses = storage.audit().await.unwrap_or_default();
    let flushed = storage.flush().await;
    Done::Flushed(losses, stamps.and_then(|stamps| flushed.map(|()| stamps)))
}

#[cfg(test)]
mod tests {
    use proto::piece::{BLOCK_LEN, Geometry};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// A disk that never ends anything.
    struct Stuck;

    impl Disk for Stuck {
        fn perform(self: Arc<Self>, _: Job) -> Pin<Box<dyn Future<Output = Done> + Send>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn reads_for_a_connection_that_ended_do_not_wait_any_longer() {
        let geometry = Geometry::new(u64::from(BLOCK_LEN), u64::from(BLOCK_LEN)).expect("valid");
        let block = geometry.block(geometry.piece(0).expect("there"), 0).expect("there");
        let (queue, _happenings) = unbounded_channel();
        let mut jobs = DiskJobs::new(Arc::new(Stuck), queue);
        for peer in [1, 2] {
            for _ in 0..PARALLEL_JOBS {
                assert!(jobs.submit(Job::Read(PeerKey(peer), block)).is_none());
            }
        }
        assert!(jobs.submit(Job::Flush).is_none());
        assert_eq!((jobs.running, jobs.waiting.len()), (PARALLEL_JOBS, PARALLEL_JOBS + 1));
        jobs.forget(PeerKey(2));
        assert!(matches!(jobs.waiting.make_contiguous(), [Job::Flush]), "{:?}", jobs.waiting);
    }
}
