//! Looking through what a storage holds: the pieces that are there and sound.
//!
//! What is believed without a look is decided in [`proto::resume`]; here it is carried out. Hashing uses every
//! core that the storage offers, and what was hashed is kept now and then: an interrupted check goes on where
//! it was.

use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::sync::Arc;

use proto::bitfield::Bitfield;
use proto::metainfo::Metainfo;
use proto::piece::PieceIndex;
use proto::resume::{Record, Stamp, Trust};
use proto::seed::Seed;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, warn};

use crate::resume::{ResumeConfig, encoded};
use crate::storage::Storage;

/// Bytes hashed between two records of a check: what an interruption costs, a second or less of hashing.
const KEEP_EVERY: u64 = 256 << 20;

/// What a start found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Pieces that are there.
    pub(crate) have: Bitfield,
    /// The record that an earlier run has left, whether its pieces were believed or not.
    pub(crate) record: Option<Record>,
}

/// Looks through `storage`, believing what may be believed.
pub(crate) async fn look<S: Storage>(
    storage: &Arc<S>,
    metainfo: &Arc<Metainfo>,
    config: &ResumeConfig,
    seed: Seed,
) -> io::Result<Found> {
    let record = load(&**storage, metainfo).await;
    let stamps = storage.stamps().await?;
    let trust = match &record {
        Some(record) if !config.check => Trust::in_record(record, &stamps, metainfo, config.sample, seed),
        Some(_) | None => Trust::none(metainfo),
    };
    let mut check = Check::of(storage, metainfo, config, stamps, trust.believed);
    if check.is_sound(&trust.sample).await? {
        check.hash(trust.doubtful, record.as_ref()).await?;
    } else {
        warn!("a piece that the resume data vouch for is damaged: everything is hashed");
        check.have = Bitfield::empty(check.have.pieces());
        check.unchecked = Bitfield::full(check.have.pieces());
        // The record that lied must not be drawn from again.
        check.keep(record.as_ref()).await;
        check.hash(metainfo.geometry().all_pieces().collect(), record.as_ref()).await?;
    }
    Ok(Found { have: check.have, record })
}

/// The record, if there is one that can be read.
async fn load<S: Storage>(storage: &S, metainfo: &Metainfo) -> Option<Record> {
    let bytes = match storage.load_record().await {
        Ok(bytes) => bytes?,
        Err(error) => {
            warn!("the resume data cannot be read, everything is hashed: {error}");
            return None;
        }
    };
    Record::decode(&bytes, metainfo).inspect_err(|error| warn!("{error}; everything is hashed")).ok()
}

/// A check under way.
struct Check<'a, S> {
    storage: &'a Arc<S>,
    metainfo: &'a Arc<Metainfo>,
    config: &'a ResumeConfig,
    /// The files as they were before the first of them was read.
    stamps: Vec<Option<Stamp>>,
    have: Bitfield,
    unchecked: Bitfield,
}

impl<'a, S: Storage> Check<'a, S> {
    fn of(
        storage: &'a Arc<S>,
        metainfo: &'a Arc<Metainfo>,
        config: &'a ResumeConfig,
        stamps: Vec<Option<Stamp>>,
        have: Bitfield,
    ) -> Self {
        let unchecked = Bitfield::empty(have.pieces());
        Self { storage, metainfo, config, stamps, have, unchecked }
    }

    /// Are all of these pieces as they should be?
    async fn is_sound(&self, sample: &[PieceIndex]) -> io::Result<bool> {
        self.expect(sample);
        let (mut hashing, mut all) = (Hashing::new(sample.to_vec()), true);
        while let Some((piece, sound)) = hashing.next(self.storage, self.metainfo).await {
            self.done(piece);
            all &= sound?;
        }
        Ok(all)
    }

