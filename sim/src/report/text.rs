//! Small drawings in text: bars, sparklines, numbers with separators, colours.

use std::time::Duration;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Letters alone: for files and pipes.
    Plain,
    /// ANSI colours: for terminals.
    Coloured,
}

impl Style {
    /// What went well.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What did not.
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What one looks for.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What one may skip.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// `share` of a bar of `width` cells, to an eighth of a cell.
pub(super) fn bar(share: f64, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = fraction(share, width * 8);
    let (full, rest) = (eighths / 8, eighths % 8);
    let used = full + usize::from(rest > 0);
    format!("{}{}{}", "█".repeat(full), PARTS[rest], "░".repeat(width - used))
}

/// How many of `of` cells `share` fills: rounded down, so that only a full one looks full.
fn fraction(share: f64, of: usize) -> usize {
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=1")]
    let cells = (share.clamp(0.0, 1.0) * of as f64) as usize;
    cells.min(of)
}

/// How many of `total` were done by each of `width` points of time between zero and `end`, as a curve.
pub(super) fn curve(times: &[Duration], total: usize, end: Duration, width: usize) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let at = |point: usize| {
        let until = end.mul_f64((point + 1) as f64 / width as f64);
        let done = times.iter().filter(|&&time| time <= until).count();
        let level = if done == 0 { 0 } else { (done * 8 / total.max(1)).clamp(1, 8) };
        LEVELS[level]
    };
    (0..width).map(at).collect()
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `bytes` in the unit that suits them.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0, 4), "░░░░");
        assert_eq!(bar(0.6, 4), "██▍░");
        assert_eq!(bar(7.0, 4), "████");
        assert!((0..=100).all(|share| bar(f64::from(share) / 100.0, 9).chars().count() == 9));
    }

    #[test]
    fn a_curve_climbs_to_those_who_completed() {
        let times: Vec<_> = (1..=8).map(Duration::from_secs).collect();
        assert_eq!(curve(&times, 8, Duration::from_secs(8), 8), "▁▂▃▄▅▆▇█");
        assert_eq!(curve(&times[6..], 8, Duration::from_secs(8), 8), "      ▁▂");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
