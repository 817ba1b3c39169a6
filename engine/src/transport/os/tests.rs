//! Batches over loopback, with the system's calls for many datagrams and with one call for each.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::transport::MAX_DATAGRAM;

type Received = Vec<(SocketAddr, Vec<u8>)>;

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

/// Nothing can be sent to port 0, and nothing from here to a broadcast address that was not asked for.
const FORBIDDEN: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), 9),
];

async fn bound(addr: SocketAddr) -> OsSocket {
    OsTransport::default().bind(addr).await.expect("binds")
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), work).await.expect("in time")
}

/// What `recv` gives until there are `count`, each time at most `max`.
async fn received(socket: &OsSocket, count: usize, max: usize) -> Received {
    let mut all = Vec::new();
    while all.len() < count {
        let before = all.len();
        let each = |from, payload: &[u8]| all.push((from, payload.to_vec()));
        soon(socket.recv_batch(max, each)).await.expect("receives");
        assert!((1..=max).contains(&(all.len() - before)));
    }
    all
}

/// 150 datagrams of different lengths; some go to where nothing can be sent.
fn batch(to: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
    let target = |number: usize| match number {
        0 | 70 => FORBIDDEN[0],
        149 => FORBIDDEN[1],
        _ => to,
    };
    (0..150).map(|number| (target(number), vec![number as u8; number])).collect()
}

fn packed(batch: &[(SocketAddr, Vec<u8>)]) -> Datagrams {
    let mut datagrams = Datagrams::default();
    for (to, payload) in batch {
        datagrams.push(*to, |bytes| bytes.extend_from_slice(payload));
    }
    datagrams
}

fn arrived(from: SocketAddr, batch: &[(SocketAddr, Vec<u8>)]) -> Received {
    let sent = batch.iter().filter(|(to, _)| !FORBIDDEN.contains(to));
    sent.map(|(_, payload)| (from, payload.clone())).collect()
}

#[tokio::test]
async fn a_datagram_that_cannot_be_sent_is_lost_alone_and_counted() {
    let (here, there) = (bound(V4).await, bound(V4).await);
    let sent = batch(there.local_addr);
    assert_eq!(here.send_batch(&packed(&sent)).await, 3);
    assert_eq!(received(&there, 147, 64).await, arrived(here.local_addr, &sent));
    assert_eq!(single::send(&here.socket, &packed(&sent)), 3);
    assert_eq!(received(&there, 147, 5).await, arrived(here.local_addr, &sent));
}

#[tokio::test]
async fn families_do_not_mix_in_a_batch() {
    let (here, there, other) = (bound(V6).await, bound(V6).await, bound(V4).await);
    let sent = [(there.local_addr, vec![1]), (other.local_addr, vec![2]), (there.local_addr, Vec::new())];
    assert_eq!(here.send_batch(&packed(&sent)).await, 1);
    let from = here.local_addr;
    assert_eq!(received(&there, 2, 64).await, [(from, vec![1]), (from, Vec::new())]);
}

#[tokio::test]
async fn an_oversized_datagram_is_cut_and_harms_no_other() {
    let (here, there) = (bound(V4).await, bound(V4).await);
    let to = there.local_addr;
    let sent =
        [(to, vec![1; 9000]), (to, vec![2; MAX_DATAGRAM]), (to, vec![3; MAX_DATAGRAM + 1]), (to, vec![4])];
    assert_eq!(here.send_batch(&packed(&sent)).await, 0);
    let lens: Vec<_> = received(&there, 4, 64).await.into_iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lens, [MAX_DATAGRAM, MAX_DATAGRAM, MAX_DATAGRAM, 1]);
}

#[tokio::test]
async fn one_call_for_each_receives_the_same() {
    let (here, there) = (bound(V4).await, bound(V4).await);
    let sent = batch(there.local_addr);
    here.send_batch(&packed(&sent)).await;
    let mut all = Vec::new();
    while all.len() < 147 {
        soon(there.socket.readable()).await.expect("readable");
        let each = &mut |from, payload: &[u8]| all.push((from, payload.to_vec()));
        let _ = single::recv(&there.socket, there.local_addr, 10, each);
    }
    assert_eq!(all, arrived(here.local_addr, &sent));
}

#[tokio::test]
async fn the_first_datagram_of_a_new_socket_is_sent() {
    let there = bound(V4).await;
    let sent = [(there.local_addr, vec![1])];
    bound(V4).await.send_to(&[1], there.local_addr).await.expect("sends");
    assert_eq!(bound(V4).await.send_batch(&packed(&sent)).await, 0);
    assert_eq!(single::send(&bound(V4).await.socket, &packed(&sent)), 0);
    assert_eq!(received(&there, 3, 64).await.len(), 3);
}

#[tokio::test]
async fn a_socket_that_was_emptied_wakes_for_the_next_datagram() {
    let (here, there) = (bound(V4).await, bound(V4).await);
    for round in 0..100 {
        let sent = packed(&[(there.local_addr, vec![round])]);
        let (lost, got) = tokio::join!(here.send_batch(&sent), received(&there, 1, 64));
        assert_eq!((lost, got), (0, vec![(here.local_addr, vec![round])]));
    }
}

#[tokio::test]
async fn sockets_share_an_address_among_themselves_only() {
    let transport = OsTransport::default();
    let shared = transport.bind_shared(V4, 4).await.expect("binds");
    let addr = shared[0].local_addr;
    assert!(addr.port() != 0 && shared.iter().all(|socket| socket.local_addr == addr));
    assert_eq!(shared.len(), if CAN_SHARE { 4 } else { 1 });
    for count in [1, 2] {
        let taken = transport.bind_shared(addr, count).await.map(|_| ()).expect_err("taken");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
    // Every source is heard by exactly one of them.
    let mut heard = [0; 4];
    for _ in 0..64 {
        let source = bound(V4).await;
        source.send_to(b"hello", addr).await.expect("sends");
        let listen = |at: usize| received(&shared[at % shared.len()], 1, 64);
        let (one, two, three, four) = (listen(0), listen(1), listen(2), listen(3));
        let at = tokio::select! { _ = one => 0, _ = two => 1, _ = three => 2, _ = four => 3 };
        heard[at] += 1;
    }
    let silent = heard.iter().filter(|&&count| count == 0).count();
    assert!(!CAN_SHARE || silent == 0, "64 sources, heard {heard:?} times");
}
