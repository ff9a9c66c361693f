//! Makes simulated sandboxes, and finds what an earlier process has left of one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use vm0_guest::{AUTHORITIES_NAME, PLATFORM_DIR};

use super::files::GuestTree;
use super::running::FakeSandbox;
use crate::contract::{Backend, Probe, Sandbox, SandboxSpec, Stopped, Transparent};
use crate::error::SandboxError;
use crate::oci::check;

const RECORD: &str = "sandbox.json";

/// Names in use by living sandboxes.
type Living = Arc<Mutex<BTreeSet<String>>>;

/// Simulated sandboxes.
#[derive(Debug, Default)]
pub struct FakeBackend {
    living: Living,
}

/// A name that is given back when its sandbox has ended.
#[derive(Debug)]
pub(super) struct Name {
    living: Living,
    id: String,
}

impl Drop for Name {
    fn drop(&mut self) {
        self.living
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    targets: Vec<String>,
}

impl FakeBackend {
    fn take(&self, id: &str) -> Result<Name, SandboxError> {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if living.insert(id.to_owned()) {
            return Ok(Name {
                living: self.living.clone(),
                id: id.to_owned(),
            });
        }
        Err(SandboxError::Spec {
            field: "id",
            reason: "a living sandbox has it",
        })
    }
}

#[async_trait]
impl Backend for FakeBackend {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn probe(&self) -> Result<Probe, SandboxError> {
        Ok(Probe {
            version: "built in".to_owned(),
            missing: vec![
                "nothing is isolated and programs are only simulated".to_owned(),
                "the memory, cpu and pids limits are not enforced".to_owned(),
            ],
            transparent: Transparent::Off,
        })
    }

    async fn create(&self, spec: SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        check(&spec)?;
        let name = self.take(&spec.id)?;
        begin(&spec.dir)?;
        let record = Record {
            targets: spec.mounts.iter().map(|m| m.target.clone()).collect(),
        };
        let path = spec.dir.join(RECORD);
        let text = serde_json::to_vec(&record).expect("a struct of plain values");
        fs::write(&path, text).map_err(SandboxError::io("write", &path))?;
        let tree = GuestTree::make(&spec.dir, &spec.mounts, spec.resources.disk_bytes)
            .map_err(SandboxError::io("make", &spec.dir))?;
        if let Some(certificate) = &spec.authority {
            let path = format!("{PLATFORM_DIR}/{AUTHORITIES_NAME}");
            tree.write_platform(&path, certificate.as_bytes())
                .map_err(SandboxError::io("write", &path))?;
        }
        Ok(Box::new(FakeSandbox::new(
            spec.dir,
            record.targets,
            tree,
            name,
        )))
    }

    async fn sweep(&self, dir: &Path) -> Result<Option<Box<dyn Stopped>>, SandboxError> {
        let path = dir.join(RECORD);
        let Ok(text) = fs::read(&path) else {
            return Ok(None);
        };
        let record: Record = serde_json::from_slice(&text)
            .map_err(|error| SandboxError::io("read", &path)(error.into()))?;
        Ok(Some(Box::new(FakeStopped::new(
            dir.to_owned(),
            record.targets,
        ))))
    }
}

fn begin(dir: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(dir).map_err(SandboxError::io("make", dir))?;
    match fs::read_dir(dir)
        .map_err(SandboxError::io("read", dir))?
        .next()
    {
        None => Ok(()),
        Some(_) => Err(SandboxError::Spec {
            field: "directory",
            reason: "it is not empty",
        }),
    }
}

/// A simulated sandbox that has ended.
#[derive(Debug)]
pub(super) struct FakeStopped {
    dir: PathBuf,
    targets: Vec<String>,
}

impl FakeStopped {
    pub(super) fn new(dir: PathBuf, targets: Vec<String>) -> Self {
        Self { dir, targets }
    }
}

#[async_trait]
impl Stopped for FakeStopped {
    fn layer(&self, target: &str) -> Option<PathBuf> {
        let index = self.targets.iter().position(|known| known == target)?;
        Some(super::files::upper(&self.dir, index))
    }

    async fn remove(self: Box<Self>) -> Result<(), SandboxError> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(SandboxError::io("remove", &self.dir)(error))
            }
            _ => Ok(()),
        }
    }
}
