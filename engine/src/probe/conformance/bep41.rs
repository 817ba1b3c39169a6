//! The rules of BEP 41: options behind the 98 bytes of an announce.
//!
//! Every announce carries the URL's path and query, in whatever form the rule is about, so that a tracker
//! that wants a passkey must have read them.

use super::peer::Say;
use super::rule::{Check, Outcome, checks};
use super::session::Session;
use crate::clock::Clock;
use crate::transport::Transport;

const END_OF_OPTIONS: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

pub(super) fn all<T: Transport, C: Clock>() -> Vec<Check<Session<T, C>>> {
    checks! { "BEP 41":
        Must Shared "options.url-data" url_data,
            "an announce with the URL's path and query in an option is answered";
        Must Shared "options.split" split,
            "URL data in many parts is answered like one part";
        Must Shared "options.padding" padding,
            "padding is skipped; what follows the end of the options is ignored";
        Must Shared "options.unknown" unknown,
            "options of unknown types are skipped by their length";
        Should Shared "options.cut" cut,
            "an option that is cut short does not cost the announce its answer";
    }
}

/// The URL's path, or one that looks real.
fn path<T: Transport, C: Clock>(session: &Session<T, C>) -> Vec<u8> {
    let path = proto::tracker::options::url_data(&session.bench.options).unwrap_or_default();
    if path.is_empty() { b"/announce?conformance=1".to_vec() } else { path }
}

/// One option.
fn option(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, value.len() as u8];
    bytes.extend_from_slice(value);
    bytes
}

fn whole(path: &[u8]) -> Vec<u8> {
    path.chunks(usize::from(u8::MAX)).flat_map(|part| option(URL_DATA, part)).collect()
}

async fn announce<T: Transport, C: Clock>(session: &Session<T, C>, port: u16, options: &[u8]) -> Outcome {
    let (torrent, peer) = (session.torrent().await?, session.peer().await?);
    peer.announce(torrent, &Say::leecher(port).with_options(options)).await.map(|_| ())
}

async fn url_data<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    announce(session, 6601, &whole(&path(session))).await
}

async fn split<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let parts = path(session).chunks(3).flat_map(|part| option(URL_DATA, part)).collect::<Vec<u8>>();
    announce(session, 6602, &parts).await
}

async fn padding<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut options = vec![NOP; 5];
    for part in path(session).chunks(9) {
        options.extend(option(URL_DATA, part));
        options.push(NOP);
    }
    options.push(END_OF_OPTIONS);
    options.extend([0xff; 7]);
    announce(session, 6603, &options).await
}

async fn unknown<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut options = option(0x7f, b"\x00\x01\x02 what is this");
    options.extend(whole(&path(session)));
    options.extend(option(0xfe, &[]));
    announce(session, 6604, &options).await
}

async fn cut<T: Transport, C: Clock>(session: &Session<T, C>) -> Outcome {
    let mut options = whole(&path(session));
    options.extend([0x7f, 200, 1, 2, 3]);
    announce(session, 6605, &options).await
}
