//! What no honest client sends: a tracker must neither fall over nor become a weapon (BEP 15).

use super::super::line::{Arrived, glimpse, glimpse_of};
use super::super::peer::{Peer, Say, connect_request, is_error};
use super::super::rule::{Check, Outcome, Trouble, checks, ensure};
use super::super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

/// Random datagrams that are sent, and how many before the tracker is given a pause.
const GARBAGE: usize = 400;
const BURST: usize = 40;

/// The longest of them, in bytes.
const MAX_GARBAGE: u64 = 1400;

/// Actions that BEP 15 does not define for a client.
const UNKNOWN_ACTIONS: [u32; 4] = [3, 4, 9, u32::MAX];

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 15":
        Must Shared "action.unknown" unknown_action,
            "unknown actions are refused or unanswered";
        Must Shared "error.form" error_form,
            "an error has action 3 and the request's transaction id";
        Should Shared "error.text" error_text,
            "the text of an error is readable";
        Should Shared "unverified.bytes" unverified_bytes,
            "who shows no good connection id gets no more bytes than it sent";
        Must Alone "short.announce" short_announce,
            "an announce of fewer than 98 bytes is refused or unanswered, and the tracker lives";
        Must Alone "short.connect" short_connect,
            "fewer than 16 bytes get no connection id, and the tracker lives";
        Must Alone "short.empty" empty,
            "an empty datagram does not stop the tracker";
        Must Alone "garbage" garbage,
            "random bytes do not stop the tracker";
    }
}

/// `action` with a good connection id, as long as an announce.
fn with_action<T: Transport, C: Clock>(session: &Session<T, C>, peer: &Peer<T, C>, action: u32) -> Vec<u8> {
    let mut request = peer.connection.0.to_be_bytes().to_vec();
    request.extend(action.to_be_bytes());
    request.extend(session.random_u32().to_be_bytes());
    request.extend([0; 82]);
    request
}

async fn unknown_action<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    for action in UNKNOWN_ACTIONS {
        peer.line.send(&with_action(session, &peer, action)).await;
    }
    for Arrived { bytes, .. } in peer.line.gather(UNKNOWN_ACTIONS.len(), session.patience()).await {
        ensure(is_error(&bytes), format_args!("actions {UNKNOWN_ACTIONS:?}"), glimpse(&bytes))?;
    }
    Ok(())
}

async fn error_form<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    for (bytes, known) in errors(session).await? {
        let due = bytes.starts_with(&[0, 0, 0, 3]) && known && bytes.len() >= 8;
        ensure(due, "requests that deserve an error", glimpse(&bytes))?;
    }
    Ok(())
}

async fn error_text<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    for (bytes, _) in errors(session).await? {
        let text = bytes.get(8..).map(str::from_utf8);
        let readable = text.is_some_and(|text| text.is_ok_and(|text| !text.contains(char::is_control)));
        ensure(readable, "requests that deserve an error", glimpse(&bytes))?;
    }
    Ok(())
}

/// Provokes every error that a tracker might report: the ones that come, and whether each has the
/// transaction id of a request.
async fn errors<T: Transport, C: Clock>(session: &Session<T, C>) -> Result<Vec<(Vec<u8>, bool)>, Trouble> {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let mut requests = vec![
        peer.announce_request(torrent, &Say::leecher(0)),
        peer.announce_request(torrent, &Say::leecher(6501)),
        peer.scrape_request(&[torrent]),
        with_action(session, &peer, 9),
    ];
    // The second and third with an id that nobody issued.
    for request in requests.iter_mut().skip(1).take(2) {
        spoil(request);
    }
    for request in &requests {
        peer.line.send(request).await;
    }
    let replies = peer.line.gather(requests.len(), session.patience()).await;
    let is_other = |bytes: &Vec<u8>| matches!(bytes.get(..4), Some([0, 0, 0, 0..=2]));
    let errors = replies.into_iter().map(|arrived| arrived.bytes).filter(|bytes| !is_other(bytes));
    let known = |bytes: &Vec<u8>| requests.iter().any(|request| request.get(12..16) == bytes.get(4..8));
    let errors: Vec<_> =
        errors.map(|bytes| (known(&bytes), bytes)).map(|(known, bytes)| (bytes, known)).collect();
    if errors.is_empty() {
        return Err(Trouble::Skipped("the tracker reports no errors, it keeps silent".to_owned()));
    }
    Ok(errors)
}

