//! How a running transfer is shown: redrawn in place on a terminal, lines elsewhere, JSON for scripts. `table` has
//! the texts.

use std::io::IsTerminal;
use std::time::Duration;

use engine::{EngineEvent, TorrentSnapshot, TrackerSnapshot};
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use proto::torrent::{Banned, PeerStats};
use serde_json::json;

use crate::args::NetworkArgs;
use crate::failure::Failure;
use crate::screen::{draw, note, print};
use crate::show::printable;
use crate::table;

/// Between two redraws on a terminal.
const DRAW_PERIOD: Duration = Duration::from_secs(1);

/// Between two lines where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Between two progress objects of `--json`.
const JSON_PERIOD: Duration = Duration::from_secs(1);

/// Peers in the table at the most; the rest is counted.
const MAX_ROWS: usize = 20;

/// Columns of a line where there is no terminal.
const LINE_WIDTH: usize = 120;

/// Where a transfer's news go. Texts go to the error stream; the output stream has the JSON or the verdict.
#[derive(Debug)]
pub(crate) struct Report {
    form: Form,
    /// Trackers and peers are wanted too.
    peers: bool,
    /// Each text says of which torrent it is.
    several: bool,
}

#[derive(Debug)]
enum Form {
    /// A terminal.
    Drawn(ProgressBar),
    /// A log.
    Lines,
    /// A script.
    Json,
}

