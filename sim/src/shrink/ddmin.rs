//! Delta debugging: the fewest of many things that still fail together (Zeller & Hildebrandt 2002).

/// A part of `all` that still fails and of which no single thing can be left out. The whole is known to fail.
pub(crate) fn ddmin<T: Clone>(all: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = all;
    let mut parts = 2;
    if !kept.is_empty() && fails(&[]) {
        return Vec::new();
    }
    while kept.len() >= 2 {
        let size = kept.len().div_ceil(parts);
        let without = |start: usize| {
            let end = (start + size).min(kept.len());
            [kept.get(..start).unwrap_or_default(), kept.get(end..).unwrap_or_default()].concat()
        };
        let smaller = (0..kept.len()).step_by(size).map(without).find(|rest| fails(rest));
        match smaller {
            Some(rest) => (kept, parts) = (rest, parts.saturating_sub(1).max(2)),
            None if size == 1 => break,
            None => parts = (2 * parts).min(kept.len()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_needed_together_is_found() {
        let mut runs = 0;
        let found = ddmin((0..100).collect(), |kept| {
            runs += 1;
            kept.contains(&17) && kept.contains(&71)
        });
        assert_eq!(found, [17, 71]);
        assert!(runs < 100, "{runs} runs");
        assert_eq!(ddmin((0..9).collect(), |_| true), [0; 0], "it fails with nothing at all");
    }

    proptest! {
        #[test]
        fn nothing_can_be_left_out_of_it(needed in proptest::collection::btree_set(0..40_u32, 1..6), of in 40..60_u32) {
            let found = ddmin((0..of).collect(), |kept| needed.iter().all(|one| kept.contains(one)));
            prop_assert_eq!(found, needed.into_iter().collect::<Vec<_>>());
        }
    }
}
