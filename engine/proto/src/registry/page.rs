//! Swarms on their way through a restart: blobs of packed members, one for each of 4096 pages.
//!
//! A page holds the torrents whose keyed hash begins with its number, so a page stays about 1/4096 of
//! everything whatever info hashes strangers make up. A blob stands alone: it says when it was packed and
//! in which unit it tells ages.
//!
//! ```text
//! version u8 = 1 · packed at, s since 1970, u64 · unit of age, s, u16 · torrents to the end
//! torrent:  info hash 20 · IPv4 members, varint · IPv6 members, varint · members
//! member:   address and port as in compact replies, 6 or 18 · age in units, 7 bits, below one for "seeder"
//! ```
//!
//! Numbers are big-endian, varints little-endian base 128 in the shortest form. `completed` counts are not
//! here: the store keeps them in rows of their own, for they must not be 60 seconds old.

use std::time::Duration;

use bytes::{Buf, BufMut};
use thiserror::Error;

use crate::id::{ID_LEN, InfoHash};

/// Number of pages; a page number is below it.
pub const PAGES: usize = 4096;

/// The layout that this program writes and reads.
const VERSION: u8 = 1;

/// The oldest age that a member's byte can tell.
const MAX_AGE: u64 = 127;

/// The bit of a seeder.
const SEEDER: u8 = 0x80;

/// One page, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmPage {
    /// Which of the [`PAGES`].
    pub number: u16,
    /// Its blob; empty if there is nothing to keep and the row may go.
    pub bytes: Vec<u8>,
}

/// A page that this program did not write, or that was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PageError {
    /// Not below [`PAGES`].
    #[error("page {0} of {PAGES}")]
    Number(u16),
    /// Written by another version.
    #[error("page version {0}, where {VERSION} is known")]
    Version(u8),
    /// It ends early.
    #[error("the page is cut short")]
    Cut,
    /// The unit of age is zero.
    #[error("ages are told in units of 0 s")]
    Unit,
    /// A varint is longer than it need be, or beyond 32 bits.
    #[error("a count is not in its shortest form")]
    Count,
    /// A torrent without members has no place in a page.
    #[error("torrent {0} has no members")]
    NoMembers(InfoHash),
    /// A member that nobody can connect to.
    #[error("torrent {0} has a member with port 0")]
    Port0(InfoHash),
}

/// A member, packed or to be packed; `N` is 6 or 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedMember<const N: usize> {
    /// Address and port.
    pub(super) addr: [u8; N],
    /// Does it have everything?
    pub(super) is_seeder: bool,
    /// Time since its last announce.
    pub(super) age: Duration,
}

/// Writes one page.
#[derive(Debug)]
pub(super) struct PageWriter {
    bytes: Vec<u8>,
    unit: u64,
}

impl PageWriter {
    /// A page packed at `wall`, for members that are never older than `life`.
    pub(super) fn new(wall: Duration, life: Duration) -> Self {
        let unit = life.as_secs().div_ceil(MAX_AGE).clamp(1, u64::from(u16::MAX));
        let mut bytes = Vec::new();
        bytes.put_u8(VERSION);
        bytes.put_u64(wall.as_secs());
        bytes.put_u16(unit as u16);
        Self { bytes, unit }
    }

    /// Begins a torrent; exactly as many members must follow, IPv4 first.
    pub(super) fn torrent(&mut self, info_hash: InfoHash, v4: usize, v6: usize) {
        self.bytes.put_slice(&info_hash.0);
        put_varint(&mut self.bytes, v4 as u32);
        put_varint(&mut self.bytes, v6 as u32);
    }

    /// Adds a member of the torrent.
    pub(super) fn member<const N: usize>(&mut self, member: &PackedMember<N>) {
        // To the nearest unit: one is less than a hundredth of a life.
        let age = ((member.age.as_secs() + self.unit / 2) / self.unit).min(MAX_AGE) as u8;
        self.bytes.put_slice(&member.addr);
        self.bytes.put_u8(if member.is_seeder { age | SEEDER } else { age });
    }

