//! How a running transfer is shown: a progress bar on a terminal, lines elsewhere, JSON for scripts.

use std::io::IsTerminal;
use std::time::Duration;

use engine::EngineEvent;
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use proto::metainfo::Metainfo;
use proto::torrent::Stats;
use serde_json::json;

use crate::screen::{note, print};
use crate::show::printable;

/// Between two redraws of the bar.
const BAR_PERIOD: Duration = Duration::from_millis(250);

/// Between two lines where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Between two progress objects of `--json`.
const JSON_PERIOD: Duration = Duration::from_secs(1);

/// Where a transfer's news go. Texts go to the error stream; the output stream has the JSON or the verdict.
#[derive(Debug)]
pub(crate) enum Report {
    /// A terminal.
    Bar(ProgressBar),
    /// A log.
    Lines,
    /// A script.
    Json,
}

impl Report {
    /// Chooses by what the error stream is.
    pub(crate) fn new(metainfo: &Metainfo, json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(metainfo.geometry().len());
        let template = "{prefix} [{bar:32}] {percent:>3} %  {binary_bytes}/{binary_total_bytes}  {msg}";
        bar.set_style(style(template));
        bar.set_prefix(printable(metainfo.name()));
        Self::Bar(bar)
    }

    /// How often [`Self::progress`] wants to be called.
    pub(crate) fn period(&self) -> Duration {
        match self {
            Self::Bar(_) => BAR_PERIOD,
            Self::Lines => LINE_PERIOD,
            Self::Json => JSON_PERIOD,
        }
    }

    /// Shows how far the check at the start is, in bytes.
    pub(crate) fn checking(&self, done: u64, total: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(done);
                bar.set_message("checking what is there");
            }
            Self::Lines => {
                let (done, total) = (BinaryBytes(done), BinaryBytes(total));
                note(format_args!("checking what is there: {done} of {total}"));
            }
            Self::Json => print(json!({ "event": "checking", "done": done, "total": total })),
        }
    }

    /// Shows where the transfer stands; `total` is how many bytes are wanted.
    pub(crate) fn progress(&self, stats: &Stats, total: u64) {
        let done = total - stats.wanted_left.min(total);
        let (down, up) = (stats.download_rate, stats.upload_rate);
        let peers = stats.peers.len();
        match self {
            Self::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                let (down_text, up_text) = (BinaryBytes(down), BinaryBytes(up));
                bar.set_message(format!("↓ {down_text}/s  ↑ {up_text}/s  {peers} peers  {}", eta(stats)));
            }
            Self::Lines => {
                let percent = done as f64 * 100.0 / total as f64;
                let (done, down, up) = (BinaryBytes(done), BinaryBytes(down), BinaryBytes(up));
                let total = BinaryBytes(total);
                note(format_args!(
                    "{percent:.1} %, {done} of {total}, down {down}/s, up {up}/s, {peers} peers"
                ));
            }
            Self::Json => {
                let (uploaded, downloaded) = (stats.progress.uploaded, stats.progress.downloaded);
                print(json!({
                    "event": "progress", "done": done, "total": total, "peers": peers,
                    "download_rate": down, "upload_rate": up,
                    "downloaded": downloaded, "uploaded": uploaded,
                }));
            }
        }
    }

    /// Passes an event on, if it is worth a word.
    pub(crate) fn event(&self, event: &EngineEvent) {
        if let Self::Json = self {
            if let Some(object) = as_json(event) {
                print(object);
            }
        } else if let Some(text) = as_text(event) {
            self.say(&text);
        }
    }

    /// Says something besides the bar.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines => note(text),
            Self::Json => {}
        }
    }

    /// Says that everything is there.
    pub(crate) fn complete(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines => print(text),
            Self::Json => print(json!({ "event": "complete" })),
        }
    }

    /// Nothing follows.
    pub(crate) fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A bar for hashing, on a terminal only.
pub(crate) fn hashing_bar(len: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len);
    bar.set_style(style("hashing [{bar:32}] {percent:>3} %  {binary_bytes_per_sec}  {eta}"));
    bar
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours; a wrong one would show in the first run.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn eta(stats: &Stats) -> String {
    let left = stats.wanted_left;
    match left.checked_div(stats.download_rate) {
        _ if left == 0 => "seeding".to_owned(),
        None => "waiting for data".to_owned(),
        Some(secs) => format!("{} left", indicatif::FormattedDuration(Duration::from_secs(secs))),
    }
}

fn as_text(event: &EngineEvent) -> Option<String> {
    match event {
        EngineEvent::Listening(addr) => Some(format!("listening at {addr}")),
        EngineEvent::Checked { have, pieces } => Some(format!("{have} of {pieces} pieces are there")),
        EngineEvent::TrackerFailed { url, error, .. } => {
            Some(format!("{}: {}", printable(url), printable(error)))
        }
        EngineEvent::Announced { url, family, seeders, leechers, .. } => {
            Some(format!("{} ({family}): {seeders} seeders, {leechers} leechers", printable(url)))
        }
        EngineEvent::FileLost { path, what } => {
            let path = printable(&path.display().to_string());
            Some(format!(
                "{path} {what}: what it held is checked, and not shared until it is sound. If it was moved, put it back \
                 and run the same command again"
            ))
        }
        EngineEvent::PieceFailed(piece) => Some(format!("piece {piece} came in damaged; fetching it again")),
        EngineEvent::Banned(banned) => Some(format!("banned {}: {}", banned.who, banned.reason)),
        EngineEvent::PieceVerified(_)
        | EngineEvent::Completed
        | EngineEvent::SelectionCompleted
        | EngineEvent::StorageFailed { .. }
        | EngineEvent::Stopped
        | EngineEvent::Missed(_) => None,
    }
}

fn as_json(event: &EngineEvent) -> Option<serde_json::Value> {
    match event {
        EngineEvent::Listening(addr) => Some(json!({ "event": "listening", "addr": addr })),
        EngineEvent::Checked { have, pieces } => {
            Some(json!({ "event": "checked", "have": have, "pieces": pieces }))
        }
        EngineEvent::TrackerFailed { url, error, .. } => {
            Some(json!({ "event": "tracker_failed", "url": url, "error": error }))
        }
        EngineEvent::Announced { url, family, seeders, leechers, interval } => Some(json!({
            "event": "announced", "url": url, "family": family.to_string(), "seeders": seeders, "leechers": leechers,
            "interval": interval.as_secs(),
        })),
        EngineEvent::FileLost { path, what } => {
            Some(json!({ "event": "file_lost", "path": path, "what": what }))
        }
        EngineEvent::PieceFailed(piece) => Some(json!({ "event": "piece_failed", "piece": piece })),
        EngineEvent::Banned(banned) => Some(json!({
            "event": "banned", "who": banned.who.to_string(), "reason": banned.reason.to_string(),
        })),
        EngineEvent::StorageFailed { error, .. } => {
            Some(json!({ "event": "storage_failed", "error": error }))
        }
        EngineEvent::Stopped => Some(json!({ "event": "stopped" })),
        EngineEvent::PieceVerified(_)
        | EngineEvent::Completed
        | EngineEvent::SelectionCompleted
        | EngineEvent::Missed(_) => None,
    }
}
