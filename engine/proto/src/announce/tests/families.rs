//! Tests of an announcer that listens in both families.

use super::*;

const OURS_V6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 6882);

/// Both families, at trackers that all have two addresses.
fn dual(tiers: &[&[&str]], alive: &[u8], alive_v6: &[u8]) -> Scene {
    let mut scene = Scene::listening(&[OURS, OURS_V6], tiers, alive);
    scene.alive_v6 = alive_v6.to_vec();
    scene.v6_names = vec![1, 2, 3];
    scene
}

fn one(alive: &[u8], alive_v6: &[u8]) -> Scene {
    dual(&[&["udp://t1:6969/announce"]], alive, alive_v6)
}

#[test]
fn both_families_start_and_stop_and_one_completes() {
    let mut scene = one(&[1], &[1]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(30));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.run_for(Duration::from_secs(20));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(
        scene.log(),
        [
            "0 t1 connect",
            "0 v6-t1 connect",
            "0 t1 Started",
            "0 v6-t1 Started",
            "30 t1 Completed",
            "30 v6-t1 regular",
            "50 t1 Stopped",
            "50 v6-t1 Stopped"
        ]
    );
    assert_eq!(scene.told.iter().filter(|told| **told == Output::Done).count(), 1);
}

#[test]
fn one_key_and_one_peer_id_but_an_id_and_a_port_for_each_family() {
    let mut scene = one(&[1], &[1]);
    scene.say(Some(AnnounceEvent::Started));
    let announces: Vec<_> = scene
        .sent
        .iter()
        .filter_map(|(_, to, payload)| match Request::decode(payload) {
            Ok(Request::Announce(announce)) => Some((to.is_ipv4(), announce)),
            Ok(Request::Connect { .. } | Request::Scrape(_)) | Err(_) => None,
        })
        .collect();
    let [(true, v4), (false, v6)] = &announces[..] else { panic!("{announces:?}") };
    assert_eq!((v4.key, v4.peer_id, v4.event), (v6.key, v6.peer_id, v6.event));
    assert_eq!((v4.port, v6.port), (6881, 6882));
    let families = scene
        .told
        .iter()
        .filter_map(|told| if let Output::Announced { family, .. } = told { Some(*family) } else { None });
    assert_eq!(families.collect::<Vec<_>>(), [Family::V4, Family::V6]);
}

#[test]
fn a_tracker_without_an_address_in_a_family_is_asked_over_the_other_in_silence() {
    let mut scene = dual(&[&["udp://t1:6969"], &["udp://t2:6969"]], &[1, 2], &[2]);
    scene.v6_names = vec![2];
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(1700));
    // The second tier is a reserve, for when the first does not answer at all.
    assert_eq!(scene.log(), ["0 t1 connect", "0 t1 Started"]);
    assert_eq!(scene.failures(), []);
}

#[test]
fn a_family_without_a_route_keeps_its_retries_and_says_nothing() {
    let mut scene = dual(&[&["udp://t1:6969"], &["udp://t2:6969"]], &[1], &[]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(24 * 3600));
    assert_eq!(scene.failures(), []);
    let lost: Vec<_> = scene.sent.iter().filter(|(_, to, _)| !to.is_ipv4()).collect();
    assert!(lost.iter().all(|(_, to, _)| *to == tracker_v6(1)), "it stays with the tracker that answers");
    let mut gaps = lost.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs());
    assert_eq!(gaps.by_ref().take(4).collect::<Vec<_>>(), [15, 30, 60, 120]);
    assert_eq!(gaps.max(), Some(3840), "24 packets a day");
    // Once there is a route, it is used.
    scene.alive_v6.push(1);
    scene.run_for(Duration::from_secs(2 * 3840));
    assert!(scene.log().iter().any(|line| line.ends_with("v6-t1 Started")), "{:?}", scene.log());
}

#[test]
fn the_next_tier_is_for_when_neither_family_answers() {
    let mut scene = dual(&[&["udp://t1:6969"], &["udp://t2:6969"]], &[2], &[2]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(16));
    let expected = [
        "0 t1 connect",
        "0 v6-t1 connect",
        "15 t2 connect",
        "15 v6-t2 connect",
        "15 t2 Started",
        "15 v6-t2 Started",
    ];
    assert_eq!(scene.log(), expected);
    assert_eq!(scene.failures(), [("udp://t1:6969", &AnnounceError::NoAnswer)]);
}

#[test]
fn completed_is_said_by_who_gets_through_first_and_by_nobody_else() {
    let completed = |after: u64| {
        let mut scene = one(&[1], &[1]);
        scene.say(Some(AnnounceEvent::Started));
        scene.run_for(Duration::from_secs(after));
        scene.alive.clear();
        scene.progress = SEEDING;
        scene.say(Some(AnnounceEvent::Completed));
        scene.run_for(Duration::from_secs(3600));
        scene.alive.push(1);
        scene.run_for(Duration::from_secs(3600));
        scene.log().into_iter().filter(|line| line.ends_with("Completed")).collect::<Vec<_>>()
    };
    // Without an answer nobody knows whether it was heard, so the other family keeps silent.
    assert_eq!(completed(30), ["30 t1 Completed", "3855 t1 Completed"]);
    // Here a new connection id is needed first, and only one family gets it.
    assert_eq!(completed(100), ["100 v6-t1 Completed"]);
}

#[test]
fn stopping_takes_five_seconds_at_most_over_both() {
    let mut scene = one(&[1], &[1]);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive_v6.clear();
    scene.say(Some(AnnounceEvent::Stopped));
    assert!(!scene.told.contains(&Output::Done), "one family has not been heard");
    scene.run_for(STOP_WAIT);
    let stopped: Vec<_> = scene.log().into_iter().filter(|line| line.ends_with("Stopped")).collect();
    assert_eq!(stopped, ["0 t1 Stopped", "0 v6-t1 Stopped", "2 v6-t1 Stopped", "4 v6-t1 Stopped"]);
    assert_eq!(scene.told.last(), Some(&Output::Done));
}
