//! What a transfer looks like as text: pure functions from snapshots to lines that fit a width. `report` decides
//! when they are drawn and where.

use std::time::Duration;

use console::{measure_text_width, truncate_str};
use engine::{TorrentSnapshot, TrackerSnapshot};
use indicatif::{BinaryBytes, FormattedDuration};
use proto::torrent::{PeerStats, Stats};

use crate::show::printable;

/// A name is cut to no less than this, and only then do figures make room for it.
const MIN_NAME: usize = 12;

/// Columns of a torrent's bar.
const BAR: usize = 20;

/// One line for each torrent, none wider than `width` columns.
pub(crate) fn torrents(snapshots: &[TorrentSnapshot], width: usize) -> Vec<String> {
    snapshots.iter().map(|snapshot| torrent(snapshot, width)).collect()
}

/// The figures in the order in which they stand; what matters least, by the number, goes first if there is no
/// room for all.
fn torrent(snapshot: &TorrentSnapshot, width: usize) -> String {
    let stats = &snapshot.stats;
    let (done, wanted) = snapshot.done_of();
    let seeders = stats.peers.iter().filter(|peer| peer.pieces == snapshot.pieces).count();
    let mut figures = vec![
        (5, bar(done, wanted)),
        (0, format!("{:>5} %", percent(done, wanted))),
        (6, format!("of {}", BinaryBytes(wanted))),
        (1, format!("↓ {:>10}/s", BinaryBytes(stats.download_rate).to_string())),
        (2, format!("↑ {:>10}/s", BinaryBytes(stats.upload_rate).to_string())),
        (7, format!("ratio {}", ratio(stats))),
        (4, format!("{} peers, {seeders} seeding", stats.peers.len())),
        (8, format!("{} copies", hundredths(stats.availability))),
        (3, outlook(stats)),
    ];
    let wide = |figures: &[(u32, String)]| {
        figures.iter().map(|(_, text)| measure_text_width(text) + 2).sum::<usize>()
    };
    while wide(&figures) + MIN_NAME > width
        && let Some(least) = (0..figures.len()).max_by_key(|&index| figures.get(index).map(|&(rank, _)| rank))
    {
        figures.remove(least);
    }
    let name = printable(&snapshot.name);
    let mut line = truncate_str(&name, width.saturating_sub(wide(&figures)), "…").into_owned();
    for (_, text) in figures {
        line.push_str("  ");
        line.push_str(&text);
    }
    line
}

fn bar(done: u64, len: u64) -> String {
    let full = (u128::from(done) * BAR as u128 / u128::from(len.max(1))) as usize;
    format!("[{}{}]", "#".repeat(full.min(BAR)), "·".repeat(BAR - full.min(BAR)))
}

