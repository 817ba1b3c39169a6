//! Why an announce is refused, in the words that clients show.

use thiserror::Error;

/// Why an announce entered nothing. Its text is what UDP's error reply and HTTP's `failure reason` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody can be reached there.
    #[error("port 0")]
    Port0,
    /// The lists of info hashes keep it out.
    #[error("torrent not allowed on this tracker")]
    TorrentNotAllowed,
    /// The tracker is private and the URL has no passkey.
    #[error("passkey missing: use your personal announce URL")]
    PasskeyMissing,
    /// The tracker is private and does not know the passkey.
    #[error("passkey unknown")]
    PasskeyUnknown,
    /// No place for another torrent.
    #[error("tracker full: no new torrents")]
    TorrentsFull,
    /// No place for another peer, in this torrent or at all.
    #[error("tracker full: no new peers")]
    PeersFull,
    /// This address has as many places as one may have.
    #[error("too many torrents from your address")]
    SourceFull,
    /// The tracker sheds load.
    #[error("tracker busy: try again later")]
    Busy,
}

/// Announces refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Refusals {
    /// [`Refusal::Port0`].
    pub port_0: u64,
    /// [`Refusal::TorrentNotAllowed`].
    pub torrent_not_allowed: u64,
    /// [`Refusal::PasskeyMissing`].
    pub passkey_missing: u64,
    /// [`Refusal::PasskeyUnknown`].
    pub passkey_unknown: u64,
    /// [`Refusal::TorrentsFull`].
    pub torrents_full: u64,
    /// [`Refusal::PeersFull`].
    pub peers_full: u64,
    /// [`Refusal::SourceFull`].
    pub source_full: u64,
    /// [`Refusal::Busy`].
    pub busy: u64,
}

impl Refusals {
    /// All of them.
    pub const fn total(&self) -> u64 {
        let listed = self.torrent_not_allowed + self.passkey_missing + self.passkey_unknown;
        listed + self.port_0 + self.torrents_full + self.peers_full + self.source_full + self.busy
    }

    pub(super) const fn count(&mut self, refusal: Refusal) {
        *match refusal {
            Refusal::Port0 => &mut self.port_0,
            Refusal::TorrentNotAllowed => &mut self.torrent_not_allowed,
            Refusal::PasskeyMissing => &mut self.passkey_missing,
            Refusal::PasskeyUnknown => &mut self.passkey_unknown,
            Refusal::TorrentsFull => &mut self.torrents_full,
            Refusal::PeersFull => &mut self.peers_full,
            Refusal::SourceFull => &mut self.source_full,
            Refusal::Busy => &mut self.busy,
        } += 1;
    }
}
