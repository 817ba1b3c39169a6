//! Tests of a private torrent's announces (BEP 27).

use super::*;

const TIERS: &[&[&str]] = &[&["udp://t1:6969"], &["udp://t2:6969"]];

fn scene(alive: &[u8]) -> Scene {
    let reach = Reach::EachTracker;
    Scene::configured(AnnounceConfig { private: true, reach, ..config(&[OURS], TIERS) }, alive)
}

fn switches(scene: &Scene) -> usize {
    scene.told.iter().filter(|told| **told == Output::Switched).count()
}

#[test]
fn it_has_one_tracker_even_where_all_are_wanted() {
    let mut scene = scene(&[1, 2]);
    scene.say(Some(AnnounceEvent::Started));
    scene.run_for(Duration::from_secs(2000));
    assert!(scene.log().iter().all(|line| line.contains(" t1 ")), "{:?}", scene.log());
}

#[test]
fn another_tracker_makes_its_peers_void_and_stays_until_it_fails() {
    let mut scene = scene(&[1]);
    scene.say(Some(AnnounceEvent::Started));
    assert_eq!(switches(&scene), 0, "the first one");
    scene.alive = vec![2];
    scene.run_for(Duration::from_secs(1900));
    assert_eq!(scene.log().last().map(String::as_str), Some("1815 t2 regular"));
    assert_eq!(switches(&scene), 1);
    let at = scene.told.iter().position(|told| *told == Output::Switched);
    let peers = scene.told.iter().rposition(|told| matches!(told, Output::Peers(_)));
    assert!(at < peers, "the new tracker's peers come after");
    // BEP 12 would try the first one first on every announce.
    scene.alive = vec![1, 2];
    let before = scene.sent.len();
    scene.run_for(Duration::from_secs(4000));
    assert!(scene.log()[before..].iter().all(|line| line.contains(" t2 ")), "{:?}", scene.log());
    scene.alive = vec![1];
    scene.run_for(Duration::from_secs(4000));
    assert_eq!(switches(&scene), 2);
}

#[test]
fn a_tracker_that_comes_back_with_nobody_between_changes_nothing() {
    let mut scene = scene(&[1]);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive.clear();
    scene.run_for(Duration::from_secs(2000));
    scene.alive.push(1);
    scene.run_for(Duration::from_secs(4000));
    assert!(scene.log().iter().any(|line| line.ends_with("t1 regular")));
    assert_eq!(switches(&scene), 0);
}

#[test]
fn a_public_torrent_keeps_the_peers_of_every_tracker() {
    let mut scene = Scene::new(TIERS, &[1]);
    scene.say(Some(AnnounceEvent::Started));
    scene.alive = vec![2];
    scene.run_for(Duration::from_secs(1900));
    assert_eq!(switches(&scene), 0);
}
