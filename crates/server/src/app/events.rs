//! The events of a run: pages, and the stream that is woken in process (API 5).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use vm0_model::event::Event;
use vm0_model::wire::page::Page;
use vm0_model::wire::runs::{CompleteEvent, HeartbeatEvent, Output, StatusEvent};
use vm0_model::{RunId, RunStatus, limits};
use vm0_store::record::RunRecord;

use super::context::{App, Phase};
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::tail;
use super::tokens::Caller;
use super::wakeups::{RunChanges, RunWatch};
use crate::clock;
use crate::monitor::Watching;

/// While events follow each other, a stream takes all that came within this time at once: many
/// watchers of a busy run cost that many writes each, not one for each event.
const PACE: Duration = Duration::from_millis(20);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventStart(u64);

impl EventStart {
    /// A sequence number, perhaps with the prefix `evt_`; anything else is the beginning.
    pub(crate) fn parse(text: &str) -> Self {
        let digits = text.strip_prefix("evt_").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self(0);
        }
        // Sequence numbers are kept as signed integers; nothing is beyond the largest.
        let beyond = i64::MAX.unsigned_abs();
        Self(digits.parse().unwrap_or(beyond).min(beyond))
    }

    /// Before the first event.
    pub(crate) const BEGINNING: Self = Self(0);
}

/// An item of an event stream.
#[derive(Debug)]
pub(crate) enum StreamItem {
    /// The state of the run.
    Status(StatusEvent),
    /// An event of the agent.
    Output(Arc<Event>),
    /// Nothing happened.
    Heartbeat(HeartbeatEvent),
    /// The end.
    Complete(CompleteEvent),
    /// The run is not there any more.
    Vanished,
    /// The server cannot go on; the cause is in its log.
    Failed(AppError),
}

/// The stream of one client.
#[derive(Debug)]
enum Next {
    /// The present status is to be sent.
    Opening,
    /// The store is to be read; the run itself only if its state may have changed.
    Reading,
    /// All that is stored was sent.
    Waiting,
    /// Nothing more.
    Ended,
}

/// The events of a run as one client sees them, one item after the other.
pub(crate) struct RunEventStream {
    app: App,
    watch: RunWatch,
    changes: RunChanges,
    run: RunRecord,
    shown: RunStatus,
    last: u64,
    pending: VecDeque<Arc<Event>>,
    read_at: Instant,
    heartbeat: Interval,
    next: Next,
    _watching: Watching,
}

impl App {
    /// Opens the event stream of a run.
    pub(crate) async fn run_event_stream(
        &self,
        caller: &Caller,
        id: &str,
        start: EventStart,
    ) -> Result<RunEventStream, AppError> {
        let run = self.run(caller, id).await?;
        // Watching begins before the state that is shown is read, so no change falls between.
        let watch = self.wakeups.watch(run.id);
        let run = self.run(caller, id).await?;
        let period = limits::HEARTBEAT_INTERVAL;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Ok(RunEventStream {
            app: self.clone(),
            watch,
            changes: RunChanges::default(),
            shown: run.status,
            run,
            last: start.0,
            pending: VecDeque::new(),
            read_at: Instant::now(),
            heartbeat,
            next: Next::Opening,
            _watching: self.meters.watching(),
        })
    }

    /// A page of events.
    pub(crate) async fn run_event_list(
        &self,
        caller: &Caller,
        id: &str,
        start: EventStart,
        page: &PageRequest,
    ) -> Result<Page<Output>, AppError> {
        let list = format!("events {id}");
        let after = match &page.cursor {
            None => start.0,
            Some(cursor) => cursor::decode_number(&list, cursor)?.min(i64::MAX.unsigned_abs()),
        };
        let run = self.run(caller, id).await?;
        let rows = self.store.event_list(run.id, after, page.limit + 1).await?;
        let rows: Vec<_> = rows.iter().map(output).collect::<Result<_, _>>()?;
        let position = |row: &Output| cursor::encode(&list, &row.sequence.to_string());
        Ok(cursor::page_of(page.limit, rows, position, |row| row))
    }
}

/// An event in its form on the wire.
pub(crate) fn output(event: &Event) -> Result<Output, AppError> {
    let corrupt = |source| AppError::Corrupt {
        what: "event",
        source,
    };
    let data = RawValue::from_string(event.data.clone()).map_err(corrupt)?;
    Ok(Output {
        sequence: event.seq,
        kind: event.kind.clone(),
        data,
        timestamp: event.timestamp,
    })
}

