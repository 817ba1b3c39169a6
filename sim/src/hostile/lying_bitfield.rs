//! The lying bitfield: claims everything, unchokes, and serves nothing. It leaves requests unanswered, or rejects
//! each of them at once.

use std::io;

use proto::wire::Message;

use super::{Host, Line, Wire};

pub(super) async fn meet(host: &Host, stream: Wire, rejects: bool) -> io::Result<()> {
    let mut line = Line::open(host, stream).await?;
    line.say_all(&[host.everything(), Message::Unchoke]).await?;
    loop {
        let asked = line.hear_request().await?;
        if rejects {
            line.say(Message::Reject(asked)).await?;
        }
    }
}
