//! Stateless connection ids (BEP 15): proof that a client receives at the address it sends from.
//!
//! An id is a 16-bit time slot and a 48-bit MAC over slot and source address. Nothing is stored for it, so
//! a flood of connects costs no memory, and with the same secret an id outlives a restart.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::RegistryConfig;
use crate::tracker::ConnectionId;

/// Seconds of one time slot. 2¹⁶ of them are a week: only then could an old id be good again.
const SLOT_SECS: u64 = 10;

/// Slots that an id may lie ahead of our clock, which may have stepped back: one minute.
const MAX_AHEAD: u16 = 6;

/// Slots of the longest window: half of the circle, or past and future could not be told apart.
const MAX_WINDOW: u64 = 0x7000;

/// The key of connection ids; kept across restarts, never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The keys that must outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Issues connection ids and files swarms into pages.
    pub current: Secret,
    /// The one before, whose ids are still good until their time is over.
    pub previous: Option<Secret>,
}

impl From<Secret> for Secrets {
    fn from(current: Secret) -> Self {
        Self { current, previous: None }
    }
}

impl Secret {
    /// A key for another purpose, from which this one cannot be told.
    pub(super) fn derive(self, purpose: &str) -> [u8; 16] {
        let mut key = [0; 16];
        for (half, part) in (0u8..).zip(key.as_chunks_mut::<8>().0) {
            let mut hasher = SipHasher24::new_with_key(&self.0);
            // An id's message has 6 or 18 bytes; these are longer, so they can never be one.
            hasher.write(b"ourtorrent registry ");
            hasher.write(purpose.as_bytes());
            hasher.write_u8(half);
            *part = hasher.finish().to_le_bytes();
        }
        key
    }
}

/// Issues and checks connection ids.
#[derive(Clone, Debug)]
pub(super) struct ConnectionIds {
    current: SipHasher24,
    previous: Option<SipHasher24>,
    window: u16,
}

impl ConnectionIds {
    pub(super) fn new(secrets: &Secrets, config: &RegistryConfig) -> Self {
        let hasher = |secret: Secret| SipHasher24::new_with_key(&secret.0);
        let mut ids =
            Self { current: hasher(secrets.current), previous: secrets.previous.map(hasher), window: 0 };
        ids.set_window(config);
        ids
    }

    /// Ids are accepted for the configured time from now on.
    pub(super) fn set_window(&mut self, config: &RegistryConfig) {
        let window = config.id_life().as_secs().div_ceil(SLOT_SECS);
        self.window = window.min(MAX_WINDOW) as u16;
    }

    /// An id for `ip`, good from now on.
    pub(super) fn issue(&self, wall: Duration, ip: IpAddr) -> ConnectionId {
        id(self.current, slot_of(wall), ip)
    }

    /// Did we issue `id` to `ip`, and is it still good?
    pub(super) fn check(&self, wall: Duration, ip: IpAddr, id: ConnectionId) -> bool {
        let slot = (id.0 >> 48) as u16;
        let now = slot_of(wall);
        let fresh = now.wrapping_sub(slot) <= self.window || slot.wrapping_sub(now) <= MAX_AHEAD;
        let is_by = |hasher: SipHasher24| self::id(hasher, slot, ip) == id;
        fresh && (is_by(self.current) || self.previous.is_some_and(is_by))
    }
}

fn id(mut hasher: SipHasher24, slot: u16, ip: IpAddr) -> ConnectionId {
    hasher.write(&slot.to_be_bytes());
    match ip {
        IpAddr::V4(ip) => hasher.write(&ip.octets()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    ConnectionId(u64::from(slot) << 48 | hasher.finish() >> 16)
}

const fn slot_of(wall: Duration) -> u16 {
    (wall.as_secs() / SLOT_SECS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn ids(secret: u8) -> ConnectionIds {
        ConnectionIds::new(&Secret([secret; 16]).into(), &RegistryConfig::default())
    }

    #[test]
    fn an_id_is_good_for_its_window_and_no_longer() {
        for issued in [0, 5, 9, 655_350, 655_359] {
            let wall =
                |seconds: i64| Duration::from_secs((1_800_000_000_i64 + issued + seconds).unsigned_abs());
            let id = ids(1).issue(wall(0), IP);
            assert!(ids(1).check(wall(0), IP, id) && ids(1).check(wall(300), IP, id));
            assert!(!ids(1).check(wall(310), IP, id) && !ids(1).check(wall(100_000), IP, id));
            assert!(ids(1).check(wall(-50), IP, id), "the clock stepped back");
            assert!(!ids(1).check(wall(-80), IP, id));
        }
    }

    #[test]
    fn an_id_is_bound_to_the_address_and_the_secret() {
        let wall = Duration::from_secs(1_800_000_000);
        let id = ids(1).issue(wall, IP);
        assert!(!ids(1).check(wall, IpAddr::from([10, 0, 0, 2]), id));
        assert!(!ids(2).check(wall, IP, id));
        assert!(!ids(1).check(wall, IP, ConnectionId(id.0 ^ 1)));
        assert!(!ids(1).check(wall, IP, ConnectionId(0)));
    }

    #[test]
    fn an_id_by_the_previous_secret_is_good_and_none_is_issued() {
        let wall = Duration::from_secs(1_800_000_000);
        let secrets = Secrets { current: Secret([2; 16]), previous: Some(Secret([1; 16])) };
        let both = ConnectionIds::new(&secrets, &RegistryConfig::default());
        assert!(both.check(wall, IP, ids(1).issue(wall, IP)));
        assert!(both.check(wall, IP, ids(2).issue(wall, IP)));
        assert!(!both.check(wall, IP, ids(3).issue(wall, IP)));
        assert_eq!(both.issue(wall, IP), ids(2).issue(wall, IP));
    }

    #[test]
    fn derived_keys_differ_by_secret_and_purpose() {
        let [a, b] = [Secret([1; 16]), Secret([2; 16])];
        assert_eq!(a.derive("x"), a.derive("x"));
        assert_ne!(a.derive("x"), b.derive("x"));
        assert_ne!(a.derive("x"), a.derive("y"));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret([7; 16])), "Secret(..)");
    }
}
