//! The format against damage, the trust against changed files, and the order of claims against power cuts.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bitfield::Bitfield;
use crate::id::{InfoHash, PieceHash};
use crate::metainfo::Metainfo;
use crate::metainfo::create::{Content, Draft};
use crate::piece::PieceIndex;
use crate::seed::Seed;
use crate::time::Instant;

const PIECE: u32 = 16 * 1024;

/// Twenty pieces over three files; the middle one begins and ends inside a piece.
fn torrent(name: &str) -> Metainfo {
    let lens = [100_000, 100_000, 127_680];
    let files = (0..).zip(lens).map(|(number, len)| (vec![format!("{number}")], len)).collect();
    let draft = Draft::new(name, Content::Multi(files), Some(PIECE)).expect("valid");
    let bytes = draft.finish(&[PieceHash([0; 20]); 20]).expect("as many as pieces");
    Metainfo::parse(&bytes).expect("our own")
}

fn piece(metainfo: &Metainfo, index: u32) -> PieceIndex {
    metainfo.geometry().piece(index).expect("in range")
}

fn bits(metainfo: &Metainfo, pieces: impl IntoIterator<Item = u32>) -> Bitfield {
    let mut bits = Bitfield::empty(20);
    for index in pieces {
        bits.set(piece(metainfo, index));
    }
    bits
}

fn stamps() -> Vec<Option<Stamp>> {
    [(100_000, 1), (100_000, -2), (5, 3)].map(|(len, modified)| Some(Stamp { len, modified })).to_vec()
}

fn record(metainfo: &Metainfo) -> Record {
    Record {
        info_hash: metainfo.info_hash(),
        claimed: bits(metainfo, 0..15),
        unchecked: bits(metainfo, [19]),
        files: stamps(),
        uploaded: 7,
        downloaded: u64::MAX / 2,
        peers: ["10.0.0.1:6881", "[2001:db8::1]:1"].map(|addr| addr.parse().expect("valid")).to_vec(),
    }
}

fn indices(pieces: &[PieceIndex]) -> Vec<u32> {
    pieces.iter().map(|piece| piece.get()).collect()
}

#[test]
fn a_record_reads_back_and_a_foreign_or_unfit_one_is_named() {
    let (ours, other) = (torrent("ours"), torrent("other"));
    let bytes = record(&ours).encode().expect("encodes");
    assert_eq!(Record::decode(&bytes, &ours), Ok(record(&ours)));
    assert_eq!(Record::decode(&bytes, &other), Err(RecordError::Foreign(ours.info_hash())));
    let unfit = |spoil: fn(&mut Record)| {
        let mut record = record(&torrent("ours"));
        spoil(&mut record);
        Record::decode(&record.encode().expect("encodes"), &torrent("ours"))
    };
    assert_eq!(unfit(|record| record.files.truncate(2)), Err(RecordError::Unfit("its files")));
    assert_eq!(unfit(|record| record.claimed = Bitfield::full(30)), Err(RecordError::Unfit("its pieces")));
    let twice = unfit(|record| record.unchecked = Bitfield::full(20));
    assert_eq!(twice, Err(RecordError::Unfit("a piece is claimed and unchecked")));
}

#[test]
fn other_versions_and_unknown_keys_are_told_apart() {
    let metainfo = torrent("ours");
    for version in [0, 2, -1] {
        let text = format!("d7:version{}e", format_args!("i{version}e"));
        assert_eq!(Record::decode(text.as_bytes(), &metainfo), Err(RecordError::Version(version)));
    }
    // A later release's key, in a body with a checksum of its own.
    let bytes = record(&metainfo).encode().expect("encodes");
    let scanned = crate::bencode::scan(&bytes, crate::bencode::Limits::message(1 << 20)).expect("ours");
    let raw = scanned.raw_value(b"record").expect("it is there");
    let body = crate::bencode::byte_string(raw).expect("bytes");
    let body = [&body[..body.len() - 1], b"9:zzz-laterli1ei2eee"].concat();
    let checksum = <sha1::Sha1 as sha1::Digest>::digest(&body);
    let len = body.len().to_string();
    let envelope =
        [b"d8:checksum20:".as_slice(), &checksum, b"6:record", len.as_bytes(), b":", &body, b"7:versioni1ee"];
    assert_eq!(Record::decode(&envelope.concat(), &metainfo), Ok(record(&metainfo)));
}

