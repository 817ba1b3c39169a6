//! The verdict as a page: one self-contained file that needs no network, for browsers of any size.
//!
//! The page's data are one JSON object; `assets/report.js` draws it, with uPlot (vendored, `assets/uplot`) for
//! the charts. Who was there and who held what follows from the record; the rest from a [`Chronicle`].

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::Verdict;
use crate::record::{PeerRecord, Record};
use crate::scenario::quantity::duration_text;
use crate::scenario::{
    DiskFault, FaultKind, FaultPlan, NetFaultPlan, PeerPlan, Plan, Role, TRACKER, Target, Trigger,
};

mod chronicle;

pub use chronicle::Chronicle;

/// Rows of the map of pieces at the most; with more pieces, a row is the mean of several.
const MAX_ROWS: usize = 256;

/// Events of the log at the most: more than anybody reads.
const MAX_EVENTS: usize = 5_000;

const PAGE: &str = include_str!("../../../assets/report.html");
const STYLE: &str = include_str!("../../../assets/report.css");
const SCRIPT: &str = include_str!("../../../assets/report.js");
const CHARTS: &str = include_str!("../../../assets/uplot/uPlot.iife.min.js");
const CHARTS_LICENCE: &str = include_str!("../../../assets/uplot/LICENSE");
const CHARTS_STYLE: &str = include_str!("../../../assets/uplot/uPlot.min.css");

/// What the page draws, times in seconds.
#[derive(Serialize)]
struct Data<'a, S> {
    summary: S,
    claim: &'a str,
    settings: &'a str,
    pieces: u32,
    extinct: &'a [String],
    bound_text: Option<String>,
    /// When each sample was taken.
    at: Vec<f64>,
    /// Bytes a second through all uplinks and all downlinks, between samples.
    rates: [Vec<f64>; 2],
    /// Bytes a second that the uplinks of those present could carry.
    capacity: Vec<u64>,
    /// Bytes that waited at each peer's uplink and downlink, peer by peer.
    queues: [Vec<Vec<u64>>; 2],
    queue_limit: Vec<u64>,
    /// Mean copies of each row of pieces, row by row, in hundredths.
    copies: Vec<Vec<u32>>,
    peers: Vec<Peer<'a>>,
    /// Time, from, to, choked: flat.
    chokes: Vec<f64>,
    chokes_missed: u64,
    /// From, to, bytes: flat.
    given: Vec<u64>,
    faults: Vec<Happening>,
    events: Vec<Happening>,
}

#[derive(Serialize)]
struct Peer<'a> {
    name: &'a str,
    role: &'static str,
    link: &'a str,
    /// Start and end of each life; no end for the last.
    lives: Vec<(f64, Option<f64>)>,
    completed: Option<f64>,
    uploaded: u64,
    downloaded: u64,
}

/// Something that stands in the log.
#[derive(Serialize)]
struct Happening {
    at: f64,
    /// When it is over, if it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<f64>,
    host: String,
    kind: &'static str,
    what: String,
}

/// A time to the millisecond: more digits would be most of the page.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

impl Verdict {
    /// The whole page, with the wall time that the run took.
    ///
    /// # Errors
    /// If a figure is no JSON, which none is.
    pub fn page(&self, chronicle: &Chronicle, wall_seconds: f64) -> Result<String, serde_json::Error> {
        let data = serde_json::to_string(&self.data(chronicle, wall_seconds))?;
        // A name that ends a script must not end this one.
        let data = data.replace('<', "\\u003c");
        // Its licence goes where it goes.
        let charts = format!("/*!\n{CHARTS_LICENCE}*/\n{CHARTS}");
        let parts = [
            ("{{title}}", self.record.plan.name.as_str()),
            ("/*{{charts-style}}*/", CHARTS_STYLE),
            ("/*{{style}}*/", STYLE),
            ("/*{{charts}}*/", &charts),
            ("/*{{script}}*/", SCRIPT),
            ("{{data}}", &data),
        ];
        Ok(parts.iter().fold(PAGE.to_owned(), |page, (place, part)| page.replacen(place, part, 1)))
    }

