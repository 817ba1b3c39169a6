//! The same questions over HTTP (BEP 3, 48).

use std::net::SocketAddr;
use std::time::Duration;

use proto::announce::GetError;
use proto::id::{InfoHash, PeerId};
use proto::seed::Random;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::TrackerUrl;
use proto::tracker::http::{
    HttpReplyError, HttpWish, announce_path, parse_announce, parse_scrape, scrape_path,
};

use super::{Answer, PORT, Step};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::fetch::{self, TrackerTrust};
use crate::transport::Transport;

/// How long an answer may take: a stream is not lost, so it is asked for once.
const WAIT: Duration = Duration::from_secs(10);

/// Announces a peer, scrapes if the URL says how, and takes the peer back.
pub(super) async fn ask_all<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    trust: &TrackerTrust,
    addr: SocketAddr,
    url: &TrackerUrl,
    info_hash: InfoHash,
    random: &mut Random,
) -> Vec<Step> {
    let mut tail = [0; 12];
    random.fill(&mut tail);
    let progress = Progress { uploaded: 0, downloaded: 0, left: 1 };
    let (peer_id, key) = (PeerId::with_tail(tail), random.next_u32());
    let path = |event| {
        let event = Some(event);
        let (port, paused, num_want, tracker_id) = (PORT, false, 50, None);
        let wish = HttpWish { info_hash, peer_id, port, progress, event, paused, key, num_want, tracker_id };
        announce_path(url, &wish)
    };
    let ask = async |name, path: String, read: &(dyn Fn(&[u8]) -> Answer + Sync)| {
        let asked = environment.clock.now();
        let body = fetch::get(environment, trust, addr, &url.with_path(path), WAIT).await;
        let millis = (environment.clock.now() - asked).as_secs_f64() * 1e3;
        let answer = match body {
            Ok(body) => read(&body),
            Err(GetError::NoAnswer) => Answer::Silence,
            Err(GetError::Http(message)) => Answer::Refused { message },
        };
        Step { name, millis: Some(millis).filter(|_| answer != Answer::Silence), tries: 1, answer }
    };
    let mut steps = vec![ask("announce", path(AnnounceEvent::Started), &announced).await];
    if let Some(path) = scrape_path(url, &[info_hash]) {
        steps.push(ask("scrape", path, &|body| scraped(body, info_hash)).await);
    }
    if matches!(steps.first(), Some(Step { answer: Answer::Announced { .. }, .. })) {
        ask("announce", path(AnnounceEvent::Stopped), &announced).await;
    }
    steps
}

fn announced(body: &[u8]) -> Answer {
    match parse_announce(body) {
        Ok(reply) => Answer::Announced {
            interval: reply.interval,
            seeders: reply.seeders,
            leechers: reply.leechers,
            peers: reply.peers.len(),
        },
        Err(error) => refused(&error),
    }
}

fn scraped(body: &[u8], info_hash: InfoHash) -> Answer {
    match parse_scrape(body) {
        //= BEP 48: torrents that the tracker does not know are left out.
        Ok(files) => {
            let swarm = files.get(&info_hash).copied().unwrap_or_default();
            Answer::Scraped { seeders: swarm.seeders, completed: swarm.completed, leechers: swarm.leechers }
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &HttpReplyError) -> Answer {
    Answer::Refused { message: error.to_string() }
}
