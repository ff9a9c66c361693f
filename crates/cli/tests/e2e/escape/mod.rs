//! The escape campaign: everything that `crates/sandbox/examples/probe` tries, inside both kinds of
//! sandbox and, as the control that a probe can succeed at all, outside; and files that are made to
//! do harm when a checkpoint is taken of them.
//!
//! With `VM0_REDTEAM` the lines of every probe are left in that directory, for the report of
//! `scripts/redteam.sh`.

mod calls;
mod files;
mod line;
mod plants;

crate::on_each_sandbox!(no_way_out_is_open, no_file_of_a_workspace_does_harm);

async fn no_way_out_is_open(kind: &str) {
    calls::campaign(kind).await;
}

async fn no_file_of_a_workspace_does_harm(kind: &str) {
    files::campaign(kind).await;
}