/// Never rounded up to 100.
fn percent(done: u64, len: u64) -> String {
    let tenths = u128::from(done) * 1000 / u128::from(len.max(1));
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

/// Sent by received; what was here from the start makes it endless.
fn ratio(stats: &Stats) -> String {
    let (up, down) = (stats.progress.uploaded, stats.progress.downloaded);
    match (u128::from(up) * 100).checked_div(u128::from(down)) {
        Some(ratio) => hundredths(ratio as u64),
        None if up == 0 => "0.00".to_owned(),
        None => "∞".to_owned(),
    }
}

/// When it will be done.
pub(crate) fn outlook(stats: &Stats) -> String {
    match stats.eta() {
        _ if stats.wanted_left == 0 => "seeding".to_owned(),
        None => "waiting for data".to_owned(),
        Some(eta) => format!("{} left", FormattedDuration(eta)),
    }
}

/// A line for each tracker: what it said, and when it is asked next.
pub(crate) fn trackers(trackers: &[TrackerSnapshot], width: usize) -> Vec<String> {
    let line = |tracker: &TrackerSnapshot| {
        let said = match &tracker.outcome {
            Ok(crowd) => format!("{} seeders, {} leechers", crowd.seeders, crowd.leechers),
            Err(error) => printable(error),
        };
        let next =
            tracker.next_announce.map(|next| format!(", next in {}", FormattedDuration(whole_seconds(next))));
        let line = format!("  {}: {said}{}", printable(&tracker.url), next.unwrap_or_default());
        truncate_str(&line, width, "…").into_owned()
    };
    trackers.iter().map(line).collect()
}

fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

/// One column: its heading, its width, and whether its text stands on the right.
struct Column(&'static str, usize, bool, fn(&PeerStats, u32) -> String);

/// The columns, the least important last; they are left out from there if there is no room.
const COLUMNS: &[Column] = &[
    Column("ADDRESS", 24, false, |peer, _| peer.addr.to_string()),
    Column("FLAGS", 6, false, |peer, _| peer.flags()),
    Column("HAS", 6, true, |peer, pieces| percent(u64::from(peer.pieces), u64::from(pieces)) + "%"),
    Column("DOWN/s", 10, true, |peer, _| BinaryBytes(peer.download_rate).to_string()),
    Column("UP/s", 10, true, |peer, _| BinaryBytes(peer.upload_rate).to_string()),
    Column("RECEIVED", 10, true, |peer, _| BinaryBytes(peer.downloaded).to_string()),
    Column("SENT", 10, true, |peer, _| BinaryBytes(peer.uploaded).to_string()),
    Column("ASKED", 5, true, |peer, _| peer.requests.to_string()),
    Column("CLIENT", 22, false, |peer, _| printable(&peer.client)),
];

/// The busiest peers of a torrent, `rows` of them at the most, under a heading.
pub(crate) fn peers(stats: &Stats, pieces: u32, rows: usize, width: usize) -> Vec<String> {
    let mut used = 0;
    let fits = |column: &&Column| {
        used += column.1 + 2;
        used <= width + 2
    };
    let columns: Vec<&Column> = COLUMNS.iter().take_while(fits).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = columns.iter().map(|column| {
            let text = truncate_str(&cell(column), column.1, "…").into_owned();
            let space = " ".repeat(column.1.saturating_sub(measure_text_width(&text)));
            if column.2 { space + &text } else { text + &space }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut busiest: Vec<&PeerStats> = stats.peers.iter().collect();
    busiest.sort_by_key(|peer| std::cmp::Reverse((peer.download_rate + peer.upload_rate, peer.downloaded)));
    let heading = line(&|column| column.0.to_owned());
    let shown = busiest.iter().take(rows).map(|peer| line(&|column| column.3(peer, pieces)));
    let mut lines: Vec<String> = std::iter::once(heading).chain(shown).collect();
    if busiest.len() > rows {
        lines.push(format!("and {} more", busiest.len() - rows));
    }
    lines
}

/// What is to be said of a torrent when it is over: `elapsed` is how long it took.
pub(crate) fn summary(snapshot: &TorrentSnapshot, elapsed: Duration) -> Vec<String> {
    let stats = &snapshot.stats;
    let average = |bytes: u64| {
        let rate = u128::from(bytes) * 1000 / elapsed.as_millis().max(1);
        BinaryBytes(rate as u64)
    };
    let (down, up) = (stats.progress.downloaded, stats.progress.uploaded);
    let mut lines = vec![
        format!(
            "{} after {}: received {} ({}/s), sent {} ({}/s), ratio {}",
            printable(&snapshot.name),
            FormattedDuration(whole_seconds(elapsed)),
            BinaryBytes(down),
            average(down),
            BinaryBytes(up),
            average(up),
            ratio(stats)
        ),
        format!(
            "wasted {}: {} twice, {} too late, {} in {} bad pieces",
            BinaryBytes(stats.duplicate + stats.wasted + stats.failed),
            BinaryBytes(stats.duplicate),
            BinaryBytes(stats.wasted),
            BinaryBytes(stats.failed),
            stats.hash_failures
        ),
    ];
    lines.extend(stats.banned.iter().map(|banned| format!("banned {}: {}", banned.who, banned.reason)));
    lines
}

#[cfg(test)]
mod tests;
