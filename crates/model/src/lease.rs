//! The right to execute a run: a lease with a fencing number.
//!
//! Claiming a run gives a [`Lease`]. The runner renews it every
//! [`LEASE_RENEW_INTERVAL`](crate::limits::LEASE_RENEW_INTERVAL) and names its [`Epoch`] in every
//! write; the store refuses a write with any other epoch, so a runner that was thought dead can
//! never overwrite what came after it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::time::Timestamp;

/// The fencing number of a lease: grows by one with each claim of the run, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to execute one run until it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The run.
    pub run_id: RunId,
    /// The number that every write under this lease names.
    pub epoch: Epoch,
    /// When the run is given up, unless the lease is renewed before.
    pub expires_at: Timestamp,
}
