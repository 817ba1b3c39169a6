//! What happens in a torrent, for those who listen. An idle torrent's listeners cost no more than an empty list,
//! where a ring of the standard kind would take its full length at once, for each of a thousand torrents.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::handle::EngineEvent;

/// Events that wait for a slow listener; the oldest make room, and [`EngineEvent::Missed`] says so.
const EVENT_BACKLOG: usize = 1024;

#[derive(Debug, Default)]
struct Inbox {
    waiting: VecDeque<EngineEvent>,
    missed: u64,
    over: bool,
    waker: Option<Waker>,
}

type Shared<V> = Arc<Mutex<V>>;

fn lock<V>(shared: &Mutex<V>) -> MutexGuard<'_, V> {
    // No code that may panic runs under these locks.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The torrent's end. Dropping it tells the listeners that nothing follows.
#[derive(Debug, Default)]
pub(crate) struct Events {
    inboxes: Shared<Vec<Weak<Mutex<Inbox>>>>,
}

impl Events {
    /// Somebody who hears what comes from now on.
    pub(crate) fn listen(&self) -> Listener {
        Listener::new(Arc::clone(&self.inboxes), false)
    }

    /// Tells everybody. Nobody need listen.
    pub(crate) fn tell(&self, event: &EngineEvent) {
        self.each(|inbox| {
            if inbox.waiting.len() >= EVENT_BACKLOG {
                inbox.waiting.pop_front();
                inbox.missed += 1;
            }
            inbox.waiting.push_back(event.clone());
        });
    }

    fn each(&self, act: impl Fn(&mut Inbox)) {
        lock(&self.inboxes).retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            let mut inbox = lock(&inbox);
            act(&mut inbox);
            inbox.waker.take().into_iter().for_each(Waker::wake);
            true
        });
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.each(|inbox| inbox.over = true);
    }
}

/// A listener's end. Clones hear the events that come after the cloning.
#[derive(Debug)]
pub(crate) struct Listener {
    inbox: Shared<Inbox>,
    inboxes: Shared<Vec<Weak<Mutex<Inbox>>>>,
}

impl Listener {
    fn new(inboxes: Shared<Vec<Weak<Mutex<Inbox>>>>, over: bool) -> Self {
        let inbox = Arc::new(Mutex::new(Inbox { over, ..Inbox::default() }));
        lock(&inboxes).push(Arc::downgrade(&inbox));
        Self { inbox, inboxes }
    }

    /// The next event, in order; nothing once the torrent is gone.
    pub(crate) async fn next(&mut self) -> Option<EngineEvent> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        let mut inbox = lock(&self.inbox);
        let missed = std::mem::take(&mut inbox.missed);
        if missed > 0 {
            return Poll::Ready(Some(EngineEvent::Missed(missed)));
        }
        let next = inbox.waiting.pop_front();
        if next.is_some() || inbox.over {
            if inbox.waiting.is_empty() {
                inbox.waiting = VecDeque::new();
            }
            return Poll::Ready(next);
        }
        inbox.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Clone for Listener {
    fn clone(&self) -> Self {
        let over = lock(&self.inbox).over;
        Self::new(Arc::clone(&self.inboxes), over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_listener_hears_what_comes_after_it_and_then_the_end() {
        let events = Events::default();
        let mut early = events.listen();
        events.tell(&EngineEvent::PieceVerified(1));
        let mut late = early.clone();
        events.tell(&EngineEvent::Completed);
        drop(events);
        let mut after = late.clone();
        assert_eq!(early.next().await, Some(EngineEvent::PieceVerified(1)));
        assert_eq!(early.next().await, Some(EngineEvent::Completed));
        assert_eq!(late.next().await, Some(EngineEvent::Completed));
        assert_eq!((early.next().await, late.next().await, after.next().await), (None, None, None));
    }

    #[tokio::test]
    async fn a_slow_listener_misses_the_oldest_and_is_told_how_many() {
        let events = Events::default();
        let mut listener = events.listen();
        for piece in 0..EVENT_BACKLOG as u32 + 3 {
            events.tell(&EngineEvent::PieceVerified(piece));
        }
        assert_eq!(listener.next().await, Some(EngineEvent::Missed(3)));
        assert_eq!(listener.next().await, Some(EngineEvent::PieceVerified(3)));
    }

    #[tokio::test]
    async fn a_waiting_listener_is_woken_and_one_that_left_is_forgotten() {
        let events = Events::default();
        let mut listener = events.listen();
        let waiting = tokio::spawn(async move { listener.next().await });
        tokio::task::yield_now().await;
        events.tell(&EngineEvent::Completed);
        assert_eq!(waiting.await.expect("no panic"), Some(EngineEvent::Completed));
        events.tell(&EngineEvent::Completed);
        assert!(lock(&events.inboxes).is_empty());
    }
}