    fn data<'a>(&'a self, chronicle: &Chronicle, wall_seconds: f64) -> Data<'a, impl Serialize + 'a> {
        let record = &self.record;
        let at: Vec<_> = chronicle.samples.iter().map(|sample| sample.at).collect();
        let peers = record.plan.peers.iter().zip(&record.peers);
        let chokes = chronicle.chokes.iter().flat_map(|choke| {
            [seconds(choke.at), choke.from.into(), choke.to.into(), f64::from(u8::from(choke.is_choked))]
        });
        let given = chronicle.given.iter();
        let queue = |way: usize| {
            let of = |peer: usize| chronicle.samples.iter().map(move |sample| waiting(sample, peer, way));
            (0..record.peers.len()).map(|peer| of(peer).collect()).collect()
        };
        Data {
            summary: self.summary(wall_seconds),
            claim: &record.plan.claim,
            settings: &record.settings,
            pieces: record.piece_count(),
            extinct: &self.extinct,
            bound_text: self.bound.map(|bound| bound.term.to_string()),
            rates: [0, 1].map(|way| rates(chronicle, way)),
            capacity: at.iter().map(|&at| capacity(record, at)).collect(),
            queues: [queue(0), queue(1)],
            queue_limit: record.plan.peers.iter().map(|peer| record.plan.link_of(peer).queue).collect(),
            copies: copies(record, &at),
            peers: peers.map(|(plan, peer)| person(plan, peer)).collect(),
            chokes: chokes.collect(),
            chokes_missed: chronicle.missed,
            given: given.flat_map(|(&(from, to), &bytes)| [from.into(), to.into(), bytes]).collect(),
            faults: faults(record),
            events: events(record),
            at: at.into_iter().map(seconds).collect(),
        }
    }
}

fn waiting(sample: &chronicle::Sample, peer: usize, way: usize) -> u64 {
    sample.waiting.get(peer).map_or(0, |waiting| waiting[way])
}

/// Bytes a second since the sample before.
fn rates(chronicle: &Chronicle, way: usize) -> Vec<f64> {
    let mut before = (Duration::ZERO, 0);
    let rate = |sample: &chronicle::Sample| {
        let (then, bytes) = std::mem::replace(&mut before, (sample.at, sample.carried[way]));
        let time = sample.at.saturating_sub(then).as_secs_f64().max(1e-3);
        (sample.carried[way].saturating_sub(bytes) as f64 / time).round()
    };
    chronicle.samples.iter().map(rate).collect()
}

fn capacity(record: &Record, at: Duration) -> u64 {
    let peers = record.plan.peers.iter().zip(&record.peers);
    let present = peers.filter(|(_, peer)| peer.lives.iter().any(|life| life.covers(at)));
    present.map(|(plan, _)| record.plan.link_of(plan).up).sum()
}

/// Mean copies of each row of pieces at each time, in hundredths: who is away holds nothing.
fn copies(record: &Record, at: &[Duration]) -> Vec<Vec<u32>> {
    let pieces = record.piece_count() as usize;
    let a_row = pieces.div_ceil(MAX_ROWS).max(1);
    let column = |time: Duration| at.partition_point(|&at| at < time);
    let mut rows = vec![vec![[0_u32; 2]; at.len() + 1]; pieces.div_ceil(a_row)];
    for peer in &record.peers {
        for (piece, held) in peer.pieces.iter().enumerate() {
            let (Some(held), Some(row)) = (held, rows.get_mut(piece / a_row)) else { continue };
            for life in peer.lives.iter().filter(|life| life.until.is_none_or(|until| until > *held)) {
                let (from, until) = (column(life.from.max(*held)), life.until.map_or(at.len(), column));
                row[from][0] += 1;
                row[until][1] += 1;
            }
        }
    }
    let sums = rows.iter().enumerate().map(|(number, row)| {
        let here = a_row.min(pieces - number * a_row) as u32;
        let sum = row.iter().take(at.len()).scan(0_u32, |sum, [more, fewer]| {
            *sum = (*sum + more).saturating_sub(*fewer);
            Some(*sum * 100 / here)
        });
        sum.collect()
    });
    sums.collect()
}

