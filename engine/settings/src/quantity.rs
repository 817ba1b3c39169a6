//! Durations, sizes, rates and shares as people write them: `"90 s"`, `"64 MiB"`, `"16 Mbit/s"`, `"1 %"`.
//!
//! All of it is integer arithmetic: what a scenario says must mean the same on every machine, and what
//! [`duration_text`] and its siblings print must read back as exactly the same value.

use std::time::Duration;

/// A unit and its worth, in the smallest unit of its kind.
pub type Unit = (&'static str, u64);

/// Units of time, in microseconds.
pub const DURATION_UNITS: &[Unit] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// Units of size, in bytes.
pub const SIZE_UNITS: &[Unit] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Units of rates, in bits a second, so that 1 kbit/s (125 bytes a second) and 1 B/s have a common measure.
pub const RATE_UNITS: &[Unit] = &[
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("B/s", 8),
    ("kB/s", 8_000),
    ("MB/s", 8_000_000),
    ("GB/s", 8_000_000_000),
    ("KiB/s", 8 << 10),
    ("MiB/s", 8 << 20),
    ("GiB/s", 8 << 30),
];

/// What is due somewhere: how it is called, and what it looks like.
pub struct Kind {
    what: &'static str,
    units: &'static [Unit],
    /// Examples: numbers with their units.
    usual: &'static [(&'static str, &'static str)],
}

/// A time.
pub const DURATION: Kind =
    Kind { what: "a duration", units: DURATION_UNITS, usual: &[("90", "s"), ("25", "ms")] };

/// A number of bytes.
pub const SIZE: Kind = Kind { what: "a size", units: SIZE_UNITS, usual: &[("64", "MiB"), ("200", "kB")] };

/// Bits or bytes a second.
pub const RATE: Kind = Kind { what: "a rate", units: RATE_UNITS, usual: &[("16", "Mbit/s"), ("2", "MiB/s")] };

/// A part of the whole.
pub const SHARE: Kind = Kind { what: "a share", units: &[], usual: &[("1", "%")] };

impl Kind {
    /// What is due, for the end of a sentence.
    pub(crate) fn due(&self) -> String {
        let example = self.usual.first().map(|(number, unit)| format!(" such as \"{number} {unit}\""));
        format!("{}{}", self.what, example.unwrap_or_default())
    }

    /// What it looks like: of this number, if there is one.
    pub(crate) fn examples(&self, number: Option<&str>) -> String {
        let example = |(own, unit): &(&str, &str)| format!("\"{} {unit}\"", number.unwrap_or(own));
        self.usual.iter().map(example).collect::<Vec<_>>().join(" or ")
    }
}

/// What people write for these units elsewhere, in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("m", "min"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("microsecond", "us"),
    ("microseconds", "us"),
    ("byte", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("m", "MiB"),
    ("g", "GiB"),
    ("kilobyte", "kB"),
    ("kilobytes", "kB"),
    ("megabyte", "MB"),
    ("megabytes", "MB"),
    ("gigabyte", "GB"),
    ("gigabytes", "GB"),
    ("kbps", "kbit/s"),
    ("mbps", "Mbit/s"),
    ("gbps", "Gbit/s"),
    ("kbit", "kbit/s"),
    ("mbit", "Mbit/s"),
    ("gbit", "Gbit/s"),
];

/// Why a text is not the quantity that is due there; reads as the end of a sentence.
pub type Complaint = String;

/// Reads a duration, to the microsecond; several parts add up (`"1 min 30 s"`).
pub fn duration(text: &str) -> Result<Duration, Complaint> {
    let mut rest = text.trim();
    let mut micros = 0_u64;
    loop {
        let (part, after) = split_part(rest);
        let value = one(part, &DURATION)?;
        micros = micros.checked_add(value).ok_or_else(|| format!("`{text}` is too long a time"))?;
        if after.is_empty() {
            return Ok(Duration::from_micros(micros));
        }
        rest = after;
    }
}

/// Reads a number of bytes.
pub fn size(text: &str) -> Result<u64, Complaint> {
    one(text.trim(), &SIZE)
}

/// Reads a rate, in bytes a second.
pub fn rate(text: &str) -> Result<u64, Complaint> {
    let bits = one(text.trim(), &RATE)?;
    if bits % 8 == 0 {
        Ok(bits / 8)
    } else {
        Err(format!("`{text}` is not a whole number of bytes a second"))
    }
}

/// Reads a share of one: `"1 %"` or `"0.01"`.
pub fn share(text: &str) -> Result<f64, Complaint> {
    let complaint = || format!("`{text}` is not a share; write for example \"1 %\" or 0.01");
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim(), 100.0),
        None => (text.trim(), 1.0),
    };
    if let Some(percent) =
        number.strip_suffix("percent").map(str::trim).filter(|number| decimal(number).is_some())
    {
        return Err(format!("`{text}` is not a share: did you mean \"{percent} %\"?"));
    }
    decimal(number).ok_or_else(complaint)?;
    number.parse::<f64>().map(|value| value / scale).map_err(|_| complaint())
}