impl RunEventStream {
    /// The next item; `None` ends the stream. Waits as long as nothing happens.
    pub(crate) async fn next(&mut self) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.ready() {
                return Some(item);
            }
            match self.next {
                Next::Opening => {
                    self.next = Next::Reading;
                    return Some(self.status());
                }
                Next::Reading => match self.read().await {
                    Ok(None) => {}
                    Ok(Some(item)) => return Some(item),
                    Err(error) => {
                        self.next = Next::Ended;
                        return Some(StreamItem::Failed(error));
                    }
                },
                Next::Waiting => match self.wait().await {
                    Ok(None) => {}
                    Ok(Some(item)) => return Some(item),
                    Err(error) => {
                        self.next = Next::Ended;
                        return Some(StreamItem::Failed(error));
                    }
                },
                Next::Ended => return None,
            }
        }
    }

    /// The next item, if it is an event that has been read already.
    pub(crate) fn ready(&mut self) -> Option<StreamItem> {
        let event = self.pending.pop_front()?;
        self.last = event.seq;
        Some(StreamItem::Output(event))
    }

    fn run_id(&self) -> RunId {
        self.run.id
    }

    fn status(&mut self) -> StreamItem {
        self.shown = self.run.status;
        StreamItem::Status(StatusEvent {
            status: self.run.status,
            run_id: self.run_id(),
        })
    }

    /// Reads what is stored after the last event sent. A run that was terminal before this has all
    /// its events in the store, so an empty answer is the end.
    async fn read(&mut self) -> Result<Option<StreamItem>, AppError> {
        let terminal = self.run.status.is_terminal();
        if !terminal && self.shown != self.run.status {
            return Ok(Some(self.status()));
        }
        self.read_at = Instant::now();
        let (store, run) = (&*self.app.store, self.run_id());
        let events = if terminal {
            tail::read(store, run, self.last).await?
        } else {
            let announced = || self.watch.announced().events;
            let tail = self.watch.tail();
            tail.after(store, run, self.last, self.changes.events, announced)
                .await?
        };
        if !events.is_empty() {
            self.pending = events.into();
            return Ok(None);
        }
        if !terminal {
            self.next = Next::Waiting;
            return Ok(None);
        }
        if self.shown != self.run.status {
            return Ok(Some(self.status()));
        }
        self.next = Next::Ended;
        let (output, error) = (self.run.output.take(), self.run.error.take());
        Ok(Some(StreamItem::Complete(CompleteEvent {
            status: self.run.status,
            output,
            error,
        })))
    }

    async fn wait(&mut self) -> Result<Option<StreamItem>, AppError> {
        let (states, item) = tokio::select! {
            _ = self.watch.changed() => {
                tokio::time::sleep_until(self.read_at + PACE).await;
                let changes = self.watch.seen();
                let states = changes.states != self.changes.states;
                self.changes = changes;
                (states, None)
            }
            // A wake-up that was lost is made good with the next heartbeat.
            _ = self.heartbeat.tick() => {
                self.watch.tail().doubt().await;
                (true, Some(StreamItem::Heartbeat(HeartbeatEvent { timestamp: clock::now() })))
            }
            () = self.app.reached(Phase::Stopped) => {
                self.next = Next::Ended;
                return Ok(None);
            }
        };
        self.next = Next::Reading;
        if states {
            match self.app.store.run_view(None, self.run_id()).await? {
                Some(run) => self.run = run,
                None => {
                    self.next = Next::Ended;
                    return Ok(Some(StreamItem::Vanished));
                }
            }
        }
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starting_point_is_a_decimal_number_and_anything_else_the_beginning() {
        for (text, start) in [("7", 7), ("evt_7", 7), ("007", 7)] {
            assert_eq!(EventStart::parse(text), EventStart(start), "{text}");
        }
        for text in [
            "",
            "evt_",
            "-1",
            "+1",
            "1.0",
            "evt_evt_1",
            "EVT_1",
            " 1",
            "x",
        ] {
            assert_eq!(EventStart::parse(text), EventStart::BEGINNING, "{text}");
        }
        let huge = EventStart::parse("99999999999999999999999");
        assert_eq!(huge, EventStart(i64::MAX.unsigned_abs()));
    }
}