fn person<'a>(plan: &'a PeerPlan, peer: &PeerRecord) -> Peer<'a> {
    Peer {
        name: &plan.name,
        role: match plan.role {
            Role::Seeder => "seeder",
            Role::Leecher => "leecher",
            Role::Announcer => "announcer",
            Role::Hostile(_) => "hostile",
        },
        link: &plan.link,
        lives: peer.lives.iter().map(|life| (seconds(life.from), life.until.map(seconds))).collect(),
        completed: peer.completed.map(seconds),
        uploaded: peer.uploaded,
        downloaded: peer.downloaded,
    }
}

fn faults(record: &Record) -> Vec<Happening> {
    let fault = |fault: &FaultPlan| {
        let host = match fault.target {
            Target::Tracker => TRACKER.to_owned(),
            Target::Peer(index) => {
                record.plan.peers.get(index).map_or_else(String::new, |peer| peer.name.clone())
            }
        };
        let until = lasts(fault.kind).map(|time| seconds(fault.at + time));
        Happening { at: seconds(fault.at), until, host, kind: "fault", what: describe(fault.kind) }
    };
    let plan = &record.plan;
    // One that waited for something has its time once that was the case, and none before.
    let came = |when: Option<Trigger>, at: Duration| when.is_none() || !at.is_zero();
    let faults = plan.faults.iter().filter(|fault| came(fault.when, fault.at)).map(fault);
    let net_faults = plan.net_faults.iter().filter(|fault| came(fault.when, fault.at));
    let net_faults = net_faults.map(|fault| of_the_network(plan, fault));
    faults.chain(net_faults).filter(|fault| fault.at <= seconds(record.end)).collect()
}

/// Names that are told before the rest is counted.
const NAMED: usize = 3;

fn of_the_network(plan: &Plan, fault: &NetFaultPlan) -> Happening {
    let name = |target: &Target| match target {
        Target::Tracker => TRACKER,
        Target::Peer(index) => plan.peers.get(*index).map_or("nobody", |peer| &peer.name),
    };
    let mut whom = fault.targets.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    if fault.targets.len() > NAMED {
        let _ = write!(whom, " and {} more", fault.targets.len() - NAMED);
    }
    Happening {
        at: seconds(fault.at),
        until: Some(seconds(fault.at + fault.lasts)),
        host: "network".to_owned(),
        kind: "fault",
        what: format!("{} of {whom} for {}", fault.kind.key().replace('_', " "), duration_text(fault.lasts)),
    }
}

/// How long it is until all is well again, if it ever is.
fn lasts(kind: FaultKind) -> Option<Duration> {
    match kind {
        FaultKind::Crash { back_after }
        | FaultKind::PowerCut { back_after }
        | FaultKind::LoseDatabase { back_after } => back_after,
        FaultKind::Pause(time) | FaultKind::StoreFails(time) => Some(time),
        FaultKind::Disk(disk) => disk.lasts(),
        FaultKind::Leave | FaultKind::ClockJump(_) => None,
    }
}

/// What a fault does, for people.
fn describe(kind: FaultKind) -> String {
    let stays = |what: &str, time: Option<Duration>| match time {
        Some(time) => format!("{what}, back after {}", duration_text(time)),
        None => format!("{what} for good"),
    };
    let lasts = |what: &str, time| format!("{what} for {}", duration_text(time));
    match kind {
        FaultKind::Crash { back_after } => stays("crashes", back_after),
        FaultKind::PowerCut { back_after } => stays("loses power", back_after),
        FaultKind::LoseDatabase { back_after } => stays("loses its database", back_after),
        FaultKind::Leave => "is told to leave".to_owned(),
        FaultKind::Pause(time) => lasts("stands still", time),
        FaultKind::ClockJump(micros) => format!("its clock jumps by {:+.1} s", micros as f64 / 1e6),
        FaultKind::StoreFails(time) => lasts("its store fails", time),
        FaultKind::Disk(DiskFault::Error(time)) => lasts("its disk fails", time),
        FaultKind::Disk(DiskFault::Full(time)) => lasts("its disk is full", time),
        FaultKind::Disk(DiskFault::Slow { lasts: time, .. }) => lasts("its disk is slow", time),
        FaultKind::Disk(DiskFault::Rot { pieces }) => format!("{pieces} pieces rot on its disk"),
    }
}

