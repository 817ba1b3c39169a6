//! Magnet links (BEP 9, with BEP 53's `so`): the info hash, and where to begin to look for the rest.
//!
//! ```text
//! magnet:?xt=urn:btih:<40 hex or 32 base32 digits>&dn=<name>&tr=<tracker>&x.pe=<host:port>&ws=<url>&so=<files>
//! ```

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use super::Metainfo;
use crate::id::{ID_LEN, InfoHash};

/// The longest link that is read, in bytes: a hundred trackers and a long name.
pub const MAX_MAGNET_LEN: usize = 32 * 1024;

/// Trackers, peers and file ranges of a link that are used, each; a link is a stranger's.
const MAX_ENTRIES: usize = 100;

/// The digits of base32 (RFC 4648), in which old links write the info hash.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a magnet link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// `xt`: the torrent.
    pub info_hash: InfoHash,
    /// `dn`: a name to show until the true one is known.
    pub name: Option<String>,
    /// `tr`: announce URLs, in order.
    pub trackers: Vec<String>,
    /// `x.pe`: peers to try, each a host name or address and a port.
    pub peers: Vec<(String, u16)>,
    /// `ws`: web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// `so`: the files to download, by their numbers (BEP 53); none means all.
    pub select_only: Vec<RangeInclusive<u32>>,
}

/// Why a text is no magnet link that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MagnetError {
    /// Something else.
    #[error("a magnet link begins with `magnet:?`")]
    NotMagnet,
    /// Above [`MAX_MAGNET_LEN`].
    #[error("the magnet link is longer than {MAX_MAGNET_LEN} bytes")]
    TooLong,
    /// No `xt=urn:btih:`.
    #[error("the magnet link names no torrent (`xt=urn:btih:` is missing)")]
    NoInfoHash,
    /// Only the hash of BEP 52.
    #[error(
        "the magnet link is of a version 2 torrent only; only version 1 and hybrid torrents are supported"
    )]
    VersionTwoOnly,
    /// An `xt=urn:btih:` that is no info hash.
    #[error("{0:?} is no info hash: it has 40 hexadecimal or 32 base32 digits")]
    BadInfoHash(String),
    /// A `so` that is no list of numbers and ranges.
    #[error("`so={0}` is no list of file numbers such as `0,2,4-6`")]
    BadSelection(String),
}

impl Magnet {
    /// The link to a torrent that is at hand.
    pub fn of(metainfo: &Metainfo) -> Self {
        Self {
            info_hash: metainfo.info_hash(),
            name: Some(metainfo.name().to_owned()),
            trackers: metainfo.trackers().iter().flatten().take(MAX_ENTRIES).cloned().collect(),
            peers: Vec::new(),
            web_seeds: metainfo.web_seeds().to_vec(),
            select_only: Vec::new(),
        }
    }

    /// Each tracker as a tier of its own, in the order of the link (BEP 9 knows no tiers).
    pub fn tiers(&self) -> Vec<Vec<String>> {
        self.trackers.iter().map(|url| vec![url.clone()]).collect()
    }

    fn bare(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            name: None,
            trackers: Vec::new(),
            peers: Vec::new(),
            web_seeds: Vec::new(),
            select_only: Vec::new(),
        }
    }

    fn take(&mut self, key: &str, value: String) -> Result<(), MagnetError> {
        match key {
            "dn" if self.name.is_none() => self.name = Some(value.replace('+', " ")),
            "tr" if self.trackers.len() < MAX_ENTRIES && !self.trackers.contains(&value) => {
                self.trackers.push(value);
            }
            "x.pe" if self.peers.len() < MAX_ENTRIES => self.peers.extend(peer(&value)),
            "ws" if self.web_seeds.len() < MAX_ENTRIES && !self.web_seeds.contains(&value) => {
                self.web_seeds.push(value);
            }
            "so" => self.select_only = selection(&value).ok_or(MagnetError::BadSelection(value))?,
            _ => {}
        }
        Ok(())
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        let scheme = text.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("magnet:?"));
        scheme.ok_or(MagnetError::NotMagnet)?;
        if text.len() > MAX_MAGNET_LEN {
            return Err(MagnetError::TooLong);
        }
        let pairs = || text.get(8..).unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let topics: Vec<String> =
            pairs().filter(|&(key, _)| bare_key(key) == "xt").map(|(_, value)| unescaped(value)).collect();
        let mut magnet = Self::bare(info_hash(&topics)?);
        for (key, value) in pairs() {
            magnet.take(bare_key(key), unescaped(value))?;
        }
        Ok(magnet)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xt=urn:btih:{}", self.info_hash)?;
        self.name.iter().try_for_each(|name| write!(f, "&dn={}", Escaped(name)))?;
        self.trackers.iter().try_for_each(|url| write!(f, "&tr={}", Escaped(url)))?;
        for (host, port) in &self.peers {
            let brackets = host.contains(':');
            let host = if brackets { format!("[{host}]") } else { host.clone() };
            write!(f, "&x.pe={}", Escaped(&format!("{host}:{port}")))?;
        }
        self.web_seeds.iter().try_for_each(|url| write!(f, "&ws={}", Escaped(url)))?;
        let range = |range: &RangeInclusive<u32>| match (range.start(), range.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        };
        let ranges: Vec<String> = self.select_only.iter().map(range).collect();
        if ranges.is_empty() { Ok(()) } else { write!(f, "&so={}", ranges.join(",")) }
    }
}

/// `tr.1` and `xt.2` number what comes more than once.
fn bare_key(key: &str) -> &str {
    match key.rsplit_once('.') {
        Some((bare, number)) if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()) => bare,
        Some(_) | None => key,
    }
}

