//! The gossip: by peer exchange (BEP 11) it tells everybody of itself as of a stranger, by each address that there
//! is, and of all others by each of theirs.

use std::io;
use std::time::Duration;

use proto::wire::extension::{ExtensionHandshake, HANDSHAKE_ID, Pex, PexPeer};
use proto::wire::{Feature, Message};

use super::{Host, Line, Wire};

/// Between two messages: as BEP 11 allows.
const EVERY: Duration = Duration::from_secs(60);

/// Its id for the other's messages; it reads none.
const PEX_ID: u8 = 1;

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let reserved = Feature::EXTENSION_PROTOCOL.add_to([0; 8]);
    let mut line = Line::open_as(host, stream, host.random_id(), reserved).await?;
    let hello = ExtensionHandshake { pex: Some(PEX_ID), ..ExtensionHandshake::default() };
    line.say(Message::Extended { id: HANDSHAKE_ID, payload: hello.encode() }).await?;
    let theirs = loop {
        if let Message::Extended { id: HANDSHAKE_ID, payload } = line.hear().await? {
            let said = ExtensionHandshake::decode(&payload).map_err(io::Error::other)?;
            break said.pex.unwrap_or_default();
        }
    };
    // Its own addresses first, in case that there are more than one message holds.
    let ip = line.peer.ip();
    let (own, others): (Vec<_>, Vec<_>) =
        host.ground.rumours.iter().partition(|addrs| addrs.iter().any(|addr| addr.ip() == ip));
    let named = own.into_iter().chain(others).flatten();
    let added = named.map(|&addr| PexPeer { addr, upload_only: false, reachable: true }).collect();
    let payload = Pex { added, dropped: Vec::new() }.encode();
    loop {
        line.say(Message::Extended { id: theirs, payload: payload.clone() }).await?;
        let mut next = Box::pin(host.pause(EVERY));
        loop {
            tokio::select! {
                biased;
                heard = line.hear() => drop(heard?),
                () = &mut next => break,
            }
        }
    }
}
