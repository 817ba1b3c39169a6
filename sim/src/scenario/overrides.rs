//! `--set key=value`: one value of a scenario, replaced from the command line.
//!
//! The key is a TOML path (`torrent.size`, `links.adsl.loss`); members of [[peers]] and [[faults]] are named
//! by their `name` or their number from 1 (`peers.leecher.count`, `faults.1.at`). How the value is laid over what
//! there is stands in `layers`.

use toml::de::DeTable;

/// The TOML line that `set` means: a value that a shell has stripped of its quotes gets them back.
pub(super) fn as_toml(set: &str) -> String {
    let set = set.replace('\n', " ");
    match set.split_once('=') {
        Some((key, value)) if DeTable::parse(&set).is_err() => {
            let quoted = format!("{key}={:?}", value.trim());
            if DeTable::parse(&quoted).is_ok() { quoted } else { set }
        }
        Some(_) | None => set,
    }
}
