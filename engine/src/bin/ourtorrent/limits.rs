//! How much a run may use: the options, and what they mean for an engine.

use std::num::{NonZeroU16, NonZeroU64};

use clap::Args as ClapArgs;
use engine::EngineConfig;

use crate::args::byte_size;

/// Limits of all torrents together, and of each.
#[derive(Debug, ClapArgs)]
pub(crate) struct LimitArgs {
    /// Receive no faster than this, in bytes a second on the line, such as 500K or 2M
    #[arg(long, value_name = "RATE", value_parser = byte_rate)]
    limit_down: Option<NonZeroU64>,
    /// Send no faster than this, in bytes a second on the line, such as 500K or 2M
    #[arg(long, value_name = "RATE", value_parser = byte_rate)]
    limit_up: Option<NonZeroU64>,
    /// Keep no more connections than this for each torrent [default: 50]
    #[arg(long, value_name = "COUNT")]
    max_peers: Option<NonZeroU16>,
    /// Keep no more connections than this for all torrents together [default: 400]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<NonZeroU16>,
    /// Of those, dial no more at once; some routers lose track of many [default: 64]
    #[arg(long, value_name = "COUNT")]
    max_half_open: Option<NonZeroU16>,
    /// Serve no more peers at once than this, all torrents together [default: 200]
    #[arg(long, value_name = "COUNT")]
    max_upload_slots: Option<NonZeroU16>,
}

impl LimitArgs {
    /// Sets what the user asks for.
    pub(crate) fn apply(&self, config: &mut EngineConfig) {
        config.limits.down.global = self.limit_down;
        config.limits.up.global = self.limit_up;
        let count = |most: Option<NonZeroU16>| most.map(|most| usize::from(most.get()));
        if let Some(most) = count(self.max_peers) {
            // Some places are left for those who dial us, as by default.
            let (default, dialled) = (config.torrent.max_peers, config.torrent.dial_below);
            config.torrent.max_peers = most;
            config.torrent.dial_below = (most * dialled).div_ceil(default);
            // Who wants so many for one torrent means it.
            config.shared.connections = config.shared.connections.max(most);
        }
        let shared = &mut config.shared;
        shared.connections = count(self.max_connections).unwrap_or(shared.connections);
        shared.half_open = count(self.max_half_open).unwrap_or(shared.half_open);
        shared.upload_slots = count(self.max_upload_slots).unwrap_or(shared.upload_slots);
    }
}

/// Reads a rate in bytes a second; none at all is no rate.
fn byte_rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = NonZeroU64::new(u64::from(byte_size(text)?));
    rate.ok_or_else(|| "nothing would ever move; leave the option out for no limit".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use engine::SharedLimits;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn applied(line: &str) -> (usize, SharedLimits) {
        let mut config = EngineConfig::new(([127, 0, 0, 1], 0).into());
        Line::try_parse_from(line.split(' ')).expect("valid").limits.apply(&mut config);
        (config.torrent.max_peers, config.shared)
    }

    #[test]
    fn rates_are_read_and_zero_is_refused() {
        assert_eq!(byte_rate("500K").map(NonZeroU64::get), Ok(512_000));
        assert!(byte_rate("0").is_err());
    }

    #[test]
    fn limits_of_a_torrent_and_of_all_are_told_apart() {
        let default = SharedLimits::default();
        assert_eq!(applied("line"), (50, default));
        assert_eq!(applied("line --max-peers 1000"), (1000, SharedLimits { connections: 1000, ..default }));
        let all = applied("line --max-peers 60 --max-connections 50 --max-half-open 5 --max-upload-slots 4");
        assert_eq!(all, (60, SharedLimits { connections: 50, half_open: 5, upload_slots: 4 }));
    }
}
