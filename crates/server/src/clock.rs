//! The present time and fresh identifiers, the two things that the model may not make itself.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;
use vm0_model::Timestamp;

/// The present time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// A fresh id: `fresh(RunId::from_uuid)`.
pub(crate) fn fresh<Id>(from_uuid: impl FnOnce(Uuid) -> Id) -> Id {
    from_uuid(Uuid::now_v7())
}

/// The time `span` before `from`.
pub(crate) fn before(from: Timestamp, span: std::time::Duration) -> Timestamp {
    from.plus_millis(-i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2))
}

/// The time `span` after `from`.
pub(crate) fn after(from: Timestamp, span: std::time::Duration) -> Timestamp {
    from.plus_millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2))
}
