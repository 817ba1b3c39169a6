//! Running many plans, one world a thread; the results come in the order of the plans.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sim::record::Record;
use sim::run::{RunError, run};
use sim::scenario::Plan;

use crate::progress::{Progress, wall};

/// How one run ended.
pub(crate) enum Ending {
    /// With a record.
    Done {
        record: Box<Record>,
        wall: Duration,
        /// The digest of a second run, if there was one and it differs.
        other: Option<String>,
    },
    /// It could not be run.
    Failed(RunError),
    /// Something in the world panicked.
    Panicked(String),
}

/// Runs `plans` on `jobs` threads, each `twice` if wanted, and hands each ending to `each` in order.
pub(crate) fn sweep(
    plans: &[Plan],
    jobs: usize,
    twice: bool,
    progress: &Progress,
    mut each: impl FnMut(usize, Ending),
) {
    let next = AtomicUsize::new(0);
    let (sender, endings) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.min(plans.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((index, plan)) = take(next, plans) {
                    // The receiver outlives all threads of this scope.
                    let _ = sender.send((index, one(plan, twice, progress)));
                }
            });
        }
        drop(sender);
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (index, ending) in endings {
            waiting.insert(index, ending);
            while let Some(ending) = waiting.remove(&due) {
                each(due, ending);
                due += 1;
            }
        }
    });
}

fn take<'a>(next: &AtomicUsize, plans: &'a [Plan]) -> Option<(usize, &'a Plan)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    plans.get(index).map(|plan| (index, plan))
}

fn one(plan: &Plan, twice: bool, progress: &Progress) -> Ending {
    let started = wall();
    let record = match attempt(plan, progress) {
        Ok(record) => record,
        Err(ending) => return ending,
    };
    let wall = started.elapsed();
    let other = match twice.then(|| attempt(plan, progress)) {
        None => None,
        Some(Ok(second)) if second == record => None,
        Some(Ok(second)) => Some(second.digest),
        Some(Err(ending)) => return ending,
    };
    Ending::Done { record: Box::new(record), wall, other }
}

fn attempt(plan: &Plan, progress: &Progress) -> Result<Record, Ending> {
    let mut shown = progress.of(format!("{} seed {}", plan.name, plan.seed));
    // Nothing of a world survives its panic: everything in it is dropped here.
    let result = catch_unwind(AssertUnwindSafe(|| run(plan, &mut |glimpse| shown.show(glimpse))));
    shown.finish();
    match result {
        Ok(Ok(record)) => Ok(record),
        Ok(Err(error)) => Err(Ending::Failed(error)),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Ending::Panicked(message.unwrap_or_default()))
        }
    }
}
