//! What the platform says about a run: system log, network log, metrics (agents 4.8).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use vm0_model::event::{LogEntry, LogKind, LogLevel, MetricSample};
use vm0_model::limits;
use vm0_sandbox::{Resources, Sandbox, Stats};

use crate::clock;
use crate::mask::Mask;
use crate::spool::SpoolWriter;

/// Entries between those who write and the spool.
const QUEUE: usize = 1024;

/// A phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Versions, files, image, policy.
    Prepare,
    /// Sandbox.
    Boot,
    /// Agent.
    Run,
    /// History and workspace.
    Checkpoint,
    /// The end.
    Finish,
    /// A command beside the agent.
    Exec,
}

impl Phase {
    /// The phase in the system log.
    const fn log_name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Boot => "boot",
            Self::Run => "run-agent",
            Self::Checkpoint => "checkpoint",
            Self::Finish => "finish",
            Self::Exec => "exec",
        }
    }

    /// The phase in the error of a run.
    pub(crate) const fn error_name(self) -> &'static str {
        match self {
            Self::Run => "run",
            _ => self.log_name(),
        }
    }
}

/// Where the lines of a run's log go. Clones are the same log.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    notes: mpsc::Sender<Note>,
    network: mpsc::Sender<LogEntry>,
    mask: Arc<Mask>,
}

#[derive(Debug)]
enum Note {
    Entry(LogEntry),
    Flush(oneshot::Sender<()>),
}

impl Journal {
    /// A log that is written to `spool`.
    pub(crate) fn start(spool: SpoolWriter, mask: Arc<Mask>) -> (Self, AbortOnDropHandle<()>) {
        let (notes, queued_notes) = mpsc::channel(QUEUE);
        let (network, queued_network) = mpsc::channel(QUEUE);
        let recorder = Recorder {
            notes: queued_notes,
            network: queued_network,
            spool,
            mask: Arc::clone(&mask),
        };
        let recorder = AbortOnDropHandle::new(tokio::spawn(recorder.record()));
        (
            Self {
                notes,
                network,
                mask,
            },
            recorder,
        )
    }

    /// Writes a line of the system log.
    pub(crate) async fn line(&self, phase: Phase, level: LogLevel, text: impl Into<String>) {
        let text = text.into();
        self.write(level, format!("[sandbox:{}] {text}", phase.log_name()))
            .await;
    }

    /// Writes a normal line.
    pub(crate) async fn info(&self, phase: Phase, text: impl Into<String>) {
        self.line(phase, LogLevel::Info, text).await;
    }

    /// Writes a warning.
    pub(crate) async fn warn(&self, phase: Phase, text: impl Into<String>) {
        self.line(phase, LogLevel::Warn, text).await;
    }

    async fn write(&self, level: LogLevel, message: String) {
        let entry = LogEntry {
            timestamp: clock::now(),
            kind: LogKind::System,
            level,
            message: cut(self.mask.text(message)),
            metadata: None,
        };
        // An error says that the recorder has ended with the run.
        let _ended = self.notes.send(Note::Entry(entry)).await;
    }

    /// Does `work` between a line that it begins and one that says how it ended.
    pub(crate) async fn stage<T, E: fmt::Display>(
        &self,
        phase: Phase,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.info(phase, format!("▷ {name}")).await;
        let started = Instant::now();
        let result = work.await;
        match &result {
            Ok(_) => {
                let elapsed = started.elapsed().as_millis();
                self.info(phase, format!("✓ {name} {elapsed} ms")).await;
            }
            Err(error) => {
                self.line(phase, LogLevel::Error, format!("✗ {name}: {error}"))
                    .await
            }
        }
        result
    }

    /// Where the gateway writes its lines.
    pub(crate) fn network(&self) -> mpsc::Sender<LogEntry> {
        self.network.clone()
    }

