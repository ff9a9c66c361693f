//! The artifact and the volumes of a run (API 4.7).

use std::collections::BTreeMap;

use vm0_model::config::{AgentConfig, Mount, VolumeConfig};
use vm0_model::name::is_storage_name;
use vm0_model::reference::VersionRef;
use vm0_model::wire::runs::RunCreate;
use vm0_model::{ApiError, StorageId, StorageKind, VersionId};
use vm0_store::record::{Key, RunArtifact, RunVolume, VersionWanted};

use super::origin::Continued;
use super::values::Values;
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::storages::check_name;
use crate::app::tokens::Caller;
use crate::clock;

/// A reference to a volume version and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference<'a> {
    Request(&'a str),
    Inherited(&'a str),
    Configured,
}

/// The references that decide, by key.
struct References<'a> {
    request: Option<&'a BTreeMap<String, String>>,
    inherited: BTreeMap<String, String>,
}

impl References<'_> {
    fn of(&self, key: &str) -> Reference<'_> {
        match self.request {
            Some(given) => given
                .get(key)
                .map_or(Reference::Configured, |v| Reference::Request(v)),
            None => {
                let inherited = self.inherited.get(key);
                inherited.map_or(Reference::Configured, |value| Reference::Inherited(value))
            }
        }
    }
}

impl App {
    /// Check 11 of API 4.4: the artifact, and the id for it if it must be made.
    pub(super) async fn run_artifact(
        &self,
        caller: &Caller,
        request: &RunCreate,
        continued: &Continued,
    ) -> Result<Option<(RunArtifact, StorageId)>, AppError> {
        let fault = |message: String| ApiError::invalid("artifact_version", message);
        let inherited = continued.artifact();
        let inherited_name = inherited.as_ref().map(|(name, _)| name.as_str());
        let Some(name) = request.artifact_name.as_deref().or(inherited_name) else {
            return match request.artifact_version {
                None => Ok(None),
                Some(_) => Err(fault("artifact_version needs an artifact_name".to_owned()).into()),
            };
        };
        check_name("artifact_name", name)?;
        let pinned = match &inherited {
            Some((inherited_name, pinned)) if inherited_name == name => *pinned,
            _ => None,
        };
        let shown = request
            .artifact_version
            .clone()
            .or(pinned.map(|id| id.to_string()));
        let wanted = match shown.as_deref() {
            None => VersionWanted::Latest,
            Some(value) => match VersionRef::parse(value).map_err(|e| fault(e.to_string()))? {
                VersionRef::Latest => VersionWanted::Latest,
                reference => {
                    let found = self.version_by_name(
                        caller,
                        StorageKind::Artifact,
                        name,
                        value,
                        &reference,
                    );
                    VersionWanted::Exact(found.await?.map_err(fault)?.1)
                }
            },
        };
        let artifact = RunArtifact {
            name: name.to_owned(),
            wanted,
            shown,
        };
        Ok(Some((artifact, clock::fresh(StorageId::from_uuid))))
    }

    /// Check 12 of API 4.4: the volumes that are mounted.
    pub(super) async fn run_volumes(
        &self,
        caller: &Caller,
        request: &RunCreate,
        continued: &Continued,
        config: &AgentConfig,
        values: Values<'_>,
    ) -> Result<Vec<RunVolume>, AppError> {
        let references = References {
            request: request.volumes.as_ref(),
            inherited: continued.volumes(),
        };
        let mut volumes = Vec::with_capacity(config.mounts.len());
        for mount in &config.mounts {
            // The configuration was checked: every mount has its declaration.
            let Some(declared) = config.volumes.get(&mount.key) else {
                continue;
            };
            let reference = references.of(&mount.key);
            if let Some(volume) = self
                .run_volume(caller, mount, declared, reference, values)
                .await?
            {
                volumes.push(volume);
            }
        }
        Ok(volumes)
    }

    async fn run_volume(
        &self,
        caller: &Caller,
        mount: &Mount,
        declared: &VolumeConfig,
        reference: Reference<'_>,
        values: Values<'_>,
    ) -> Result<Option<RunVolume>, AppError> {
        let key = &mount.key;
        let fault = |message: String| ApiError::invalid(format!("volumes.{key}"), message);
        let configured = reference == Reference::Configured;
        if values.lacks(&declared.name) || (configured && values.lacks(&declared.version)) {
            // The last check of the request says which variable is missing.
            return Ok(None);
        }
        let name = values.expand(&declared.name);
        let value = match reference {
            Reference::Request(value) | Reference::Inherited(value) => value.to_owned(),
            Reference::Configured => values.expand(&declared.version),
        };
        if !is_storage_name(&name) {
            return Err(fault(format!("'{name}' is not the name of a volume")).into());
        }
        let wanted = VersionRef::parse(&value).map_err(|error| fault(error.to_string()))?;
        let found = self
            .version_by_name(caller, StorageKind::Volume, &name, &value, &wanted)
            .await?;
        let (storage_id, version) = match found {
            Ok(found) => found,
            Err(message) => {
                let asked_for =
                    matches!(reference, Reference::Request(_)) && wanted != VersionRef::Latest;
                return if declared.optional && !asked_for {
                    Ok(None)
                } else {
                    Err(fault(message).into())
                };
            }
        };
        let given = match reference {
            Reference::Request(value) | Reference::Inherited(value) => Some(value.to_owned()),
            Reference::Configured => None,
        };
        Ok(Some(RunVolume {
            key: key.clone(),
            path: mount.path.to_string(),
            name,
            storage_id,
            wanted: match wanted {
                VersionRef::Latest => VersionWanted::Latest,
                VersionRef::Exact(_) | VersionRef::Prefix(_) => VersionWanted::Exact(version),
            },
            given,
            optional: declared.optional,
        }))
    }

    /// The storage of this name and the version that a reference names at present, or why there is
    /// none.
    async fn version_by_name(
        &self,
        caller: &Caller,
        kind: StorageKind,
        name: &str,
        value: &str,
        wanted: &VersionRef<VersionId>,
    ) -> Result<Result<(StorageId, VersionId), String>, AppError> {
        let title = kind.title();
        let key = Key::Name(name.to_owned());
        let Some(storage) = self.store.storage_view(caller.user.id, kind, &key).await? else {
            return Ok(Err(format!("{title} '{name}' not found")));
        };
        if let VersionRef::Latest = wanted {
            let head = storage.head.map(|head| (storage.id, head.id));
            return Ok(head.ok_or_else(|| format!("{title} '{name}' has no versions")));
        }
        let found = self.version_match(storage.id, value, wanted).await?;
        Ok(found
            .map(|row| (storage.id, row.id))
            .map_err(|error| error.to_string()))
    }
}
