//! Who waits for what, within this process: event streams for a run, claims for the queue.
//!
//! A wake-up says only "look again"; the store says what there is. One that is lost costs time,
//! never an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use vm0_model::RunId;

use super::tail::Tail;

/// How often a run has changed since somebody began to watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunChanges {
    /// Appended batches of events.
    pub(crate) events: u64,
    /// Changes of state.
    pub(crate) states: u64,
    /// Changes of the commands that wait for its runner.
    pub(crate) execs: u64,
    /// Changes of its network policy.
    pub(crate) networks: u64,
}

/// A run that somebody watches.
#[derive(Debug, Default)]
struct Watched {
    sender: watch::Sender<RunChanges>,
    tail: Arc<Tail>,
}

type Runs = HashMap<RunId, Watched>;

/// The registry of those who wait.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    runs: Mutex<Runs>,
    queue: Notify,
}

/// A place in the registry, kept while it is held.
#[derive(Debug)]
pub(crate) struct RunWatch {
    registry: Arc<Wakeups>,
    run: RunId,
    receiver: watch::Receiver<RunChanges>,
    tail: Arc<Tail>,
}

impl Wakeups {
    /// Begins to watch a run: every change from now on wakes [`RunWatch::changed`].
    pub(crate) fn watch(self: &Arc<Self>, run: RunId) -> RunWatch {
        let mut runs = self.runs();
        let watched = runs.entry(run).or_default();
        RunWatch {
            registry: Arc::clone(self),
            run,
            receiver: watched.sender.subscribe(),
            tail: Arc::clone(&watched.tail),
        }
    }

    /// A batch of events of this run is stored.
    pub(crate) fn run_events(&self, run: RunId) {
        self.change(run, |changes| changes.events += 1);
    }

    /// This run has another state.
    pub(crate) fn run_state(&self, run: RunId) {
        self.change(run, |changes| changes.states += 1);
    }

    /// Other commands wait for the runner of this run.
    pub(crate) fn run_execs(&self, run: RunId) {
        self.change(run, |changes| changes.execs += 1);
    }

    /// This run has another network policy.
    pub(crate) fn run_network(&self, run: RunId) {
        self.change(run, |changes| changes.networks += 1);
    }

    /// A run has been queued.
    pub(crate) fn run_queued(&self) {
        self.queue.notify_one();
    }

    /// Waits until a run has been queued since the last wait that returned.
    pub(crate) async fn queued(&self) {
        self.queue.notified().await;
    }

    fn change(&self, run: RunId, change: impl FnOnce(&mut RunChanges)) {
        if let Some(watched) = self.runs().get(&run) {
            watched.sender.send_modify(change);
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.runs().len()
    }
}

impl RunWatch {
    /// Waits for a change since the last call that returned, and tells all changes so far.
    pub(crate) async fn changed(&mut self) -> RunChanges {
        if self.receiver.changed().await.is_err() {
            // The sender lives in the registry as long as this place does.
            std::future::pending::<()>().await;
        }
        self.seen()
    }

    /// All changes so far; none of them wakes the next wait.
    pub(crate) fn seen(&mut self) -> RunChanges {
        *self.receiver.borrow_and_update()
    }

    /// All changes so far; each still wakes the next wait.
    pub(crate) fn announced(&self) -> RunChanges {
        *self.receiver.borrow()
    }

    /// The run's newest events, shared by all who watch it.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }
}

impl Drop for RunWatch {
    fn drop(&mut self) {
        let mut runs = self.registry.runs();
        if runs
            .get(&self.run)
            .is_some_and(|watched| watched.sender.receiver_count() <= 1)
        {
            runs.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn every_watcher_of_a_run_is_woken_and_no_entry_is_left() {
        let wakeups = Arc::new(Wakeups::default());
        let run = RunId::from_uuid(Uuid::now_v7());
        let mut first = wakeups.watch(run);
        let mut second = wakeups.watch(run);
        wakeups.run_events(run);
        assert_eq!(
            first.changed().await,
            RunChanges {
                events: 1,
                ..RunChanges::default()
            }
        );
        wakeups.run_state(run);
        assert_eq!(
            second.changed().await,
            RunChanges {
                events: 1,
                states: 1,
                ..RunChanges::default()
            }
        );
        drop(first);
        assert_eq!(wakeups.len(), 1);
        drop(second);
        assert_eq!(wakeups.len(), 0);
    }

    #[tokio::test]
    async fn a_run_queued_before_the_wait_is_not_missed() {
        let wakeups = Wakeups::default();
        wakeups.run_queued();
        wakeups.queued().await;
    }
}
