//! An event stream read strictly: whatever is not exactly as the specification frames it fails
//! the test.

use futures::StreamExt;
use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEvent {
    /// The `id` line, if there was one.
    pub id: Option<String>,
    /// The `event` line.
    pub event: String,
    /// The `data` line.
    pub data: Value,
}

/// An open event stream.
#[derive(Debug)]
pub struct EventStream {
    response: Option<reqwest::Response>,
    buffer: String,
}

impl EventStream {
    /// The stream that this response is.
    pub fn new(response: reqwest::Response) -> Self {
        let kind = response.headers().get("content-type").cloned();
        assert_eq!(kind.expect("a type"), "text/event-stream");
        Self {
            response: Some(response),
            buffer: String::new(),
        }
    }

    /// The next event; `None` when the server has closed the stream.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                return Some(parse(&block));
            }
            let chunk = self
                .response
                .as_mut()?
                .chunk()
                .await
                .expect("the stream goes on");
            match chunk {
                Some(bytes) => self.buffer.push_str(&String::from_utf8_lossy(&bytes)),
                None => {
                    assert_eq!(self.buffer, "", "the stream ended within an event");
                    self.response = None;
                }
            }
        }
    }

    /// All events up to the end, without heartbeats.
    pub async fn rest(mut self) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            if event.event != "heartbeat" {
                events.push(event);
            }
        }
        events
    }

    /// The outputs up to the end.
    pub async fn outputs(self) -> Vec<Value> {
        let events = self.rest().await.into_iter();
        events
            .filter(|event| event.event == "output")
            .map(|event| event.data)
            .collect()
    }

    /// The raw bytes up to the end, for tests of the framing.
    pub async fn raw(mut self) -> Vec<u8> {
        let mut bytes = self.buffer.into_bytes();
        let mut body = self.response.take().expect("an open stream").bytes_stream();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.expect("the stream goes on"));
        }
        bytes
    }
}

fn parse(block: &str) -> StreamEvent {
    let mut lines = block.trim_end_matches('\n').split('\n');
    let mut line = lines.next().expect("an event has lines");
    let id = line.strip_prefix("id: ").map(str::to_owned);
    if id.is_some() {
        line = lines.next().expect("a line after the id");
    }
    let event = line
        .strip_prefix("event: ")
        .expect("an event line")
        .to_owned();
    let data = lines
        .next()
        .and_then(|line| line.strip_prefix("data: "))
        .expect("a data line");
    assert_eq!(lines.next(), None, "exactly one data line: {block:?}");
    assert_eq!(
        id.is_some(),
        event == "output",
        "only outputs have an id: {block:?}"
    );
    StreamEvent {
        id,
        event,
        data: serde_json::from_str(data).expect("data is JSON"),
    }
}