/// Makes the connection id one that nobody issued.
fn spoil(request: &mut [u8]) {
    request.iter_mut().take(8).for_each(|byte| *byte ^= 0x5a);
}

async fn unverified_bytes<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let mut requests = vec![
        peer.announce_request(torrent, &Say::leecher(6510)),
        peer.scrape_request(&[torrent]),
        peer.scrape_request(&[]),
        peer.scrape_request(&[torrent; 74]),
        with_action(session, &peer, 9).into_iter().take(16).collect(),
    ];
    for request in &mut requests {
        spoil(request);
    }
    let connect = connect_request(session.random_u32());
    requests.extend([8, 12, 15].map(|len| connect.iter().copied().take(len).collect()));
    requests.push(connect);
    // A line for each, so that every reply is set against its own request.
    let mut asked = Vec::new();
    for request in requests {
        let line = session.line().await?;
        line.send(&request).await;
        asked.push((line, request));
    }
    let mut wait = session.patience();
    for (line, request) in asked {
        let replies = line.gather(usize::MAX, wait).await;
        // They have all been waiting meanwhile.
        wait = std::time::Duration::from_millis(5);
        let bytes: usize = replies.iter().map(|arrived| arrived.bytes.len()).sum();
        ensure(bytes <= request.len(), glimpse(&request), format_args!("{bytes} bytes in return"))?;
    }
    Ok(())
}

async fn short_announce<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    let whole = peer.announce_request(torrent, &Say::leecher(6520));
    let lengths = [16, 17, 36, 56, 80, 84, 88, 92, 96, 97];
    for len in lengths {
        peer.line.send(whole.get(..len).unwrap_or_default()).await;
    }
    for Arrived { bytes, .. } in peer.line.gather(lengths.len(), session.patience()).await {
        ensure(is_error(&bytes), "announces of 16 to 97 bytes", glimpse(&bytes))?;
    }
    session.expect_alive("announces of 16 to 97 bytes").await
}

async fn short_connect<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let line = session.line().await?;
    let whole = connect_request(session.random_u32());
    for len in 1..whole.len() {
        line.send(whole.get(..len).unwrap_or_default()).await;
    }
    for Arrived { bytes, .. } in line.gather(whole.len(), session.patience()).await {
        ensure(is_error(&bytes), "connects of 1 to 15 bytes", glimpse(&bytes))?;
    }
    session.expect_alive("connects of 1 to 15 bytes").await
}

async fn empty<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let line = session.line().await?;
    line.send(&[]).await;
    let reply = line.next(session.patience()).await.map(|arrived| arrived.bytes);
    ensure(reply.is_none(), "an empty datagram", glimpse_of(reply.as_ref()))?;
    session.expect_alive("an empty datagram").await
}

async fn garbage<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let peer = session.peer().await?;
    for number in 0..GARBAGE {
        let mut bytes = vec![0; (session.random_u64() % MAX_GARBAGE) as usize];
        session.fill(&mut bytes);
        // Half of them get past the head: a good connection id and a known action.
        if number % 2 == 0 && bytes.len() >= 12 {
            let head = peer.connection.0.to_be_bytes().into_iter().chain([0, 0, 0, (number / 2 % 4) as u8]);
            bytes.iter_mut().zip(head).for_each(|(byte, good)| *byte = good);
        }
        peer.line.send(&bytes).await;
        if number % BURST == BURST - 1 {
            session.expect_alive("random datagrams").await?;
        }
    }
    session.expect_alive("random datagrams").await
}