/// The log: comings, goings, completions, faults, refusals.
fn events(record: &Record) -> Vec<Happening> {
    let mut events = faults(record);
    for (plan, peer) in record.plan.peers.iter().zip(&record.peers) {
        let mut log = |at: Duration, kind, what: String| {
            events.push(Happening { at: seconds(at), until: None, host: plan.name.clone(), kind, what });
        };
        for (number, life) in peer.lives.iter().enumerate() {
            log(life.from, "arrival", if number == 0 { "arrives" } else { "starts again" }.to_owned());
        }
        let first = peer.pieces.iter().flatten().min().filter(|_| plan.role == Role::Leecher);
        first.inspect(|&&at| log(at, "piece", "has its first piece".to_owned()));
        let took = |at: Duration| format!("{:.1} s", at.saturating_sub(plan.arrival).as_secs_f64());
        let leecher = plan.role == Role::Leecher;
        peer.completed
            .filter(|_| leecher)
            .inspect(|&at| log(at, "complete", format!("is complete after {}", took(at))));
        peer.gone.as_ref().inspect(|gone| log(gone.at, "departure", gone.how.clone()));
        peer.bans
            .iter()
            .for_each(|ban| log(ban.at, "ban", format!("refuses {}: it {}", ban.who, ban.reason)));
        for (at, piece) in &peer.failed {
            log(*at, "ban", format!("piece {piece} fails its hash"));
        }
    }
    events.sort_by(|a, b| a.at.total_cmp(&b.at));
    events.truncate(MAX_EVENTS);
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Presence;
    use crate::record::tests::good;

    #[test]
    fn copies_are_counted_while_their_holders_are_there() {
        let mut record = good();
        let at = [5, 11, 13, 15].map(Duration::from_secs);
        // The seeder from the start, the leechers from 10 and 12.5 s on.
        assert_eq!(copies(&record, &at), [[100, 200, 300, 300]; 2]);
        record.peers[0].lives = vec![Presence { from: Duration::ZERO, until: Some(Duration::from_secs(12)) }];
        assert_eq!(copies(&record, &at), [[100, 200, 200, 200]; 2]);
        record.peers[1].pieces[0] = None;
        assert_eq!(copies(&record, &at), [[100, 100, 100, 100], [100, 200, 200, 200]]);
    }

    #[test]
    fn what_waited_is_marked_where_it_came_and_not_if_it_never_did() {
        use crate::scenario::NetFaultKind;

        let mut record = good();
        let second = Duration::from_secs(1);
        let fault = |at| NetFaultPlan {
            at,
            when: Some(Trigger::Completed(1)),
            lasts: 2 * second,
            kind: NetFaultKind::Stall,
            targets: vec![Target::Tracker, Target::Peer(0), Target::Peer(1), Target::Peer(2)],
        };
        record.plan.net_faults = vec![fault(11 * second), fault(Duration::ZERO)];
        let marks: Vec<_> =
            faults(&record).into_iter().map(|mark| (mark.at, mark.until, mark.what)).collect();
        let what = "stall of tracker, seeder, leecher-1 and 1 more for 2 s".to_owned();
        assert_eq!(marks, [(11.0, Some(13.0), what)]);
    }

    #[test]
    fn the_log_is_in_the_order_of_time() {
        let mut record = good();
        let fault = FaultPlan {
            at: Duration::from_secs(11),
            when: None,
            kind: FaultKind::Leave,
            target: Target::Peer(1),
        };
        record.plan.faults.push(fault);
        let said: Vec<_> =
            events(&record).iter().map(|e| format!("{} {} {}", e.at, e.host, e.what)).collect();
        let want = [
            "0 seeder arrives",
            "0 leecher-1 arrives",
            "0 leecher-2 arrives",
            "10 leecher-1 has its first piece",
            "10 leecher-1 is complete after 10.0 s",
            "11 leecher-1 is told to leave",
            "12.5 leecher-2 has its first piece",
            "12.5 leecher-2 is complete after 12.5 s",
        ];
        assert_eq!(said, want);
    }
}
