//! The announcer and HTTP trackers (BEP 3), alone and among UDP trackers (BEP 12).

use super::*;

const PEERS: &[u8] =
    b"d8:completei2e10:incompletei1e8:intervali600e12:min intervali300e5:peers6:\x0a\0\0\x09\0\x09\
    10:tracker id3:abce";

/// What comes back for an announce.
type Outcome = Result<Bytes, GetError>;

const GOOD: Outcome = Ok(Bytes::from_static(PEERS));

fn no(why: &str) -> Outcome {
    Err(GetError::Http(why.to_owned()))
}

impl Scene {
    /// Seconds, target and event of everything asked over HTTP.
    fn gets(&self) -> Vec<String> {
        let line = |(at, addr, url, _): &(Instant, SocketAddr, String, Duration)| {
            let event = url.split('&').find_map(|pair| pair.strip_prefix("event=")).unwrap_or("regular");
            format!("{} t{} {event}", (*at - START).as_secs(), addr.ip().to_string().replace("10.0.0.", ""))
        };
        self.asked.iter().map(line).collect()
    }
}

#[test]
fn a_torrent_lives_with_an_http_tracker() {
    let mut scene = Scene::new(&[&["http://t1:6969/announce?passkey=x"]], &[]);
    scene.bodies = vec![GOOD, GOOD, GOOD, GOOD];
    scene.say(Some(AnnounceEvent::Started));
    let (_, addr, url, patience) = scene.asked[0].clone();
    assert_eq!((addr, patience), (tracker_addr(1), HTTP_WAIT));
    assert!(url.starts_with("http://t1:6969/announce?passkey=x&info_hash=%01%01"), "{url}");
    assert!(url.contains("&left=100&") && !url.contains("trackerid"), "{url}");
    assert!(scene.told.contains(&Output::Peers(vec![SocketAddr::from(([10, 0, 0, 9], 9))])));
    // The wish for peers waits as long as the tracker wants.
    scene.say(None);
    scene.run_for(Duration::from_secs(400));
    scene.progress = SEEDING;
    scene.say(Some(AnnounceEvent::Completed));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.gets(), ["0 t1 started", "300 t1 regular", "400 t1 completed", "400 t1 stopped"]);
    let (_, _, url, patience) = scene.asked[3].clone();
    assert!(url.contains("&trackerid=abc") && url.contains("&numwant=0&"), "{url}");
    assert_eq!(patience, STOP_WAIT);
    assert_eq!(scene.told.last(), Some(&Output::Done));
}

#[test]
fn http_and_udp_trackers_share_tiers() {
    let mut scene = Scene::new(&[&["http://t1:6969/announce"], &["udp://t2:6969"]], &[2]);
    scene.bodies = vec![no("404 Not Found"), GOOD];
    scene.say(Some(AnnounceEvent::Started));
    assert_eq!(scene.gets(), ["0 t1 started"]);
    assert_eq!(scene.log(), ["0 t2 connect", "0 t2 Started"]);
    let error = AnnounceError::Http("404 Not Found".into());
    assert_eq!(scene.failures(), [("http://t1:6969/announce", &error)]);
    scene.run_for(Duration::from_secs(1800));
    assert_eq!(scene.gets()[1..], ["1800 t1 regular"], "the first tier is tried again, and answers");
}

#[test]
fn refusals_error_pages_and_silence_are_told_apart() {
    let url = "http://t1:6969/announce";
    let failure = Ok(Bytes::from_static(b"d14:failure reason7:go awaye"));
    let page = Ok(Bytes::from_static(b"<html>"));
    let scenes = [(Some(failure), AnnounceError::Refused("go away".into())), (None, AnnounceError::NoAnswer)];
    for (body, error) in scenes {
        let mut scene = Scene::new(&[&[url]], &[]);
        scene.bodies = body.into_iter().collect();
        scene.say(Some(AnnounceEvent::Started));
        scene.run_for(Duration::from_secs(31));
        assert_eq!(scene.failures(), [(url, &error)]);
    }
    let mut scene = Scene::new(&[&[url]], &[]);
    scene.bodies = vec![page];
    scene.say(Some(AnnounceEvent::Started));
    let [(_, AnnounceError::Http(why))] = scene.failures()[..] else { panic!("{:?}", scene.told) };
    assert!(why.starts_with("the answer is not a tracker's: "), "{why}");
}

#[test]
fn a_warning_is_passed_on_and_the_peers_with_it() {
    let mut scene = Scene::new(&[&["http://t1:6969/announce"]], &[]);
    scene.bodies =
        vec![Ok(Bytes::from_static(b"d8:intervali60e5:peers6:\x0a\0\0\x09\0\x0915:warning message4:slowe"))];
    scene.say(Some(AnnounceEvent::Started));
    let url = "http://t1:6969/announce".to_owned();
    assert!(scene.told.contains(&Output::Warned { url, text: "slow".into() }));
    assert!(scene.told.iter().any(|told| matches!(told, Output::Peers(_))));
}

#[test]
fn a_tracker_that_is_gone_does_not_hold_up_the_end() {
    let mut scene = Scene::new(&[&["http://t1:6969/announce"]], &[]);
    scene.bodies = vec![GOOD, no("connection refused")];
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Stopped));
    assert_eq!(scene.gets(), ["0 t1 started", "0 t1 stopped"]);
    assert_eq!(scene.told.last(), Some(&Output::Done));

    let mut scene = Scene::new(&[&["http://t1:6969/announce"]], &[]);
    scene.bodies = vec![GOOD];
    scene.say(Some(AnnounceEvent::Started));
    scene.say(Some(AnnounceEvent::Stopped));
    scene.run_for(STOP_WAIT);
    assert_eq!(scene.gets().len(), 2, "a stream need not be asked twice");
    assert_eq!(scene.told.last(), Some(&Output::Done));
}

#[test]
fn a_partial_seed_says_so_with_every_announce_that_says_nothing_else() {
    let mut scene = Scene::new(&[&["http://t1:6969/announce"]], &[]);
    scene.bodies = vec![GOOD; 5];
    scene.say(Some(AnnounceEvent::Started));
    scene.announcer.set_partial_seed(true);
    scene.run_for(Duration::from_secs(700));
    scene.announcer.set_partial_seed(false);
    scene.run_for(Duration::from_secs(600));
    scene.say(Some(AnnounceEvent::Stopped));
    let said = ["0 t1 started", "600 t1 paused", "1200 t1 regular", "1300 t1 stopped"];
    assert_eq!(scene.gets(), said);
}
