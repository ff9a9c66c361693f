//! How often somebody may try: a number in a window of time, for each key. Memory only: a restart
//! forgets it, and every server of several counts for itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vm0_model::Timestamp;
use vm0_model::limits::TRIES_KEYS_MAX;

use super::error::AppError;
use crate::clock;

/// The tries of every key whose window has not ended.
#[derive(Debug)]
pub(crate) struct Tries<K> {
    max: u32,
    window: Duration,
    counts: Mutex<HashMap<K, Count>>,
}

#[derive(Debug)]
struct Count {
    ends_at: Timestamp,
    taken: u32,
}

impl Count {
    fn exhausted(&self, now: Timestamp) -> AppError {
        let left = self.ends_at.millis_since(now).max(0).unsigned_abs();
        AppError::TooMany {
            retry_after: Duration::from_millis(left),
        }
    }
}

impl<K: Eq + Hash> Tries<K> {
    /// At most `max` tries in a window that begins with the first.
    pub(crate) fn new(max: u32, window: Duration) -> Self {
        Self {
            max,
            window,
            counts: Mutex::default(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<K, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a try.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Result<(), AppError> {
        let mut counts = self.counts();
        if counts.len() >= TRIES_KEYS_MAX && !counts.contains_key(&key) {
            counts.retain(|_, count| count.ends_at > now);
            if counts.len() >= TRIES_KEYS_MAX {
                return Err(AppError::TooMany {
                    retry_after: self.window,
                });
            }
        }
        let ends_at = clock::after(now, self.window);
        let count = counts.entry(key).or_insert(Count { ends_at, taken: 0 });
        if count.ends_at <= now {
            *count = Count { ends_at, taken: 0 };
        }
        if count.taken >= self.max {
            return Err(count.exhausted(now));
        }
        count.taken += 1;
        Ok(())
    }

    /// Whether a try is left, which stays.
    pub(super) fn check(&self, key: &K, now: Timestamp) -> Result<(), AppError> {
        let counts = self.counts();
        match counts.get(key).filter(|count| count.ends_at > now) {
            Some(count) if count.taken >= self.max => Err(count.exhausted(now)),
            _ => Ok(()),
        }
    }

    /// Gives a try back that was none.
    pub(super) fn give_back(&self, key: &K) {
        if let Some(count) = self.counts().get_mut(key) {
            count.taken = count.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn wait(refused: Result<(), AppError>) -> u64 {
        match refused {
            Err(AppError::TooMany { retry_after }) => retry_after.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_has_so_many_tries_for_each_key() {
        let tries = Tries::new(2, Duration::from_secs(10));
        for second in [0, 1] {
            tries.take("a", at(second)).unwrap();
        }
        assert_eq!(wait(tries.take("a", at(3))), 7);
        tries.take("b", at(3)).unwrap();
        tries.take("a", at(10)).unwrap();
    }

    #[test]
    fn a_try_that_was_none_does_not_count() {
        let tries = Tries::new(1, Duration::from_secs(10));
        for second in 0..5 {
            tries.take("a", at(second)).unwrap();
            tries.give_back(&"a");
        }
        tries.take("a", at(5)).unwrap();
        assert_eq!(wait(tries.take("a", at(6))), 4);
    }

    #[test]
    fn so_many_keys_are_counted_and_old_ones_forgotten() {
        let tries = Tries::new(1, Duration::from_secs(10));
        for key in 0..TRIES_KEYS_MAX {
            tries.take(key, at(0)).unwrap();
        }
        assert_eq!(wait(tries.take(TRIES_KEYS_MAX, at(9))), 10);
        tries.take(TRIES_KEYS_MAX, at(10)).unwrap();
        assert_eq!(tries.counts().len(), 1);
    }
}