/// `duration` as [`duration`] reads it back.
pub fn duration_text(value: Duration) -> String {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    match micros {
        0 => "0 s".to_owned(),
        _ if micros < 1_000 => format!("{micros} us"),
        _ if micros < 1_000_000 => fixed(micros, 1_000, "ms"),
        _ if micros.is_multiple_of(60_000_000) => format!("{} min", micros / 60_000_000),
        _ => fixed(micros, 1_000_000, "s"),
    }
}

/// `bytes` as [`size`] reads it back, in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    largest(bytes, SIZE_UNITS)
}

/// `bytes` a second as [`rate`] reads it back, in bits where they are the shorter way to say it.
pub fn rate_text(bytes: u64) -> String {
    match bytes.checked_mul(8) {
        Some(bits) => largest(bits, RATE_UNITS),
        None => format!("{bytes} B/s"),
    }
}

/// Splits "1 min 30 s" after its first unit.
fn split_part(text: &str) -> (&str, &str) {
    let unit = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let end = text[unit..].find(|c: char| !c.is_alphabetic()).map_or(text.len(), |at| unit + at);
    (text[..end].trim(), text[end..].trim())
}

/// Reads a number and its unit.
fn one(text: &str, kind: &Kind) -> Result<u64, Complaint> {
    let Kind { what, units, .. } = kind;
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative, which {what} cannot be here"));
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let complaint = || format!("`{text}` is not {what}; write for example {}", kind.examples(None));
    let (mantissa, scale) = decimal(number).ok_or_else(complaint)?;
    if unit.is_empty() {
        return Err(format!("`{text}` lacks its unit; write for example {}", kind.examples(Some(number))));
    }
    let Some((_, worth)) = units.iter().find(|(name, _)| *name == unit) else {
        let known = || units.iter().map(|(name, _)| *name);
        let aliases =
            ALIASES.iter().filter(|(alias, _)| *alias == unit.to_lowercase()).map(|(_, name)| *name);
        let meant = aliases.into_iter().find(|alias| known().any(|name| name == *alias));
        return Err(match meant.or_else(|| suggestion(unit, known())) {
            Some(near) => format!("`{text}` is not {what}: did you mean \"{number} {near}\"?"),
            None => complaint(),
        });
    };
    let total = mantissa.checked_mul(u128::from(*worth)).ok_or_else(|| format!("`{text}` is too large"))?;
    if total % scale != 0 {
        return Err(format!("`{text}` is finer than {what} can be here"));
    }
    u64::try_from(total / scale).map_err(|_| format!("`{text}` is too large"))
}

/// A decimal number as a whole number and the power of ten to divide it by.
fn decimal(text: &str) -> Option<(u128, u128)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if !digits(whole) || !digits(fraction) || text.len() > 24 {
        return None;
    }
    let fraction = fraction.replace('_', "");
    let mantissa = format!("{}{fraction}", whole.replace('_', "")).parse().ok()?;
    Some((mantissa, 10_u128.pow(fraction.len() as u32)))
}

/// The candidate that `word` most likely meant, if one is near.
pub fn suggestion<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Jaro-Winkler similarity from which a slip of the finger is more likely than another word.
    const NEAR: f64 = 0.8;
    let lower = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `micros` in a unit of `per`, with as many decimals as it needs.
fn fixed(micros: u64, per: u64, unit: &str) -> String {
    let digits = per.ilog10() as usize;
    let text = format!("{}.{:0digits$}", micros / per, micros % per);
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn largest(value: u64, units: &[Unit]) -> String {
    let best = units.iter().filter(|(_, worth)| value != 0 && value.is_multiple_of(*worth));
    let (name, worth) = best.max_by_key(|(_, worth)| *worth).copied().unwrap_or(units[0]);
    format!("{} {name}", value / worth)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_are_understood() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1 min 30 s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.25 ms"), Ok(Duration::from_micros(250)));
        assert_eq!(size("256 KiB"), Ok(256 << 10));
        assert_eq!(size("200 kB"), Ok(200_000));
        assert_eq!(rate("1 Mbit/s"), Ok(125_000));
        assert_eq!(rate("1.5 MiB/s"), Ok(3 << 19));
        assert_eq!(share("1 %"), Ok(0.01));
        assert_eq!(share("0.5"), Ok(0.5));
    }

    #[test]
    fn slips_are_named() {
        assert_eq!(rate("16 MBit/s"), Err("`16 MBit/s` is not a rate: did you mean \"16 Mbit/s\"?".into()));
        assert_eq!(rate("1 mbps"), Err("`1 mbps` is not a rate: did you mean \"1 Mbit/s\"?".into()));
        assert_eq!(duration("5 sec"), Err("`5 sec` is not a duration: did you mean \"5 s\"?".into()));
        assert_eq!(
            duration("soon"),
            Err("`soon` is not a duration; write for example \"90 s\" or \"25 ms\"".into())
        );
        assert_eq!(duration("0.1 us"), Err("`0.1 us` is finer than a duration can be here".into()));
        assert!(
            size("-1 B").is_err() && size("").is_err() && size("1..2 B").is_err() && share("x %").is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(value: u64) {
            prop_assert_eq!(duration(&duration_text(Duration::from_micros(value))), Ok(Duration::from_micros(value)));
            prop_assert_eq!(size(&size_text(value)), Ok(value));
            prop_assert_eq!(rate(&rate_text(value / 8)), Ok(value / 8));
        }

        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = (duration(&text), size(&text), rate(&text), share(&text));
        }
    }
}
