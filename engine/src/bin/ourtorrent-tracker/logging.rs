//! Structured logs on standard error, written by a thread of their own.
//!
//! A log line never makes a request wait: what the thread cannot take is dropped, as when whoever reads our
//! standard error has stopped reading.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// The variable that says what to log.
const VARIABLE: &str = "OURTORRENT_LOG";

/// Lines that wait to be written at the most: a few hundred KiB.
const MAX_WAITING: usize = 4096;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The running log; what waits is written when it is dropped.
pub(crate) struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    _writer: WorkerGuard,
}

impl Log {
    /// Starts logging.
    pub(crate) fn start(format: LogFormat, level: &str) -> Self {
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(MAX_WAITING)
            .finish(std::io::stderr());
        let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
        let lines = match format {
            LogFormat::Text => {
                fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(writer).boxed()
            }
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Self { level: handle, _writer: guard }
    }

    /// Logs what `level` says from now on.
    pub(crate) fn set_level(&self, level: &str) {
        if let Err(error) = self.level.reload(EnvFilter::new(level)) {
            tracing::warn!(%error, "the level of the log stays as it is");
        }
    }
}

/// What the environment says should be logged, if it says something usable.
pub(crate) fn level_of_environment() -> Option<String> {
    let level = std::env::var(VARIABLE).ok().filter(|level| !level.trim().is_empty())?;
    EnvFilter::try_new(&level).is_ok().then_some(level)
}
