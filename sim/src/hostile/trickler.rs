//! The trickler: has everything, keeps its word, and serves one block in a long while. Whoever waits for it waits
//! for ever; whoever does not is done long before.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use proto::wire::{Message, RawBlock};

use super::poisoner::{serve, truth};
use super::{Host, Line, Wire};

/// Requests that it remembers.
const MAX_QUEUE: usize = 500;

pub(super) async fn meet(host: &Host, stream: Wire, every: Duration) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[host.everything(), Message::Unchoke]).await?;
    let mut queue: VecDeque<RawBlock> = VecDeque::new();
    let mut next = Box::pin(host.pause(every));
    loop {
        tokio::select! {
            biased;
            heard = line.hear() => {
                let heard = heard?;
                if let Message::Cancel(block) = heard {
                    queue.retain(|&asked| asked != block);
                } else if let (Message::Request(block), true) = (heard, queue.len() < MAX_QUEUE) {
                    queue.push_back(block);
                }
            }
            () = &mut next => {
                next = Box::pin(host.pause(every));
                let asked = queue.pop_front();
                let block = asked.and_then(|raw| host.geometry().locate(raw.piece, raw.offset, raw.len).ok());
                if let Some(block) = block {
                    serve(host, &mut line, block, truth(host, block)).await?;
                }
            }
        }
    }
}
