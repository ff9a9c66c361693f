//! What becomes of one object. No I/O, no clock.

use std::time::Duration;

use vm0_model::Timestamp;

/// The clocks by which runs start and objects are condemned differ by less.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether a row, or a manifest that a row names, refers to it.
    pub(super) referenced: bool,
    /// When it was stored last.
    pub(super) stored_at: Timestamp,
    /// Since when it is condemned.
    pub(super) condemned_since: Option<Timestamp>,
}

/// When it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The present time.
    pub(super) now: Timestamp,
    /// How long something without a reference is kept.
    pub(super) grace: Duration,
    /// When the oldest of the running runs started.
    pub(super) oldest_running: Option<Timestamp>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is referred to.
    Keep,
    /// It is referred to again, and no longer condemned.
    Pardon,
    /// It is condemned from now on.
    Condemn,
    /// Nothing yet.
    Wait,
    /// It is removed.
    Remove,
}

impl Moment {
    /// Whether `since` is a whole grace period ago.
    pub(super) fn is_past(&self, since: Timestamp) -> bool {
        self.now.millis_since(since) >= millis(self.grace)
    }

    /// What becomes of an object.
    pub(super) fn verdict(&self, facts: Facts) -> Verdict {
        match (facts.referenced, facts.condemned_since) {
            (true, None) => Verdict::Keep,
            (true, Some(_)) => Verdict::Pardon,
            (false, None) => Verdict::Condemn,
            (false, Some(since)) => {
                let mounted = self
                    .oldest_running
                    .is_some_and(|start| start.millis_since(since) <= millis(CLOCK_SLACK));
                let past = self.is_past(since) && self.is_past(facts.stored_at);
                if past && !mounted {
                    Verdict::Remove
                } else {
                    Verdict::Wait
                }
            }
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
