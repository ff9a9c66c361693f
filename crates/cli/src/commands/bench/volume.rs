//! What the size of a volume that is in the cache already costs a run: it should cost nothing.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use vm0_client::Client;
use vm0_model::storage::StorageKind;

use super::quantiles::Quantiles;
use super::runs::{define, timed};
use crate::commands::volume::{PushRequest, push_tree};
use crate::error::Failure;
use crate::files::scan;
use crate::output::Output;

const DIRECTORIES: u64 = 100;
const FILES_EACH: u64 = 100;
const FILE_BYTES: usize = 100_000;
const REPEATS: u32 = 20;

/// Times from the claim to the start of the agent.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct VolumeCost {
    /// With a volume of one small file.
    pub(super) small: Quantiles,
    /// With a volume of 1 GB in 10,000 files, in the cache already.
    pub(super) large: Quantiles,
    /// The difference of the medians.
    pub(super) difference_ms: f64,
}

/// Measures both, in turn.
pub(super) async fn measure(client: &Client, output: &Output) -> Result<VolumeCost, Failure> {
    for (name, large) in [("bench-small", false), ("bench-large", true)] {
        let dir = tempfile::Builder::new()
            .prefix("vm0-bench-volume-")
            .tempdir()?;
        if large {
            fill(dir.path())?;
        } else {
            fs::write(dir.path().join("file"), "x")?;
        }
        let request = PushRequest {
            kind: StorageKind::Volume,
            name,
            root: dir.path(),
            tree: scan(dir.path())?,
            message: None,
            force: false,
            expect: None,
        };
        push_tree(client, output, request).await?;
        let agent = json!({ "framework": "shell", "volumes": ["data:/data"],
            "network": { "mode": "none" } });
        define(client, name, agent, json!({ "data": { "name": name } })).await?;
        // The first run fills the cache.
        timed(client, name).await?;
    }
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        small.push(timed(client, "bench-small").await?.sandbox_ready_ms);
        large.push(timed(client, "bench-large").await?.sandbox_ready_ms);
    }
    let (small, large) = (Quantiles::of(small), Quantiles::of(large));
    Ok(VolumeCost {
        small,
        large,
        difference_ms: large.p50 - small.p50,
    })
}

/// Writes files that do not compress and do not repeat.
fn fill(root: &Path) -> Result<(), Failure> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = vec![0; FILE_BYTES];
    for directory in 0..DIRECTORIES {
        let dir = root.join(format!("d{directory:02}"));
        fs::create_dir(&dir)?;
        for file in 0..FILES_EACH {
            for word in content.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
            }
            fs::write(dir.join(format!("f{file:02}")), &content)?;
        }
    }
    Ok(())
}
