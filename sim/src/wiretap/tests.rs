//! Two hosts that talk, and what the tap hears of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::transport::{Listener as _, Transport};
use proto::id::{InfoHash, PeerId};
use proto::seed::Seed;
use proto::wire::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::network::LinkProfile;
use crate::world::{HostSpec, World, WorldSettings};

#[derive(Default)]
struct Heard(Vec<Event>);

impl Listen for Heard {
    fn hear(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

/// 160 kB at 100 kB/s fill the socket's buffer, so what comes last had to wait.
#[test]
fn both_ends_are_heard_and_what_waited_may_be_old() {
    let link = LinkProfile {
        up: 100_000,
        down: 100_000,
        latency: Duration::from_millis(10),
        queue: 50_000,
        loss: 0.0,
    };
    let spec =
        |last: u8| HostSpec { name: format!("host-{last}"), addrs: vec![[10, 0, 0, last].into()], link };
    let settings = WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(1), mtu: 1500 };
    let mut world = World::new(settings, &[spec(1), spec(2)]).expect("a world");
    let heard = Arc::new(Mutex::new(Heard::default()));
    world.overhear(heard.clone());
    let [first, second] = [0, 1].map(|index| world.host(index).expect("a host"));
    let (one, two) = (world.environment(first).transport, world.environment(second).transport);
    let handshake = Handshake { reserved: [0; 8], info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) };
    world.start(first, async move {
        let listener = one.listen(([10, 0, 0, 1], 6881).into()).await.expect("free");
        let mut stream = listener.accept().await.expect("a peer");
        stream.reader.read_to_end(&mut Vec::new()).await.expect("all");
    });
    world.start(second, async move {
        let mut stream = two.connect(([10, 0, 0, 1], 6881).into()).await.expect("there");
        let mut bytes = BytesMut::from(&handshake.encode()[..]);
        let data = Bytes::from(vec![7; 16 * 1024]);
        (0..10).for_each(|piece| Message::Piece { piece, offset: 0, data: data.clone() }.encode(&mut bytes));
        Message::Choke.encode(&mut bytes);
        stream.writer.write_all(&bytes).await.expect("sent");
    });
    world.run_until(Instant::ZERO + Duration::from_secs(5));

    let heard = std::mem::take(&mut heard.lock().expect("whole").0);
    let of = |way| heard.iter().filter(move |event| event.way == way);
    let said: Vec<_> = of(Way::Said).filter(|event| event.line.host == 1).collect();
    assert_eq!(said.first().map(|event| &event.what), Some(&What::Handshake(handshake)));
    let choke = said.iter().find(|event| event.what == What::Message(Message::Choke)).expect("said");
    assert!(choke.at > choke.since + Duration::from_millis(500), "{choke:?}");
    let blocks = |way| of(way).filter(|event| matches!(event.what, What::Block(_))).count();
    assert_eq!([blocks(Way::Said), blocks(Way::Heard)], [10, 10]);
    let last = of(Way::Heard).find(|event| event.what == What::Message(Message::Choke)).expect("heard");
    assert!(last.at > choke.at && last.line.host == 0 && last.line.number != choke.line.number);
    assert_eq!(heard.iter().filter(|event| event.what == What::Closed).count(), 4);
}
