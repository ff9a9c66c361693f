//! `vm0 volume clone`.

use std::fs;
use std::path::{Path, PathBuf};

use vm0_model::storage::StorageKind;

use super::command::CloneArgs;
use super::fetch::{Fetch, fetch};
use super::remote::{self, document};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::files::{Marker, Tree};
use crate::units;

pub(super) async fn execute(
    context: &Context,
    kind: StorageKind,
    args: CloneArgs,
) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let storage = remote::require(&client, kind, &args.name).await?;
    let version = remote::resolve(&client, kind, &storage, args.version.as_deref()).await?;
    let root = args.dest.unwrap_or_else(|| PathBuf::from(&storage.name));
    let made = NewDirectory::make(&root)?;
    let present = Tree::default();
    let request = Fetch {
        kind,
        storage: &storage,
        version: &version,
        root: &root,
        present,
    };
    fetch(&client, output, request).await?;
    Marker {
        name: storage.name.clone(),
        kind,
    }
    .write(&root)?;
    made.keep();
    if output.is_json() {
        output.json(&document(&storage.name, kind, &version, true))?;
        return Ok(Exit::Done);
    }
    output.success(&format!(
        "Cloned {kind} {} into {}",
        storage.name,
        root.display()
    ))?;
    output.line(&format!("  version: {}", version.id.short()))?;
    output.line(&format!("  files: {}", version.file_count))?;
    output.line(&format!("  size: {}", units::bytes(version.size)))?;
    Ok(Exit::Done)
}

/// A directory that is emptied again, or removed if it is new, unless the clone succeeds.
#[derive(Debug)]
struct NewDirectory {
    path: PathBuf,
    existed: bool,
    kept: bool,
}

impl NewDirectory {
    fn make(path: &Path) -> Result<Self, Failure> {
        let existed = path.exists();
        let refuse = |why: String| {
            let message = format!("Cannot clone into {}: {why}", path.display());
            Failure::new(Exit::Failed, "directory", message)
        };
        if existed {
            let mut entries = fs::read_dir(path).map_err(|error| refuse(error.to_string()))?;
            if entries.next().is_some() {
                return Err(refuse("it is not empty".to_owned()));
            }
        } else {
            fs::create_dir_all(path).map_err(|error| refuse(error.to_string()))?;
        }
        Ok(Self {
            path: path.to_owned(),
            existed,
            kept: false,
        })
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Only what the clone itself put there; a failure to remove it is not worth a second error.
        let _left = fs::remove_dir_all(&self.path);
        if self.existed {
            let _left = fs::create_dir(&self.path);
        }
    }
}
