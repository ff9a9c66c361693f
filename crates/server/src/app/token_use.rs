//! When tokens were used: known at once, written seldom.
//!
//! Every request notes a use here, and every answer shows it. The row of a token is written by the
//! next tick of the background task, but at most once in [`TOKEN_USE_INTERVAL`], and when the server
//! stops. A crash loses what one interval had.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm0_model::limits::TOKEN_USE_INTERVAL;
use vm0_model::{Timestamp, TokenId};

/// The uses of tokens that are not old news.
#[derive(Debug, Default)]
pub(crate) struct TokenUse(Mutex<HashMap<TokenId, Use>>);

#[derive(Debug)]
struct Use {
    used_at: Timestamp,
    /// When the row was written last.
    recorded_at: Option<Timestamp>,
    /// Whether the row lacks `used_at`.
    unrecorded: bool,
}

impl Use {
    /// Whether the row was written so long ago that it may be written again.
    fn may_record(&self, now: Timestamp) -> bool {
        let interval = i64::try_from(TOKEN_USE_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        self.recorded_at
            .is_none_or(|at| now.millis_since(at) >= interval)
    }
}

impl TokenUse {
    fn uses(&self) -> MutexGuard<'_, HashMap<TokenId, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a use; `recorded` is the one that the row has.
    pub(super) fn note(&self, token: TokenId, recorded: Option<Timestamp>, now: Timestamp) {
        let mut uses = self.uses();
        let noted = uses.entry(token).or_insert(Use {
            used_at: now,
            recorded_at: recorded,
            unrecorded: true,
        });
        noted.used_at = noted.used_at.max(now);
        noted.unrecorded = true;
    }

    /// The last use; `recorded` is the one that the row has.
    pub(super) fn last(&self, token: TokenId, recorded: Option<Timestamp>) -> Option<Timestamp> {
        let noted = self.uses().get(&token).map(|noted| noted.used_at);
        noted.max(recorded)
    }

    /// Forgets a token that is gone.
    pub(super) fn forget(&self, token: TokenId) {
        self.uses().remove(&token);
    }

    /// The uses to write now. What is written and old is forgotten.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(TokenId, Timestamp)> {
        let mut uses = self.uses();
        uses.retain(|_, noted| noted.unrecorded || !noted.may_record(now));
        let due = uses
            .iter()
            .filter(|(_, noted)| noted.unrecorded && noted.may_record(now));
        due.map(|(token, noted)| (*token, noted.used_at)).collect()
    }

    /// All uses that are not written yet.
    pub(crate) fn unrecorded(&self) -> Vec<(TokenId, Timestamp)> {
        let uses = self.uses();
        let unrecorded = uses.iter().filter(|(_, noted)| noted.unrecorded);
        unrecorded
            .map(|(token, noted)| (*token, noted.used_at))
            .collect()
    }

    /// Notes that these uses were written.
    pub(crate) fn recorded(&self, written: &[(TokenId, Timestamp)], now: Timestamp) {
        let mut uses = self.uses();
        for (token, used_at) in written {
            if let Some(noted) = uses.get_mut(token) {
                noted.recorded_at = Some(now);
                noted.unrecorded = noted.used_at > *used_at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn token() -> TokenId {
        TokenId::from_uuid(Uuid::now_v7())
    }

    #[test]
    fn a_use_is_known_at_once_and_written_once_a_minute() {
        let (uses, token) = (TokenUse::default(), token());
        let mut row = None;
        let mut writes = Vec::new();
        // Used every second for five minutes, with a tick every third.
        for second in 0..300 {
            uses.note(token, row, at(second));
            assert_eq!(uses.last(token, row), Some(at(second)));
            if second % 3 == 0 {
                let due = uses.due(at(second));
                uses.recorded(&due, at(second));
                for (_, used_at) in due {
                    row = Some(used_at);
                    writes.push(second);
                }
            }
        }
        assert_eq!(writes, [0, 60, 120, 180, 240]);
        assert_eq!(uses.unrecorded(), [(token, at(299))]);
    }

    #[test]
    fn a_single_use_is_written_even_if_no_other_follows() {
        let (uses, token) = (TokenUse::default(), token());
        uses.note(token, Some(at(0)), at(10));
        assert_eq!(uses.due(at(59)), [], "the row is of the same minute");
        assert_eq!(uses.last(token, Some(at(0))), Some(at(10)));
        assert_eq!(uses.due(at(60)), [(token, at(10))]);
    }

    #[test]
    fn what_was_not_written_is_due_again() {
        let (uses, token) = (TokenUse::default(), token());
        uses.note(token, None, at(0));
        assert_eq!(uses.due(at(1)), uses.due(at(2)));
        let due = uses.due(at(3));
        uses.note(token, None, at(4));
        uses.recorded(&due, at(5));
        assert_eq!(uses.unrecorded(), [(token, at(4))], "the use meanwhile");
        assert_eq!(uses.due(at(64)), []);
        assert_eq!(uses.due(at(65)), [(token, at(4))]);
    }

    #[test]
    fn what_is_written_and_old_or_gone_is_forgotten() {
        let (uses, old, gone) = (TokenUse::default(), token(), token());
        uses.note(old, None, at(0));
        uses.note(gone, None, at(0));
        uses.forget(gone);
        let due = uses.due(at(1));
        assert_eq!(due, [(old, at(0))]);
        uses.recorded(&due, at(1));
        assert_eq!(uses.due(at(30)), []);
        assert_eq!(uses.uses().len(), 1);
        assert_eq!(uses.due(at(61)), []);
        assert_eq!(uses.uses().len(), 0);
    }
}
