//! What a [`Course`] asks of its trackers, over UDP (BEP 15, 41) or HTTP (BEP 3).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::course::Course;
use super::step::{Step, Talk};
use super::{AnnounceConfig, HTTP_WAIT, Output, STOP_RETRY};
use crate::time::Instant;
use crate::torrent::{AnnounceEvent, Progress};
use crate::tracker::http::{self, HttpWish};
use crate::tracker::request::ANNOUNCE_LEN;
use crate::tracker::{AnnounceRequest, ConnectionId, Request, Scheme, TransactionId, options};

/// Where an announce goes, and how.
struct Target {
    number: usize,
    addr: SocketAddr,
    transaction: TransactionId,
    until: Instant,
    way: Via,
}

/// What the announce needs of its protocol.
enum Via {
    Udp(ConnectionId),
    /// The time that it may take.
    Http(Duration),
}

impl Course {
    /// Says the next thing to the present tracker: resolve, connect or announce, whichever is missing.
    pub(super) fn contact(&mut self, now: Instant, progress: &Progress, index: usize) {
        let Some(talk) = self.talks.get_mut(index) else { return };
        let until = now + if self.stop_by.is_some() { STOP_RETRY } else { talk.patience() };
        let Some(number) = talk.at else { return talk.end_round(now) };
        let Some(tracker) = self.tiers.tracker(number) else { return };
        let is_udp = tracker.url.scheme() == Scheme::Udp;
        let way = tracker.way(talk.family);
        let Some(&addr) = way.addrs.first() else { return self.resolve(index, until) };
        let transaction = TransactionId(self.random.next_u32());
        if !is_udp {
            let until = self.stop_by.unwrap_or(now + HTTP_WAIT);
            return self.announce(
                progress,
                index,
                Target { number, addr, transaction, until, way: Via::Http(until - now) },
            );
        }
        let Some(connection) = way.connection_at(now) else {
            talk.step = Step::Connecting { until, addr, transaction };
            let payload = encode(&Request::Connect { transaction });
            return self.outputs.push_back(Output::SendTo { addr, payload });
        };
        self.announce(
            progress,
            index,
            Target { number, addr, transaction, until, way: Via::Udp(connection) },
        );
    }

    /// Announces to the present tracker.
    fn announce(&mut self, progress: &Progress, index: usize, target: Target) {
        let event = self.event_due(index, progress);
        let Target { number, addr, transaction, until, way } = target;
        let Some(talk) = self.talks.get_mut(index) else { return };
        let Some(tracker) = self.tiers.tracker(number) else { return };
        talk.step = Step::Announcing { until, addr, transaction, event };
        talk.member_of = Some(number);
        talk.told_complete = progress.left == 0;
        if event == Some(AnnounceEvent::Completed) {
            self.teller = Some(talk.family);
        }
        let num_want = if event == Some(AnnounceEvent::Stopped) { 0 } else { self.config.num_want };
        let AnnounceConfig { info_hash, peer_id, .. } = *self.config;
        let (key, port) = (self.key, talk.port);
        self.outputs.push_back(match way {
            Via::Udp(connection) => Output::SendTo {
                addr,
                payload: encode(&Request::Announce(AnnounceRequest {
                    connection,
                    transaction,
                    info_hash,
                    peer_id,
                    progress: *progress,
                    event,
                    key,
                    num_want: Some(num_want),
                    port,
                    options: &options::with_url_data(tracker.url.path()),
                })),
            },
            Via::Http(patience) => {
                let url = tracker.url.clone();
                let tracker_id = tracker.way(talk.family).tracker_id.as_deref();
                let (progress, paused) = (*progress, self.is_partial_seed);
                let wish =
                    HttpWish { info_hash, peer_id, port, progress, event, paused, key, num_want, tracker_id };
                let url = url.with_path(http::announce_path(&url, &wish));
                Output::Get { transaction, addr, url, patience }
            }
        });
    }

    /// Has the present tracker's name looked up; one lookup finds the addresses of both families.
    fn resolve(&mut self, index: usize, until: Instant) {
        let Some(number) = self.talks.get(index).and_then(|talk| talk.at) else { return };
        let resolving = |talk: &Talk| talk.at == Some(number) && matches!(talk.step, Step::Resolving { .. });
        let is_asked = self.talks.iter().any(resolving);
        if let Some(tracker) = self.tiers.tracker(number).filter(|_| !is_asked) {
            let (host, port) = (tracker.url.host().to_owned(), tracker.url.port());
            self.outputs.push_back(Output::Resolve { host, port });
        }
        if let Some(talk) = self.talks.get_mut(index) {
            talk.step = Step::Resolving { until };
        }
    }
}

fn encode(request: &Request<'_>) -> Bytes {
    let mut payload = BytesMut::with_capacity(ANNOUNCE_LEN);
    request.encode(&mut payload);
    payload.freeze()
}
