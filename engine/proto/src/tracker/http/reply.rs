//! What an HTTP tracker answers: bencoded bodies, written in the order of their keys (BEP 3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::id::InfoHash;
use crate::tracker::{Family, ScrapeEntry};

/// The answer to an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAnnounced<'a> {
    /// Seconds until the next announce.
    pub interval: u32,
    /// Seconds that a client waits at the least.
    pub min_interval: u32,
    /// Seeders, leechers, and downloads that ended.
    pub counts: ScrapeEntry,
    /// The family of the peers, which is that of the connection (BEP 7).
    pub family: Family,
    /// Peers, 6 or 18 bytes each.
    pub peers: &'a [u8],
    /// As BEP 23 has them, or as dictionaries?
    pub is_compact: bool,
}

/// Appends the body that answers an announce.
///
/// Compact peers stand in `peers` or `peers6` by their family (BEP 7, BEP 23). Dictionaries have `ip` and
/// `port` only, as if the client had asked for `no_peer_id`: peer ids are not kept, for members are known
/// by their address, and BEP 23's form, which nearly all clients ask for, has none either.
pub fn put_announce(out: &mut Vec<u8>, reply: &HttpAnnounced<'_>) {
    let ScrapeEntry { seeders, completed, leechers } = reply.counts;
    out.push(b'd');
    put_number(out, "complete", seeders);
    put_number(out, "downloaded", completed);
    put_number(out, "incomplete", leechers);
    put_number(out, "interval", reply.interval);
    put_number(out, "min interval", reply.min_interval);
    put_string(out, b"peers");
    match (reply.is_compact, reply.family) {
        (true, Family::V4) => put_string(out, reply.peers),
        (true, Family::V6) => {
            // Clients that look for `peers` first must find something.
            put_string(out, b"");
            put_string(out, b"peers6");
            put_string(out, reply.peers);
        }
        (false, family) => put_dictionaries(out, family, reply.peers),
    }
    out.push(b'e');
}

fn put_dictionaries(out: &mut Vec<u8>, family: Family, peers: &[u8]) {
    out.push(b'l');
    for peer in peers.chunks_exact(family.peer_len()) {
        let Some((ip, &[high, low])) = peer.split_last_chunk::<2>() else { continue };
        let ip = match <[u8; 4]>::try_from(ip) {
            Ok(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
            Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).unwrap_or_default())),
        };
        out.push(b'd');
        put_string(out, b"ip");
        put_string(out, ip.to_string().as_bytes());
        put_number(out, "port", u32::from(u16::from_be_bytes([high, low])));
        out.push(b'e');
    }
    out.push(b'e');
}

/// Appends the body that answers a scrape (BEP 48). `files` come sorted by hash; unknown torrents are left
/// out by the caller.
pub fn put_scrape(out: &mut Vec<u8>, files: impl IntoIterator<Item = (InfoHash, ScrapeEntry)>) {
    out.push(b'd');
    put_string(out, b"files");
    out.push(b'd');
    for (info_hash, ScrapeEntry { seeders, completed, leechers }) in files {
        put_string(out, info_hash.as_bytes());
        out.push(b'd');
        put_number(out, "complete", seeders);
        put_number(out, "downloaded", completed);
        put_number(out, "incomplete", leechers);
        out.push(b'e');
    }
    out.extend_from_slice(b"ee");
}

/// Appends the body that refuses, with `reason` for the user's eyes. It stands alone (BEP 3).
pub fn put_failure(out: &mut Vec<u8>, reason: &str) {
    out.push(b'd');
    put_string(out, b"failure reason");
    put_string(out, reason.as_bytes());
    out.push(b'e');
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, key: &str, number: u32) {
    put_string(out, key.as_bytes());
    out.extend_from_slice(format!("i{number}e").as_bytes());
}