    /// Hashes `pieces`.
    async fn hash(&mut self, pieces: Vec<PieceIndex>, past: Option<&Record>) -> io::Result<()> {
        self.expect(&pieces);
        for &piece in &pieces {
            self.unchecked.set(piece);
        }
        let (mut hashing, mut since) = (Hashing::new(pieces), 0);
        while let Some((piece, sound)) = hashing.next(self.storage, self.metainfo).await {
            self.unchecked.clear(piece);
            if sound? {
                self.have.set(piece);
                since += self.done(piece);
            } else {
                self.done(piece);
            }
            if since >= KEEP_EVERY {
                since = 0;
                self.keep(past).await;
            }
        }
        Ok(())
    }

    /// Keeps what is known so far. That it fails costs the next start time and nothing else.
    async fn keep(&self, past: Option<&Record>) {
        let record = Record {
            info_hash: self.metainfo.info_hash(),
            claimed: self.have.clone(),
            unchecked: self.unchecked.clone(),
            files: self.stamps.clone(),
            uploaded: past.map_or(0, |past| past.uploaded),
            downloaded: past.map_or(0, |past| past.downloaded),
            peers: past.map(|past| past.peers.clone()).unwrap_or_default(),
        };
        let kept = match self.storage.flush().await {
            Ok(()) => self.storage.keep_record(encoded(&record)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            debug!("the progress of the check is not kept: {error}");
        }
    }

    fn expect(&self, pieces: &[PieceIndex]) {
        let geometry = self.metainfo.geometry();
        self.config.progress.expect(pieces.iter().map(|&piece| u64::from(geometry.len_of(piece))).sum());
    }

    fn done(&self, piece: PieceIndex) -> u64 {
        let len = u64::from(self.metainfo.geometry().len_of(piece));
        self.config.progress.add(len);
        len
    }
}

/// Hashes every piece, believing nothing, and tells of each as it is done. What cannot be read is missing,
/// whatever the reason.
pub async fn hash_all<S: Storage>(
    storage: &Arc<S>,
    metainfo: &Arc<Metainfo>,
    mut done: impl FnMut(PieceIndex),
) -> Bitfield {
    let mut have = Bitfield::empty(metainfo.geometry().pieces());
    let mut hashing = Hashing::new(metainfo.geometry().all_pieces().collect());
    while let Some((piece, sound)) = hashing.next(storage, metainfo).await {
        if sound.unwrap_or(false) {
            have.set(piece);
        }
        done(piece);
    }
    have
}

/// Pieces being hashed, as many at a time as the storage has cores for.
struct Hashing {
    waiting: std::vec::IntoIter<PieceIndex>,
    running: JoinSet<(PieceIndex, io::Result<bool>)>,
}

impl Hashing {
    fn new(pieces: Vec<PieceIndex>) -> Self {
        Self { waiting: pieces.into_iter(), running: JoinSet::new() }
    }

    /// The next piece that is done, and whether it is sound; nothing once all are.
    async fn next<S: Storage>(
        &mut self,
        storage: &Arc<S>,
        metainfo: &Arc<Metainfo>,
    ) -> Option<(PieceIndex, io::Result<bool>)> {
        while self.running.len() < storage.parallelism().max(1)
            && let Some(piece) = self.waiting.next()
        {
            let (storage, metainfo) = (Arc::clone(storage), Arc::clone(metainfo));
            self.running.spawn(async move { (piece, is_there(&*storage, &metainfo, piece).await) });
        }
        match self.running.join_next().await?.map_err(JoinError::try_into_panic) {
            Ok(outcome) => Some(outcome),
            // Not ours to hide.
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is going, and nobody waits for an answer.
            Err(Err(_)) => None,
        }
    }
}

async fn is_there<S: Storage>(storage: &S, metainfo: &Metainfo, piece: PieceIndex) -> io::Result<bool> {
    match storage.hash(piece).await {
        Ok(hash) => Ok(hash == metainfo.hash_of(piece)),
        // No such file, or not so long yet: simply not there.
        Err(error) if [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}
