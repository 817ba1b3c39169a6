//! The `Host` header as a guard against DNS rebinding.
//!
//! A page of `evil.example` may point its name at 127.0.0.1 and then reads this port as its own origin. Its
//! requests still say `Host: evil.example`. An address cannot be rebound, so any is good.

use std::net::Ipv6Addr;

/// May a request with this `Host` be answered? HTTP/1.0 has none, and no browser speaks that.
pub(super) fn is_ours(host: Option<&str>, ours: &[String]) -> bool {
    let Some(host) = host else { return true };
    if let Some((literal, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = name.parse::<std::net::Ipv4Addr>().is_ok();
    is_address
        || name.eq_ignore_ascii_case("localhost")
        || ours.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_our_names_pass_and_foreign_names_do_not() {
        let ours = ["tracker".to_owned()];
        let good = ["127.0.0.1:6970", "127.0.0.1", "192.0.2.1:80", "[::1]:6970", "[::1]", "localhost:6970"];
        for host in good.into_iter().chain(["LocalHost", "tracker:6970", "Tracker"]) {
            assert!(is_ours(Some(host), &ours), "{host}");
        }
        assert!(is_ours(None, &ours));
        let foreign =
            ["evil.example", "evil.example:6970", "localhost.evil.example", "127.0.0.1.evil.example"];
        for host in foreign.into_iter().chain(["", "[evil]:1", "tracker.evil", "0x7f.1"]) {
            assert!(!is_ours(Some(host), &ours), "{host}");
        }
    }
}