#[test]
fn pieces_of_files_that_look_the_same_are_believed() {
    let metainfo = torrent("ours");
    let weigh = |found: &[Option<Stamp>]| {
        Trust::in_record(&record(&metainfo), found, &metainfo, 4, Seed::from_u64(1))
    };
    let trust = weigh(&stamps());
    assert_eq!(trust.believed, bits(&metainfo, 0..15));
    assert_eq!((trust.sample.len(), indices(&trust.doubtful)), (4, vec![19]));
    assert!(trust.sample.iter().all(|&piece| trust.believed.has(piece)));

    // A newer, a shorter and a missing file: all that touches them is hashed, claimed or not.
    let change = |spoil: fn(&mut Option<Stamp>)| {
        let mut found = stamps();
        spoil(&mut found[1]);
        weigh(&found)
    };
    let changes: [fn(&mut Option<Stamp>); 3] = [
        |stamp| *stamp = stamp.map(|stamp| Stamp { modified: 9, ..stamp }),
        |stamp| *stamp = stamp.map(|stamp| Stamp { len: 9, ..stamp }),
        |stamp| *stamp = None,
    ];
    for spoil in changes {
        let trust = change(spoil);
        assert_eq!(trust.believed, bits(&metainfo, (0..6).chain(13..15)));
        assert_eq!(indices(&trust.doubtful), (6..13).chain([19]).collect::<Vec<_>>());
    }
}

#[test]
fn a_claim_without_a_file_is_never_believed() {
    let metainfo = torrent("ours");
    let record = Record { files: vec![None; 3], unchecked: bits(&metainfo, []), ..record(&metainfo) };
    let trust = Trust::in_record(&record, &[None; 3], &metainfo, 4, Seed::from_u64(1));
    assert!(trust.believed.is_empty());
    // What was not claimed and has no file needs no look.
    assert_eq!(indices(&trust.doubtful), (0..15).collect::<Vec<_>>());
}

#[test]
fn a_failed_flush_leaves_its_pieces_in_doubt() {
    let (metainfo, mut now) = (torrent("ours"), Instant::ZERO);
    let every = Duration::from_secs(10);
    let mut keeper = Keeper::new(now, &bits(&metainfo, [0]), metainfo.geometry().all_pieces(), every);
    keeper.handle_timeout(now);
    assert_eq!(keeper.poll_step(), Some(Step::Flush));
    keeper.verified(now, piece(&metainfo, 1));
    keeper.flushed(now, Some(stamps()));
    assert_eq!((keeper.poll_step(), keeper.claimed()), (Some(Step::Keep), &bits(&metainfo, [0])));
    keeper.kept(now, true);
    assert_eq!(keeper.poll_timeout(), Some(now + every));

    now += every;
    keeper.handle_timeout(now);
    assert_eq!(keeper.poll_step(), Some(Step::Flush));
    keeper.flushed(now, None);
    assert_eq!((keeper.poll_step(), keeper.poll_timeout()), (None, Some(now + every)));
    keeper.verified(now, piece(&metainfo, 2));
    keeper.leave();
    assert_eq!(keeper.poll_step(), Some(Step::Flush));
    keeper.flushed(now, Some(stamps()));
    assert_eq!(keeper.claimed(), &bits(&metainfo, [0, 2]), "a second flush does not prove the first");
    assert_eq!(keeper.files(), [None; 3], "nor do the files' times");
    assert!(!keeper.has_left());
    keeper.kept(now, false);
    assert!(keeper.has_left(), "a disk that takes no record keeps nobody");
}

#[test]
fn what_no_flush_has_made_safe_is_known_and_not_claimed() {
    let (metainfo, every) = (torrent("ours"), Duration::from_secs(1));
    let (now, none) = (Instant::ZERO, Bitfield::empty(20));
    let mut keeper = Keeper::new(now, &none, metainfo.geometry().all_pieces(), every);
    keeper.verified(now, piece(&metainfo, 4));
    keeper.handle_timeout(now);
    keeper.verified(now, piece(&metainfo, 7));
    let unclaimed = |keeper: &Keeper| bits(&metainfo, keeper.unclaimed().map(PieceIndex::get));
    assert_eq!(unclaimed(&keeper), bits(&metainfo, [4, 7]), "one is being flushed, one came in meanwhile");
    keeper.flushed(now, Some(stamps()));
    assert_eq!((keeper.claimed(), unclaimed(&keeper)), (&bits(&metainfo, [4]), bits(&metainfo, [7])));
}

#[test]
fn a_record_that_claims_what_is_lost_is_replaced_at_once() {
    let (metainfo, every, now) = (torrent("ours"), Duration::from_secs(10), Instant::ZERO);
    let have = bits(&metainfo, [0, 1, 2]);
    let mut keeper = Keeper::new(now, &have, metainfo.geometry().all_pieces(), every);
    keeper.handle_timeout(now);
    keeper.lost(now, piece(&metainfo, 0));
    keeper.flushed(now, Some(stamps()));
    assert_eq!(keeper.claimed(), &bits(&metainfo, [1, 2]), "it was lost during the flush");
    keeper.lost(now, piece(&metainfo, 1));
    keeper.kept(now, true);
    assert_eq!(keeper.poll_timeout(), Some(now), "it was lost while the record was written");
    keeper.handle_timeout(now);
    keeper.flushed(now, Some(stamps()));
    keeper.kept(now, true);
    assert_eq!((keeper.claimed(), keeper.poll_timeout()), (&bits(&metainfo, [2]), None));
    keeper.verified(now, piece(&metainfo, 3));
    keeper.lost(now, piece(&metainfo, 3));
    assert_eq!(keeper.poll_timeout(), Some(now + every), "no record claims that");
    keeper.leave();
    keeper.flushed(now, Some(stamps()));
    keeper.lost(now, piece(&metainfo, 2));
    keeper.kept(now, true);
    assert!(!keeper.has_left(), "that is not to be the last word");
    keeper.flushed(now, None);
    assert!(keeper.has_left());
}

