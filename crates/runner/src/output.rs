//! What the agent writes: events, lines of the log, and how it says that it ended (agents 2.4, 2.5).

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::io::AsyncRead;
use tokio::sync::watch;
use vm0_model::event::LogLevel;
use vm0_model::framework::{AgentResult, Progress, ResultReader};
use vm0_model::limits;

use crate::event;
use crate::line::{Line, Lines};
use crate::mask::Mask;
use crate::outcome::{StderrTail, without_escapes};
use crate::spool::SpoolWriter;
use crate::telemetry::{Journal, Phase, cut};

/// A stream of the agent's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Stdout,
    Stderr,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What was recorded of an agent that has ended.
pub(crate) struct Recorded {
    /// What its events say.
    pub(crate) result: AgentResult,
    /// The end of its stderr.
    pub(crate) stderr: String,
    /// Whether it wrote anything at all.
    pub(crate) spoke: bool,
}

/// Turns the agent's output into events and log lines.
pub(crate) struct Recorder {
    events: SpoolWriter,
    journal: Journal,
    mask: Arc<Mask>,
    /// Whether lines that are no events become events of type `output`.
    lines_are_events: bool,
    count: u64,
    spoke: bool,
    results: ResultReader<'static>,
    progress: watch::Sender<Progress>,
    stderr: StderrTail,
}

impl Recorder {
    /// A recorder that writes events to `events` and lines to `journal`.
    pub(crate) fn new(
        events: SpoolWriter,
        journal: Journal,
        mask: Arc<Mask>,
        results: ResultReader<'static>,
        lines_are_events: bool,
    ) -> Self {
        let stderr = StderrTail::default();
        Self {
            events,
            journal,
            mask,
            lines_are_events,
            count: 0,
            spoke: false,
            results,
            progress: watch::Sender::default(),
            stderr,
        }
    }

    /// What the events say of what the run consumes, now and whenever that changes.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What was recorded, once the agent has ended.
    pub(crate) fn finish(self) -> Recorded {
        Recorded {
            result: self.results.finish(),
            stderr: self.stderr.text(),
            spoke: self.spoke,
        }
    }

    /// Records both streams to their ends.
    pub(crate) async fn record(
        &mut self,
        stdout: Pin<Box<dyn AsyncRead + Send>>,
        stderr: Pin<Box<dyn AsyncRead + Send>>,
    ) {
        let head_max = limits::LOG_LINE_MAX_BYTES + self.mask.longest();
        let mut stdout = Lines::new(stdout, head_max);
        let mut stderr = Lines::new(stderr, head_max);
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let (source, line) = tokio::select! {
                line = stdout.next(), if out_open => (Source::Stdout, line),
                line = stderr.next(), if err_open => (Source::Stderr, line),
            };
            match (line, source) {
                (Some(line), source) => self.line(source, line).await,
                (None, Source::Stdout) => out_open = false,
                (None, Source::Stderr) => err_open = false,
            }
        }
    }

    async fn line(&mut self, source: Source, line: Line) {
        self.spoke = true;
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Cut { head, len } => {
                let head = self.mask.text(String::from_utf8_lossy(&head).into_owned());
                let head = cut(head);
                let text = format!("{}: {head} [line of {len} bytes]", source.name());
                return self.journal.warn(Phase::Run, text).await;
            }
        };
        if source == Source::Stdout
            && let Some(fields) = event::parse(&bytes)
        {
            return self.event(fields, &bytes).await;
        }
        let text = String::from_utf8_lossy(&bytes);
        if source == Source::Stderr {
            self.stderr.push(&self.mask.text(without_escapes(&text)));
        }
        if self.lines_are_events {
            let fields = json!({"type": "output", "stream": source.name(), "text": text});
            let Value::Object(fields) = fields else {
                unreachable!("it was written as an object")
            };
            return self.event(fields, &bytes).await;
        }
        self.log(source, &text).await;
    }

    async fn log(&self, source: Source, text: &str) {
        let text = self.mask.text(text.to_owned());
        let line = format!("{}: {text}", source.name());
        self.journal.line(Phase::Run, LogLevel::Info, line).await;
    }

    async fn event(&mut self, fields: Map<String, Value>, line: &[u8]) {
        let mut value = Value::Object(fields);
        self.mask.json(&mut value);
        self.results.event(&value);
        let progress = self.results.progress();
        self.progress.send_if_modified(|last| {
            let new = *last != progress;
            *last = progress;
            new
        });
        let Value::Object(fields) = value else {
            unreachable!("masking keeps the kind")
        };
        let Some(event) = event::event(fields) else {
            return self
                .log(Source::Stdout, &String::from_utf8_lossy(line))
                .await;
        };
        self.count += 1;
        if self.count > limits::EVENTS_MAX_PER_RUN {
            if self.count == limits::EVENTS_MAX_PER_RUN + 1 {
                let text = format!(
                    "events after the first {} are dropped",
                    limits::EVENTS_MAX_PER_RUN
                );
                self.journal.warn(Phase::Run, text).await;
            }
            return;
        }
        if let Err(error) = self.events.append_json(&event).await {
            tracing::error!(%error, "failed to write an event");
            self.journal
                .warn(Phase::Run, format!("an event was lost: {error}"))
                .await;
        }
    }
}
