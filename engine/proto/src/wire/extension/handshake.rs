//! The extension handshake (BEP 10), with the keys of BEP 9, 11 and 21.
//!
//! Every key is optional, and a value of an unexpected type counts as absent: clients differ.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, Bytes, BytesMut};

use super::InvalidExtension;
use crate::bencode::{self, Limits, Scanned};

/// The longest extension handshake that is read: real ones have some 300 bytes.
pub const MAX_HANDSHAKE_LEN: usize = 16 * 1024;

/// Characters kept of a client's name for itself.
const MAX_CLIENT_LEN: usize = 64;

/// What a peer says of its extensions. A key that is `None` was not said: on a repeated handshake, what was
/// said before holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionHandshake {
    /// The sender's id for `ut_pex` (BEP 11); zero switches it off.
    pub pex: Option<u8>,
    /// The sender's id for `ut_metadata` (BEP 9); zero switches it off.
    pub metadata: Option<u8>,
    /// The client's name and version, for people.
    pub client: Option<String>,
    /// The port that the sender listens at.
    pub port: Option<u16>,
    /// Requests that the sender keeps queued before it drops any.
    pub reqq: Option<u32>,
    /// The receiver's address, as the sender sees it.
    pub your_ip: Option<IpAddr>,
    /// Bytes of the info dictionary (BEP 9: in this dictionary, not in `m`).
    pub metadata_size: Option<u32>,
    /// The sender will not download anything (more) (BEP 21).
    pub upload_only: Option<bool>,
}

impl ExtensionHandshake {
    /// The payload of an extended message with id 0.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(160);
        out.put_slice(b"d1:md");
        put_integer(&mut out, "ut_metadata", self.metadata);
        put_integer(&mut out, "ut_pex", self.pex);
        out.put_u8(b'e');
        put_integer(&mut out, "metadata_size", self.metadata_size);
        put_integer(&mut out, "p", self.port);
        put_integer(&mut out, "reqq", self.reqq);
        put_integer(&mut out, "upload_only", self.upload_only.map(u8::from));
        put_string(&mut out, "v", self.client.as_ref().map(String::as_bytes));
        match self.your_ip {
            Some(IpAddr::V4(ip)) => put_string(&mut out, "yourip", Some(&ip.octets())),
            Some(IpAddr::V6(ip)) => put_string(&mut out, "yourip", Some(&ip.octets())),
            None => {}
        }
        out.put_u8(b'e');
        out.freeze()
    }

    /// Reads such a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, InvalidExtension> {
        let limits = Limits::message(MAX_HANDSHAKE_LEN);
        // What follows the dictionary is no reason to part: some clients pad.
        let top = bencode::scan_prefix(payload, limits).map_err(bencode::BencodeError::from)?;
        if !top.is_dictionary() {
            return Err(InvalidExtension::NoDictionary);
        }
        let ids = top.raw_value(b"m").and_then(|raw| bencode::scan(raw, limits).ok());
        let id = |name: &[u8]| ids.and_then(|ids| integer(ids, name));
        Ok(Self {
            pex: id(b"ut_pex"),
            metadata: id(b"ut_metadata"),
            client: string(top, b"v").map(client),
            port: integer(top, b"p").filter(|&port| port != 0),
            reqq: integer(top, b"reqq"),
            your_ip: string(top, b"yourip").and_then(ip),
            metadata_size: integer(top, b"metadata_size"),
            upload_only: integer::<i64>(top, b"upload_only").map(|flag| flag != 0),
        })
    }
}

fn put_integer<N: Into<u64>>(out: &mut BytesMut, key: &str, value: Option<N>) {
    if let Some(value) = value {
        out.put_slice(format!("{}:{key}i{}e", key.len(), value.into()).as_bytes());
    }
}

fn put_string(out: &mut BytesMut, key: &str, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.put_slice(format!("{}:{key}{}:", key.len(), value.len()).as_bytes());
        out.put_slice(value);
    }
}

fn integer<N: TryFrom<i64>>(dictionary: Scanned<'_>, key: &[u8]) -> Option<N> {
    dictionary.raw_value(key).and_then(bencode::integer).and_then(|value| value.try_into().ok())
}

fn string<'a>(dictionary: Scanned<'a>, key: &[u8]) -> Option<&'a [u8]> {
    dictionary.raw_value(key).and_then(bencode::byte_string)
}

/// A stranger's text: short, and without control characters.
fn client(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(MAX_CLIENT_LEN).collect()
}

//= BEP 10: `yourip` is "a compact IP address", 4 or 16 bytes.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).to_canonical())).ok()
}
