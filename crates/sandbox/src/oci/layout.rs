//! Where a sandbox's things are, and the record by which a later process finds them.
//!
//! ```text
//!   DIR/sandbox.json   the record           RUN/<id>/scratch    the scratch disk, mounted
//!   DIR/scratch.img    the scratch disk     RUN/<id>/root       the root overlay
//!   DIR/runtime.log    the runtime's output RUN/<id>/mounts/N   the overlay of mount N
//!                                           RUN/<id>/mapped     the scratch disk, with own ids
//!                                           RUN/<id>/layers/N   a lower layer, with own ids
//!                                           RUN/<id>/agent      the guest agent, bound
//!                                           RUN/<id>/devices    its own file of a device
//!                                           RUN/<id>/bundle, runtime
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;

const RECORD_VERSION: u32 = 1;
const MAX_RECORD: u64 = 1024 * 1024;
const RECORD: &str = "sandbox.json";

/// The places of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Name on the host.
    pub(crate) id: String,
    /// State directory.
    pub(crate) dir: PathBuf,
    /// Directory of mount points.
    pub(crate) run: PathBuf,
    /// Paths inside of its mounts, in the order of the specification.
    pub(crate) targets: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    id: String,
    run: PathBuf,
    targets: Vec<String>,
}

impl Layout {
    /// The record of the sandbox in `dir`, if there ever was one.
    pub(crate) fn find(dir: &Path) -> Result<Option<Self>, SandboxError> {
        let path = dir.join(RECORD);
        let text = match fs::File::open(&path) {
            Ok(file) => io::read_to_string(io::Read::take(file, MAX_RECORD)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let text = text.map_err(SandboxError::io("read", &path))?;
        let record: Record = serde_json::from_str(&text)
            .map_err(|error| SandboxError::io("read", &path)(error.into()))?;
        if record.version != RECORD_VERSION {
            let error = io::Error::other(format!("unknown version {}", record.version));
            return Err(SandboxError::io("read", &path)(error));
        }
        Ok(Some(Self {
            id: record.id,
            dir: dir.to_owned(),
            run: record.run,
            targets: record.targets,
        }))
    }

    /// Writes the record; before anything else that must be found again.
    pub(crate) fn record(&self) -> Result<(), SandboxError> {
        let record = Record {
            version: RECORD_VERSION,
            id: self.id.clone(),
            run: self.run.clone(),
            targets: self.targets.clone(),
        };
        let path = self.dir.join(RECORD);
        let partial = self.dir.join(".sandbox.json");
        let write = || {
            fs::write(&partial, serde_json::to_vec(&record)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(SandboxError::io("write", &path))
    }

    /// Keeps a sweep and a creation that was cancelled in the middle apart; fails once the sandbox
    /// has been removed.
    pub(crate) fn lock(&self) -> Result<fs::File, SandboxError> {
        let path = self.dir.join(RECORD);
        let lock = || {
            let file = fs::File::open(&path)?;
            file.lock()?;
            // It may have been removed while this waited.
            fs::metadata(&path)?;
            Ok(file)
        };
        lock().map_err(SandboxError::io("lock", &path))
    }

    pub(crate) fn container(&self) -> &str {
        &self.id
    }

    pub(crate) fn scratch_image(&self) -> PathBuf {
        self.dir.join("scratch.img")
    }

    pub(crate) fn runtime_log(&self) -> PathBuf {
        self.dir.join("runtime.log")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.run.join("scratch")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.run.join("root")
    }

    pub(crate) fn mount(&self, index: usize) -> PathBuf {
        self.run.join("mounts").join(index.to_string())
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.run.join("agent")
    }

    /// The directory of its own files of devices.
    pub(crate) fn devices(&self) -> PathBuf {
        self.run.join("devices")
    }

    pub(crate) fn tun(&self) -> PathBuf {
        self.devices().join("tun")
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.run.join("bundle")
    }

    /// The configuration in the bundle.
    pub(crate) fn config(&self) -> PathBuf {
        self.bundle().join("config.json")
    }

    pub(crate) fn runtime_root(&self) -> PathBuf {
        self.run.join("runtime")
    }

    /// A directory on the scratch disk.
    pub(crate) fn on_scratch(&self, name: &str) -> PathBuf {
        self.scratch().join(name)
    }

    /// The scratch disk as the sandbox is given it.
    pub(crate) fn mapped(&self) -> PathBuf {
        self.run.join("mapped")
    }

    /// Where a lower layer is mounted with the ids of the sandbox.
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.run.join("layers").join(name)
    }

    /// The directory on the mapped scratch disk for the mount of an index.
    pub(crate) fn mapped_mount(&self, index: usize) -> PathBuf {
        self.mapped().join(mount_dir(index))
    }

    /// The upper directory of the mount of an index, as it is stored.
    pub(crate) fn upper(&self, index: usize) -> PathBuf {
        self.scratch().join(mount_dir(index)).join("upper")
    }
}

fn mount_dir(index: usize) -> String {
    format!("mount-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again_and_an_empty_directory_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Layout::find(dir.path()).unwrap().is_none());
        let layout = Layout {
            id: "a-1".into(),
            dir: dir.path().to_owned(),
            run: "/run/vm0/a-1".into(),
            targets: vec!["/work".into()],
        };
        layout.record().unwrap();
        assert_eq!(Layout::find(dir.path()).unwrap(), Some(layout));
    }

    #[test]
    fn a_record_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"version":9,"id":"a","run":"/r","targets":[]}"#;
        fs::write(dir.path().join(RECORD), text).unwrap();
        assert!(Layout::find(dir.path()).is_err());
    }
}
