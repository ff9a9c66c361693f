//! What a run made of its workspace, saved as a version: at its checkpoint, when it is salvaged,
//! and after the runner was killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vm0_blob::{Manifest, ManifestError, ScanError, ScanLimits, ScanWarning, pack_changes, scan};
use vm0_model::ManifestId;
use vm0_model::wire::runner::SavedArtifact;

use crate::link::{Link, LinkError};
use crate::versions::{VersionError, Versions};

/// What a workspace started from.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// The id of its manifest.
    pub(crate) id: ManifestId,
    /// Its manifest.
    pub(crate) manifest: Arc<Manifest>,
}

/// A saved workspace.
#[derive(Debug)]
pub(crate) struct Saved {
    /// What to tell the server.
    pub(crate) artifact: SavedArtifact,
    /// Whether it differs from what it started from.
    pub(crate) changed: bool,
    /// What was left out.
    pub(crate) warnings: Vec<ScanWarning>,
    /// Files and symlinks.
    pub(crate) entries: usize,
}

/// A workspace could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// There is nothing to read.
    #[error("find what was written to the workspace")]
    NoLayer,
    /// What it started from cannot be had.
    #[error("read what the workspace started from")]
    Base(#[source] VersionError),
    /// It cannot be read or is over a limit.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Its manifest is over a limit.
    #[error("write the manifest of the workspace")]
    Manifest(#[from] ManifestError),
    /// The server does not take it.
    #[error("store the workspace")]
    Store(#[from] LinkError),
    /// The work was cut off because the process stops.
    #[error("finish the work")]
    Stopped(#[from] tokio::task::JoinError),
}

struct Packed {
    pack: Option<vm0_blob::PackFile>,
    manifest: Manifest,
    id: ManifestId,
    encoded: Vec<u8>,
    changed: bool,
    warnings: Vec<ScanWarning>,
}

/// Saves what `layer` says against `base`. The pack is written into `run_dir` on its way.
pub(crate) async fn save(
    link: &Link,
    versions: &Versions,
    layer: PathBuf,
    base: Option<Base>,
    run_dir: &Path,
) -> Result<Saved, WorkspaceError> {
    let pack_path = run_dir.join("workspace.pack");
    let packing = {
        let (base, pack_path) = (base.clone(), pack_path.clone());
        tokio::task::spawn_blocking(move || pack(&layer, base.as_ref(), &pack_path))
    };
    let packed = packing.await??;
    let artifact = SavedArtifact {
        manifest_id: packed.id,
    };
    let entries = packed.manifest.entries().len();
    let unchanged = base.is_some_and(|base| base.id == packed.id);
    if !unchanged {
        if let Some(pack) = packed.pack {
            let put = || {
                link.client
                    .pack_put(link.run_id, link.epoch, pack.id, &pack_path)
            };
            link.call(put).await?;
        }
        let bytes = bytes::Bytes::from(packed.encoded);
        let put = || {
            link.client
                .manifest_put(link.run_id, link.epoch, packed.id, bytes.clone())
        };
        link.call(put).await?;
        versions.keep(packed.id, Arc::new(packed.manifest));
    }
    Ok(Saved {
        artifact,
        changed: packed.changed,
        warnings: packed.warnings,
        entries,
    })
}

fn pack(layer: &Path, base: Option<&Base>, out: &Path) -> Result<Packed, WorkspaceError> {
    let manifest = base.map(|base| &*base.manifest);
    let changes = scan(layer, manifest, ScanLimits::default())?;
    if let Some(base) = base.filter(|_| changes.is_empty()) {
        return Ok(Packed {
            pack: None,
            manifest: Manifest::clone(&base.manifest),
            id: base.id,
            encoded: Vec::new(),
            changed: false,
            warnings: changes.warnings().to_vec(),
        });
    }
    let changed = !changes.is_empty();
    let packed = pack_changes(changes, manifest, out)?;
    let (id, encoded) = packed.manifest.encode()?;
    Ok(Packed {
        pack: packed.pack,
        manifest: packed.manifest,
        id,
        encoded,
        changed,
        warnings: packed.warnings,
    })
}
