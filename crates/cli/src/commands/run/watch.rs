//! Showing a run from its start to its end.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};
use vm0_client::{Client, ClientError, RunEvent, RunEventBody};
use vm0_model::id::RunId;
use vm0_model::run::RunStatus;
use vm0_model::wire::runs::RunDetail;

use super::command::RunOptions;
use super::feed::Feed;
use super::outcome::{print_end, print_next, print_start};
use crate::context::Context;
use crate::error::Failure;
use crate::events::{EventView, terminal_width};
use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// A run that has not started after this long is said to wait.
const WAITING_AFTER: Duration = Duration::from_secs(2);
/// The kind of sandbox is looked up this often until it is known or the agent speaks.
const START_POLL: Duration = Duration::from_millis(250);
/// Files of a run that did not complete may be kept a little after its end.
const SALVAGE_WAIT: Duration = Duration::from_secs(3);
const SALVAGE_POLL: Duration = Duration::from_millis(200);

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Blocks and events as text.
    Text {
        /// Whole inputs and outputs, reasoning, unknown events.
        verbose: bool,
    },
    /// The run detail at the end.
    Json,
    /// The stream, then the run detail.
    JsonLines,
}

impl Form {
    /// The form that the options ask for.
    pub(crate) fn of(context: &Context, options: &RunOptions) -> Self {
        if options.jsonl {
            Self::JsonLines
        } else if context.output.is_json() {
            Self::Json
        } else {
            Self::Text {
                verbose: options.verbose,
            }
        }
    }
}

/// What became of a run that was watched.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The code of its outcome.
    pub(crate) exit: Exit,
    /// The run, if it has ended.
    pub(crate) run: Option<RunDetail>,
}

/// Shows `run` to its end.
pub(crate) async fn watch(
    context: &Context,
    client: &Client,
    interrupt: &mut Interrupt,
    run: RunDetail,
    form: Form,
) -> Result<Watched, Failure> {
    let id = run.run.id;
    let mut watch = Watch {
        context,
        client,
        run: id,
        form,
        view: EventView::new(form == Form::Text { verbose: true }, terminal_width()),
        running: false,
        started: !matches!(form, Form::Text { .. }),
    };
    let ending = tokio::select! {
        biased;
        () = interrupt.pressed() => Ending::Interrupted,
        ending = watch.follow() => ending?,
    };
    match ending {
        Ending::Complete => interrupt.race(watch.finish()).await,
        Ending::Interrupted => {
            detached(context, id, "Detached; the run goes on.");
            Ok(Watched {
                exit: Exit::Interrupted,
                run: None,
            })
        }
        Ending::Lost(error) if error.is_unreachable() => {
            let message = "Lost the server; the run goes on.";
            let failure = Failure::new(Exit::Unreachable, "server_lost", message);
            Err(failure.hint(format!("vm0 logs {id} --follow\nvm0 run kill {id}")))
        }
        Ending::Lost(error) => Err(error.into()),
    }
}

fn detached(context: &Context, run: RunId, message: &str) {
    context.output.error_line(message);
    context
        .output
        .error_line(&format!("  vm0 logs {run} --follow"));
    context.output.error_line(&format!("  vm0 run kill {run}"));
}

enum Ending {
    Complete,
    Interrupted,
    Lost(ClientError),
}

struct Watch<'a> {
    context: &'a Context,
    client: &'a Client,
    run: RunId,
    form: Form,
    view: EventView,
    running: bool,
    started: bool,
}

impl Watch<'_> {
    async fn follow(&mut self) -> Result<Ending, Failure> {
        let mut feed = Feed::open(self.client, self.run, 0);
        let patience = tokio::time::sleep(WAITING_AFTER);
        tokio::pin!(patience);
        let mut waiting_said = false;
        let mut poll = poll_interval();
        loop {
            tokio::select! {
                biased;
                event = feed.next() => match event {
                    Some(Ok(event)) => {
                        if self.take(&event).await? {
                            return Ok(Ending::Complete);
                        }
                    }
                    Some(Err(error)) => return Ok(Ending::Lost(error)),
                    None => return Ok(Ending::Complete),
                },
                () = &mut patience, if !waiting_said => {
                    waiting_said = true;
                    if !self.running {
                        self.context.output.note(&format!("Waiting for a runner: {}", self.run));
                    }
                }
                _ = poll.tick(), if self.running && !self.started => {
                    let run = self.client.run_view(self.run).await?;
                    if run.sandbox.is_some() {
                        self.start(&run)?;
                    }
                }
            }
        }
    }

    /// Shows an event; true after the last one.
    async fn take(&mut self, event: &RunEvent) -> Result<bool, Failure> {
        if self.form == Form::JsonLines && !matches!(event.body, RunEventBody::Heartbeat) {
            self.context.output.line(&json_line(event))?;
        }
        match &event.body {
            RunEventBody::Status(status) => self.running = status.status == RunStatus::Running,
            RunEventBody::Output(output) => {
                if !self.started {
                    let run = self.client.run_view(self.run).await?;
                    self.start(&run)?;
                }
                if let Form::Text { .. } = self.form {
                    let data = serde_json::from_str(output.data.get()).unwrap_or_default();
                    for line in self.view.lines(&output.kind, &data) {
                        self.context.output.line(&line)?;
                    }
                }
            }
            RunEventBody::Complete(_) => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    fn start(&mut self, run: &RunDetail) -> Result<(), Failure> {
        self.started = true;
        Ok(print_start(&self.context.output, run)?)
    }

    async fn finish(&mut self) -> Result<Watched, Failure> {
        let output = &self.context.output;
        let run = ended_run(self.client, self.run).await?;
        match self.form {
            Form::Json => output.json(&run)?,
            Form::JsonLines => {
                output.line(&serde_json::json!({ "event": "run", "data": run }).to_string())?;
            }
            Form::Text { .. } => {
                for line in self.view.flush() {
                    output.line(&line)?;
                }
                if !self.started && run.run.started_at.is_some() {
                    self.start(&run)?;
                }
                print_end(output, &run)?;
                if run.run.status == RunStatus::Completed && !output.is_quiet() {
                    print_next(output, &run)?;
                }
            }
        }
        Ok(Watched {
            exit: Exit::of_run(run.run.status),
            run: Some(run),
        })
    }
}

fn poll_interval() -> Interval {
    let mut poll = tokio::time::interval(START_POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll
}

fn json_line(event: &RunEvent) -> String {
    let id = event
        .id
        .map(|id| format!("\"id\":{id},"))
        .unwrap_or_default();
    format!(
        "{{\"event\":\"{}\",{id}\"data\":{}}}",
        event.name, event.data
    )
}

/// The run after its end; waits a little for files that are kept after it.
async fn ended_run(client: &Client, id: RunId) -> Result<RunDetail, Failure> {
    let deadline = Instant::now() + SALVAGE_WAIT;
    loop {
        let run = client.run_view(id).await?;
        let may_come = run.run.status != RunStatus::Completed
            && run.artifact_name.is_some()
            && run.run.started_at.is_some()
            && run.salvaged_artifact_version.is_none();
        if !may_come || Instant::now() >= deadline {
            return Ok(run);
        }
        tokio::time::sleep(SALVAGE_POLL).await;
    }
}
