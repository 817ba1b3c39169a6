//! The request flood: asks for every block there is, five thousand times a second, choked or not, and reads little of
//! what it gets.

use std::io;
use std::time::Duration;

use proto::piece::Block;
use proto::wire::{Message, RawBlock};

use super::{Host, Line, Wire};

/// Between two bursts.
const EVERY: Duration = Duration::from_millis(100);

/// Requests of one burst.
const BURST: usize = 500;

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[Message::HaveNone, Message::Interested]).await?;
    let geometry = host.geometry();
    let blocks = geometry.all_pieces().flat_map(|piece| geometry.blocks(piece));
    let request = |block: Block| {
        let (piece, offset, len) = (block.piece().get(), block.offset(), block.len());
        Message::Request(RawBlock { piece, offset, len })
    };
    let requests: Vec<_> = blocks.map(request).collect();
    let mut next = requests.iter().cycle();
    loop {
        tokio::select! {
            biased;
            () = host.pause(EVERY) => {
                let burst: Vec<_> = next.by_ref().take(BURST).cloned().collect();
                line.say_all(&burst).await?;
            }
            heard = line.hear() => if let Message::Piece { data, .. } = heard? {
                host.deeds().write(|account| account.downloaded += data.len() as u64);
                host.pause(EVERY).await;
            }
        }
    }
}
