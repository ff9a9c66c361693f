//! Commands in the sandboxes of running runs: where a client and the runner of its run meet.
//!
//! ```text
//!   client ── run_exec ──► ExecPlace ── begin ──► ClientSide ═══ two queues ═══ RunnerSide
//!                              │                                                    ▲
//!                              └── announced to the runner by run_watch ── exec_take ┘
//! ```
//!
//! All of it is in memory: what is here ends with this process, and clients and runners see their
//! connections break. A queue that nobody reads stops who fills it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use vm0_model::wire::exec::{ExecControl, ExecEnd, ExecFault, ExecStart};
use vm0_model::{ApiError, Epoch, ErrorCode, ExecId, RunId, RunStatus, limits};

use super::context::App;
use super::error::AppError;
use super::tokens::Caller;
use super::wakeups::Wakeups;
use crate::clock;

/// What a client says after the start.
#[derive(Debug)]
pub(crate) enum ExecInput {
    /// A piece of the command's input.
    Stdin(Bytes),
    /// Something else.
    Control(ExecControl),
}

/// What a runner says.
#[derive(Debug)]
pub(crate) enum ExecOutput {
    /// A piece of the command's output, with the byte that says of which.
    Piece(Bytes),
    /// The command has ended.
    End(ExecEnd),
    /// It has not, and nothing more comes.
    Fault(ExecFault, String),
}

/// A client's ends of the queues.
#[derive(Debug)]
pub(crate) struct ClientSide {
    pub(crate) input: mpsc::Sender<ExecInput>,
    /// Ends when the runner has gone.
    pub(crate) output: mpsc::Receiver<ExecOutput>,
    /// Comes when the runner has connected.
    pub(crate) taken: oneshot::Receiver<()>,
}

/// A runner's ends of the queues.
#[derive(Debug)]
pub(crate) struct RunnerSide {
    pub(crate) start: ExecStart,
    /// Ends when the client has gone.
    pub(crate) input: mpsc::Receiver<ExecInput>,
    pub(crate) output: mpsc::Sender<ExecOutput>,
}

#[derive(Debug)]
struct Waiting {
    side: RunnerSide,
    taken: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct RunExecs {
    /// Every command that has a place.
    places: HashSet<ExecId>,
    /// Those that wait for the runner.
    waiting: HashMap<ExecId, Waiting>,
}

/// The registry of commands.
#[derive(Debug)]
pub(crate) struct Execs {
    runs: Mutex<HashMap<RunId, RunExecs>>,
    wakeups: Arc<Wakeups>,
}

/// One of the [`limits::EXECS_MAX_PER_RUN`] places of a run, kept while it is held.
#[derive(Debug)]
pub(crate) struct ExecPlace {
    registry: Arc<Execs>,
    run: RunId,
    exec: ExecId,
}

impl Execs {
    /// An empty registry that wakes those who watch runs.
    pub(crate) fn new(wakeups: Arc<Wakeups>) -> Self {
        Self {
            runs: Mutex::default(),
            wakeups,
        }
    }

    /// A place in a run; `None` if all are taken.
    fn place(self: &Arc<Self>, run: RunId) -> Option<ExecPlace> {
        let exec = clock::fresh(ExecId::from_uuid);
        let mut runs = self.runs();
        let places = &mut runs.entry(run).or_default().places;
        if places.len() >= limits::EXECS_MAX_PER_RUN {
            return None;
        }
        places.insert(exec);
        Some(ExecPlace {
            registry: Arc::clone(self),
            run,
            exec,
        })
    }

    /// The commands that wait for the runner of a run, in the order of their ids.
    pub(crate) fn waiting(&self, run: RunId) -> Vec<ExecId> {
        let runs = self.runs();
        let waiting = runs.get(&run).map(|run| run.waiting.keys().copied());
        let mut waiting: Vec<_> = waiting.into_iter().flatten().collect();
        waiting.sort_unstable();
        waiting
    }

