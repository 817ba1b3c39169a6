//! The choke oscillator: has everything, and changes its mind about serving it once a second. Each turn draws requests,
//! and drops them.

use std::io;
use std::time::Duration;

use proto::wire::Message;

use super::{Host, Line, Wire};

/// How long it keeps a mind.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say(host.everything()).await?;
    let mut next = Box::pin(host.pause(EVERY));
    let mut choking = true;
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => drop(heard?),
            () = &mut next => {
                next = Box::pin(host.pause(EVERY));
                choking = !choking;
                line.say(if choking { Message::Choke } else { Message::Unchoke }).await?;
            }
        }
    }
}
