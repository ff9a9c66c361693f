//! Declared files: the rules of API 8.4, and the version that they are.

use sha2::{Digest, Sha256};
use vm0_model::path::{FileSetFault, validate_file_set, validate_link_target};
use vm0_model::storage::{EntryKind, VersionEntry, version_id};
use vm0_model::wire::storages::DeclaredFile;
use vm0_model::{ApiError, ContentHash, StorageId, VersionId};

/// The hash of a file, if it is declared.
pub(super) fn hash(file: &DeclaredFile) -> Option<&str> {
    file.hash.as_deref().filter(|hash| !hash.is_empty())
}

/// The id of the version as declared; provisional if something is undeclared.
pub(super) fn declared_version(storage: StorageId, files: &[DeclaredFile]) -> VersionId {
    let targets: Vec<Option<String>> = files
        .iter()
        .map(|file| {
            file.link_target
                .as_ref()
                .map(|target| hex::encode(Sha256::digest(target)))
        })
        .collect();
    let entries = files
        .iter()
        .zip(&targets)
        .map(|(file, target)| match target {
            Some(hash) => VersionEntry {
                path: &file.path,
                hash,
                kind: EntryKind::Symlink,
            },
            None => VersionEntry {
                path: &file.path,
                hash: hash(file).unwrap_or_default(),
                kind: if file.executable == Some(true) {
                    EntryKind::Executable
                } else {
                    EntryKind::Plain
                },
            },
        });
    version_id(storage, entries)
}

/// Refuses what no version can be.
pub(super) fn check_files(files: &[DeclaredFile]) -> Result<(), ApiError> {
    let fault = |index: usize, field: &str, why: &dyn std::fmt::Display| {
        let path = format!("files.{index}.{field}");
        ApiError::invalid(path.clone(), format!("{path} {why}"))
    };
    for (index, file) in files.iter().enumerate() {
        if let Some(target) = &file.link_target {
            validate_link_target(target).map_err(|error| fault(index, "link_target", &error))?;
            if file.executable == Some(true) {
                return Err(fault(
                    index,
                    "executable",
                    &"must not be true for a symlink",
                ));
            }
            if file.size != 0 {
                return Err(fault(index, "size", &"must be 0 for a symlink"));
            }
            let digest = hex::encode(Sha256::digest(target));
            if hash(file).is_some_and(|hash| hash != digest) {
                return Err(fault(index, "hash", &"must be the SHA-256 of link_target"));
            }
        }
        if hash(file).is_some_and(|hash| hash.parse::<ContentHash>().is_err()) {
            return Err(fault(index, "hash", &"must be a SHA-256 in lowercase hex"));
        }
    }
    validate_file_set(files.iter().map(|file| file.path.as_str())).map_err(|error| {
        let why = match &error.fault {
            FileSetFault::Path(path) => path.to_string(),
            other => other.to_string(),
        };
        fault(error.index, "path", &why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> DeclaredFile {
        DeclaredFile {
            path: path.to_owned(),
            size: 0,
            hash: None,
            executable: None,
            link_target: None,
            chunks: None,
        }
    }

    fn param(files: &[DeclaredFile]) -> String {
        check_files(files).unwrap_err().param.unwrap()
    }

    #[test]
    fn a_fault_of_a_declaration_names_file_and_field() {
        let link = |target: &str| DeclaredFile {
            link_target: Some(target.to_owned()),
            ..file("l")
        };
        assert_eq!(param(&[file("a"), file("../b")]), "files.1.path");
        assert_eq!(param(&[file("a"), file("a")]), "files.1.path");
        assert_eq!(param(&[file("a/b"), file("a")]), "files.0.path");
        assert_eq!(
            param(&[DeclaredFile {
                hash: Some("AB".into()),
                ..file("a")
            }]),
            "files.0.hash"
        );
        assert_eq!(param(&[link("")]), "files.0.link_target");
        assert_eq!(
            param(&[DeclaredFile {
                executable: Some(true),
                ..link("x")
            }]),
            "files.0.executable"
        );
        assert_eq!(
            param(&[DeclaredFile {
                size: 1,
                ..link("x")
            }]),
            "files.0.size"
        );
        assert_eq!(
            param(&[DeclaredFile {
                hash: Some("0".repeat(64)),
                ..link("x")
            }]),
            "files.0.hash"
        );
        assert!(check_files(&[link("/etc/passwd"), file("a/b")]).is_ok());
    }

    #[test]
    fn declared_versions_have_the_ids_of_the_specification() {
        let storage = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let id = |files: &[DeclaredFile]| declared_version(storage, files).to_string();
        let link = DeclaredFile {
            link_target: Some("a.txt".into()),
            ..file("latest.txt")
        };
        assert_eq!(
            id(&[]),
            "393644ae9a37e84acc2438115b9777ac35fc282f5f76485b4471f3aadd881939"
        );
        assert_eq!(
            id(&[file("a.txt")]),
            "ca7afbedcb463af43cb2fa235041f583ece9d71ddbcd4cfcceb1f7c1fc7a83ce"
        );
        assert_eq!(
            id(&[link]),
            "ff54c5d2a2ad67e2a318c2dd953388459bb4f8dde9d538329beb268ba5021740"
        );
    }
}