    /// Waits until everything said so far is in the spool.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.notes.send(Note::Flush(done)).await.is_ok() {
            // An error says that the recorder has ended with the run.
            let _ended = flushed.await;
        }
    }
}

struct Recorder {
    notes: mpsc::Receiver<Note>,
    network: mpsc::Receiver<LogEntry>,
    spool: SpoolWriter,
    mask: Arc<Mask>,
}

impl Recorder {
    async fn record(mut self) {
        loop {
            tokio::select! {
                Some(entry) = self.network.recv() => self.write_network(entry).await,
                note = self.notes.recv() => match note {
                    Some(Note::Entry(entry)) => self.write(&entry).await,
                    Some(Note::Flush(done)) => {
                        while let Ok(entry) = self.network.try_recv() {
                            self.write_network(entry).await;
                        }
                        // Nobody waits any more.
                        let _gone = done.send(());
                    }
                    None => return,
                },
            }
        }
    }

    async fn write_network(&mut self, mut entry: LogEntry) {
        entry.message = self.mask.text(entry.message);
        entry.metadata = entry.metadata.map(|metadata| self.mask_metadata(metadata));
        self.write(&entry).await;
    }

    fn mask_metadata(&self, metadata: String) -> String {
        match serde_json::from_str(&metadata) {
            Ok(mut fields) => {
                self.mask.json(&mut fields);
                fields.to_string()
            }
            Err(_) => self.mask.text(metadata),
        }
    }

    async fn write(&mut self, entry: &LogEntry) {
        if let Err(error) = self.spool.append_json(entry).await {
            tracing::error!(%error, "failed to write a log entry");
        }
    }
}

/// The first [`limits::LOG_LINE_MAX_BYTES`] of `text`, marked if something is missing.
pub(crate) fn cut(mut text: String) -> String {
    const MARK: &str = "…";
    if text.len() > limits::LOG_LINE_MAX_BYTES {
        text.truncate(text.floor_char_boundary(limits::LOG_LINE_MAX_BYTES - MARK.len()));
        text.push_str(MARK);
    }
    text
}

/// Takes samples of what one sandbox uses.
#[derive(Debug)]
pub(crate) struct Sampler {
    spool: SpoolWriter,
    resources: Resources,
    last: Option<(Instant, u64)>,
}

impl Sampler {
    /// A sampler that writes to `spool`.
    pub(crate) fn new(spool: SpoolWriter, resources: Resources) -> Self {
        Self {
            spool,
            resources,
            last: None,
        }
    }

    /// Takes a sample now and one every [`limits::METRICS_INTERVAL`]; never ends.
    pub(crate) async fn run(
        &mut self,
        sandbox: &dyn Sandbox,
        network: impl Fn() -> (u64, u64),
    ) -> std::convert::Infallible {
        let mut ticks = tokio::time::interval(limits::METRICS_INTERVAL);
        loop {
            ticks.tick().await;
            self.sample(sandbox, network()).await;
        }
    }

    /// Takes one sample, with the bytes received and sent so far.
    pub(crate) async fn sample(&mut self, sandbox: &dyn Sandbox, network: (u64, u64)) {
        let stats = match sandbox.stats().await {
            Ok(stats) => stats,
            Err(error) => {
                tracing::debug!(%error, "failed to take a sample");
                return;
            }
        };
        let sample = self.sample_of(&stats, network, Instant::now());
        if let Err(error) = self.spool.append_json(&sample).await {
            tracing::error!(%error, "failed to write a sample");
        }
    }

