//! `vm0 volume status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vm0_client::Client;
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{Storage, StorageVersion};

use super::directory::{find, scan_dir};
use super::remote::{self, document};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::files::{LocalFile, Tree, UnpackLimits, unpack};
use crate::interrupt::Interrupt;
use crate::units;

/// The local directory beside the head.
#[derive(Debug, PartialEq, Eq)]
enum Local {
    Same,
    Version(String),
    Changed {
        added: Vec<String>,
        modified: Vec<String>,
        deleted: Vec<String>,
    },
}

pub(super) async fn execute(context: &Context, kind: StorageKind) -> CommandResult {
    let output = &context.output;
    let directory = find(kind, "status")?;
    let client = context.client()?;
    let head = match remote::find(&client, kind, &directory.name).await? {
        Some(storage) => client.storage_view(kind, storage.id).await?,
        None => return Err(never_pushed(kind)),
    };
    let (storage, Some(head)) = (head.storage, head.current_version) else {
        return Err(never_pushed(kind));
    };
    let tree = scan_dir(&directory.root).await?;
    let local = compare(&client, kind, &storage, &head, &tree).await?;
    if output.is_json() {
        let mut found = document(&storage.name, kind, &head, local != Local::Same);
        found["local"] = local.to_json();
        output.json(&found)?;
        return Ok(Exit::Done);
    }
    let empty = if head.file_count == 0 { " (empty)" } else { "" };
    output.success(&format!("Found: {}{empty}", storage.name))?;
    output.detail("Version", head.id.short())?;
    output.detail("Files", head.file_count)?;
    output.detail("Size", units::bytes(head.size))?;
    output.detail("Updated", units::local(storage.updated_at))?;
    output.detail("Local", local.text())?;
    Ok(Exit::Done)
}

fn never_pushed(kind: StorageKind) -> Failure {
    Failure::not_found("Not found on the server").hint(format!("Push it: vm0 {kind} push"))
}

async fn compare(
    client: &Client,
    kind: StorageKind,
    storage: &Storage,
    head: &StorageVersion,
    tree: &Tree,
) -> Result<Local, Failure> {
    let id = tree.version(storage.id);
    if id == head.id {
        return Ok(Local::Same);
    }
    if remote::versions(client, kind, storage.id)
        .await?
        .iter()
        .any(|version| version.id == id)
    {
        return Ok(Local::Version(id.short()));
    }
    let stored = download(client, kind, storage, head).await?;
    Ok(difference(tree, &stored))
}

/// The files of the head: the API has no list of them but the archive.
async fn download(
    client: &Client,
    kind: StorageKind,
    storage: &Storage,
    head: &StorageVersion,
) -> Result<Tree, Failure> {
    if head.file_count == 0 {
        return Ok(Tree::default());
    }
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("archive.tar.gz");
    let reference = head.id.to_string();
    let mut interrupt = Interrupt::listen()?;
    let download = client.storage_download(kind, storage.id, Some(&reference));
    let download = interrupt.race(download).await?;
    interrupt.race(download.save(&archive, |_| {})).await?;
    let files = dir.path().join("files");
    std::fs::create_dir(&files)?;
    let limits = UnpackLimits {
        files: head.file_count,
        bytes: head.size,
    };
    interrupt
        .blocking(move |stop| unpack(&archive, &files, limits, stop))
        .await
}

fn difference(local: &Tree, head: &Tree) -> Local {
    let by_path = |tree: &Tree| -> BTreeMap<String, LocalFile> {
        tree.files
            .iter()
            .map(|file| (file.path.clone(), file.clone()))
            .collect()
    };
    let (ours, theirs) = (by_path(local), by_path(head));
    let absent = |from: &BTreeMap<String, LocalFile>, of: &BTreeMap<String, LocalFile>| {
        of.keys()
            .filter(|path| !from.contains_key(*path))
            .cloned()
            .collect()
    };
    let modified = ours
        .iter()
        .filter(|(path, file)| theirs.get(*path).is_some_and(|t| t != *file));
    Local::Changed {
        added: absent(&theirs, &ours),
        modified: modified.map(|(path, _)| path.clone()).collect(),
        deleted: absent(&ours, &theirs),
    }
}

impl Local {
    fn text(&self) -> String {
        match self {
            Self::Same => "same".to_owned(),
            Self::Version(version) => format!("version {version}"),
            Self::Changed {
                added,
                modified,
                deleted,
            } => {
                let (added, modified, deleted) = (added.len(), modified.len(), deleted.len());
                format!("changed ({added} added, {modified} modified, {deleted} deleted)")
            }
        }
    }

    fn to_json(&self) -> Value {
        let empty: &[String] = &[];
        let (state, version, [added, modified, deleted]) = match self {
            Self::Same => ("same", None, [empty; 3]),
            Self::Version(version) => ("version", Some(version), [empty; 3]),
            Self::Changed {
                added,
                modified,
                deleted,
            } => (
                "changed",
                None,
                [added.as_slice(), modified.as_slice(), deleted.as_slice()],
            ),
        };
        json!({
            "state": state,
            "version": version,
            "added": added,
            "modified": modified,
            "deleted": deleted,
        })
    }
}
