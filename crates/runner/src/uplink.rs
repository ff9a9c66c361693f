//! From the spools to the server: each batch is sent until it is acknowledged, the next one
//! gathers meanwhile.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use vm0_client::{ClientError, RunnerClient};
use vm0_model::event::{LogEntry, MetricSample, NewEvent};
use vm0_model::wire::runner::{BatchAnswer, EventBatch, LogBatch, MetricBatch};
use vm0_model::{Epoch, RunId, limits};

use crate::link::Link;
use crate::spool::{self, SegmentError, SpoolReader, SpoolWriter};

/// One kind of what a run emits.
#[async_trait]
pub(crate) trait Feed: Send + Sync + 'static {
    /// One piece of it.
    type Item: DeserializeOwned + Clone + Send + Sync;
    /// Its directory in the run's.
    const NAME: &'static str;
    /// Whether a terminal run takes no more of it.
    const ENDS_WITH_RUN: bool;
    /// How long pieces are gathered into one batch, unless somebody waits for them.
    const GATHERED_FOR: Duration;

    /// Appends `items` after the first `offset` ones.
    async fn post(
        client: &RunnerClient,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        items: Vec<Self::Item>,
    ) -> Result<BatchAnswer, ClientError>;
}

/// What the agent said.
#[derive(Debug)]
pub(crate) struct Events;
/// What platform and gateway did.
#[derive(Debug)]
pub(crate) struct Logs;
/// What the sandbox used.
#[derive(Debug)]
pub(crate) struct Metrics;

#[async_trait]
impl Feed for Events {
    type Item = NewEvent;
    const NAME: &'static str = "events";
    const ENDS_WITH_RUN: bool = true;
    const GATHERED_FOR: Duration = Duration::ZERO;

    async fn post(
        client: &RunnerClient,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        events: Vec<NewEvent>,
    ) -> Result<BatchAnswer, ClientError> {
        client
            .events(
                run,
                &EventBatch {
                    epoch,
                    offset,
                    events,
                },
            )
            .await
    }
}

#[async_trait]
impl Feed for Logs {
    type Item = LogEntry;
    const NAME: &'static str = "logs";
    const ENDS_WITH_RUN: bool = false;
    const GATHERED_FOR: Duration = limits::LOG_GATHER;

    async fn post(
        client: &RunnerClient,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        entries: Vec<LogEntry>,
    ) -> Result<BatchAnswer, ClientError> {
        client
            .logs(
                run,
                &LogBatch {
                    epoch,
                    offset,
                    entries,
                },
            )
            .await
    }
}

#[async_trait]
impl Feed for Metrics {
    type Item = MetricSample;
    const NAME: &'static str = "metrics";
    const ENDS_WITH_RUN: bool = false;
    const GATHERED_FOR: Duration = limits::LOG_GATHER;

    async fn post(
        client: &RunnerClient,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        samples: Vec<MetricSample>,
    ) -> Result<BatchAnswer, ClientError> {
        client
            .metrics(
                run,
                &MetricBatch {
                    epoch,
                    offset,
                    samples,
                },
            )
            .await
    }
}

/// A feed on its way to the server.
#[derive(Debug)]
pub(crate) struct Uplink {
    written: spool::RecordsWritten,
    acknowledged: watch::Receiver<u64>,
    awaited: watch::Sender<bool>,
    _forwarder: AbortOnDropHandle<()>,
}

impl Uplink {
    /// Starts a feed of a new run.
    pub(crate) fn start<F: Feed>(
        run_dir: &Path,
        link: Link,
    ) -> Result<(SpoolWriter, Self), SegmentError> {
        let (writer, reader) = spool::create(&run_dir.join(F::NAME))?;
        let written = reader.records_written();
        let (acknowledged, view) = watch::channel(0);
        let (awaited, hurry) = watch::channel(false);
        let forwarder =
            tokio::spawn(async move { forward::<F>(reader, &link, &acknowledged, hurry).await });
        let forwarder = AbortOnDropHandle::new(forwarder);
        Ok((
            writer,
            Self {
                written,
                acknowledged: view,
                awaited,
                _forwarder: forwarder,
            },
        ))
    }

    /// Waits until the server has everything, or takes no more.
    pub(crate) async fn flush(&mut self) {
        self.awaited.send_replace(true);
        let count = self.written.count();
        // An error says that the forwarder has ended: nothing more will be acknowledged.
        let _ended = self
            .acknowledged
            .wait_for(|acknowledged| *acknowledged >= count)
            .await;
    }
}

/// Sends what an earlier process left of a feed.
pub(crate) async fn resend<F: Feed>(run_dir: &Path, link: &Link) -> Result<(), SegmentError> {
    if let Some(reader) = spool::reopen(&run_dir.join(F::NAME))? {
        let (_awaited, hurry) = watch::channel(true);
        forward::<F>(reader, link, &watch::Sender::new(0), hurry).await;
    }
    Ok(())
}

async fn forward<F: Feed>(
    mut reader: SpoolReader,
    link: &Link,
    acknowledged: &watch::Sender<u64>,
    mut awaited: watch::Receiver<bool>,
) {
    loop {
        reader.ready(1).await;
        let enough = async {
            tokio::select! {
                () = reader.ready(limits::EVENT_BATCH_MAX as u64) => {}
                // An error says that nobody will wait.
                _ = awaited.wait_for(|awaited| *awaited) => {}
            }
        };
        let _gathered = tokio::time::timeout(F::GATHERED_FOR, enough).await;
        let batch = reader
            .next(limits::EVENT_BATCH_MAX, limits::EVENT_BATCH_MAX_BYTES / 2)
            .await;
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(run = %link.run_id, feed = F::NAME, %error, "failed to read a spool");
                return;
            }
        };
        let items = batch
            .payloads
            .iter()
            .map(|payload| serde_json::from_slice(payload));
        let Ok(items) = items.collect::<Result<Vec<F::Item>, _>>() else {
            tracing::error!(run = %link.run_id, feed = F::NAME, "failed to understand a spool");
            return;
        };
        if !deliver::<F>(link, batch.offset, items).await {
            return;
        }
        reader.release(&batch);
        acknowledged.send_replace(batch.offset + batch.payloads.len() as u64);
    }
}

/// Sends one batch until the server has all of it; false if it will not take it.
async fn deliver<F: Feed>(link: &Link, offset: u64, mut items: Vec<F::Item>) -> bool {
    let mut offset = offset;
    while !items.is_empty() {
        let post = || F::post(&link.client, link.run_id, link.epoch, offset, items.clone());
        let answer = match link.call(post).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(run = %link.run_id, feed = F::NAME, %error, "failed to send");
                return false;
            }
        };
        link.lease.saw(answer.status);
        if F::ENDS_WITH_RUN && answer.status.is_terminal() {
            return false;
        }
        let taken = answer.next_offset.saturating_sub(offset);
        if taken == 0 {
            tracing::error!(run = %link.run_id, feed = F::NAME, offset, "the server lacks earlier ones");
            return false;
        }
        let taken = usize::try_from(taken)
            .unwrap_or(usize::MAX)
            .min(items.len());
        items.drain(..taken);
        offset += taken as u64;
    }
    true
}
