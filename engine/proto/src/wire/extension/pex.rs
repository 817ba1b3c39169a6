//! Peer exchange messages (BEP 11): who came and who went since the last one, in both families.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::InvalidExtension;
use crate::bencode::{self, Limits};
use crate::tracker::Family;
use crate::tracker::reply::{compact_peers, put_peer};

//= BEP 11: "no more than 50 added peers and 50 dropped", both families together.
/// Peers that one message adds or drops at the most; more are not read.
pub const MAX_PEX_PEERS: usize = 50;

/// The longest message that is read: many times what the limit allows, for who ignores it.
const MAX_LEN: usize = 64 * 1024;

/// A peer is complete or wants nothing more.
const UPLOAD_ONLY: u8 = 0x02;
/// The sender dialled it, so it can be reached.
const REACHABLE: u8 = 0x10;

/// A peer that is recommended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// It has everything, or wants nothing more.
    pub upload_only: bool,
    /// The sender dialled it.
    pub reachable: bool,
}

/// One message of `ut_pex`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pex {
    /// Peers that the sender became connected to, IPv4 first.
    pub added: Vec<PexPeer>,
    /// Peers that it is no longer connected to, IPv4 first.
    pub dropped: Vec<SocketAddr>,
}

impl Pex {
    /// The payload of an extended message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(b'd');
        for (family, keys) in [(true, ["added", "added.f"]), (false, ["added6", "added6.f"])] {
            let added = || self.added.iter().filter(|peer| peer.addr.is_ipv4() == family);
            let flags: Vec<u8> = added().map(PexPeer::flags).collect();
            put(&mut out, keys[0], &compact(added().map(|peer| peer.addr)));
            put(&mut out, keys[1], &flags);
        }
        for (family, key) in [(true, "dropped"), (false, "dropped6")] {
            let dropped = self.dropped.iter().filter(|addr| addr.is_ipv4() == family);
            put(&mut out, key, &compact(dropped.copied()));
        }
        out.put_u8(b'e');
        out.freeze()
    }

    /// Reads such a payload: the first [`MAX_PEX_PEERS`] of each list.
    pub fn decode(payload: &[u8]) -> Result<Self, InvalidExtension> {
        let top = bencode::scan_prefix(payload, Limits::message(MAX_LEN));
        let top = top.map_err(bencode::BencodeError::from)?;
        if !top.is_dictionary() {
            return Err(InvalidExtension::NoDictionary);
        }
        let bytes = |key: &str| top.raw_value(key.as_bytes()).and_then(bencode::byte_string);
        let peers = |key: &str, family| compact_peers(bytes(key).unwrap_or_default(), family);
        let (mut added, mut dropped) = (Vec::new(), Vec::new());
        for (family, suffix) in [(Family::V4, ""), (Family::V6, "6")] {
            let flags = bytes(&format!("added{suffix}.f")).unwrap_or_default();
            let flags = flags.iter().copied().chain(std::iter::repeat(0));
            let came = peers(&format!("added{suffix}"), family);
            added.extend(came.into_iter().zip(flags).map(|(addr, flags)| PexPeer::new(addr, flags)));
            dropped.extend(peers(&format!("dropped{suffix}"), family));
        }
        added.truncate(MAX_PEX_PEERS);
        dropped.truncate(MAX_PEX_PEERS);
        Ok(Self { added, dropped })
    }
}

impl PexPeer {
    const fn new(addr: SocketAddr, flags: u8) -> Self {
        Self { addr, upload_only: flags & UPLOAD_ONLY != 0, reachable: flags & REACHABLE != 0 }
    }

    fn flags(&self) -> u8 {
        (u8::from(self.upload_only) * UPLOAD_ONLY) | (u8::from(self.reachable) * REACHABLE)
    }
}

fn compact(addrs: impl Iterator<Item = SocketAddr>) -> BytesMut {
    addrs.fold(BytesMut::new(), |mut out, addr| {
        put_peer(&mut out, addr);
        out
    })
}

/// An entry, unless it would be empty.
fn put(out: &mut BytesMut, key: &str, value: &[u8]) {
    if !value.is_empty() {
        out.put_slice(format!("{}:{key}{}:", key.len(), value.len()).as_bytes());
        out.put_slice(value);
    }
}
