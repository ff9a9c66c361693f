//! The one connection that writes.
//!
//! Transactions wait in a queue. The writer takes one, begins, runs it and whatever else has
//! arrived meanwhile, each in a savepoint of its own, commits once for all, and only then answers
//! them: many callers share one flush to the disk. A transaction that fails rolls back its own
//! savepoint only. A caller that goes away does not stop its transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;

/// Transactions that may wait; further callers wait to queue theirs.
const QUEUE: usize = 1024;
/// Transactions in one commit.
const GROUP_MAX: usize = 256;

/// A way to queue transactions. The writer ends when the last of these is gone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the task that owns `connection`.
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(serve(connection, jobs));
        Self { queue }
    }

    /// Transactions in the queue.
    pub(super) fn waiting(&self) -> u64 {
        (QUEUE - self.queue.capacity()) as u64
    }

    /// Runs `work` in a transaction; returns when it is durable, or rolled back.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Queued {
            work: Some(work),
            outcome: None,
            reply,
        };
        self.queue
            .send(Box::new(job))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// A transaction without its type.
trait Job: Send {
    /// Runs it once; whether its writes are to be kept.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool>;
    /// Tells the caller, after the commit or its failure.
    fn answer(self: Box<Self>, failure: Option<&Arc<sqlx::Error>>);
}

struct Queued<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Queued<F, T>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool> {
        async move {
            if let Some(work) = self.work.take() {
                self.outcome = Some(work(connection).await);
            }
            matches!(self.outcome, Some(Ok(_)))
        }
        .boxed()
    }

    fn answer(self: Box<Self>, failure: Option<&Arc<sqlx::Error>>) {
        let outcome = match (self.outcome, failure) {
            (Some(Ok(_)), Some(failure)) => Err(StoreError::Commit(Arc::clone(failure))),
            (Some(outcome), _) => outcome,
            (None, Some(failure)) => Err(StoreError::Commit(Arc::clone(failure))),
            (None, None) => Err(StoreError::Closed),
        };
        // A caller that has gone away needs no answer.
        let _ = self.reply.send(outcome);
    }
}

async fn serve(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        let failure = match commit_group(&mut connection, &mut group, &mut jobs).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, transactions = group.len(), "a group was not committed");
                // SQLite itself has rolled back after the graver errors; this one then fails.
                let _ = connection.execute("ROLLBACK").await;
                Some(Arc::new(error))
            }
        };
        for job in group {
            job.answer(failure.as_ref());
        }
    }
}

async fn commit_group(
    connection: &mut SqliteConnection,
    group: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let mut next = 0;
    while let Some(job) = group.get_mut(next) {
        run_job(connection, job.as_mut()).await?;
        next += 1;
        if group.len() < GROUP_MAX
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Runs one transaction in a savepoint; an error means that the whole group is lost.
async fn run_job(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), sqlx::Error> {
    connection.execute("SAVEPOINT job").await?;
    let kept = AssertUnwindSafe(job.run(connection))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("a transaction panicked and was rolled back");
            false
        });
    if !kept {
        connection.execute("ROLLBACK TO job").await?;
    }
    connection.execute("RELEASE job").await?;
    Ok(())
}
