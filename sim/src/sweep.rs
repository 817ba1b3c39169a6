//! Running many plans, one world a thread; the results come in the order of the plans.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sim::defect::Tampered;
use sim::record::Record;
use sim::run::{RunError, Watching, run_watched};
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

/// What to run: plans are drawn one by one, as a million of them would not fit into memory.
pub(crate) trait Runs: Sync {
    /// How many.
    fn count(&self) -> usize;
    /// One of them, and who looks on.
    fn plan(&self, index: usize) -> (Plan, Watching);
}

impl Runs for Vec<Plan> {
    fn count(&self) -> usize {
        self.len()
    }

    fn plan(&self, index: usize) -> (Plan, Watching) {
        // `sweep` asks for those that are there.
        #[expect(clippy::indexing_slicing, reason = "see above")]
        (self[index].clone(), Watching::default())
    }
}

/// Runs all of `runs` on `jobs` threads, each `twice` if wanted. `arrived` gets each ending at once, and `each` what
/// it made of it, in order.
pub(crate) fn sweep<T>(
    runs: &impl Runs,
    jobs: usize,
    twice: bool,
    progress: &Progress,
    arrived: impl FnMut(usize, Ending) -> T,
    each: impl FnMut(usize, T),
) {
    let work = |index| {
        let (plan, watching) = runs.plan(index);
        one(&plan, &watching, twice, progress)
    };
    in_parallel(runs.count(), jobs, work, arrived, each);
}

/// Does `count` pieces of `work` on `jobs` threads. `arrived` gets each result at once, and `each` what it made of it,
/// in order.
pub(crate) fn in_parallel<R: Send, T>(
    count: usize,
    jobs: usize,
    work: impl Fn(usize) -> R + Sync,
    mut arrived: impl FnMut(usize, R) -> T,
    mut each: impl FnMut(usize, T),
) {
    let next = AtomicUsize::new(0);
    let (sender, endings) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.min(count) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < count) {
                    // The receiver outlives all threads of this scope.
                    let _ = sender.send((index, work(index)));
                }
            });
        }
        drop(sender);
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (index, ending) in endings {
            waiting.insert(index, arrived(index, ending));
            while let Some(ending) = waiting.remove(&due) {
                each(due, ending);
                due += 1;
            }
        }
    });
}

fn one(plan: &Plan, watching: &Watching, twice: bool, progress: &Progress) -> Ending {
    let started = wall();
    let record = match attempt(plan, watching, progress) {
        Ok(record) => record,
        Err(ending) => return ending,
    };
    let wall = started.elapsed();
    let other = match twice.then(|| attempt(plan, &Watching::default(), progress)) {
        None => None,
        Some(Ok(second)) if second == record => None,
        Some(Ok(second)) => Some(second.digest),
        Some(Err(ending)) => return ending,
    };
    Ending::Done { record: Box::new(record), wall, other }
}

fn attempt(plan: &Plan, watching: &Watching, progress: &Progress) -> Result<Record, Ending> {
    let mut shown = progress.of(format!("{} seed {}", plan.name, plan.seed));
    let mut watch = |glimpse| shown.show(glimpse);
    // Nothing of a world survives its panic: everything in it is dropped here.
    let result =
        catch_unwind(AssertUnwindSafe(|| run_watched(plan, &Tampered::nobody(), watching, &mut watch)));
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
