//! A running engine and its user: waits until every torrent has reached its goal or failed, or for Ctrl-C,
//! whichever is first.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use engine::resume::CheckProgress;
use engine::{AddError, Engine, EngineConfig, EngineEvent, EngineHandle, Environment, TorrentHandle};
use proto::seed::Seed;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinError, JoinHandle};

use crate::failure::{Failure, Status};
use crate::report::Report;
use crate::runtime::interrupted;
use crate::transfer::{Goal, Plan, Transfer};

/// The engine gives `stopped` five seconds and then saves; more than this means that it hangs.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// News that wait to be told; the engine's own backlog takes what is more.
const NEWS: usize = 16;

/// All that a run needs.
pub(crate) struct Session {
    pub(crate) plans: Vec<Plan>,
    pub(crate) config: EngineConfig,
    pub(crate) goal: Goal,
    pub(crate) report: Report,
    pub(crate) seed: Seed,
}

/// What is new of one torrent.
enum News {
    /// Its files were looked through, and it runs.
    Began(TorrentHandle),
    /// It never began.
    Refused(AddError),
    /// Something has happened.
    Event(EngineEvent),
    /// Nothing will happen any more.
    Gone,
}

impl Session {
    /// Runs until the goal is reached; the engine has stopped in order when this returns.
    pub(crate) async fn run(self) -> Result<Status, Failure> {
        let environment = Environment::os_at(&self.config.listen);
        let progress = self.config.resume.progress.clone();
        let (engine, root) = Engine::open(environment, self.config, self.seed).await?;
        let root = tokio::spawn(root);
        let (told, news) = channel(NEWS);
        let mut transfers = Vec::new();
        for (index, plan) in self.plans.into_iter().enumerate() {
            tokio::spawn(follow(index, engine.clone(), plan.clone(), told.clone()));
            transfers.push(Transfer::new(plan, self.goal));
        }
        let mut watch = Watch { transfers, news, progress, listening: BTreeSet::new(), report: self.report };
        let interrupted = watch.until_the_end().await;
        let outcome = watch.verdict(interrupted).await;
        engine.stop();
        let ended = stopped(root).await;
        watch.report.close();
        match ended {
            Ok(()) => outcome,
            Err(panic) => Err(Failure::new(Status::Incomplete, format_args!("the engine failed: {panic}"))),
        }
    }
}

/// Adds a torrent to the engine and passes on what happens in it.
async fn follow(index: usize, engine: EngineHandle, plan: Plan, told: Sender<(usize, News)>) {
    let mut handle = match engine.add(plan.metainfo, plan.storage, plan.options).await {
        Ok(handle) => handle,
        Err(error) => {
            // Who listens no more has ended the run.
            let _ = told.send((index, News::Refused(error))).await;
            return;
        }
    };
    let mut news = News::Began(handle.clone());
    while told.send((index, news)).await.is_ok() {
        match handle.next_event().await {
            Some(event) => news = News::Event(event),
            None => break,
        }
    }
    let _ = told.send((index, News::Gone)).await;
}

/// Waits until the engine has stopped in order. Whoever presses Ctrl-C twice does not want to wait.
async fn stopped(mut root: JoinHandle<()>) -> Result<(), JoinError> {
    tokio::select! {
        biased;
        ended = tokio::time::timeout(STOP_LIMIT, &mut root) => ended.unwrap_or(Ok(())),
        () = interrupted() => Ok(()),
    }
}

/// The torrents under way, and those who hear of them.
struct Watch {
    transfers: Vec<Transfer>,
    news: Receiver<(usize, News)>,
    progress: CheckProgress,
    /// Addresses that were told of.
    listening: BTreeSet<SocketAddr>,
    report: Report,
}

