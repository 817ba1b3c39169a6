//! The false have: has just got one more piece, again and again, and serves none. It makes rare pieces look common,
//! and draws requests that it leaves unanswered.

use std::io;
use std::time::Duration;

use proto::wire::Message;

use super::{Host, Line, Wire};

/// Between two lies.
const EVERY: Duration = Duration::from_millis(500);

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[Message::HaveNone, Message::Unchoke]).await?;
    let pieces = host.geometry().pieces() as usize;
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => drop(heard?),
            () = host.pause(EVERY) => {
                let piece = host.random(|random| random.index(pieces)) as u32;
                line.say(Message::Have { piece }).await?;
            }
        }
    }
}
