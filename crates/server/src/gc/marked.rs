//! What rows refer to, and what those manifests refer to.

use std::collections::HashSet;

use vm0_blob::{Blobs, ObjectId};
use vm0_model::PackId;
use vm0_store::Store;
use vm0_store::record::References;

use super::error::GcError;

/// Everything that is referred to.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub(crate) rows: References,
    pub(crate) packs: HashSet<PackId>,
}

impl Marked {
    /// Reads all rows and all manifests.
    pub(crate) async fn read(store: &dyn Store, blobs: &Blobs) -> Result<Self, GcError> {
        let mut marked = Self::default();
        marked.refresh(store, blobs).await?;
        Ok(marked)
    }

    /// Reads the rows again, and the manifests that were not read yet. Packs stay marked.
    pub(crate) async fn refresh(
        &mut self,
        store: &dyn Store,
        blobs: &Blobs,
    ) -> Result<(), GcError> {
        let mut rows = store.references().await?;
        let unread: Vec<_> = rows
            .manifests
            .difference(&self.rows.manifests)
            .copied()
            .collect();
        for id in unread {
            match blobs.manifest_packs(id).await {
                Ok(packs) => self.packs.extend(packs),
                // Its rows were deleted since, and another collection was here.
                Err(_) if !store.references().await?.manifests.contains(&id) => {
                    rows.manifests.remove(&id);
                }
                Err(source) => return Err(GcError::Manifest { id, source }),
            }
        }
        self.rows = rows;
        Ok(())
    }

    /// Whether an object is referred to.
    pub(crate) fn names(&self, id: ObjectId) -> bool {
        match id {
            ObjectId::Manifest(id) => self.rows.manifests.contains(&id),
            ObjectId::Pack(id) => self.packs.contains(&id),
            ObjectId::History(id) => self.rows.histories.contains(&id),
        }
    }
}
