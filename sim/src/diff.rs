//! Where two runs part: the first second whose digest differs, and the first thing in it that happened in one only.
//!
//! A run keeps a rolling digest of each simulated second. Two that differ are run again with that second recorded, so
//! that finding the place costs four runs and the memory of one second.

use serde::Serialize;

use crate::defect::Tampered;
use crate::run::{RunError, run_tampered};
use crate::scenario::Plan;
use crate::trace::{Entry, Filter, trace};

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// They did the same up to the start of this second.
    pub second: usize,
    /// The first thing in which they differ, as it happened in A; nothing if A had no more to tell.
    pub a: Option<Entry>,
    /// The same of B.
    pub b: Option<Entry>,
}

/// The first second in which two runs differ, by their digests of each.
pub fn first_second(a: &[u32], b: &[u32]) -> Option<usize> {
    let differs = a.iter().zip(b).position(|(a, b)| a != b);
    differs.or_else(|| (a.len() != b.len()).then_some(a.len().min(b.len())))
}

/// The first place at which two traces differ, and what stands there in each.
pub fn first_entry<'a>(a: &'a [Entry], b: &'a [Entry]) -> Option<(Option<&'a Entry>, Option<&'a Entry>)> {
    let place = a.iter().zip(b).position(|(a, b)| a != b);
    let place = place.or_else(|| (a.len() != b.len()).then_some(a.len().min(b.len())))?;
    Some((a.get(place), b.get(place)))
}

/// Runs both, and both again where they part; nothing if they do not.
///
/// # Errors
/// As [`crate::run::run`].
pub fn part(a: (&Plan, &Tampered), b: (&Plan, &Tampered)) -> Result<Option<Parting>, RunError> {
    let seconds = |(plan, tampered)| Ok::<_, RunError>(run_tampered(plan, tampered, &mut |_| ())?.seconds);
    let Some(second) = first_second(&seconds(a)?, &seconds(b)?) else { return Ok(None) };
    let window = |of| window(of, second);
    let (a, b) = (window(a)?, window(b)?);
    let (a, b) = first_entry(&a, &b).unwrap_or_default();
    Ok(Some(Parting { second, a: a.cloned(), b: b.cloned() }))
}

/// All that happens in one second of a run.
fn window((plan, tampered): (&Plan, &Tampered), second: usize) -> Result<Vec<Entry>, RunError> {
    let second = second as u64;
    let from = std::time::Duration::from_secs(second);
    let until = std::time::Duration::from_secs(second + 1);
    let filter = Filter { from, until, packets: true, ..Filter::default() };
    Ok(trace(plan, tampered, filter)?.0)
}

impl Parting {
    /// For people: what happened first in one run and not in the other.
    pub fn text(&self) -> String {
        let side = |entry: &Option<Entry>| {
            entry.as_ref().map_or("nothing more in this second".to_owned(), ToString::to_string)
        };
        format!(
            "the runs part in second {}, between {} s and {} s of simulated time\n  A  {}\n  B  {}\n",
            self.second,
            self.second,
            self.second + 1,
            side(&self.a),
            side(&self.b)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_is_found_and_so_is_an_end() {
        assert_eq!(first_second(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(first_second(&[1, 2, 3], &[1, 9, 3]), Some(1));
        assert_eq!(first_second(&[1, 2, 3], &[1, 2]), Some(2));
        assert_eq!(first_second(&[], &[]), None);
    }
}
