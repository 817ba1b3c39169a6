//! Who asks behind a reverse proxy: `X-Forwarded-For`, believed from trusted proxies only.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use thiserror::Error;

/// What each proxy appends to: `client, first proxy, second proxy`.
pub(super) const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses that are looked at, from the right; nobody has as many proxies in a row.
const MAX_HOPS: usize = 16;

/// A trusted proxy that does not say who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the reverse proxy in front of this tracker does not send a usable X-Forwarded-For")]
pub(super) struct NoClient;

/// The client's address: that of the connection, unless it comes from a proxy among `trusted`. Then it is
/// the last address in `headers` that is no proxy's; whatever stands further left is the client's claim.
pub(super) fn client<'a>(
    peer: IpAddr,
    headers: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> Result<IpAddr, NoClient> {
    let is_trusted = |addr: &IpAddr| trusted.iter().any(|network| network.contains(addr));
    if !is_trusted(&peer) {
        return Ok(peer);
    }
    let hops = headers.rev().flat_map(|header| header.rsplit(|&byte| byte == b','));
    for hop in hops.take(MAX_HOPS) {
        let addr = parse(hop).ok_or(NoClient)?;
        if !is_trusted(&addr) {
            return Ok(addr);
        }
    }
    Err(NoClient)
}

/// An address as proxies write it: alone, or with a port; IPv6 perhaps in brackets.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let addr = bare.parse().or_else(|_| text.parse().map(|addr: SocketAddr| addr.ip()));
    addr.ok().map(|addr: IpAddr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, headers: &[&str]) -> Result<String, NoClient> {
        let trusted: Vec<IpNet> =
            ["127.0.0.1/32", "10.0.0.0/8"].map(|text| text.parse().expect("good")).into();
        let headers = headers.iter().map(|text| text.as_bytes());
        client(peer.parse().expect("an address"), headers, &trusted).map(|addr| addr.to_string())
    }

    #[test]
    fn strangers_are_who_they_are_whatever_they_claim() {
        assert_eq!(from("192.0.2.1", &["198.51.100.7"]).as_deref(), Ok("192.0.2.1"));
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_the_rest_is_hearsay() {
        assert_eq!(from("127.0.0.1", &["198.51.100.7"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(from("127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.2.3.4"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(from("127.0.0.1", &["1.1.1.1", "198.51.100.7"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(from("10.9.9.9", &["198.51.100.7:4711"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(from("10.9.9.9", &["[2001:db8::1]:80"]).as_deref(), Ok("2001:db8::1"));
        assert_eq!(from("10.9.9.9", &["[2001:db8::1]"]).as_deref(), Ok("2001:db8::1"));
        assert_eq!(from("10.9.9.9", &["::ffff:198.51.100.7"]).as_deref(), Ok("198.51.100.7"));
    }

    #[test]
    fn a_proxy_that_does_not_say_who_asks_is_no_client() {
        for headers in [&[][..], &[""], &["10.1.1.1"], &["unknown"], &["198.51.100.7, _hidden"]] {
            assert_eq!(from("127.0.0.1", headers), Err(NoClient), "{headers:?}");
        }
        let many = vec!["10.1.1.1"; 100].join(",");
        assert_eq!(from("127.0.0.1", &[&format!("198.51.100.7,{many}")]), Err(NoClient));
    }
}
