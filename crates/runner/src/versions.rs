//! Versions as read-only trees on this runner.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use vm0_blob::{
    Manifest, ManifestError, PackSource, PackSourceError, TreeCache, TreeError, TreeGuard,
};
use vm0_model::wire::runner::MountedVersion;
use vm0_model::{ManifestId, PackId};

use crate::link::{Link, LinkError};

/// Manifests kept in memory.
const MANIFESTS_KEPT: usize = 32;
/// Manifests with more entries are not kept.
const ENTRIES_KEPT_MAX: usize = 100_000;

/// A version cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VersionError {
    /// The server does not give its manifest.
    #[error("fetch manifest {manifest}")]
    Fetch {
        /// The manifest.
        manifest: ManifestId,
        /// Why.
        source: LinkError,
    },
    /// Its manifest is broken.
    #[error("read manifest {manifest}")]
    Manifest {
        /// The manifest.
        manifest: ManifestId,
        /// Why.
        source: ManifestError,
    },
    /// Its files cannot be had.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The versions that this runner has or can get.
#[derive(Debug)]
pub(crate) struct Versions {
    trees: TreeCache,
    manifests: Mutex<VecDeque<(ManifestId, Arc<Manifest>)>>,
}

impl Versions {
    /// Versions whose trees are in `trees`.
    pub(crate) fn new(trees: TreeCache) -> Self {
        Self {
            trees,
            manifests: Mutex::default(),
        }
    }

    /// The tree of a version, fetched if it is not here.
    pub(crate) async fn tree(
        &self,
        link: &Link,
        version: MountedVersion,
    ) -> Result<TreeGuard, VersionError> {
        if let Some(tree) = self.trees.get(version.version_id) {
            return Ok(tree);
        }
        let manifest = self.manifest(link, version.manifest_id).await?;
        let packs = ServerPacks { link };
        Ok(self
            .trees
            .ensure(version.version_id, &manifest, &packs)
            .await?)
    }

    /// A manifest, fetched if it is not here.
    pub(crate) async fn manifest(
        &self,
        link: &Link,
        id: ManifestId,
    ) -> Result<Arc<Manifest>, VersionError> {
        if let Some(manifest) = self.kept(id) {
            return Ok(manifest);
        }
        let bytes = link.call(|| link.client.manifest_get(id)).await;
        let bytes = bytes.map_err(|source| VersionError::Fetch {
            manifest: id,
            source,
        })?;
        let manifest = Manifest::decode(&bytes);
        let manifest = manifest.map_err(|source| VersionError::Manifest {
            manifest: id,
            source,
        })?;
        let manifest = Arc::new(manifest);
        self.keep(id, Arc::clone(&manifest));
        Ok(manifest)
    }

    /// Remembers a manifest that was just made here.
    pub(crate) fn keep(&self, id: ManifestId, manifest: Arc<Manifest>) {
        if manifest.entries().len() > ENTRIES_KEPT_MAX {
            return;
        }
        let mut kept = self
            .manifests
            .lock()
            .expect("no code panics while it holds the lock");
        kept.retain(|(other, _)| *other != id);
        kept.push_back((id, manifest));
        while kept.len() > MANIFESTS_KEPT {
            kept.pop_front();
        }
    }

    /// Makes room on the disk.
    pub(crate) async fn evict(&self, budget_bytes: u64) {
        match self.trees.evict(budget_bytes).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed version trees not used for long"),
            Err(error) => tracing::warn!(%error, "failed to remove version trees"),
        }
    }

    fn kept(&self, id: ManifestId) -> Option<Arc<Manifest>> {
        let kept = self
            .manifests
            .lock()
            .expect("no code panics while it holds the lock");
        kept.iter()
            .find(|(other, _)| *other == id)
            .map(|(_, manifest)| Arc::clone(manifest))
    }
}

/// Packs, from the server.
struct ServerPacks<'a> {
    link: &'a Link,
}

#[async_trait]
impl PackSource for ServerPacks<'_> {
    async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError> {
        let fetch = || async {
            self.link
                .client
                .pack_get(pack, Some(range.clone()))
                .await?
                .bytes()
                .await
        };
        let bytes = self.link.call(fetch).await;
        bytes.map(Bytes::from).map_err(|source| PackSourceError {
            pack,
            source: source.into(),
        })
    }
}
