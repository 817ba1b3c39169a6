//! Comparisons of runs whose figures are known.

use serde_json::json;

use super::*;

/// Runs of seeds 1, 2, …, of which the last completion is given.
fn runs(lasts: &[f64]) -> Vec<Value> {
    let run = |(seed, last): (usize, &f64)| {
        json!({
            "scenario": "small", "seed": seed + 1, "completed": 10, "efficiency": 100.0 / last,
            "completion_seconds": { "p50": last / 2.0, "p90": last * 0.9, "last": last },
            "jain": 0.99, "overhead": 0.07, "duplicate_bytes": 1 << 20,
        })
    };
    lasts.iter().enumerate().map(run).collect()
}

fn compare(a: &[f64], b: &[f64]) -> Comparison {
    Comparison::of(("as it is", &runs(a)), ("torrent.picker=sequential", &runs(b))).expect("pairs")
}

fn last(comparison: &Comparison) -> &Row {
    comparison.rows.iter().find(|row| row.name == "last completion").expect("it is there")
}

#[test]
fn the_difference_inside_the_pairs_counts_however_much_the_seeds_differ() {
    let a = [100.0, 150.0, 200.0, 250.0, 120.0, 180.0];
    let b = a.map(|last| last + 2.0 + f64::from(last > 170.0));
    let row = last(&compare(&a, &b)).clone();
    let (low, high) = row.interval.expect("six pairs");
    assert!(2.0 <= low && low < row.delta && row.delta < high && high <= 3.0, "{row:?}");
    assert_eq!((row.effect, last(&compare(&b, &a)).effect), (Effect::Worse, Effect::Better));
}

#[test]
fn a_change_that_does_nothing_is_not_called_one() {
    let a = [100.0, 150.0, 200.0, 250.0, 120.0, 180.0];
    assert_eq!(last(&compare(&a, &a)).effect, Effect::Unclear);
    let noise = [101.0, 148.0, 201.5, 249.0, 121.0, 179.5];
    assert_eq!(last(&compare(&a, &noise)).effect, Effect::Unclear);
}

#[test]
fn the_interval_is_as_wide_as_the_normal_distribution_has_it() {
    // 100 deltas of standard deviation 1: 1.96 standard errors of a tenth to either side.
    let deltas: Vec<f64> = (0..100).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let (low, high) = bootstrap(&deltas, &mut Seed::from_u64(7).rng()).expect("enough");
    assert!((low + 0.196).abs() < 0.025 && (high - 0.196).abs() < 0.025, "{low} to {high}");
}

#[test]
fn one_pair_has_no_interval_and_no_effect() {
    let row = last(&compare(&[100.0], &[200.0])).clone();
    assert_eq!((row.interval, row.effect, row.pairs), (None, Effect::Unclear, 1));
}

#[test]
fn runs_without_a_counterpart_are_left_out_and_counted() {
    let comparison = compare(&[1.0, 2.0, 3.0], &[1.0]);
    assert_eq!((comparison.pairs, comparison.unpaired), (1, 2));
    let error = Comparison::of(("a.jsonl", &runs(&[1.0])), ("b.jsonl", &[])).expect_err("no pair");
    assert_eq!(error.to_string(), "no run of a.jsonl has the scenario and the seed of a run of b.jsonl");
}

#[test]
fn a_stranger_can_read_the_table() {
    let a = [100.0, 150.0, 200.0, 250.0];
    let table = compare(&a, &a.map(|last| last + 10.0)).table();
    assert_eq!(table, compare(&a, &a.map(|last| last + 10.0)).table(), "always the same");
    insta::assert_snapshot!(table);
}
