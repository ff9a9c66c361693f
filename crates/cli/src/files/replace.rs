//! Making a directory equal to a version that was unpacked beside it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::{LocalFile, Tree};

/// A directory could not be made equal to a version.
#[derive(Debug, thiserror::Error)]
#[error("replace {}", path.display())]
pub(crate) struct ReplaceError {
    path: PathBuf,
    source: io::Error,
}

/// Makes `root`, which holds `old`, equal to `staged`, which holds `new`: what the version lacks
/// is deleted, what differs is renamed into place, what is equal stays untouched.
pub(crate) fn replace(
    root: &Path,
    old: &Tree,
    staged: &Path,
    new: &Tree,
) -> Result<(), ReplaceError> {
    let wanted: HashMap<&str, &LocalFile> = by_path(new);
    for file in &old.files {
        if !wanted.contains_key(file.path.as_str()) {
            let path = root.join(&file.path);
            fs::remove_file(&path).map_err(|source| ReplaceError { path, source })?;
            remove_empty_parents(root, &file.path);
        }
    }
    let present = by_path(old);
    for file in &new.files {
        if present.get(file.path.as_str()) == Some(&file) {
            continue;
        }
        let path = root.join(&file.path);
        let error = |source| ReplaceError {
            path: path.clone(),
            source,
        };
        make_parents(root, &file.path).map_err(error)?;
        // An empty directory may stand where the version has a file.
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir(&path).map_err(error)?;
        }
        fs::rename(staged.join(&file.path), &path).map_err(error)?;
    }
    Ok(())
}

fn by_path(tree: &Tree) -> HashMap<&str, &LocalFile> {
    tree.files
        .iter()
        .map(|file| (file.path.as_str(), file))
        .collect()
}

/// Directories that a deleted file leaves empty are deleted too, as versions have none.
fn remove_empty_parents(root: &Path, path: &str) {
    for (at, _) in path.rmatch_indices('/') {
        if fs::remove_dir(root.join(&path[..at])).is_err() {
            return;
        }
    }
}

/// Makes the directories above `path`; one that is a symlink is refused, not followed.
fn make_parents(root: &Path, path: &str) -> io::Result<()> {
    for (at, _) in path.match_indices('/') {
        let dir = root.join(&path[..at]);
        match fs::symlink_metadata(&dir) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => fs::create_dir(&dir)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::tree::scan;
    use super::*;

    #[test]
    fn a_directory_becomes_equal_to_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let (root, staged) = (dir.path().join("root"), dir.path().join("staged"));
        for sub in ["gone", "becomes-file", ".vm0"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::write(root.join(".vm0/storage.yaml"), "kept").unwrap();
        fs::write(root.join("gone/a"), "a").unwrap();
        fs::write(root.join("becomes-file/a"), "a").unwrap();
        fs::write(root.join("becomes-dir"), "a").unwrap();
        fs::write(root.join("same"), "same").unwrap();
        fs::write(root.join("changed"), "old").unwrap();
        fs::create_dir_all(staged.join("becomes-dir")).unwrap();
        fs::write(staged.join("becomes-dir/b"), "b").unwrap();
        fs::write(staged.join("becomes-file"), "b").unwrap();
        fs::write(staged.join("same"), "same").unwrap();
        symlink("same", staged.join("changed")).unwrap();
        let (old, new) = (scan(&root).unwrap(), scan(&staged).unwrap());
        replace(&root, &old, &staged, &new).unwrap();
        assert_eq!(scan(&root).unwrap().files, new.files);
        assert_eq!(
            fs::read_to_string(root.join(".vm0/storage.yaml")).unwrap(),
            "kept"
        );
        assert!(!root.join("gone").exists());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (root, staged) = (dir.path().join("root"), dir.path().join("staged"));
        let outside = dir.path().join("outside");
        fs::create_dir_all(staged.join("sub")).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(staged.join("sub/a"), "a").unwrap();
        let (old, new) = (scan(&root).unwrap(), scan(&staged).unwrap());
        symlink(&outside, root.join("sub")).unwrap();
        assert!(replace(&root, &old, &staged, &new).is_err());
        assert!(!outside.join("a").exists());
    }
}
