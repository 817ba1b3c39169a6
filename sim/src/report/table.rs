//! The verdict as a person reads it.

use std::fmt::Write as _;

use super::figures::Percentiles;
use super::text::{Style, bar, bytes, curve, grouped, percent};
use super::{Outcome, Verdict, justice, reference};
use crate::oracle::Occasions;
use crate::scenario::Run;

/// Characters of a line.
const WIDTH: usize = 84;
/// Characters of a row's name.
const NAME: usize = 13;
/// Cells of a drawing.
const DRAWING: usize = 40;
/// Lines of complaints at most: with a thousand peers stuck, the first few tell as much.
const MAX_COMPLAINTS: usize = 8;

impl Verdict {
    /// The verdict as a table. Nothing in it depends on the machine.
    pub fn table(&self, style: Style) -> String {
        let mut out = self.headline(style);
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "  {}{value}", style.faint(&format!("{name:<NAME$}")));
        };
        row("peers", self.peers_row());
        if let (Some(completion), Some(download)) = (self.completion, self.download) {
            row("completed at", percentiles(completion));
            row("", self.curve_row(completion));
            row("took", format!("{}, each since its arrival", percentiles(download)));
        }
        if let Some(bound) = self.bound {
            row("lower bound", format!("{:.1} s, set by {}", bound.seconds, bound.term));
            let efficiency = style.strong(&format!("{:.3}", self.efficiency));
            row("efficiency", format!("{efficiency}   {}", bar(self.efficiency, DRAWING)));
        }
        if let Some(reference) = reference::of(&self.record) {
            row("reference", reference);
        }
        let used = self.utilisation;
        row(
            "link use",
            format!("{} of the uplinks, {} of the downlinks", percent(used.up), percent(used.down)),
        );
        row("fairness", format!("{:.3} (Jain's index of the share ratios)", self.jain));
        row("overhead", self.overhead_row());
        for line in self.tracker_rows() {
            row(line.0, line.1);
        }
        if let Some(figures) = self.justice {
            row("justice", justice::row(figures));
        }
        for (number, line) in wrapped(&self.oracles_text(), WIDTH - NAME - 2).into_iter().enumerate() {
            row(if number == 0 { "oracles" } else { "" }, line);
        }
        let packets = self.record.packets;
        let [sent, delivered, dropped] = [packets.sent, packets.delivered, packets.dropped].map(grouped);
        row("packets", format!("{sent} sent, {delivered} delivered, {dropped} dropped"));
        row("settings", self.record.settings.clone());
        row("conditions", self.conditions_row());
        row("digest", self.record.digest.clone());
        out.push('\n');
        self.write_checks(&mut out, style);
        self.write_complaints(&mut out, style);
        out
    }

    /// The verdict in one line, for a sweep.
    pub fn line(&self, style: Style) -> String {
        let word = self.word(style);
        let last = self.completion.map_or(0.0, |completion| completion.last);
        let plan = &self.record.plan;
        format!(
            "{word}  {} seed {:<6} efficiency {:.3}  last {last:>7.1} s  {} of {} complete  {}",
            plan.name, plan.seed, self.efficiency, self.completed, self.peers, self.record.digest
        )
    }

    fn word(&self, style: Style) -> String {
        match self.outcome {
            Outcome::Pass => style.good("PASS"),
            Outcome::Missed | Outcome::Vacuous | Outcome::Liveness | Outcome::Safety => style.bad("FAIL"),
        }
    }

    fn headline(&self, style: Style) -> String {
        let name = &self.record.plan.name;
        let gap = WIDTH.saturating_sub(name.chars().count() + "PASS".len()).max(1);
        let mut out = format!("{}{}{}\n", style.strong(name), " ".repeat(gap), self.word(style));
        for line in wrapped(&self.record.plan.claim, WIDTH) {
            out.push_str(&line);
            out.push('\n');
        }
        out.push('\n');
        out
    }

    fn peers_row(&self) -> String {
        let early = self.record.left_early();
        let left = if early > 0 { format!("; {early} left before") } else { String::new() };
        format!("{} of {} leechers completed{left}", self.completed, self.peers)
    }

    fn curve_row(&self, completion: Percentiles) -> String {
        let times = self.record.completions();
        let end = times.last().copied().unwrap_or_default();
        let stayed = self.peers - self.record.left_early();
        format!("0 s {} {:.1} s", curve(&times, stayed, end, DRAWING), completion.last)
    }

    fn overhead_row(&self) -> String {
        let (share, twice) = (percent(self.duplicates), bytes(self.duplicate_bytes));
        format!("{} on the wire beyond the content; {share} came twice ({twice})", percent(self.overhead))
    }

    /// How often the tracker was judged, and how near to the truth it was; nothing if nobody announced.
    fn tracker_rows(&self) -> Vec<(&'static str, String)> {
        let of = &self.tracker;
        if of.announces == 0 {
            return Vec::new();
        }
        let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
        let [announces, named] = [of.announces, of.named].map(grouped);
        let answered = share(of.answered_share());
        let (useful, counts) = (share(of.useful_share()), share(of.counts_share()));
        let mut rows = vec![
            ("tracker", format!("{announces} announces, {answered} answered; counts {counts} true")),
            ("", format!("{useful} of {named} named peers were there and of use")),
        ];
        let counted = of.counted.map(|counted| format!("{counted} of {} downloads counted", of.downloads));
        let refused = (of.refused > 0).then(|| format!("{} datagrams found no room", grouped(of.refused)));
        let slowed = (of.slowed > 0).then(|| format!("{} clients slowed down", grouped(of.slowed)));
        let more: Vec<_> = counted.into_iter().chain(refused).chain(slowed).collect();
        if !more.is_empty() {
            rows.push(("", more.join("; ")));
        }
        rows
    }

    fn conditions_row(&self) -> String {
        let plan = &self.record.plan;
        let run = plan.run;
        format!(
            "seed {}, {:.1} simulated s, tick {} ms, MTU {}{}",
            plan.seed,
            self.record.end.as_secs_f64(),
            run.tick.as_millis(),
            run.mtu,
            if run.mtu > Run::default().mtu { " (raised: coarser losses and queues)" } else { "" }
        )
    }

    /// How often each oracle had something to judge, those that had not included.
    fn oracles_text(&self) -> String {
        let count = |of: &Occasions| format!("{} {}", of.oracle, grouped(of.count));
        let (busy, idle): (Vec<&Occasions>, Vec<&Occasions>) =
            self.oracles.iter().partition(|of| of.count > 0);
        let idle: Vec<_> = idle.iter().map(|of| of.oracle.name()).collect();
        let busy = busy.into_iter().map(count).collect::<Vec<_>>().join(", ");
        let idle = if idle.is_empty() { String::new() } else { format!("; idle: {}", idle.join(", ")) };
        format!("{busy}{idle}")
    }

    fn write_checks(&self, out: &mut String, style: Style) {
        for check in &self.checks {
            let mark = if check.met { style.good("✓") } else { style.bad("✗") };
            let _ = writeln!(out, "  {mark} {:<11}{:<18}{}", check.name, check.expected, check.measured);
        }
    }

    fn write_complaints(&self, out: &mut String, style: Style) {
        let excuses = self.extinct.iter().filter(|_| self.outcome != Outcome::Pass);
        let all: Vec<_> = self.violations.iter().map(ToString::to_string).chain(excuses.cloned()).collect();
        for complaint in all.iter().take(MAX_COMPLAINTS) {
            let _ = writeln!(out, "  {} {complaint}", style.bad("✗"));
        }
        if let Some(more @ 1..) = all.len().checked_sub(MAX_COMPLAINTS) {
            let _ = writeln!(out, "    and {more} more");
        }
        for vacuous in self.vacuous.iter().take(MAX_COMPLAINTS) {
            let _ = writeln!(out, "  ! {vacuous}");
        }
    }
}

fn percentiles(of: Percentiles) -> String {
    let Percentiles { p50, p90, p99, last } = of;
    format!("p50 {p50:.1} s, p90 {p90:.1} s, p99 {p99:.1} s, last {last:.1} s")
}

/// `text` in lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
