//! Who may use the tracker: the configuration's rules and files, and the lists of the database.

use proto::id::InfoHash;
use proto::registry::{Access, AccessMode};

use super::store::Control;

/// The configuration's part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Which torrents are tracked.
    pub mode: AccessMode,
    /// Only announces with a passkey of the database are answered.
    pub is_private: bool,
    /// Torrents that are allowed, besides those of the database.
    pub allowed: Vec<InfoHash>,
    /// Torrents that are denied, besides those of the database.
    pub denied: Vec<InfoHash>,
}

impl AccessConfig {
    /// The rules as the registry goes by them. Who is on both lists is denied.
    pub(super) fn with(&self, control: &Control) -> Access {
        let both = |ours: &[InfoHash], theirs: &[InfoHash]| {
            let mut all = [ours, theirs].concat();
            all.sort_unstable();
            all.dedup();
            all
        };
        let denied = || both(&self.denied, &control.denied);
        let torrents = match self.mode {
            AccessMode::Open => Vec::new(),
            AccessMode::Deny => denied(),
            AccessMode::Allow => {
                let (mut allowed, denied) = (both(&self.allowed, &control.allowed), denied());
                allowed.retain(|torrent| denied.binary_search(torrent).is_err());
                allowed
            }
        };
        let passkeys = self.is_private.then(|| control.passkeys.clone());
        Access { mode: self.mode, torrents, passkeys }.sorted()
    }
}

#[cfg(test)]
mod tests {
    use proto::registry::Passkey;

    use super::*;

    #[test]
    fn files_and_database_add_up_and_denied_goes_first() {
        let hashes = |bytes: &[u8]| bytes.iter().map(|byte| InfoHash([*byte; 20])).collect::<Vec<_>>();
        let control = Control {
            allowed: hashes(&[5, 1]),
            denied: hashes(&[6]),
            passkeys: vec![Passkey([1; 16])],
            secrets: None,
        };
        let of = |mode, is_private| {
            let config =
                AccessConfig { mode, is_private, allowed: hashes(&[2, 1, 6, 7]), denied: hashes(&[7]) };
            config.with(&control)
        };
        assert_eq!(of(AccessMode::Allow, false).torrents, hashes(&[1, 2, 5]));
        assert_eq!(of(AccessMode::Deny, false).torrents, hashes(&[6, 7]));
        assert_eq!(of(AccessMode::Open, false).torrents, []);
        assert_eq!(of(AccessMode::Open, false).passkeys, None);
        assert_eq!(of(AccessMode::Deny, true).passkeys, Some(vec![Passkey([1; 16])]));
    }
}
