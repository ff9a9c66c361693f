//! Finding volumes, artifacts and their versions on the server.

use serde_json::{Value, json};
use vm0_client::{Client, ClientError, PageQuery, collect_pages};
use vm0_model::id::StorageId;
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{Storage, StorageVersion};

use crate::error::Failure;
use crate::exit::Exit;

/// The storage of this name, if there is one.
pub(super) async fn find(
    client: &Client,
    kind: StorageKind,
    name: &str,
) -> Result<Option<Storage>, ClientError> {
    let page = client
        .storage_list(kind, Some(name), &PageQuery::default())
        .await?;
    Ok(page.data.into_iter().next())
}

/// The storage of this name.
pub(super) async fn require(
    client: &Client,
    kind: StorageKind,
    name: &str,
) -> Result<Storage, Failure> {
    let found = find(client, kind, name).await?;
    found.ok_or_else(|| {
        let failure = Failure::not_found(format!("No such {kind}: '{name}'"));
        failure.hint(format!("See: vm0 {kind} list"))
    })
}

/// All versions of a storage, newest first.
pub(super) async fn versions(
    client: &Client,
    kind: StorageKind,
    id: StorageId,
) -> Result<Vec<StorageVersion>, ClientError> {
    collect_pages(None, async |page| {
        client.storage_version_list(kind, id, &page).await
    })
    .await
}

/// The version that a reference names; none names the head.
pub(super) async fn resolve(
    client: &Client,
    kind: StorageKind,
    storage: &Storage,
    reference: Option<&str>,
) -> Result<StorageVersion, Failure> {
    let Some(reference) = reference.filter(|reference| *reference != "latest") else {
        let detail = client.storage_view(kind, storage.id).await?;
        return detail.current_version.ok_or_else(|| {
            Failure::not_found(format!(
                "{} '{}' has no versions",
                kind.title(),
                storage.name
            ))
            .hint(format!("Push one: vm0 {kind} push"))
        });
    };
    let all = versions(client, kind, storage.id).await?;
    let mut matching = all
        .into_iter()
        .filter(|v| v.id.to_string().starts_with(reference));
    let hint = format!("See: vm0 {kind} versions {}", storage.name);
    match (matching.next(), matching.next()) {
        (Some(version), None) => Ok(version),
        (Some(_), Some(_)) => {
            let message =
                format!("Ambiguous version prefix \"{reference}\". Please use more characters.");
            Err(Failure::new(Exit::NotFound, "ambiguous_version", message).hint(hint))
        }
        (None, _) => {
            Err(Failure::not_found(format!("Version \"{reference}\" not found")).hint(hint))
        }
    }
}

/// The document of `push`, `pull` and `clone` (CLI 8).
pub(super) fn document(
    name: &str,
    kind: StorageKind,
    version: &StorageVersion,
    changed: bool,
) -> Value {
    json!({
        "name": name,
        "type": kind,
        "version": version.id,
        "file_count": version.file_count,
        "size": version.size,
        "changed": changed,
    })
}