fn info_hash(topics: &[String]) -> Result<InfoHash, MagnetError> {
    let urn = |kind: &'static str| {
        topics.iter().filter_map(move |topic| {
            let head = topic.get(..kind.len())?;
            head.eq_ignore_ascii_case(kind).then(|| topic.get(kind.len()..).unwrap_or_default())
        })
    };
    let Some(digits) = urn("urn:btih:").next() else {
        let version_two = urn("urn:btmh:").next().is_some();
        return Err(if version_two { MagnetError::VersionTwoOnly } else { MagnetError::NoInfoHash });
    };
    let hash = InfoHash::from_hex(digits).or_else(|| from_base32(digits));
    hash.ok_or_else(|| MagnetError::BadInfoHash(digits.to_owned()))
}

fn from_base32(digits: &str) -> Option<InfoHash> {
    let mut bytes = Vec::with_capacity(ID_LEN);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = BASE32.iter().position(|&letter| letter == digit.to_ascii_uppercase())?;
        bits = bits << 5 | value as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    InfoHash::from_slice(&bytes).filter(|_| digits.len() == 32)
}

fn peer(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|&port| port != 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

//= BEP 53: `so` is a list of file numbers and ranges of them, separated by commas.
fn selection(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let range = |part: &str| {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        (start <= end).then_some(start..=end)
    };
    text.split(',').take(MAX_ENTRIES).map(range).collect()
}

/// Resolves `%2F` and the like; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |index: usize| char::from(*tail.get(index)?).to_digit(16);
        let escape = if first == b'%' { digit(0).zip(digit(1)) } else { None };
        bytes.push(escape.map_or(first, |(high, low)| (high * 16 + low) as u8));
        rest = escape.and_then(|_| tail.get(2..)).unwrap_or(tail);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value with everything escaped that has a meaning in a URI.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(f, "{}", char::from(byte))
            }
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";

    fn parse(text: &str) -> Result<Magnet, MagnetError> {
        text.parse()
    }

    #[test]
    fn the_hash_is_hexadecimal_or_base32() {
        let hex = parse(&format!("magnet:?xt=urn:btih:{HEX}")).unwrap();
        assert_eq!(hex.info_hash.to_string(), HEX);
        let base32 = "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK";
        assert_eq!(parse(&format!("MAGNET:?xt=urn:btih:{base32}")), Ok(hex.clone()));
        assert_eq!(parse(&format!("magnet:?xt=urn%3Abtih%3A{}", base32.to_lowercase())), Ok(hex));
        for wrong in ["", "c12fe1", &"g".repeat(40), &"1".repeat(32), &"a".repeat(33)] {
            let error = Err(MagnetError::BadInfoHash(wrong.to_owned()));
            assert_eq!(parse(&format!("magnet:?xt=urn:btih:{wrong}")), error);
        }
    }

    #[test]
    fn everything_that_helps_is_read() {
        let text = format!(
            "magnet:?dn=My%20Holiday+2026&tr.1=udp%3A%2F%2Fa.example%3A1%2Fannounce&xt=urn:btih:{HEX}&tr=udp://b:2\
             &x.pe=10.0.0.7:6881&x.pe=[2001:db8::1]:7000&x.pe=host.example:80&x.pe=nonsense&ws=http%3A%2F%2Fmirror.example%2Fa%2520b&so=0,2,4-6&xl=7&junk"
        );
        let magnet = parse(&text).unwrap();
        assert_eq!(magnet.name.as_deref(), Some("My Holiday 2026"));
        assert_eq!(magnet.trackers, ["udp://a.example:1/announce", "udp://b:2"]);
        assert_eq!(magnet.tiers().len(), 2);
        let peers = [("10.0.0.7", 6881), ("2001:db8::1", 7000), ("host.example", 80)];
        assert_eq!(magnet.peers, peers.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(magnet.web_seeds, ["http://mirror.example/a%20b"]);
        assert_eq!(magnet.select_only, [0..=0, 2..=2, 4..=6]);
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        assert_eq!(parse("http://x"), Err(MagnetError::NotMagnet));
        assert_eq!(parse("magnet:?dn=x"), Err(MagnetError::NoInfoHash));
        assert_eq!(parse("magnet:?xt=urn:btmh:1220aa"), Err(MagnetError::VersionTwoOnly));
        assert_eq!(parse(&format!("magnet:?{}", "x".repeat(MAX_MAGNET_LEN))), Err(MagnetError::TooLong));
        let so = |so: &str| parse(&format!("magnet:?xt=urn:btih:{HEX}&so={so}"));
        for wrong in ["", "a", "3-1", "1,,2", "-1"] {
            assert_eq!(so(wrong), Err(MagnetError::BadSelection(wrong.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn links_come_back(
            hash: [u8; 20], name in "[^+]{1,20}", trackers in proptest::collection::btree_set("udp://[a-z&=%]{1,9}", 0..4),
            peers in proptest::collection::vec(("[a-z0-9.]{1,9}|::1", 1_u16..), 0..3),
            files in proptest::collection::vec((0_u32..50, 0_u32..50), 0..3)
        ) {
            let select_only = files.into_iter().map(|(start, more)| start..=start + more).collect();
            let trackers: Vec<String> = trackers.into_iter().collect();
            let (info_hash, name) = (InfoHash(hash), Some(name));
            let web_seeds = trackers.iter().map(|url: &String| format!("{url}&#?/")).collect();
            let magnet = Magnet { info_hash, name, trackers, peers, web_seeds, select_only };
            prop_assert_eq!(parse(&magnet.to_string()), Ok(magnet));
        }

        #[test]
        fn reading_never_panics(text in "(magnet:\\?(xt=urn:btih:[a-z2-7%]{0,40}&?|so=[0-9,-]{0,9}&?)*)?.{0,40}") {
            let _ = parse(&text);
        }
    }
}
