//! The event stream of a run over as many connections as it takes.

use std::time::Duration;

use tokio::time::Instant;
use vm0_model::id::RunId;

use crate::client::Client;
use crate::error::ClientError;
use crate::events::{RunEvent, RunEventBody, RunEvents};

const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_LONGEST: Duration = Duration::from_secs(5);
/// A stream that cannot be resumed for this long is given up (CLI 1.5).
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Follows a run to its end: a stream that breaks is resumed after the last output seen, so none
/// is missed and none is seen twice.
#[derive(Debug)]
pub struct RunFollow {
    client: Client,
    run: RunId,
    last: u64,
    events: Option<RunEvents>,
    lost: Option<Outage>,
    ended: bool,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    wait: Duration,
}

impl Client {
    /// Follows a run from the output after `after` (0: from the beginning) to its end.
    pub fn run_follow(&self, run: RunId, after: u64) -> RunFollow {
        RunFollow {
            client: self.clone(),
            run,
            last: after,
            events: None,
            lost: None,
            ended: false,
        }
    }
}

impl RunFollow {
    /// The next event; `None` after the run's `complete`. Cancel-safe.
    ///
    /// # Errors
    /// What the server refused, or, after 60 s without a connection, why there is none.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        while !self.ended {
            match self.step().await {
                Ok(Some(RunEvent {
                    body: RunEventBody::Failure { message, code },
                    ..
                })) => {
                    self.pause(Some(failure(message, code))).await?;
                }
                Ok(Some(event)) => {
                    self.lost = None;
                    if self.is_new(&event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) => self.pause(None).await?,
                Err(error) => self.pause(Some(error)).await?,
            }
        }
        Ok(None)
    }

    /// The last output seen.
    pub fn last(&self) -> u64 {
        self.last
    }

    async fn step(&mut self) -> Result<Option<RunEvent>, ClientError> {
        let events = match &mut self.events {
            Some(events) => events,
            empty => empty.insert(self.client.run_events(self.run, self.last).await?),
        };
        events.next().await
    }

    /// Notes what was seen; an output that was seen before is not new.
    fn is_new(&mut self, event: &RunEvent) -> bool {
        match &event.body {
            RunEventBody::Output(output) if output.sequence <= self.last => return false,
            RunEventBody::Output(output) => self.last = output.sequence,
            RunEventBody::Complete(_) => self.ended = true,
            _ => {}
        }
        true
    }

    /// Gives up, or waits before the next connection, longer each time.
    async fn pause(&mut self, mut error: Option<ClientError>) -> Result<(), ClientError> {
        self.events = None;
        if let Some(error) = error.take_if(|error| !error.is_transient()) {
            return Err(error);
        }
        let outage = self.lost.get_or_insert_with(|| Outage {
            since: Instant::now(),
            wait: WAIT_FIRST,
        });
        let gone = outage.since.elapsed();
        if gone + outage.wait > GIVE_UP_AFTER {
            let server = self.client.server().to_string();
            return Err(error.unwrap_or(ClientError::Timeout {
                server,
                limit: GIVE_UP_AFTER,
            }));
        }
        let wait = outage.wait;
        outage.wait = (wait * 2).min(WAIT_LONGEST);
        tracing::debug!(
            last = self.last,
            "the event stream broke; resuming in {wait:?}"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// The error of a stream that says why it ends.
fn failure(message: String, code: String) -> ClientError {
    let gone = code == "run_not_found";
    let (status, kind) = if gone {
        (404, "not_found_error")
    } else {
        (500, "api_error")
    };
    ClientError::Api {
        status,
        kind: kind.to_owned(),
        code,
        message,
        param: None,
    }
}
