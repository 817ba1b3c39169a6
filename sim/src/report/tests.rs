//! The verdict as a reader sees it.

use std::time::Duration;

use super::*;
use crate::record::Departed;
use crate::record::tests::good;

#[test]
fn the_table_of_a_good_run() {
    insta::assert_snapshot!(Verdict::of(good()).table(Style::Plain), @r"
    pair                                                                            PASS
    Two fetch from one.

      peers        2 of 2 leechers completed
      completed at p50 10.0 s, p90 12.5 s, p99 12.5 s, last 12.5 s
                   0 s                                ▄▄▄▄▄▄▄▄█ 12.5 s
      took         p50 10.0 s, p90 12.5 s, p99 12.5 s, last 12.5 s, each since its arrival
      lower bound  1.6 s, set by all uploads, as peers and first pieces come in (B4a)
      efficiency   0.127   █████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
      link use     14.3 % of the uplinks, 8.8 % of the downlinks
      fairness     1.000 (Jain's index of the share ratios)
      overhead     9.7 % on the wire beyond the content; 0.0 % came twice (0 B)
      oracles      integrity 2, conservation 4,577, bounds 2, liveness 2; idle: resume,
                   justice, tracker, protocol
      packets      4,321 sent, 4,300 delivered, 21 dropped
      settings     50 connections
      conditions   seed 1, 13.0 simulated s, tick 1 ms, MTU 1500
      digest       0123456789abcdef

      ✓ completed  all who stay      2 of 2
      ✓ efficiency >= 0.1            0.127
      ✓ time       <= 1 min          12.5 s
      ✓ duplicates <= 5.0 %          0.0 %
      ✓ overhead   <= 20.0 %         9.7 %
      ! oracle tracker: nothing to judge
      ! oracle protocol: nothing to judge
    ");
}

#[test]
fn the_table_of_a_bad_run() {
    let mut record = good();
    record.peers[1].identical = 1;
    record.peers[2].completed = None;
    record.peers[2].pieces[0] = None;
    record.peers[0].duplicate = 7;
    record.peers[1].duplicate = 300_000;
    insta::assert_snapshot!(Verdict::of(record).table(Style::Plain), @r"
    pair                                                                            FAIL
    Two fetch from one.

      peers        1 of 2 leechers completed
      completed at p50 10.0 s, p90 10.0 s, p99 10.0 s, last 10.0 s
                   0 s                                        ▄ 10.0 s
      took         p50 10.0 s, p90 10.0 s, p99 10.0 s, last 10.0 s, each since its arrival
      lower bound  1.0 s, set by the slowest download (B1)
      efficiency   0.105   ████▏░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
      link use     14.3 % of the uplinks, 8.8 % of the downlinks
      fairness     1.000 (Jain's index of the share ratios)
      overhead     46.2 % on the wire beyond the content; 9.5 % came twice (293.0 KiB)
      oracles      integrity 1, conservation 4,577, bounds 1, liveness 2; idle: resume,
                   justice, tracker, protocol
      packets      4,321 sent, 4,300 delivered, 21 dropped
      settings     50 connections
      conditions   seed 1, 13.0 simulated s, tick 1 ms, MTU 1500
      digest       0123456789abcdef

      ✗ completed  all who stay      1 of 2
      ✓ efficiency >= 0.1            0.105
      ✓ time       <= 1 min          10.0 s
      ✗ duplicates <= 5.0 %          9.5 %
      ✗ overhead   <= 20.0 %         46.2 %
      ✗ integrity: leecher-1 says that it is complete, but 1 of its 2 pieces differ from the source
      ✗ liveness: leecher-2 could have completed, and holds 1 of 2 pieces after 13.0 s
      ! oracle tracker: nothing to judge
      ! oracle protocol: nothing to judge
    ");
}

#[test]
fn the_table_of_an_extinct_torrent() {
    let mut record = good();
    record.peers[0].gone = Some(Departed { at: Duration::from_secs(2), how: "crashed".to_owned() });
    for peer in &mut record.peers[1..] {
        (peer.completed, peer.identical) = (None, 0);
        peer.pieces.fill(None);
    }
    insta::assert_snapshot!(Verdict::of(record).table(Style::Plain), @r"
    pair                                                                            FAIL
    Two fetch from one.

      peers        0 of 2 leechers completed
      link use     61.8 % of the uplinks, 8.8 % of the downlinks
      fairness     1.000 (Jain's index of the share ratios)
      overhead     0.0 % on the wire beyond the content; 0.0 % came twice (0 B)
      oracles      conservation 4,577, liveness 2; idle: integrity, bounds, resume,
                   justice, tracker, protocol
      packets      4,321 sent, 4,300 delivered, 21 dropped
      settings     50 connections
      conditions   seed 1, 13.0 simulated s, tick 1 ms, MTU 1500
      digest       0123456789abcdef

      ✗ completed  all who stay      0 of 2
      ✗ efficiency >= 0.1            0.000
      ✗ time       <= 1 min          nobody completed
      ✓ duplicates <= 5.0 %          0.0 %
      ✓ overhead   <= 20.0 %         0.0 %
      ✗ piece 0 extinct at 2.0 s, last holder seeder crashed
      ✗ piece 1 extinct at 2.0 s, last holder seeder crashed
      ! oracle integrity: nothing to judge
      ! oracle bounds: nothing to judge
      ! oracle tracker: nothing to judge
      ! oracle protocol: nothing to judge
      ! expectation efficiency: never put to the test
      ! expectation time: never put to the test
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "all fields, in their order")]
fn the_json_of_a_run_has_exactly_these_fields() {
    let json = serde_json::to_string_pretty(&Verdict::of(good()).summary(0.5)).expect("serialises");
    insta::assert_snapshot!(json, @r#"
    {
      "scenario": "pair",
      "seed": 1,
      "digest": "0123456789abcdef",
      "seconds": "0123456789abcdef",
      "outcome": "pass",
      "sim_seconds": 13.0,
      "wall_seconds": 0.5,
      "peers": 2,
      "completed": 2,
      "completion_seconds": {
        "p50": 10.0,
        "p90": 12.5,
        "p99": 12.5,
        "last": 12.5
      },
      "bound": {
        "seconds": 1.581488651082251,
        "term": "B4a"
      },
      "efficiency": 0.12651909208658008,
      "utilisation": {
        "up": 0.14265734265734265,
        "down": 0.08846153846153847
      },
      "jain": 1.0,
      "overhead": 0.0967254638671875,
      "seed_copies": 1.5,
      "population": 2,
      "duplicate_bytes": 0,
      "tracker": {
        "announces": 0,
        "answered": 0,
        "refused": 0,
        "slowed": 0,
        "named": 0,
        "useful": 0,
        "told": 0,
        "wrong": 0,
        "regular": 0,
        "punctual": 0,
        "counted": null,
        "downloads": 0
      },
      "packets": {
        "sent": 4321,
        "delivered": 4300,
        "dropped": 21
      },
      "exercised": {
        "answered": 0,
        "asked": 0,
        "cancelled": 0,
        "choke-pace": 0,
        "choked-request": 0,
        "completed-once": 0,
        "counters": 0,
        "extension-id": 0,
        "fast-agreed": 0,
        "gossip-pace": 0,
        "gossip-size": 0,
        "have-after-hash": 0,
        "haves-told": 0,
        "held": 0,
        "interest": 0,
        "interval": 0,
        "itself": 0,
        "keep-alive": 0,
        "left": 0,
        "outstanding": 0,
        "private": 0,
        "range": 0,
        "started": 0,
        "stopped": 0,
        "summary": 0,
        "syntax": 0
      },
      "oracles": {
        "bounds": 2,
        "conservation": 4577,
        "integrity": 2,
        "justice": 0,
        "liveness": 2,
        "protocol": 0,
        "resume": 0,
        "tracker": 0
      },
      "expectations": [
        {
          "name": "completed",
          "expected": "all who stay",
          "measured": "2 of 2",
          "occasions": 2,
          "met": true
        },
        {
          "name": "efficiency",
          "expected": ">= 0.1",
          "measured": "0.127",
          "occasions": 2,
          "met": true
        },
        {
          "name": "time",
          "expected": "<= 1 min",
          "measured": "12.5 s",
          "occasions": 2,
          "met": true
        },
        {
          "name": "duplicates",
          "expected": "<= 5.0 %",
          "measured": "0.0 %",
          "occasions": 2,
          "met": true
        },
        {
          "name": "overhead",
          "expected": "<= 20.0 %",
          "measured": "9.7 %",
          "occasions": 2,
          "met": true
        }
      ],
      "vacuous": [
        "oracle tracker: nothing to judge",
        "oracle protocol: nothing to judge"
      ],
      "violations": []
    }
    "#);
}

#[test]
fn outcomes_have_their_exit_status() {
    let status = |spoil: fn(&mut Record)| {
        let mut record = good();
        spoil(&mut record);
        Verdict::of(record).outcome.exit_status()
    };
    assert_eq!(status(|_| ()), 0);
    assert_eq!(status(|record| record.plan.expect.efficiency = Some(0.99)), 1);
    assert_eq!(status(|record| record.plan.expect.time = Some(Duration::from_secs(12))), 1);
    assert_eq!(status(|record| record.plan.expect.overhead = Some(0.01)), 1);
    assert_eq!(status(|record| record.peers[1].duplicate = 1 << 20), 1);
    assert_eq!(status(|record| record.peers[1].identical = 0), 3);
    assert_eq!(status(|record| record.peers[1].completed = None), 4);
}

#[test]
fn who_leaves_early_is_not_missed() {
    let mut record = good();
    record.peers[2].completed = None;
    record.peers[2].gone = Some(Departed { at: Duration::from_secs(3), how: "left".to_owned() });
    let verdict = Verdict::of(record);
    assert_eq!((verdict.outcome, verdict.checks[0].measured.as_str()), (Outcome::Pass, "1 of 1"));
}

#[test]
fn colours_are_only_for_terminals() {
    let verdict = Verdict::of(good());
    assert!(!verdict.table(Style::Plain).contains('\x1b'));
    assert!(verdict.table(Style::Coloured).contains("\x1b[32mPASS\x1b[0m"));
}

#[test]
fn what_was_never_put_to_the_test_is_vacuous_and_counts_if_one_is_strict() {
    let heard = || {
        let mut record = good();
        record.conduct.exercised.insert(oracle::Rule::Asked, 7);
        record.plan.expect.justice.banned = Some(Duration::from_secs(1));
        record.vacuous.push("fault at 20 s: the run was over".to_owned());
        record
    };
    let mut record = heard();
    record.plan.expect.justice.banned = None;
    let verdict = Verdict::of(record);
    let idle = ["fault at 20 s: the run was over", "oracle tracker: nothing to judge"];
    assert_eq!((verdict.outcome, &verdict.vacuous[..]), (Outcome::Pass, &idle.map(str::to_owned)[..]));
    let strict = verdict.strictly();
    assert_eq!((strict.outcome.exit_status(), strict.complaints().len()), (1, 2));
    assert_eq!(strict.complaints()[0], "vacuous: fault at 20 s: the run was over");

    let verdict = Verdict::of(heard());
    assert_eq!(verdict.vacuous[2], "expectation banned: never put to the test");
    assert_eq!(verdict.strictly().outcome, Outcome::Missed, "what is missed is not merely vacuous");
}

#[test]
fn an_address_book_that_grew_too_full_is_seen() {
    let mut record = good();
    record.plan.expect.known = Some(80.0);
    (record.peers[1].known, record.peers[2].known) = (Some(7), Some(80));
    assert_eq!(Verdict::of(record.clone()).outcome, Outcome::Pass);
    record.peers[1].known = Some(81);
    let verdict = Verdict::of(record);
    assert_eq!(verdict.complaints(), ["expectation: known <= 80 addresses, measured 81"]);
}
