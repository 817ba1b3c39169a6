//! The driver of web seeds (BEP 19), whose decisions are [`proto::torrent`]'s: a task for each URL that is in use,
//! which keeps its connection between two requests and ends when nothing is asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::rate::TorrentKey;
use proto::torrent::{Fetch, FetchKey, WebNews};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use self::line::{Line, Order};
use crate::clock::Clock;
use crate::door::Keys;
use crate::environment::Environment;
use crate::fetch::TrackerTrust;
use crate::queue::{Happening, Queue};
use crate::throttle::Throttle;
use crate::transport::Transport;

mod line;

/// The web seeds of one torrent.
#[derive(Debug)]
pub(crate) struct WebSeedPort<T: Transport, C: Clock> {
    terms: WebTerms<T, C>,
    queue: Queue,
    lines: BTreeMap<usize, Running>,
    tasks: JoinSet<()>,
}

/// What a request over HTTP needs of the engine.
#[derive(Clone, Debug)]
pub(crate) struct WebTerms<T: Transport, C: Clock> {
    /// For which torrent.
    pub(crate) torrent: TorrentKey,
    /// The network and the time.
    pub(crate) environment: Environment<T, C>,
    /// Whom to believe over TLS.
    pub(crate) trust: Arc<TrackerTrust>,
    /// How fast bytes may come.
    pub(crate) throttle: Throttle,
    /// Names for its connections.
    pub(crate) keys: Keys,
}

/// A URL's task, with the request that it works on.
#[derive(Debug)]
struct Running {
    key: FetchKey,
    credit: Arc<Semaphore>,
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

impl<T: Transport, C: Clock> WebSeedPort<T, C> {
    /// Without a task yet.
    pub(crate) fn new(terms: WebTerms<T, C>, queue: Queue) -> Self {
        Self { terms, queue, lines: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Carries out [`Output::Fetch`](proto::torrent::Output::Fetch); its news come through the queue. The core asks a
    /// server for one thing after the other, so that no more than one order waits.
    pub(crate) fn fetch(&mut self, fetch: Fetch) {
        while self.tasks.try_join_next().is_some() {}
        let (seed, key) = (fetch.seed, fetch.key);
        let credit = Arc::new(Semaphore::new(fetch.credit));
        let order = Order { fetch, credit: Arc::clone(&credit) };
        let order = match self.lines.get_mut(&seed) {
            Some(running) => {
                (running.key, running.credit) = (key, credit.clone());
                match running.orders.send(order) {
                    Ok(()) => return,
                    // It had nothing to do for long, and is gone.
                    Err(mpsc::error::SendError(order)) => order,
                }
            }
            None => order,
        };
        let (orders, ordered) = mpsc::unbounded_channel();
        // Its other end is at hand.
        let _ = orders.send(order);
        let queue = self.queue.clone();
        let tell = move |key, news: WebNews| {
            // The loop is gone only while everything is being dropped.
            let _ = queue.send(Happening::Web(key, news));
        };
        let task = self.tasks.spawn(Line::new(self.terms.clone(), tell).serve(ordered));
        self.lines.insert(seed, Running { key, credit, orders, task });
    }

    /// Carries out [`Output::FetchMore`](proto::torrent::Output::FetchMore).
    pub(crate) fn more(&self, key: FetchKey, bytes: usize) {
        if let Some(running) = self.lines.values().find(|running| running.key == key) {
            running.credit.add_permits(bytes);
        }
    }

    /// Carries out [`Output::FetchStop`](proto::torrent::Output::FetchStop): hangs up.
    pub(crate) fn stop(&mut self, key: FetchKey) {
        self.lines.retain(|_, running| {
            let stays = running.key != key;
            if !stays {
                running.task.abort();
            }
            stays
        });
    }
}
