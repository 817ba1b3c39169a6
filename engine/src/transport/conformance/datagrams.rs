//! Datagrams: whole, with their sender, up to as many at once as were asked for, empty ones too.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Check, Port, Seat, because, ensure, payload};
use crate::clock::{Clock, within};
use crate::transport::{Transport, UdpSocket};

/// An unanswered datagram is sent again after this time: the other half may not be bound yet.
const RESEND: Duration = Duration::from_millis(200);

/// Says that the dialling half has all it needs.
const GOODBYE: &[u8] = b"goodbye";

type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

async fn receive<S: UdpSocket>(socket: &S, max: usize) -> Result<Datagrams, String> {
    let mut batch = Vec::new();
    let each = |from, bytes: &[u8]| batch.push((from, bytes.to_vec()));
    socket.recv_batch(max, each).await.map_err(because("receive"))?;
    ensure((1..=max).contains(&batch.len()), || format!("{} datagrams, {max} at most", batch.len()))?;
    Ok(batch)
}

/// Answers every datagram with `reply` of it until the other half says goodbye.
async fn answer<T: Transport, C: Clock>(seat: &Seat<T, C>, port: Port, reply: fn(&[u8]) -> Vec<u8>) -> Check {
    let socket = seat.environment.transport.bind(seat.mine(port)).await.map_err(because("bind"))?;
    loop {
        for (from, bytes) in receive(&socket, 8).await? {
            if bytes == GOODBYE {
                return Ok(());
            }
            socket.send_to(&reply(&bytes), from).await.map_err(because("send"))?;
        }
    }
}

/// Sends `questions` and sends them again until all `answers` are there.
async fn ask<T: Transport, C: Clock>(
    seat: &Seat<T, C>,
    port: Port,
    questions: &[Vec<u8>],
    mut answers: Vec<Vec<u8>>,
) -> Check {
    let any = SocketAddr::new(seat.here, 0);
    let socket = seat.environment.transport.bind(any).await.map_err(because("bind"))?;
    let bound = socket.local_addr().map_err(because("local address"))?;
    ensure(bound.port() != 0, || "a bound socket says it has port 0".to_owned())?;
    let server = seat.theirs(port);
    while !answers.is_empty() {
        for question in questions {
            socket.send_to(question, server).await.map_err(because("send"))?;
        }
        while let Some(batch) = within(&seat.environment.clock, RESEND, receive(&socket, 4)).await {
            for (from, bytes) in batch? {
                ensure(from == server, || format!("an answer from {from}, asked {server}"))?;
                answers.retain(|answer| *answer != bytes);
            }
            if answers.is_empty() {
                break;
            }
        }
    }
    // Loss here would only leave the other half waiting, so say it more than once.
    for _ in 0..3 {
        socket.send_to(GOODBYE, server).await.map_err(because("send"))?;
    }
    Ok(())
}

/// Many datagrams of many sizes there and back.
pub(super) mod batches {
    use super::{Check, Clock, Port, Seat, Transport, answer, ask, payload};

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        answer(seat, Port::BatchServer, <[u8]>::to_vec).await
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        // Up to the 1,200 bytes that a tracker's reply may have.
        let questions: Vec<Vec<u8>> = (0..32).map(|number| payload(8 + number * 38)).collect();
        ask(seat, Port::BatchServer, &questions, questions.clone()).await
    }
}

/// A datagram without content is one: it once stopped a tracker.
pub(super) mod empty_datagram {
    use super::{Check, Clock, Port, Seat, Transport, answer, ask};

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        answer(seat, Port::EmptyServer, |bytes| bytes.len().to_string().into_bytes()).await
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let questions = [b"four".to_vec(), Vec::new(), b"seven".to_vec()];
        ask(seat, Port::EmptyServer, &questions, vec![b"4".to_vec(), b"0".to_vec(), b"5".to_vec()]).await
    }
}

/// One batch to several receivers, longer than one call of a system takes, with a datagram in it that cannot be
/// sent: it is lost alone.
pub(super) mod batch_to_many {
    use std::net::SocketAddr;

    use proto::registry::Datagrams as Batch;

    use super::{
        Check, Clock, GOODBYE, Port, RESEND, Seat, Transport, UdpSocket, because, ensure, receive, within,
    };

    /// Replies to each asker.
    const REPLIES: u8 = 70;

    fn numbered(number: u8) -> Vec<u8> {
        vec![number; usize::from(number)]
    }

    pub(in super::super) async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let addr = seat.mine(Port::BatchToMany);
        let socket = seat.environment.transport.bind(addr).await.map_err(because("bind"))?;
        let mut askers: Vec<SocketAddr> = Vec::new();
        loop {
            for (from, bytes) in receive(&socket, 8).await? {
                if bytes == GOODBYE {
                    return Ok(());
                }
                askers.retain(|asker| *asker != from);
                askers.push(from);
            }
            let mut batch = Batch::default();
            batch.push(SocketAddr::new(seat.there, 0), |bytes| bytes.extend(b"nowhere"));
            for number in 0..REPLIES {
                for asker in &askers {
                    batch.push(*asker, |bytes| bytes.extend(numbered(number)));
                }
            }
            let lost = socket.send_batch(&batch).await;
            ensure(lost <= 1, || format!("{lost} of {} datagrams lost", batch.len()))?;
        }
    }

    pub(in super::super) async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Check {
        let server = seat.theirs(Port::BatchToMany);
        let any = SocketAddr::new(seat.here, 0);
        let bind = || seat.environment.transport.bind(any);
        let sockets = [bind().await.map_err(because("bind"))?, bind().await.map_err(because("bind"))?];
        let mut missing: [Vec<u8>; 2] = [(0..REPLIES).collect(), (0..REPLIES).collect()];
        while missing.iter().any(|numbers| !numbers.is_empty()) {
            for (socket, missing) in sockets.iter().zip(&mut missing) {
                socket.send_to(b"all", server).await.map_err(because("send"))?;
                while let Some(batch) = within(&seat.environment.clock, RESEND, receive(socket, 64)).await {
                    for (from, bytes) in batch? {
                        ensure(from == server, || format!("an answer from {from}, asked {server}"))?;
                        missing.retain(|number| bytes != numbered(*number));
                    }
                }
            }
        }
        // Loss here would only leave the other half waiting, so say it more than once.
        let mut goodbyes = Batch::default();
        (0..3).for_each(|_| goodbyes.push(server, |bytes| bytes.extend(GOODBYE)));
        let [socket, _] = sockets;
        ensure(socket.send_batch(&goodbyes).await == 0, || "a goodbye was not taken".to_owned())
    }
}
