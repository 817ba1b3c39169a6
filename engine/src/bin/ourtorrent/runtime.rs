//! What every command that waits needs of its process: a runtime, chance, and Ctrl-C.

use std::future::pending;

use proto::seed::Seed;

use crate::failure::{Failure, Status};

/// Runs `work` on a single-threaded runtime: one core moves the bytes, disk jobs have threads of their own.
pub(crate) fn on_runtime<V>(work: impl Future<Output = Result<V, Failure>>) -> Result<V, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Status::Incomplete, error))?;
    let outcome = runtime.block_on(work);
    // A name lookup that hangs must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

pub(crate) fn random_seed() -> Result<Seed, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(Status::Incomplete, error))?;
    Ok(Seed(bytes))
}

/// Ends when the user presses Ctrl-C or the system asks the program to end.
pub(crate) async fn interrupted() {
    let pressed = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = pressed => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}