    fn take(&self, run: RunId, exec: ExecId) -> Option<RunnerSide> {
        let Waiting { side, taken } = self.runs().get_mut(&run)?.waiting.remove(&exec)?;
        self.wakeups.run_execs(run);
        // A client that has just left is seen by the end of its queues.
        let _ = taken.send(());
        Some(side)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, RunExecs>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExecPlace {
    /// The run.
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// Announces a command to the runner.
    pub(crate) fn begin(&self, start: ExecStart) -> ClientSide {
        let (input, runner_input) = mpsc::channel(limits::EXEC_QUEUE_MESSAGES);
        let (runner_output, output) = mpsc::channel(limits::EXEC_QUEUE_MESSAGES);
        let (tell_taken, taken) = oneshot::channel();
        let waiting = Waiting {
            side: RunnerSide {
                start,
                input: runner_input,
                output: runner_output,
            },
            taken: tell_taken,
        };
        let mut runs = self.registry.runs();
        let run = runs.entry(self.run).or_default();
        run.waiting.insert(self.exec, waiting);
        drop(runs);
        self.registry.wakeups.run_execs(self.run);
        ClientSide {
            input,
            output,
            taken,
        }
    }
}

impl Drop for ExecPlace {
    fn drop(&mut self) {
        let mut runs = self.registry.runs();
        let Some(run) = runs.get_mut(&self.run) else {
            return;
        };
        run.places.remove(&self.exec);
        let waited = run.waiting.remove(&self.exec).is_some();
        if run.places.is_empty() {
            runs.remove(&self.run);
        }
        drop(runs);
        if waited {
            self.registry.wakeups.run_execs(self.run);
        }
    }
}

impl App {
    /// A place for a command in the sandbox of a run of the caller.
    pub(crate) async fn run_exec(&self, caller: &Caller, id: &str) -> Result<ExecPlace, AppError> {
        let run = self.run(caller, id).await?;
        if run.status != RunStatus::Running {
            let message = format!("Run is not running: current status is '{}'", run.status);
            return Err(ApiError::new(ErrorCode::InvalidState, message).into());
        }
        let full = || {
            let most = limits::EXECS_MAX_PER_RUN;
            ApiError::new(
                ErrorCode::InvalidState,
                format!("Run has {most} commands already"),
            )
        };
        Ok(self.execs.place(run.id).ok_or_else(full)?)
    }

    /// A waiting command, for the runner that holds the lease of its run.
    pub(crate) async fn exec_take(
        &self,
        run: RunId,
        epoch: Epoch,
        exec: ExecId,
    ) -> Result<RunnerSide, AppError> {
        self.run_renew(run, epoch).await?;
        let unknown = || ApiError::not_found("exec", exec);
        Ok(self.execs.take(run, exec).ok_or_else(unknown)?)
    }

    /// Returns once the run is terminal.
    pub(crate) async fn run_over(&self, run: RunId) {
        let mut watch = self.wakeups.watch(run);
        loop {
            match self.store.run_view(None, run).await {
                Ok(Some(record)) if !record.status.is_terminal() => {}
                Ok(_) => return,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, %run, "failed to look at a run");
                }
            }
            let changed = async {
                let states = watch.seen().states;
                while watch.changed().await.states == states {}
            };
            // A change that was missed is seen a little later.
            let _ = tokio::time::timeout(limits::HEARTBEAT_INTERVAL, changed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn registry() -> (Arc<Execs>, RunId) {
        let execs = Execs::new(Arc::default());
        (Arc::new(execs), RunId::from_uuid(Uuid::now_v7()))
    }

    fn start() -> ExecStart {
        ExecStart::parse(r#"{"command":["ls"]}"#).unwrap()
    }

    #[test]
    fn a_run_has_so_many_places_and_gets_them_back() {
        let (execs, run) = registry();
        let places: Vec<_> = std::iter::from_fn(|| execs.place(run)).collect();
        assert_eq!(places.len(), limits::EXECS_MAX_PER_RUN);
        let other = RunId::from_uuid(Uuid::now_v7());
        assert!(execs.place(other).is_some(), "another run has its own");
        drop(places);
        assert!(execs.place(run).is_some());
        assert!(execs.runs().is_empty(), "nothing is kept of what has ended");
    }

    #[tokio::test]
    async fn a_command_waits_until_it_is_taken_and_is_taken_once() {
        let (execs, run) = registry();
        let place = execs.place(run).unwrap();
        assert!(execs.waiting(run).is_empty());
        let client = place.begin(start());
        let waiting = execs.waiting(run);
        assert_eq!(waiting.len(), 1);
        let side = execs.take(run, waiting[0]).unwrap();
        assert_eq!(side.start, start());
        client.taken.await.unwrap();
        assert!(execs.waiting(run).is_empty());
        assert!(execs.take(run, waiting[0]).is_none());
    }

    #[test]
    fn a_client_that_leaves_takes_its_command_with_it() {
        let (execs, run) = registry();
        let place = execs.place(run).unwrap();
        let _client = place.begin(start());
        drop(place);
        assert!(execs.waiting(run).is_empty());
    }
}