/// What may befall the machine and its disk.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Verified,
    Time,
    Done(bool),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        2 => Just(Happens::Verified),
        1 => Just(Happens::Time),
        3 => prop::bool::weighted(0.8).prop_map(Happens::Done),
    ];
    prop::collection::vec(one, 1..80)
}

/// A disk that carries out one step at a time and at any power cut has only what it flushed.
#[derive(Default)]
struct Disk {
    written: Vec<PieceIndex>,
    flushed: Vec<PieceIndex>,
    record: Option<Bitfield>,
    step: Option<(Step, Vec<PieceIndex>, Option<Bitfield>)>,
}

proptest! {
    /// Power may be cut after any step: the record on the disk claims nothing that the disk has not flushed.
    #[test]
    fn no_record_claims_what_was_not_flushed(happenings in happenings()) {
        let (metainfo, mut now) = (torrent("ours"), Instant::ZERO);
        let none = Bitfield::empty(20);
        let mut keeper = Keeper::new(now, &none, metainfo.geometry().all_pieces(), Duration::from_secs(1));
        let mut disk = Disk::default();
        for happens in happenings {
            match happens {
                Happens::Verified => {
                    let next = piece(&metainfo, disk.written.len() as u32 % 20);
                    disk.written.push(next);
                    keeper.verified(now, next);
                }
                Happens::Time => {
                    now += Duration::from_secs(1);
                    keeper.handle_timeout(now);
                }
                Happens::Done(ok) => match disk.step.take() {
                    Some((Step::Flush, written, _)) => {
                        if ok {
                            disk.flushed.extend(written);
                        }
                        keeper.flushed(now, ok.then(stamps));
                    }
                    Some((Step::Keep, _, claims)) => {
                        disk.record = if ok { claims } else { disk.record };
                        keeper.kept(now, ok);
                    }
                    None => {}
                },
            }
            if let Some(step) = keeper.poll_step() {
                prop_assert!(disk.step.is_none(), "one step at a time");
                // A flush saves at least what was written when it was asked for.
                disk.step = Some((step, disk.written.clone(), Some(keeper.claimed().clone())));
            }
            let claims = disk.record.iter().flat_map(|record| {
                metainfo.geometry().all_pieces().filter(|&piece| record.has(piece))
            });
            for claim in claims {
                prop_assert!(disk.flushed.contains(&claim), "{claim:?} was never flushed");
            }
        }
    }

    #[test]
    fn any_record_reads_back(
        claimed in prop::collection::btree_set(0_u32..20, 0..20),
        unchecked in prop::collection::btree_set(0_u32..20, 0..20),
        files in prop::collection::vec(prop::option::of((0_u64..1 << 62, any::<i64>())), 3),
        sums in (0_u64..1 << 62, 0_u64..1 << 62),
        v4 in prop::collection::vec((any::<[u8; 4]>(), any::<u16>()), 0..9),
        v6 in prop::collection::vec((any::<[u8; 16]>(), any::<u16>()), 0..9),
    ) {
        let metainfo = torrent("ours");
        let record = Record {
            info_hash: metainfo.info_hash(),
            unchecked: bits(&metainfo, unchecked.difference(&claimed).copied()),
            claimed: bits(&metainfo, claimed),
            files: files.into_iter().map(|file| file.map(|(len, modified)| Stamp { len, modified })).collect(),
            uploaded: sums.0,
            downloaded: sums.1,
            peers: v4.into_iter().map(Into::into).chain(v6.into_iter().map(Into::into)).collect(),
        };
        prop_assert_eq!(Record::decode(&record.encode().expect("encodes"), &metainfo), Ok(record));
    }

    #[test]
    fn no_damage_is_believed_or_panics(at: prop::sample::Index, bit in 0_u8..8, cut: prop::sample::Index) {
        let metainfo = torrent("ours");
        let whole = record(&metainfo).encode().expect("encodes");
        let mut damaged = whole.clone();
        damaged[at.index(whole.len())] ^= 1 << bit;
        prop_assert!(Record::decode(&damaged, &metainfo).is_err());
        prop_assert!(Record::decode(&whole[..cut.index(whole.len())], &metainfo).is_err());
    }

    #[test]
    fn decoding_never_panics(bytes: Vec<u8>) {
        prop_assert!(Record::decode(&bytes, &torrent("ours")).is_err());
    }

    /// An info hash of another torrent and a checksum that fits: refused by name.
    #[test]
    fn foreign_records_are_named(hash: [u8; 20]) {
        let metainfo = torrent("ours");
        let record = Record { info_hash: InfoHash(hash), ..record(&metainfo) };
        let read = Record::decode(&record.encode().expect("encodes"), &metainfo);
        prop_assert_eq!(read, Err(RecordError::Foreign(InfoHash(hash))));
    }
}
