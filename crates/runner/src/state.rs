//! What a later process must know of a run whose runner was killed: `run.json` in its directory.
//! It is written before the sandbox exists and holds no secret.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use vm0_model::{Epoch, ManifestId, RunId};

const FILE_NAME: &str = "run.json";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 10;

/// A run on this runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// The run.
    pub(crate) run_id: RunId,
    /// The number of its lease.
    pub(crate) epoch: Epoch,
    /// Its workspace, if that is kept.
    pub(crate) artifact: Option<ArtifactState>,
}

/// A workspace that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArtifactState {
    /// Where it is mounted.
    pub(crate) working_dir: String,
    /// What it started from.
    pub(crate) base: Option<ManifestId>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The disk failed.
    #[error("use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not ours, or was damaged.
    #[error("understand {path}")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer program.
    #[error("understand version {version} of {path}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u32,
    /// SHA-256 of the text of `run`, in hex.
    checksum: String,
    #[serde(borrow)]
    run: &'a RawValue,
}

impl RunState {
    /// Writes it into a run's directory.
    pub(crate) fn write(&self, run_dir: &Path) -> Result<(), StateError> {
        let path = run_dir.join(FILE_NAME);
        let text = serde_json::to_string(self).expect("ids and paths have a JSON form");
        let run = RawValue::from_string(text).expect("it was just written as JSON");
        let checksum = hex::encode(Sha256::digest(run.get()));
        let envelope = Envelope {
            version: VERSION,
            checksum,
            run: &run,
        };
        let bytes = serde_json::to_vec(&envelope).expect("the parts have a JSON form");
        let partial = run_dir.join("run.json.partial");
        std::fs::write(&partial, bytes)
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|source| StateError::Io { path, source })
    }

    /// Reads it from a run's directory; `None` if the process was killed before it was written.
    pub(crate) fn read(run_dir: &Path) -> Result<Option<Self>, StateError> {
        let path = run_dir.join(FILE_NAME);
        let text = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() > MAX_BYTES => return Err(StateError::Damaged { path }),
            Ok(_) => std::fs::read_to_string(&path),
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { path, source }),
        };
        let damaged = || StateError::Damaged { path: path.clone() };
        let envelope: Envelope<'_> = serde_json::from_str(&text).map_err(|_| damaged())?;
        if envelope.version != VERSION {
            return Err(StateError::Version {
                path,
                version: envelope.version,
            });
        }
        if envelope.checksum != hex::encode(Sha256::digest(envelope.run.get())) {
            return Err(damaged());
        }
        serde_json::from_str(envelope.run.get())
            .map(Some)
            .map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../tests/golden/run-v1.json");

    fn state() -> RunState {
        RunState {
            run_id: "019bc134-7840-7cba-a551-2100f80b56fc".parse().unwrap(),
            epoch: Epoch(1),
            artifact: Some(ArtifactState {
                working_dir: "/home/user/workspace".to_owned(),
                base: Some(ManifestId::from_digest([7; 32])),
            }),
        }
    }

    #[test]
    fn a_state_of_version_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), GOLDEN).unwrap();
        assert_eq!(RunState::read(dir.path()).unwrap(), Some(state()));
        state().write(dir.path()).unwrap();
        let written = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(
            written,
            GOLDEN.trim_end(),
            "the format changed; give it a new version"
        );
    }

    #[test]
    fn damage_and_newer_versions_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunState::read(dir.path()).unwrap(), None);
        let write = |text: String| std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        write(GOLDEN.replace("workspace", "workspacE"));
        assert!(matches!(
            RunState::read(dir.path()),
            Err(StateError::Damaged { .. })
        ));
        write(GOLDEN.replacen("\"version\":1", "\"version\":2", 1));
        assert!(matches!(
            RunState::read(dir.path()),
            Err(StateError::Version { version: 2, .. })
        ));
        write("{".to_owned());
        assert!(matches!(
            RunState::read(dir.path()),
            Err(StateError::Damaged { .. })
        ));
    }
}