    /// The blob; empty if no torrent was written.
    pub(super) fn finish(self) -> Vec<u8> {
        const HEADER_LEN: usize = 11;
        if self.bytes.len() == HEADER_LEN { Vec::new() } else { self.bytes }
    }
}

/// Takes what [`read`] finds in a page.
pub(super) trait PageVisitor {
    /// A member of `info_hash` over IPv4.
    fn v4(&mut self, info_hash: InfoHash, member: PackedMember<6>);
    /// A member of `info_hash` over IPv6.
    fn v6(&mut self, info_hash: InfoHash, member: PackedMember<18>);
}

/// Takes nothing: reading is checking.
impl PageVisitor for () {
    fn v4(&mut self, _: InfoHash, _: PackedMember<6>) {}
    fn v6(&mut self, _: InfoHash, _: PackedMember<18>) {}
}

/// Reads a blob at the time `wall`. What comes before an error has been visited: check first with `&mut ()`.
pub(super) fn read(
    mut bytes: &[u8],
    wall: Duration,
    visitor: &mut impl PageVisitor,
) -> Result<(), PageError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let version = bytes.get_u8();
    if version != VERSION {
        return Err(PageError::Version(version));
    }
    let packed_at = Duration::from_secs(bytes.try_get_u64().map_err(|_| PageError::Cut)?);
    let unit = bytes.try_get_u16().map_err(|_| PageError::Cut)?;
    if unit == 0 {
        return Err(PageError::Unit);
    }
    // A clock that stepped back makes nobody younger.
    let ages = Ages { since: wall.saturating_sub(packed_at), unit: Duration::from_secs(unit.into()) };
    while !bytes.is_empty() {
        let (info_hash, rest) = bytes.split_first_chunk::<ID_LEN>().ok_or(PageError::Cut)?;
        let info_hash = InfoHash(*info_hash);
        bytes = rest;
        let (v4, v6) = (varint(&mut bytes)?, varint(&mut bytes)?);
        if v4 == 0 && v6 == 0 {
            return Err(PageError::NoMembers(info_hash));
        }
        for _ in 0..v4 {
            visitor.v4(info_hash, member(&mut bytes, info_hash, ages)?);
        }
        for _ in 0..v6 {
            visitor.v6(info_hash, member(&mut bytes, info_hash, ages)?);
        }
    }
    Ok(())
}

/// How a page tells ages.
#[derive(Clone, Copy)]
struct Ages {
    since: Duration,
    unit: Duration,
}

fn member<const N: usize>(
    bytes: &mut &[u8],
    info_hash: InfoHash,
    ages: Ages,
) -> Result<PackedMember<N>, PageError> {
    let (addr, rest) = bytes.split_first_chunk::<N>().ok_or(PageError::Cut)?;
    let (&age, rest) = rest.split_first().ok_or(PageError::Cut)?;
    if addr.ends_with(&[0, 0]) {
        return Err(PageError::Port0(info_hash));
    }
    *bytes = rest;
    let units = u32::from(age & !SEEDER);
    Ok(PackedMember { addr: *addr, is_seeder: age & SEEDER != 0, age: ages.since + ages.unit * units })
}

