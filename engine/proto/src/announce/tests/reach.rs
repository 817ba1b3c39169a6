//! Tests of announces to all tiers, or to all trackers, at once.

use super::*;

fn scene(reach: Reach, tiers: &[&[&str]], alive: &[u8]) -> Scene {
    Scene::configured(AnnounceConfig { reach, ..config(&[OURS], tiers) }, alive)
}

/// What a tracker was told, connects apart.
fn told(scene: &Scene, tracker: &str) -> Vec<String> {
    let lines = scene.log().into_iter().filter(|line| !line.ends_with("connect"));
    lines.filter(|line| line.contains(&format!(" {tracker} "))).collect()
}

#[test]
fn every_tracker_hears_every_event_and_a_dead_one_delays_nobody() {
    let tiers: &[&[&str]] = &[&["udp://t1:6969", "udp://t2:6969"], &["udp://t3:6969"]];
    let mut scene = scene(Reach::EachTracker, tiers, &[1, 3]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(30));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.run_for(Duration::from_secs(1900));
    scene.say(Some(AnnounceEvent::Stopped));
    for tracker in ["t1", "t3"] {
        let lines = ["0 _ Started", "30 _ Completed", "1830 _ regular", "1930 _ Stopped"];
        assert_eq!(told(&scene, tracker), lines.map(|line| line.replace('_', tracker)));
    }
    assert_eq!(told(&scene, "t2"), [""; 0]);
    assert_eq!(scene.failures(), [("udp://t2:6969", &AnnounceError::NoAnswer)]);
    assert_eq!(scene.told.iter().filter(|told| **told == Output::Done).count(), 1);
    assert_eq!(scene.announcer.poll_timeout(), None);
}

#[test]
fn transactions_are_apart_and_the_key_is_one() {
    let mut scene = scene(Reach::EachTracker, &[&["udp://t1:6969"], &["udp://t2:6969"]], &[1, 2]);
    scene.say(Some(AnnounceEvent::Started));
    let announces = scene.sent.iter().filter_map(|(.., payload)| match Request::decode(payload) {
        Ok(Request::Announce(announce)) => Some((announce.transaction, announce.key)),
        Ok(Request::Connect { .. } | Request::Scrape(_)) | Err(_) => None,
    });
    let [(first, key), (second, same)] = announces.collect::<Vec<_>>()[..] else { panic!("two announces") };
    assert_ne!(first, second);
    assert_eq!(key, same);
}

#[test]
fn each_tier_has_its_own_lead_and_its_own_reserves() {
    let tiers: &[&[&str]] = &[&["udp://t1:6969", "udp://t2:6969"], &["udp://t3:6969"]];
    let mut scene = scene(Reach::EachTier, tiers, &[2, 3]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(20));
    let start = told(&scene, "t2");
    assert!(
        start == ["0 t2 Started"] || start == ["15 t2 Started"],
        "the order within the tier is drawn: {start:?}"
    );
    assert_eq!(told(&scene, "t3"), ["0 t3 Started"], "whatever the first tier does");
    scene.run_for(Duration::from_secs(1800));
    scene.alive.push(1);
    scene.run_for(Duration::from_secs(1800));
    assert_eq!(told(&scene, "t1"), [""; 0], "who answered leads its tier");
}

#[test]
fn who_did_not_answer_started_hears_it_later_and_hears_completed_then() {
    let mut scene = scene(Reach::EachTracker, &[&["udp://t1:6969"], &["udp://t2:6969"]], &[1]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(20));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.alive.push(2);
    scene.run_for(Duration::from_secs(40));
    assert_eq!(told(&scene, "t1"), ["0 t1 Started", "20 t1 Completed"]);
    assert_eq!(told(&scene, "t2"), ["45 t2 Started", "45 t2 Completed"]);
}

#[test]
fn stopping_waits_five_seconds_for_the_slowest_and_no_longer() {
    let mut scene = scene(Reach::EachTracker, &[&["udp://t1:6969"], &["udp://t2:6969"]], &[1, 2]);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive = vec![1];
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(told(&scene, "t1").last().map(String::as_str), Some("0 t1 Stopped"));
    assert!(!scene.told.contains(&Output::Done), "one tracker has not answered");
    scene.run_for(STOP_WAIT);
    assert_eq!(scene.told.last(), Some(&Output::Done));
}

#[test]
fn without_a_tracker_there_is_nothing_to_wait_for() {
    let mut scene = scene(Reach::EachTracker, &[], &[]);
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.told, [Output::Done]);
}