impl Report {
    /// Chooses by what the error stream is; with `several` torrents, texts say of which they are.
    pub(crate) fn new(args: &NetworkArgs, several: bool) -> Self {
        let (json, peers) = (args.json, args.peers);
        let form = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Form::Json,
            (false, false) => Form::Lines,
            (false, true) => {
                let bar = ProgressBar::new_spinner();
                bar.set_style(style("{msg}"));
                draw(Some(bar.clone()));
                Form::Drawn(bar)
            }
        };
        Self { form, peers, several }
    }

    /// How often [`Self::progress`] wants to be called.
    pub(crate) fn period(&self) -> Duration {
        match self.form {
            Form::Drawn(_) => DRAW_PERIOD,
            Form::Lines => LINE_PERIOD,
            Form::Json => JSON_PERIOD,
        }
    }

    /// Shows how far the check at the start is, in bytes.
    pub(crate) fn checking(&self, done: u64, total: u64) {
        let text = || format!("checking what is there: {} of {}", BinaryBytes(done), BinaryBytes(total));
        match &self.form {
            Form::Drawn(bar) => bar.set_message(text()),
            Form::Lines => note(text()),
            Form::Json => print(json!({ "event": "checking", "done": done, "total": total })),
        }
    }

    /// Shows where the transfers stand.
    pub(crate) fn progress(&self, snapshots: &[TorrentSnapshot]) {
        match &self.form {
            Form::Drawn(bar) => bar.set_message(self.screenful(snapshots).join("\n")),
            Form::Lines => table::torrents(snapshots, LINE_WIDTH).into_iter().for_each(note),
            Form::Json => {
                for snapshot in snapshots {
                    print(as_object("progress", snapshot, self.peers));
                }
            }
        }
    }

    /// What fits the terminal.
    fn screenful(&self, snapshots: &[TorrentSnapshot]) -> Vec<String> {
        let (height, width) = console::Term::stderr().size();
        let (height, width) = (usize::from(height), usize::from(width));
        let mut lines = table::torrents(snapshots, width);
        for snapshot in snapshots.iter().filter(|_| self.peers) {
            lines.extend(table::trackers(&snapshot.trackers, width));
            lines.extend(table::peers(&snapshot.stats, snapshot.pieces, MAX_ROWS, width));
        }
        // A line stays free: what is taller than the terminal cannot be redrawn in place.
        lines.truncate(height.saturating_sub(1).max(1));
        lines
    }

    /// Says how it went.
    pub(crate) fn summary(&self, snapshot: &TorrentSnapshot, elapsed: Duration) {
        if let Form::Json = self.form {
            let mut object = as_object("summary", snapshot, self.peers);
            object["elapsed"] = json!(elapsed.as_secs_f64());
            print(object);
        } else {
            table::summary(snapshot, elapsed).into_iter().for_each(note);
        }
    }

    /// Passes an event of the torrent called `name` on, if it is worth a word.
    pub(crate) fn event(&self, name: &str, event: &EngineEvent) {
        if let Form::Json = self.form {
            if let Some(mut object) = as_json(event) {
                object["name"] = json!(name);
                print(object);
            }
        } else if let Some(text) = as_text(event) {
            let of_all = matches!(event, EngineEvent::Listening(_));
            note(if self.several && !of_all { format!("{name}: {text}") } else { text });
        }
    }

    /// One of several torrents has failed, and the others go on.
    pub(crate) fn failure(&self, name: &str, failure: &Failure) {
        match self.form {
            Form::Drawn(_) | Form::Lines => note(format_args!("{name} failed: {failure}")),
            Form::Json => {
                print(json!({ "event": "failed", "name": name, "error": failure.to_string() }));
            }
        }
    }

    /// Says something besides.
    pub(crate) fn say(&self, text: &str) {
        match self.form {
            Form::Drawn(_) | Form::Lines => note(text),
            Form::Json => {}
        }
    }

    /// Says that everything of the torrent called `name` is there.
    pub(crate) fn complete(&self, name: &str, text: &str) {
        match self.form {
            Form::Drawn(_) => note(text),
            Form::Lines => print(text),
            Form::Json => print(json!({ "event": "complete", "name": name })),
        }
    }

    /// Nothing is drawn any more.
    pub(crate) fn close(&self) {
        if let Form::Drawn(bar) = &self.form {
            bar.finish_and_clear();
            draw(None);
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

/// A snapshot as `engine/docs/statistics.md` describes it.
fn as_object(event: &str, snapshot: &TorrentSnapshot, with_peers: bool) -> serde_json::Value {
    let (stats, (done, total)) = (&snapshot.stats, snapshot.done_of());
    let mut object = json!({
        "event": event, "name": snapshot.name, "total": total, "done": done,
        "pieces": stats.pieces, "pieces_total": snapshot.pieces,
        "pieces_started": stats.partial_pieces, "pieces_verifying": stats.verifying_pieces,
        "download_rate": stats.download_rate, "upload_rate": stats.upload_rate,
        "downloaded": stats.progress.downloaded, "uploaded": stats.progress.uploaded,
        "overhead_down": stats.overhead_down, "overhead_up": stats.overhead_up,
        "duplicate": stats.duplicate, "wasted": stats.wasted, "failed": stats.failed,
        "hash_failures": stats.hash_failures, "availability": stats.availability,
        "eta": stats.eta().map(|eta| eta.as_secs()),
        "peers": stats.peers.len(), "dialling": stats.dialling, "known": stats.known,
        "trackers": snapshot.trackers.iter().map(tracker_object).collect::<Vec<_>>(),
        "banned": stats.banned.iter().map(ban_object).collect::<Vec<_>>(),
    });
    if with_peers {
        object["peer_list"] = stats.peers.iter().map(peer_object).collect();
    }
    object
}

fn tracker_object(tracker: &TrackerSnapshot) -> serde_json::Value {
    let crowd = tracker.outcome.as_ref().ok();
    json!({
        "url": tracker.url, "family": tracker.family.map(|family| family.to_string()),
        "seeders": crowd.map(|crowd| crowd.seeders), "leechers": crowd.map(|crowd| crowd.leechers),
        "error": tracker.outcome.as_ref().err(), "next_announce": tracker.next_announce.map(|next| next.as_secs()),
    })
}

fn peer_object(peer: &PeerStats) -> serde_json::Value {
    json!({
        "addr": peer.addr, "client": peer.client, "flags": peer.flags(), "pieces": peer.pieces,
        "download_rate": peer.download_rate, "upload_rate": peer.upload_rate,
        "downloaded": peer.downloaded, "uploaded": peer.uploaded, "requests": peer.requests,
    })
}

fn ban_object(banned: &Banned) -> serde_json::Value {
    json!({ "who": banned.who.to_string(), "reason": banned.reason.to_string() })
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
        EngineEvent::WebSeedFailed { url, error } => {
            Some(format!("web seed {}: {}", printable(url), printable(error)))
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
        EngineEvent::WebSeedFailed { url, error } => {
            Some(json!({ "event": "web_seed_failed", "url": url, "error": error }))
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
