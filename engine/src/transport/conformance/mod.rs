//! What every [`Transport`] must do, as checks that run over any two of them.
//!
//! Each check has a serving and a dialling half that meet over the network alone, so that the halves may run
//! on two simulated hosts ([`serve`] and [`dial`]) or side by side ([`conforms`]). Most checks stand for a
//! defect that was once reproduced in a simulated stack.

mod datagrams;
mod lifecycle;
mod streams;

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use super::{Stream, Transport};
use crate::clock::{Clock, within};
use crate::environment::Environment;

/// Ports that the checks use, counted from the first one given.
pub const PORTS: u16 = 16;

/// One check may take this long on the transport's clock; 32 MiB through a simulated 64 KiB window at 20 ms
/// need 20 s.
const CHECK_LIMIT: Duration = Duration::from_secs(120);

/// A refused connect is tried again after this time, since the serving half may not listen yet.
const RETRY: Duration = Duration::from_millis(20);

/// A rule of the transport traits that an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{check}, {half} half: {what}")]
pub struct Violation {
    /// The check.
    pub check: &'static str,
    /// `serving` or `dialling`.
    pub half: &'static str,
    /// What happened instead.
    pub what: String,
}

/// Where one half runs, and whom it talks to.
#[derive(Clone, Debug)]
pub struct Seat<T: Transport, C: Clock> {
    /// The host's network and clock.
    pub environment: Environment<T, C>,
    /// An address of this host.
    pub here: IpAddr,
    /// The other half's address; the same as `here` if both halves share a host.
    pub there: IpAddr,
    /// The first of [`PORTS`] free ports, the same on both sides.
    pub first_port: u16,
}

/// Runs both halves of all checks side by side.
pub async fn conforms<T, U, C, D>(server: &Seat<T, C>, client: &Seat<U, D>) -> Result<(), Violation>
where
    T: Transport,
    U: Transport,
    C: Clock,
    D: Clock,
{
    tokio::try_join!(biased; serve(server), dial(client)).map(|((), ())| ())
}

/// Runs one half of every check in turn. The two halves follow one list, or they would miss each other.
macro_rules! checks {
    ($seat:expr, $name:literal, $half:ident) => {
        checks!(
            $seat,
            $name,
            $half,
            [
                streams::echo,
                streams::half_close,
                streams::back_pressure,
                streams::small_reads_after_a_stall,
                streams::many_small_reads,
                lifecycle::drop_with_unread_data,
                lifecycle::cancelled_connect,
                lifecycle::refused_connect,
                lifecycle::port_reuse,
                datagrams::batches,
                datagrams::empty_datagram,
                datagrams::batch_to_many,
            ]
        )
    };
    ($seat:expr, $name:literal, $half:ident, [$($module:ident :: $check:ident),+ $(,)?]) => {{
        $({
            let work = $module::$check::$half($seat);
            let outcome = within(&$seat.environment.clock, CHECK_LIMIT, work).await;
            let outcome = outcome.unwrap_or_else(|| Err(format!("not done after {CHECK_LIMIT:?}")));
            outcome.map_err(|what| Violation { check: stringify!($check), half: $name, what })?;
        })+
        Ok(())
    }};
}

/// The serving half of all checks. Run it on one host while [`dial`] runs on another.
pub async fn serve<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Result<(), Violation> {
    checks!(seat, "serving", serve)
}

/// The dialling half of all checks.
pub async fn dial<T: Transport, C: Clock>(seat: &Seat<T, C>) -> Result<(), Violation> {
    checks!(seat, "dialling", dial)
}

/// How a half of a check ends.
type Check = Result<(), String>;

/// One port for each check, so that none meets another's leftovers.
#[derive(Clone, Copy)]
enum Port {
    Echo,
    HalfClose,
    BackPressure,
    SmallReadsAfterAStall,
    ManySmallReads,
    Drop,
    Cancel,
    CancelDecoy,
    CancelCallBack,
    Refused,
    Reuse,
    BatchServer,
    EmptyServer,
    BatchToMany,
}

impl<T: Transport, C: Clock> Seat<T, C> {
    fn mine(&self, port: Port) -> SocketAddr {
        SocketAddr::new(self.here, self.first_port + port as u16)
    }

    fn theirs(&self, port: Port) -> SocketAddr {
        SocketAddr::new(self.there, self.first_port + port as u16)
    }

    async fn listen(&self, port: Port) -> Result<T::Listener, String> {
        let addr = self.mine(port);
        self.environment.transport.listen(addr).await.map_err(because("listen"))
    }

    /// Dials until the other half listens; the check's limit ends a vain wait.
    async fn connect(&self, port: Port) -> Result<Stream<T::Reader, T::Writer>, String> {
        loop {
            match self.environment.transport.connect(self.theirs(port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.pause(RETRY).await,
                Err(error) => return Err(format!("connect: {error}")),
            }
        }
    }

    async fn pause(&self, time: Duration) {
        let clock = &self.environment.clock;
        clock.sleep_until(clock.now() + time).await;
    }
}

/// Names the step that failed.
fn because<E: Display>(step: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{step}: {error}")
}

/// Is `condition` so? If not, `what` happened.
fn ensure(condition: bool, what: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(what()) }
}

/// Did a stream end, in either of the two ways in which a peer's disappearance shows?
fn has_ended(read: &io::Result<usize>) -> bool {
    match read {
        Ok(len) => *len == 0,
        Err(error) => [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe]
            .contains(&error.kind()),
    }
}

/// Byte `index` of every payload: neither constant nor periodic in a power of two.
const fn pattern(index: usize) -> u8 {
    (index % 251) as u8 ^ (index >> 16) as u8
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(pattern).collect()
}
