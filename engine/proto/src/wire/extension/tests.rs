//! The extension protocol's codecs: what real clients send, what hostile ones do, and round trips.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn handshake(bytes: &[u8]) -> ExtensionHandshake {
    ExtensionHandshake::decode(bytes).unwrap()
}

#[test]
fn the_handshake_of_a_real_client_is_read() {
    // libtorrent 2.0, shortened.
    let got = handshake(
        b"d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e12:ut_holepunchi4e\
          11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei132e4:reqqi2000e11:upload_onlyi1e1:v17:libtorrent/2.0.11\
          6:yourip4:\x0a\x00\x00\x07e",
    );
    let want = ExtensionHandshake {
        pex: Some(1),
        metadata: Some(2),
        client: Some("libtorrent/2.0.11".to_owned()),
        port: None,
        reqq: Some(2000),
        your_ip: Some(IpAddr::from([10, 0, 0, 7])),
        metadata_size: Some(132),
        upload_only: Some(true),
    };
    assert_eq!(got, want);
}

#[test]
fn every_key_may_be_absent_or_of_another_type() {
    assert_eq!(handshake(b"de"), ExtensionHandshake::default());
    let odd =
        handshake(b"d1:m4:none13:metadata_size3:abc1:pi70000e4:reqqi-1e11:upload_onlyle1:vi7e6:yourip3:abce");
    assert_eq!(odd, ExtensionHandshake::default());
    let odd = handshake(b"d1:md6:ut_pexi300e11:ut_metadata1:3ee");
    assert_eq!((odd.pex, odd.metadata), (None, None));
    assert_eq!(handshake(b"d1:pi0ee").port, None);
    assert_eq!(handshake(b"d1:v5:a\x1b[2Je").client, Some("a[2J".to_owned()));
}

#[test]
fn an_id_of_zero_is_not_silence() {
    assert_eq!(handshake(b"d1:md6:ut_pexi0eee").pex, Some(0));
}

#[test]
fn what_is_no_dictionary_or_too_long_is_refused() {
    assert_eq!(ExtensionHandshake::decode(b"le"), Err(InvalidExtension::NoDictionary));
    assert!(matches!(ExtensionHandshake::decode(b"d1:m"), Err(InvalidExtension::Bencode(_))));
    let long = format!("d1:v{}:{}e", MAX_HANDSHAKE_LEN, "x".repeat(MAX_HANDSHAKE_LEN));
    assert!(matches!(ExtensionHandshake::decode(long.as_bytes()), Err(InvalidExtension::Bencode(_))));
}

#[test]
fn a_metadata_block_starts_where_the_dictionary_ends() {
    let data = Bytes::from_static(b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxe");
    let want = MetadataMessage::Data { block: 0, total: Some(34256), data: Bytes::from_static(b"xxxxe") };
    assert_eq!(MetadataMessage::decode(&data), Ok(want));
    let decode = |bytes: &'static [u8]| MetadataMessage::decode(&Bytes::from_static(bytes));
    assert_eq!(decode(b"d8:msg_typei0e5:piecei7ee"), Ok(MetadataMessage::Request { block: 7 }));
    assert_eq!(decode(b"d8:msg_typei2e5:piecei0ee"), Ok(MetadataMessage::Reject { block: 0 }));
    assert_eq!(decode(b"d8:msg_typei9e5:piecei0ee"), Ok(MetadataMessage::Unknown));
    assert_eq!(decode(b"d8:msg_typei0e5:piecei-1ee"), Err(InvalidExtension::Incomplete));
    assert_eq!(decode(b"d5:piecei0ee"), Err(InvalidExtension::Incomplete));
}

#[test]
fn peer_exchange_is_capped_and_reads_both_families() {
    let added: Vec<u8> = (0..80).flat_map(|n| [10, 0, 0, n, 0x1a, 0xe1]).collect();
    let mut bytes = b"d5:added480:".to_vec();
    bytes.extend(&added);
    bytes.extend(b"7:added.f1:\x12e");
    let pex = Pex::decode(&bytes).unwrap();
    assert_eq!(pex.added.len(), MAX_PEX_PEERS);
    assert!(pex.added[0].upload_only && pex.added[0].reachable && !pex.added[1].reachable);
    let six =
        b"d6:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe17:dropped6:\x0a\0\0\x01\x1a\xe1e";
    let pex = Pex::decode(six).unwrap();
    assert_eq!(pex.added[0].addr, "[2001:db8::1]:6881".parse().unwrap());
    assert_eq!(pex.dropped, ["10.0.0.1:6881".parse::<SocketAddr>().unwrap()]);
    assert_eq!(Pex::decode(b"d5:addedi1ee"), Ok(Pex::default()));
}

fn any_addr() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        // In one block of documentation addresses, so that none is an IPv4 address in disguise.
        any::<(u64, u16)>().prop_map(|(low, port)| {
            let ip = u128::from(low) | 0x2001_0db8 << 96;
            SocketAddr::from((std::net::Ipv6Addr::from(ip), port))
        }),
    ]
}

/// IPv4 first, as the wire has it.
fn by_family<T>(mut items: Vec<T>, addr: impl Fn(&T) -> SocketAddr) -> Vec<T> {
    items.sort_by_key(|item| addr(item).is_ipv6());
    items
}

proptest! {
    #[test]
    fn handshakes_come_back(
        ids in any::<(Option<u8>, Option<u8>, Option<u16>, Option<u32>, Option<u32>, Option<bool>)>(),
        client in proptest::option::of("[a-zA-Z0-9 /.]{0,64}"), ip in proptest::option::of(any_addr())
    ) {
        let (pex, metadata, port, reqq, metadata_size, upload_only) = ids;
        let port = port.filter(|&port| port != 0);
        let your_ip = ip.map(|addr| addr.ip());
        let said = ExtensionHandshake { pex, metadata, client, port, reqq, your_ip, metadata_size, upload_only };
        prop_assert_eq!(ExtensionHandshake::decode(&said.encode()), Ok(said));
    }

    #[test]
    fn metadata_messages_come_back(
        block: u32, total: Option<u32>, data in proptest::collection::vec(any::<u8>(), 0..100)
    ) {
        let data = Bytes::from(data);
        for message in [
            MetadataMessage::Request { block },
            MetadataMessage::Data { block, total, data },
            MetadataMessage::Reject { block },
            MetadataMessage::Unknown,
        ] {
            prop_assert_eq!(MetadataMessage::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn peer_exchange_comes_back(
        added in proptest::collection::vec((any_addr(), any::<bool>(), any::<bool>()), 0..MAX_PEX_PEERS),
        dropped in proptest::collection::vec(any_addr(), 0..MAX_PEX_PEERS)
    ) {
        let peer = |(addr, upload_only, reachable)| PexPeer { addr, upload_only, reachable };
        let added = by_family(added.into_iter().map(peer).collect(), |peer| peer.addr);
        let said = Pex { added, dropped: by_family(dropped, |addr| *addr) };
        prop_assert_eq!(Pex::decode(&said.encode()), Ok(said));
    }

    #[test]
    fn decoding_never_panics(
        bytes in proptest::collection::vec(prop_oneof![3 => prop::sample::select(&b"dlei0123:-"[..]), 1 => any::<u8>()], 0..80)
    ) {
        let _ = ExtensionHandshake::decode(&bytes);
        let _ = Pex::decode(&bytes);
        let _ = MetadataMessage::decode(&Bytes::from(bytes));
    }
}
