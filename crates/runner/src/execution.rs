//! A run from its claim to its end. Read this file first.
//!
//! ```text
//!   Claim ─► Run ─ prepare ─► Prepared ─ boot ─► Booted ─ run ─► Ended ─ conclude ─► Concluded ─ finish
//!                     │                   │                │
//!                     └────── failed or interrupted ───────┴─────────────► Concluded
//! ```
//!
//! Each step takes what the one before it made; a step that fails has nothing to undo but what
//! [`Backend::sweep`](vm0_sandbox::Backend::sweep) undoes. This task alone owns the state of the
//! run: lease, uplinks, network and samples are other tasks or futures that it listens to.

use std::sync::Arc;

use vm0_model::limits;
use vm0_model::wire::runner::Claim;

use crate::chain::chain;
use crate::checkpoint::Concluded;
use crate::finish::finish;
use crate::host::Host;
use crate::prepare::prepare;
use crate::run::{Outlets, PhaseEnd, Run};
use crate::telemetry::Phase;

/// Executes a claimed run to its end.
pub(crate) async fn execute(host: Arc<Host>, claim: Claim) {
    let run_id = claim.spec.run_id;
    let (run, feeds, outlets) = match Run::open(host, claim) {
        Ok(opened) => opened,
        Err(error) => {
            // Without its directory a run cannot even fail properly: its lease expires.
            tracing::error!(run = %run_id, error = chain(&error), "failed to begin a run");
            return;
        }
    };
    let concluded = match attempt(&run, outlets).await {
        Ok(concluded) => concluded,
        Err(end) => Concluded::without_agent(&run, end).await,
    };
    finish(run, feeds, concluded).await;
}

async fn attempt(run: &Run, outlets: Outlets) -> Result<Concluded, PhaseEnd> {
    let preparing = prepare(run);
    let prepared = run
        .phase(Phase::Prepare, limits::PREPARE_TIMEOUT, preparing)
        .await?;
    let booting = prepared.boot(run);
    let booted = run
        .phase(Phase::Boot, limits::BOOT_TIMEOUT, booting)
        .await?;
    let ended = booted.run(run, outlets).await;
    Ok(ended.conclude(run).await)
}
