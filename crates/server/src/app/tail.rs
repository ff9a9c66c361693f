//! The newest events of a run, read from the store once for all who watch it.
//!
//! A thousand watchers that are woken by one event would ask the store a thousand times for the
//! same row. The first one asks; the others find it here. What is here is always a piece without
//! gaps of what the store has; whoever is not at its end reads the store as before.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;
use vm0_model::RunId;
use vm0_model::event::Event;
use vm0_store::{Store, StoreError};

/// Events read from the store at a time.
pub(super) const BATCH: u32 = 200;
/// Bytes of event data that are kept for one run, besides the batch read last.
const TAIL_MAX_BYTES: usize = 256 << 10;

/// The newest events of one run.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<Piece>);

/// Events with the numbers `start + 1` to `end`.
#[derive(Debug, Default)]
struct Piece {
    start: u64,
    end: u64,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The store had nothing after `end` when so many batches had been announced.
    complete_at: Option<u64>,
}

impl Tail {
    /// Events after `last`, as far as one reading goes. A caller that has been told of `known`
    /// batches gets those. `announced` tells how many were announced by now.
    pub(crate) async fn after(
        &self,
        store: &dyn Store,
        run: RunId,
        last: u64,
        known: u64,
        announced: impl Fn() -> u64 + Send,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut piece = self.0.lock().await;
        if (piece.start..piece.end).contains(&last) {
            return Ok(piece.after(last));
        }
        let at_end = last == piece.end;
        if at_end && piece.complete_at.is_some_and(|complete| complete >= known) {
            return Ok(Vec::new());
        }
        if last < piece.start {
            drop(piece);
            return read(store, run, last).await;
        }
        let announced = announced();
        let events = read(store, run, last).await?;
        if !at_end && !events.is_empty() {
            *piece = Piece {
                start: last,
                end: last,
                ..Piece::default()
            };
        }
        if last == piece.end {
            piece.append(&events);
            piece.complete_at = ((events.len() as u32) < BATCH).then_some(announced);
        }
        Ok(events)
    }

    /// The next reading asks the store, whatever was announced.
    pub(crate) async fn doubt(&self) {
        self.0.lock().await.complete_at = None;
    }
}

/// Events after `last` from the store.
pub(super) async fn read(
    store: &dyn Store,
    run: RunId,
    last: u64,
) -> Result<Vec<Arc<Event>>, StoreError> {
    let events = store.event_list(run, last, BATCH).await?;
    Ok(events.into_iter().map(Arc::new).collect())
}

impl Piece {
    fn after(&self, last: u64) -> Vec<Arc<Event>> {
        let skipped = usize::try_from(last - self.start).unwrap_or(usize::MAX);
        let wanted = self.events.iter().skip(skipped).take(BATCH as usize);
        wanted.cloned().collect()
    }

    fn append(&mut self, events: &[Arc<Event>]) {
        while self.bytes > TAIL_MAX_BYTES
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.data.len();
            self.start += 1;
        }
        for event in events {
            self.bytes += event.data.len();
            self.end = event.seq;
            self.events.push_back(Arc::clone(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use vm0_model::Timestamp;

    use super::*;

    fn event(seq: u64, bytes: usize) -> Arc<Event> {
        Arc::new(Event {
            seq,
            timestamp: Timestamp::from_micros(0),
            kind: "output".to_owned(),
            data: "x".repeat(bytes),
        })
    }

    fn numbers(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_piece_gives_what_follows_a_number_within_it() {
        let mut piece = Piece::default();
        piece.append(&[event(1, 10), event(2, 10), event(3, 10)]);
        assert_eq!(numbers(&piece.after(0)), [1, 2, 3]);
        assert_eq!(numbers(&piece.after(2)), [3]);
        assert_eq!((piece.start, piece.end, piece.bytes), (0, 3, 30));
    }

    #[test]
    fn a_piece_drops_its_oldest_events_and_stays_without_gaps() {
        let mut piece = Piece::default();
        for seq in 1..=10 {
            piece.append(&[event(seq, TAIL_MAX_BYTES / 4)]);
        }
        assert!(piece.bytes <= TAIL_MAX_BYTES + TAIL_MAX_BYTES / 2);
        let kept = numbers(&piece.after(piece.start));
        assert_eq!(kept, (piece.start + 1..=10).collect::<Vec<_>>());
        assert!(!kept.is_empty());
    }
}