    fn sample_of(&mut self, stats: &Stats, network: (u64, u64), now: Instant) -> MetricSample {
        let cpu_percent = self.last.map_or(0.0, |(then, cpu_micros)| {
            let granted =
                (now - then).as_micros() as f64 * f64::from(self.resources.cpu_millis) / 1000.0;
            let used = stats.cpu_micros.saturating_sub(cpu_micros) as f64;
            if granted > 0.0 {
                (used / granted * 100.0).clamp(0.0, 100.0)
            } else {
                0.0
            }
        });
        self.last = Some((now, stats.cpu_micros));
        MetricSample {
            timestamp: clock::now(),
            cpu_percent,
            memory_used_bytes: stats.memory_bytes,
            memory_total_bytes: self.resources.memory_bytes,
            disk_used_bytes: stats.disk_bytes,
            disk_total_bytes: self.resources.disk_bytes,
            network_rx_bytes: network.0,
            network_tx_bytes: network.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::spool;

    fn journal(
        secret: &str,
    ) -> (
        Journal,
        AbortOnDropHandle<()>,
        spool::SpoolReader,
        tempfile::TempDir,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = spool::create(dir.path()).unwrap();
        let mask = Arc::new(Mask::new(&[("S".to_owned(), secret.to_owned())].into()));
        let (journal, recorder) = Journal::start(writer, mask);
        (journal, recorder, reader, dir)
    }

    async fn entries(reader: &mut spool::SpoolReader) -> Vec<LogEntry> {
        let batch = reader.next(100, 1 << 20).await.unwrap().unwrap();
        batch
            .payloads
            .iter()
            .map(|payload| serde_json::from_slice(payload).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_stage_says_when_it_begins_and_how_it_ends() {
        let (journal, _recorder, mut reader, _dir) = journal("hidden-value");
        let _: Result<(), String> = journal
            .stage(Phase::Boot, "sandbox", async { Ok(()) })
            .await;
        let _: Result<(), String> = journal
            .stage(Phase::Run, "agent", async {
                Err("no hidden-value".to_owned())
            })
            .await;
        journal.flush().await;
        let messages: Vec<String> = entries(&mut reader)
            .await
            .into_iter()
            .map(|e| e.message)
            .collect();
        assert_eq!(messages[0], "[sandbox:boot] ▷ sandbox");
        assert_eq!(messages[1], "[sandbox:boot] ✓ sandbox 0 ms");
        assert_eq!(messages[3], "[sandbox:run-agent] ✗ agent: no ***");
    }

    #[tokio::test]
    async fn network_entries_are_masked_and_flushed() {
        let (journal, _recorder, mut reader, _dir) = journal("hidden-value");
        let entry = LogEntry {
            timestamp: clock::now(),
            kind: LogKind::Network,
            level: LogLevel::Info,
            message: "GET http://a/?q=hidden-value - 200 (1ms)".to_owned(),
            metadata: Some(r#"{"url":"http://a/?q=hidden-value"}"#.to_owned()),
        };
        journal.network().send(entry).await.unwrap();
        journal.flush().await;
        let entry = entries(&mut reader).await.remove(0);
        assert_eq!(entry.message, "GET http://a/?q=*** - 200 (1ms)");
        assert_eq!(
            entry.metadata.as_deref(),
            Some(r#"{"url":"http://a/?q=***"}"#)
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let text = cut("ä".repeat(limits::LOG_LINE_MAX_BYTES));
        assert!(text.len() <= limits::LOG_LINE_MAX_BYTES && text.ends_with('…'));
        assert_eq!(cut("short".into()), "short");
    }

    #[test]
    fn cpu_is_the_share_of_what_was_granted() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _reader) = spool::create(dir.path()).unwrap();
        let resources = Resources {
            cpu_millis: 2000,
            memory_bytes: 1,
            disk_bytes: 1,
            pids: 1,
        };
        let mut sampler = Sampler::new(spool, resources);
        let start = Instant::now();
        let used = |cpu_micros| Stats {
            cpu_micros,
            ..Stats::default()
        };
        assert_eq!(
            sampler.sample_of(&used(500), (0, 0), start).cpu_percent,
            0.0
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(
            sampler
                .sample_of(&used(1_000_500), (0, 0), later)
                .cpu_percent,
            50.0
        );
    }
}
