//! The device authorization grant (RFC 8628): what a code is worth, as a pure rule.
//!
//! ```text
//! pending ──approve──► approved ──poll──► redeemed
//!    └─────deny──────► denied
//! ```
//!
//! Whatever its state, a code that has expired is worth nothing any more.

use std::fmt;
use std::str::FromStr;

use crate::limits::DEVICE_POLL_INTERVAL;
use crate::time::Timestamp;

/// A poll this much before its time is not too fast: the way to the server is not always equally
/// long.
const EARLY_MS: i64 = 500;

/// How far a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// Nobody has decided.
    Pending,
    /// A user has approved it; its token was not fetched yet.
    Approved,
    /// A user has denied it.
    Denied,
    /// Its token was given out.
    Redeemed,
}

/// The text is not a status of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a status of a device code")]
pub struct DeviceStatusError;

impl DeviceStatus {
    const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Denied, Self::Redeemed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Redeemed => "redeemed",
        }
    }
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeviceStatus {
    type Err = DeviceStatusError;

    fn from_str(text: &str) -> Result<Self, DeviceStatusError> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == text)
            .ok_or(DeviceStatusError)
    }
}

/// What decides about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceGrant {
    /// How far it is.
    pub status: DeviceStatus,
    /// When it was polled last.
    pub polled_at: Option<Timestamp>,
    /// When it stops to be worth anything.
    pub expires_at: Timestamp,
}

/// What a poll gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePoll {
    /// Nobody has decided yet.
    Pending,
    /// The poll came too soon after the one before.
    SlowDown,
    /// A user has denied it.
    Denied,
    /// It is expired, or its token was given out already.
    Expired,
    /// The token, this once.
    Granted,
}

/// What a user who looks at a code may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceView {
    /// Approve or deny it.
    Open,
    /// Nothing: it was decided.
    Decided,
    /// Nothing: it has expired.
    Expired,
}

impl DeviceGrant {
    /// What a poll at this time gets.
    pub fn poll(&self, now: Timestamp) -> DevicePoll {
        if now >= self.expires_at || self.status == DeviceStatus::Redeemed {
            return DevicePoll::Expired;
        }
        if self.is_hasty(now) {
            return DevicePoll::SlowDown;
        }
        match self.status {
            DeviceStatus::Pending => DevicePoll::Pending,
            DeviceStatus::Denied => DevicePoll::Denied,
            DeviceStatus::Approved => DevicePoll::Granted,
            DeviceStatus::Redeemed => DevicePoll::Expired,
        }
    }

    /// What a user may do with it at this time.
    pub fn view(&self, now: Timestamp) -> DeviceView {
        if self.status != DeviceStatus::Pending {
            DeviceView::Decided
        } else if now >= self.expires_at {
            DeviceView::Expired
        } else {
            DeviceView::Open
        }
    }

    fn is_hasty(&self, now: Timestamp) -> bool {
        let interval = i64::try_from(DEVICE_POLL_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        self.polled_at
            .is_some_and(|last| now.millis_since(last) < interval - EARLY_MS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    fn grant(status: DeviceStatus, polled_at: Option<i64>) -> DeviceGrant {
        DeviceGrant {
            status,
            polled_at: polled_at.map(at),
            expires_at: at(900_000),
        }
    }

    #[test]
    fn a_poll_gets_what_was_decided() {
        for (status, expected) in [
            (DeviceStatus::Pending, DevicePoll::Pending),
            (DeviceStatus::Approved, DevicePoll::Granted),
            (DeviceStatus::Denied, DevicePoll::Denied),
            (DeviceStatus::Redeemed, DevicePoll::Expired),
        ] {
            assert_eq!(grant(status, None).poll(at(0)), expected);
            assert_eq!(grant(status, Some(0)).poll(at(5_000)), expected);
            assert_eq!(grant(status, None).poll(at(900_000)), DevicePoll::Expired);
        }
    }

    #[test]
    fn a_hasty_poll_is_told_so_and_loses_nothing() {
        let approved = grant(DeviceStatus::Approved, Some(0));
        assert_eq!(approved.poll(at(1_000)), DevicePoll::SlowDown);
        assert_eq!(approved.poll(at(4_499)), DevicePoll::SlowDown);
        assert_eq!(approved.poll(at(4_500)), DevicePoll::Granted);
    }

    #[test]
    fn a_code_is_decided_once_and_in_time() {
        for status in DeviceStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
            let open = status == DeviceStatus::Pending;
            let view = grant(status, None).view(at(899_999));
            assert_eq!(view == DeviceView::Open, open, "{status}");
        }
        let late = grant(DeviceStatus::Pending, None).view(at(900_000));
        assert_eq!(late, DeviceView::Expired);
    }

    proptest! {
        #[test]
        fn a_token_is_granted_only_to_an_approved_code_in_time(
            status in proptest::sample::select(&DeviceStatus::ALL),
            polled_at in proptest::option::of(0_i64..1_000_000),
            now in 0_i64..1_000_000,
        ) {
            if grant(status, polled_at).poll(at(now)) == DevicePoll::Granted {
                prop_assert_eq!(status, DeviceStatus::Approved);
                prop_assert!(now < 900_000);
                prop_assert!(polled_at.is_none_or(|last| now - last >= 4_500));
            }
        }
    }
}
