//! The poisoner: has everything, serves at once, and some of it, or all, is wrong.

use std::io;

use bytes::{Bytes, BytesMut};
use proto::piece::Block;
use proto::wire::Message;

use super::{Host, Line, Wire};

/// Shares are in parts of it.
const MILLION: u64 = 1_000_000;

pub(super) async fn meet(host: &Host, stream: Wire, share: u32) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[host.everything(), Message::Unchoke]).await?;
    loop {
        let asked = line.hear_request().await?;
        let Ok(block) = host.geometry().locate(asked.piece, asked.offset, asked.len) else { continue };
        let mut data = truth(host, block);
        if host.random(|random| random.below(MILLION)) < u64::from(share) {
            data = spoilt(&data);
            host.deeds().poisons(line.peer.ip(), asked.piece);
        }
        serve(host, &mut line, block, data).await?;
    }
}

/// The right bytes of a block.
pub(super) fn truth(host: &Host, block: Block) -> Bytes {
    let start = host.geometry().start_of_block(block);
    let content = host.ground.content.bytes();
    // A located block lies within the content.
    content.slice(start as usize..start as usize + block.len() as usize)
}

/// Sends a block, right or wrong.
pub(super) async fn serve(host: &Host, line: &mut Line, block: Block, data: Bytes) -> io::Result<()> {
    host.deeds().write(|account| account.uploaded += data.len() as u64);
    line.say(Message::Piece { piece: block.piece().get(), offset: block.offset(), data }).await
}

/// One bit of each block is enough.
fn spoilt(data: &[u8]) -> Bytes {
    let mut wrong = BytesMut::from(data);
    wrong.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    wrong.freeze()
}
