//! The event stream of a run, one connection of it (API 5).

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::{Method, Response};
use vm0_model::id::RunId;
use vm0_model::limits::HEARTBEAT_INTERVAL;
use vm0_model::wire::runs::{CompleteEvent, Output, StatusEvent};

use crate::client::Client;
use crate::error::ClientError;
use crate::http::Http;
use crate::retry::Retry;
use crate::sse::{SseEvent, SseParser};

/// A stream without even a heartbeat for this long has broken.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3 * HEARTBEAT_INTERVAL.as_secs());

/// An event of a run's stream.
#[derive(Debug, Clone)]
pub struct RunEvent {
    /// Its name on the wire.
    pub name: String,
    /// Its sequence; only an output has one.
    pub id: Option<u64>,
    /// Its JSON text as it came.
    pub data: String,
    /// What it says.
    pub body: RunEventBody,
}

/// What an event of a run's stream says.
#[derive(Debug, Clone)]
pub enum RunEventBody {
    /// The present status, at the beginning and at each change.
    Status(StatusEvent),
    /// The agent said something.
    Output(Output),
    /// The server is still there.
    Heartbeat,
    /// The run has ended; nothing follows.
    Complete(CompleteEvent),
    /// The server cannot go on.
    Failure {
        /// For people.
        message: String,
        /// To act on.
        code: String,
    },
    /// An event that a newer server sends.
    Unknown,
}

/// One connection of a run's event stream.
#[derive(Debug)]
pub struct RunEvents {
    http: Http,
    response: Response,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
}

#[derive(serde::Deserialize)]
struct FailureData {
    message: String,
    code: String,
}

impl Client {
    /// Opens the event stream of a run after the output `after` (0: from the beginning).
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_events(&self, run: RunId, after: u64) -> Result<RunEvents, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "runs", &run.to_string(), "events"])
            .header("accept", "text/event-stream")
            .query("last_event_id", (after > 0).then_some(after));
        let response = self.http.response(&call, Retry::Never).await?;
        Ok(RunEvents {
            http: self.http.clone(),
            response,
            parser: SseParser::default(),
            ready: VecDeque::new(),
        })
    }
}

impl RunEvents {
    /// The next event; `None` if the server closed the stream.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout` or `Protocol`; the stream is of no use after it.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return read(event).map(Some).map_err(protocol);
            }
            let chunk = match tokio::time::timeout(IDLE_TIMEOUT, self.response.chunk()).await {
                Ok(result) => result.map_err(|error| self.http.unreachable(error))?,
                Err(_) => return Err(self.http.timeout(IDLE_TIMEOUT)),
            };
            let Some(chunk) = chunk else { return Ok(None) };
            self.ready
                .extend(self.parser.push(&chunk).map_err(protocol)?);
        }
    }
}

fn protocol(source: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Protocol {
        call: "the event stream".to_owned(),
        source: Box::new(source),
    }
}

fn read(event: SseEvent) -> Result<RunEvent, serde_json::Error> {
    let data = event.data.as_str();
    let body = match event.name.as_str() {
        "status" => RunEventBody::Status(serde_json::from_str(data)?),
        "output" => RunEventBody::Output(serde_json::from_str(data)?),
        "heartbeat" => RunEventBody::Heartbeat,
        "complete" => RunEventBody::Complete(serde_json::from_str(data)?),
        "error" => {
            let FailureData { message, code } = serde_json::from_str(data)?;
            RunEventBody::Failure { message, code }
        }
        _ => RunEventBody::Unknown,
    };
    let id = match &body {
        RunEventBody::Output(output) => Some(output.sequence),
        _ => None,
    };
    Ok(RunEvent {
        name: event.name,
        id,
        data: event.data,
        body,
    })
}
