//! Who may use the tracker: lists of info hashes, and passkeys of a private tracker.
//!
//! Passkeys come in the path of the tracker's URL, over UDP as BEP 41's URL data, over HTTP as the request's
//! target. Both are read by [`Passkey::find_in`].

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Refusal;
use crate::id::InfoHash;

/// Hexadecimal digits of a passkey.
const PASSKEY_DIGITS: usize = 32;

/// Which torrents are tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// All.
    #[default]
    Open,
    /// Those on the list.
    Allow,
    /// All but those on the list.
    Deny,
}

/// What may be announced and scraped, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// What the list means.
    pub mode: AccessMode,
    /// The list, sorted.
    pub torrents: Vec<InfoHash>,
    /// The passkeys of a private tracker, sorted; nothing lets everybody in.
    pub passkeys: Option<Vec<Passkey>>,
}

impl Access {
    /// The same with its lists in the order that searches rely on, each entry once.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.torrents.sort_unstable();
        self.torrents.dedup();
        if let Some(passkeys) = &mut self.passkeys {
            passkeys.sort_unstable();
            passkeys.dedup();
        }
        self
    }

    /// Is the torrent tracked here?
    pub fn allows(&self, info_hash: InfoHash) -> bool {
        match self.mode {
            AccessMode::Open => true,
            AccessMode::Allow => self.torrents.binary_search(&info_hash).is_ok(),
            AccessMode::Deny => self.torrents.binary_search(&info_hash).is_err(),
        }
    }

    /// Is the tracker private?
    pub const fn is_private(&self) -> bool {
        self.passkeys.is_some()
    }

    /// Refuses whoever is not let in, or does not.
    pub(super) fn admit(&self, passkey: Option<Passkey>) -> Result<(), Refusal> {
        let Some(passkeys) = &self.passkeys else { return Ok(()) };
        let passkey = passkey.ok_or(Refusal::PasskeyMissing)?;
        passkeys.binary_search(&passkey).map(drop).map_err(|_| Refusal::PasskeyUnknown)
    }

    /// Refuses an announce of `info_hash` with `passkey`, or does not.
    pub(super) fn check(&self, info_hash: InfoHash, passkey: Option<Passkey>) -> Result<(), Refusal> {
        self.admit(passkey)?;
        if self.allows(info_hash) { Ok(()) } else { Err(Refusal::TorrentNotAllowed) }
    }
}

/// What names a user of a private tracker: 32 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passkey(pub [u8; 16]);

/// Text that is no passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a passkey is {PASSKEY_DIGITS} hexadecimal digits")]
pub struct PasskeyError;

impl Passkey {
    /// The passkey in the path and query of a tracker's URL: `/announce/<passkey>`, `/<passkey>/announce`
    /// or `?passkey=<passkey>`.
    pub fn find_in(target: &[u8]) -> Option<Self> {
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let in_path = path.split(|byte| *byte == b'/').find_map(Self::from_hex);
        let parameters = query.split(|byte| *byte == b'&');
        in_path
            .or_else(|| parameters.filter_map(|pair| pair.strip_prefix(b"passkey=")).find_map(Self::from_hex))
    }

    fn from_hex(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; PASSKEY_DIGITS] = digits.try_into().ok()?;
        let mut key = [0; PASSKEY_DIGITS / 2];
        for (byte, pair) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = (high? << 4 | low?) as u8;
        }
        Some(Self(key))
    }
}

impl FromStr for Passkey {
    type Err = PasskeyError;

    fn from_str(text: &str) -> Result<Self, PasskeyError> {
        Self::from_hex(text.as_bytes()).ok_or(PasskeyError)
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Not its digits: whoever has them is the user.
impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passkey(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00112233445566778899aabbccddeeff";

    fn key() -> Passkey {
        TEXT.parse().expect("a passkey")
    }

    #[test]
    fn a_passkey_is_found_wherever_trackers_put_it() {
        let upper = TEXT.to_uppercase();
        for target in [
            format!("/announce/{TEXT}"),
            format!("/{TEXT}/announce"),
            format!("/{upper}/announce?compact=1"),
            format!("/announce?passkey={TEXT}"),
            format!("/announce?a=b&passkey={upper}&c"),
        ] {
            assert_eq!(Passkey::find_in(target.as_bytes()), Some(key()), "{target}");
        }
        for target in
            ["", "/announce", "/announce?passkey=12", &format!("/x{TEXT}"), &format!("/?key={TEXT}")]
        {
            assert_eq!(Passkey::find_in(target.as_bytes()), None, "{target}");
        }
    }

    #[test]
    fn a_passkey_is_not_shown_by_accident() {
        assert_eq!(format!("{:?}", key()), "Passkey(..)");
        assert_eq!(key().to_string(), TEXT);
        assert_eq!("xx".parse::<Passkey>(), Err(PasskeyError));
    }

    #[test]
    fn lists_are_searched_sorted() {
        let torrents = vec![InfoHash([9; 20]), InfoHash([1; 20]), InfoHash([9; 20])];
        let passkeys = Some(vec![Passkey([3; 16]), Passkey([1; 16])]);
        let mut access = Access { mode: AccessMode::Allow, torrents, passkeys }.sorted();
        assert_eq!(access.torrents.len(), 2);
        let check = |access: &Access, hash: u8, key: Option<u8>| {
            access.check(InfoHash([hash; 20]), key.map(|byte| Passkey([byte; 16])))
        };
        assert_eq!(check(&access, 9, Some(1)), Ok(()));
        assert_eq!(check(&access, 2, Some(1)), Err(Refusal::TorrentNotAllowed));
        assert_eq!(check(&access, 9, None), Err(Refusal::PasskeyMissing));
        assert_eq!(check(&access, 9, Some(2)), Err(Refusal::PasskeyUnknown));
        access.mode = AccessMode::Deny;
        access.passkeys = None;
        assert_eq!(check(&access, 2, None), Ok(()));
        assert_eq!(check(&access, 9, None), Err(Refusal::TorrentNotAllowed));
    }

    proptest! {
        #[test]
        fn finding_never_panics_and_text_round_trips(target in any::<Vec<u8>>(), key in any::<[u8; 16]>()) {
            let _ = Passkey::find_in(&target);
            prop_assert_eq!(Passkey(key).to_string().parse(), Ok(Passkey(key)));
        }
    }
}