impl Watch {
    /// Returns when nothing is left to wait for; true if the user would rather not wait.
    async fn until_the_end(&mut self) -> bool {
        let mut tick = tokio::time::interval(self.report.period());
        // The first tick is immediate and has nothing to show.
        tick.tick().await;
        let mut interrupt = pin!(interrupted());
        while self.transfers.iter().any(|transfer| transfer.ended.is_none()) {
            tokio::select! {
                biased;
                () = interrupt.as_mut() => return true,
                Some((index, news)) = self.news.recv() => self.hear(index, news).await,
                _ = tick.tick() => self.show().await,
            }
        }
        false
    }

    async fn hear(&mut self, index: usize, news: News) {
        let Some(transfer) = self.transfers.get_mut(index) else { return };
        let heeded = match news {
            News::Began(handle) => {
                transfer.began(handle);
                return;
            }
            // One that has failed has nothing more to say.
            _ if matches!(transfer.ended, Some(Err(_))) => return,
            News::Refused(error) => Err(error.into()),
            // All torrents listen at the same addresses: that is said once.
            News::Event(EngineEvent::Listening(addr)) if !self.listening.insert(addr) => return,
            News::Event(event) => {
                self.report.event(&transfer.name(), &event);
                transfer.heed(&event).await
            }
            News::Gone => Err(Failure::new(Status::Incomplete, "the engine failed")),
        };
        match heeded {
            Ok(true) => self.report.complete(&transfer.name(), &transfer.completion()),
            Ok(false) => {}
            Err(failure) => self.fail(index, failure).await,
        }
    }

    /// Lets a torrent go. If it is the only one, its failure is the program's last word.
    async fn fail(&mut self, index: usize, failure: Failure) {
        let is_alone = self.transfers.len() == 1;
        let Some(transfer) = self.transfers.get_mut(index) else { return };
        if let Some(snapshot) = transfer.snapshot().await {
            self.report.summary(&snapshot, transfer.outlook.age());
        }
        if !is_alone {
            self.report.failure(&transfer.name(), &failure);
        }
        transfer.fail(failure);
    }

    /// Draws where everything stands, and gives up what has no hope.
    async fn show(&mut self) {
        let is_new = |transfer: &Transfer| transfer.handle().is_none() && transfer.ended.is_none();
        if self.transfers.iter().any(is_new) {
            let (done, total) = self.progress.bytes();
            self.report.checking(done, total);
        }
        let (mut snapshots, mut hopeless) = (Vec::new(), Vec::new());
        for (index, transfer) in self.transfers.iter_mut().enumerate() {
            let Some(snapshot) = transfer.snapshot().await else { continue };
            if let Err(failure) = transfer.outlook.judge(&snapshot.stats) {
                hopeless.push((index, failure));
            }
            snapshots.push(snapshot);
        }
        if !snapshots.is_empty() {
            self.report.progress(&snapshots);
        }
        for (index, failure) in hopeless {
            self.fail(index, failure).await;
        }
    }

    /// Sums up what has come of it all.
    async fn verdict(&self, interrupted: bool) -> Result<Status, Failure> {
        let (mut complete, mut checking) = (true, false);
        for transfer in &self.transfers {
            checking |= transfer.handle().is_none();
            let snapshot = transfer.snapshot().await;
            complete &= snapshot.as_ref().is_some_and(|snapshot| snapshot.stats.wanted_left == 0);
            if let Some(snapshot) = snapshot {
                self.report.summary(&snapshot, transfer.outlook.age());
            }
        }
        let all = self.transfers.len();
        let failure = |transfer: &Transfer| transfer.ended.clone()?.err();
        let failures: Vec<_> = self.transfers.iter().filter_map(failure).collect();
        if let Some(first) = failures.first() {
            let what = format_args!(
                "{} of {all} torrents failed; the same command goes on with all of them",
                failures.len()
            );
            return Err(if all == 1 { first.clone() } else { Failure::new(first.status, what) });
        }
        if !interrupted || complete {
            return Ok(Status::Done);
        }
        self.report.close();
        self.report.say(if checking {
            "interrupted; run the same command again, and the check goes on"
        } else {
            "interrupted; run the same command again to go on"
        });
        Ok(Status::Interrupted)
    }
}
