//! The slow loris: a handshake of which a byte comes now and then, so that it neither fails nor ends. It holds as
//! many connections of each victim as that lets it have.

use std::io;
use std::time::Duration;

use proto::wire::{Feature, Handshake};
use tokio::io::AsyncWriteExt;

use super::{Host, Wire};

/// Between two bytes.
const EVERY: Duration = Duration::from_secs(5);

pub(super) async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    let Wire { reader: _reader, mut writer, .. } = stream;
    let info_hash = host.ground.metainfo.info_hash();
    let reserved = Feature::FAST.add_to([0; 8]);
    let handshake = Handshake { reserved, info_hash, peer_id: host.random_id() }.encode();
    for byte in handshake {
        writer.write_all(&[byte]).await?;
        host.pause(EVERY).await;
    }
    Ok(())
}
