//! Bundles: the versions of a user's volume `agent-bundles`, which hold the instructions and skills
//! of agents (agents 1.6).

use vm0_model::{StorageKind, UserId, VersionId};
use vm0_store::record::{Key, StorageVersionRecord};

use super::context::App;
use super::error::AppError;

/// The volume.
const BUNDLES: &str = "agent-bundles";

impl App {
    /// The bundle of this id, if the user has it.
    pub(super) async fn bundle_find(
        &self,
        user: UserId,
        bundle: VersionId,
    ) -> Result<Option<StorageVersionRecord>, AppError> {
        let key = Key::Name(BUNDLES.to_owned());
        let storage = self
            .store
            .storage_view(user, StorageKind::Volume, &key)
            .await?;
        let Some(storage) = storage else {
            return Ok(None);
        };
        let id = bundle.to_string();
        let found = self.store.storage_version_match(storage.id, &id).await?;
        Ok(found.into_iter().next())
    }
}