fn put_varint(out: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint(bytes: &mut &[u8]) -> Result<u32, PageError> {
    let mut number = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = bytes.try_get_u8().map_err(|_| PageError::Cut)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let is_shortest = byte != 0 || shift == 0;
            return u32::try_from(number).ok().filter(|_| is_shortest).ok_or(PageError::Count);
        }
    }
    Err(PageError::Count)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const WALL: Duration = Duration::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const HASH: InfoHash = InfoHash([7; 20]);

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<(InfoHash, PackedMember<6>)>, Vec<(InfoHash, PackedMember<18>)>);

    impl PageVisitor for Seen {
        fn v4(&mut self, info_hash: InfoHash, member: PackedMember<6>) {
            self.0.push((info_hash, member));
        }

        fn v6(&mut self, info_hash: InfoHash, member: PackedMember<18>) {
            self.1.push((info_hash, member));
        }
    }

    /// One torrent with one member, which announced a minute before.
    fn packed() -> Vec<u8> {
        let mut writer = PageWriter::new(WALL, HOUR);
        writer.torrent(HASH, 1, 0);
        let age = Duration::from_secs(60);
        writer.member(&PackedMember { addr: [10, 0, 0, 1, 26, 225], is_seeder: true, age });
        writer.finish()
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut due = vec![1, 0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0, 0, 29];
        due.extend([7; 20]);
        due.extend([1, 0, 10, 0, 0, 1, 26, 225, 0x82]);
        assert_eq!(packed(), due);
        assert_eq!(PageWriter::new(WALL, HOUR).finish(), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let page = packed();
        let error = |bytes: &[u8]| read(bytes, WALL, &mut ()).expect_err("refused");
        let changed = |at: usize, to: u8| {
            let mut page = page.clone();
            page[at] = to;
            page
        };
        assert_eq!(error(&changed(0, 2)), PageError::Version(2));
        assert_eq!(error(&changed(10, 0)), PageError::Unit);
        assert_eq!(error(&changed(31, 0)), PageError::NoMembers(HASH));
        assert_eq!(error(&changed(31, 2)), PageError::Cut);
        let mut port_0 = changed(37, 0);
        port_0[38] = 0;
        assert_eq!(error(&port_0), PageError::Port0(HASH));
        let mut long = page.clone();
        long.splice(31..32, [0x81, 0]);
        assert_eq!(error(&long), PageError::Count);
        long.splice(31..33, [0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(error(&long), PageError::Count);
        for len in 1..page.len() {
            // After the header a page may end: it holds no torrents then.
            let cut = read(&page[..len], WALL, &mut ());
            assert_eq!(cut, if len == 11 { Ok(()) } else { Err(PageError::Cut) }, "{len} bytes");
        }
    }

    #[test]
    fn members_age_while_the_tracker_is_down() {
        let age_at = |wall: Duration| {
            let mut seen = Seen::default();
            read(&packed(), wall, &mut seen).expect("ours");
            seen.0[0].1.age.as_secs()
        };
        assert_eq!(age_at(WALL), 58, "to the unit of 29 s");
        assert_eq!(age_at(WALL + HOUR), 3658);
        assert_eq!(age_at(WALL.saturating_sub(HOUR)), 58, "the clock stepped back");
    }

    proptest! {
        #[test]
        fn reading_never_panics(mut bytes in vec(any::<u8>(), 0..400), is_version: bool) {
            if let Some(version) = bytes.first_mut().filter(|_| is_version) {
                *version = VERSION;
            }
            let _ = read(&bytes, WALL, &mut Seen::default());
        }

        #[test]
        fn what_is_packed_is_read(
            torrents in vec((any::<[u8; 20]>(), vec((any::<[u8; 5]>(), 0u64..100), 1..9), 0usize..3), 0..9)
        ) {
            let mut writer = PageWriter::new(WALL, Duration::from_secs(127));
            let mut due = Seen::default();
            for (hash, members, v6) in torrents {
                writer.torrent(InfoHash(hash), members.len(), v6);
                for ([a, b, c, d, port], age) in members {
                    let age = Duration::from_secs(age);
                    let member = PackedMember { addr: [a, b, c, d, port, 1], is_seeder: a > 9, age };
                    writer.member(&member);
                    due.0.push((InfoHash(hash), member));
                }
                for n in 0..v6 {
                    let member = PackedMember { addr: [n as u8 + 1; 18], is_seeder: false, age: Duration::ZERO };
                    writer.member(&member);
                    due.1.push((InfoHash(hash), member));
                }
            }
            let mut seen = Seen::default();
            prop_assert_eq!(read(&writer.finish(), WALL, &mut seen), Ok(()));
            prop_assert_eq!(seen, due);
        }
    }
}
