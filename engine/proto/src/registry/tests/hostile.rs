//! Arbitrary packets: no panic, and never more bytes to an unverified source than it sent.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::tracker::{PROTOCOL_ID, options};

/// What a stranger may send: noise, cut and stretched requests, options of every kind.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(any::<u8>(), 0..300);
    let shaped =
        (vec(any::<u8>(), 0..1500), 0u8..5, any::<bool>()).prop_map(|(mut bytes, action, is_ours)| {
            if let Some(head) = bytes.get_mut(8..12) {
                head.copy_from_slice(&[0, 0, 0, action]);
            }
            if let Some(head) = bytes.get_mut(..8).filter(|_| is_ours) {
                head.copy_from_slice(&PROTOCOL_ID.to_be_bytes());
            }
            bytes
        });
    let with_options =
        (any::<[u8; 16]>(), vec(any::<u8>(), 0..200), "[/a-f0-9?=]{0,80}").prop_map(|(head, tail, url)| {
            let mut bytes = vec![0; 98];
            bytes[..8].copy_from_slice(&head[..8]);
            bytes[11] = 1;
            bytes[16..32].copy_from_slice(&head);
            bytes[96] = head[8];
            bytes.extend(options::with_url_data(&url));
            bytes.extend(tail);
            bytes
        });
    prop_oneof![noise, shaped, with_options]
}

/// A tracker with one member that lets everybody in, only some torrents, or only who has a passkey.
fn tracker(access: u8) -> Tracker {
    let mut tracker = Tracker::new(RegistryConfig::default());
    tracker.announce(peer(99), STARTED, 1);
    let mode = [AccessMode::Open, AccessMode::Allow, AccessMode::Deny][usize::from(access % 3)];
    let passkeys = (access > 2).then(|| vec![Passkey([1; 16])]);
    tracker.registry.set_access(Access { mode, torrents: vec![HASH], passkeys });
    tracker
}

proptest! {
    #[test]
    fn strangers_get_no_more_than_they_send(
        packets in vec((0u8..4, packet()), 1..40), access in 0u8..6, is_shedding: bool
    ) {
        let mut tracker = tracker(access);
        if is_shedding {
            let config = RegistryConfig { full_batch: 1, shed_after: [Duration::ZERO; 4], ..RegistryConfig::default() };
            tracker.registry.set_config(config);
        }
        for (last, payload) in packets {
            for from in [peer(last), peer_v6(last.into())] {
                let got = tracker.send(from, &payload).map_or(0, |reply| reply.len());
                prop_assert!(got <= payload.len());
            }
        }
        prop_assert_eq!(tracker.registry.stats().members, 1, "nobody is entered by a packet of a stranger");
    }

    /// A whole batch of strangers with one address each, as a reflection attack would send them.
    #[test]
    fn a_batch_gives_back_no_more_than_it_brought(packets in vec(packet(), 0..200)) {
        let mut tracker = tracker(0);
        let before = tracker.registry.stats();
        let mut out = Datagrams::default();
        let batch = packets.iter().map(|payload| Datagram { from: peer(1), payload });
        tracker.registry.handle(tracker.now, tracker.wall, batch, &mut out);
        let stats = tracker.registry.stats();
        prop_assert!(stats.bytes_out - before.bytes_out <= stats.bytes_in - before.bytes_in);
        prop_assert_eq!(stats.requests - before.requests, packets.len() as u64);
    }

    /// Verified clients may say anything; every reply decodes and the members are at most the clients.
    #[test]
    fn verified_clients_may_say_anything(
        announces in vec((0u8..9, 0u8..5, any::<[u8; 82]>(), vec(any::<u8>(), 0..300)), 1..60),
        hours in 0u64..5,
        access in 0u8..6,
    ) {
        let mut tracker = tracker(access);
        for (last, event, body, options) in announces {
            let connection = tracker.connect(peer(last));
            let mut payload = connection.0.to_be_bytes().to_vec();
            payload.extend([0, 0, 0, 1, 0, 0, 0, 2]);
            payload.extend(body);
            payload[16..36].fill(last % 3 + 6);
            payload[80..84].copy_from_slice(&[0, 0, 0, event]);
            payload[96] = 0;
            payload.extend(options);
            let reply = tracker.send(peer(last), &payload).expect("an answer");
            prop_assert!(reply.len() <= MAX_REPLY_LEN && Reply::decode(&reply, Family::V4).is_ok());
        }
        tracker.registry.set_access(Access::default());
        let members = tracker.scrape(&[[6; 20], [7; 20], [8; 20]]);
        let members: u32 = members.iter().map(|entry| entry.seeders + entry.leechers).sum();
        prop_assert_eq!(u64::from(members), tracker.registry.stats().members);
        tracker.run_for(Duration::from_secs(3600 * hours));
        prop_assert!(hours < 2 || tracker.registry.stats().members == 0);
    }
}

#[test]
fn what_is_cut_stretched_or_empty_does_no_harm() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    let connection = tracker.connect(peer(1));
    let mut announce = Vec::new();
    Request::Announce(AnnounceRequest {
        connection,
        transaction: TransactionId(2),
        info_hash: HASH,
        peer_id: PeerId([2; 20]),
        progress: Progress { uploaded: 0, downloaded: 0, left: 1 },
        event: None,
        key: 0,
        num_want: None,
        port: 6881,
        options: &[],
    })
    .encode(&mut announce);
    for len in 0..announce.len() {
        assert_eq!(tracker.send(peer(1), &announce[..len]), None, "{len} bytes");
    }
    assert_eq!(tracker.registry.stats().malformed, 98);
    announce.resize(65_507, 0xff);
    assert!(tracker.send(peer(1), &announce).is_some(), "BEP 15: longer packets are accepted");
    assert_eq!(tracker.send(peer(2), &announce).map(|reply| reply.len()), Some(31), "another source");
}

#[test]
fn port_0_is_nobody() {
    let mut tracker = Tracker::new(RegistryConfig::default());
    for event in [STARTED, COMPLETED, STOPPED, None] {
        let reply = tracker.announce_with(peer(1), |request| (request.port, request.event) = (0, event));
        assert_eq!(reply, Reply::Error { transaction: TransactionId(2), message: "port 0".into() });
    }
    assert_eq!(tracker.registry.stats().refused.port_0, 4);
}
