//! Paths: of files inside a version (API 8.4) and of mounts inside a sandbox (agents 4.2).

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::PATH_MAX_BYTES;

/// The directory that the agent's HOME is.
pub const HOME: &str = "/home/user";

/// Why a path cannot name an entry of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilePathError {
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`PATH_MAX_BYTES`].
    #[error("must be at most {PATH_MAX_BYTES} bytes long")]
    TooLong,
    /// Contains a NUL byte.
    #[error("must not contain NUL")]
    Nul,
    /// Begins with `/`.
    #[error("must be relative")]
    Absolute,
    /// A component is empty, `.` or `..`.
    #[error("must have no component that is empty, '.' or '..'")]
    Component,
    /// Could be taken for two entries of the version's digest.
    #[error("must not have a line feed directly after ':' and 64 hex digits")]
    LineFeedAfterHash,
}

/// Checks the path of one entry of a version.
///
/// # Errors
/// The first rule of API 8.4 that it breaks.
pub fn validate_file_path(path: &str) -> Result<(), FilePathError> {
    if path.is_empty() {
        return Err(FilePathError::Empty);
    }
    if path.len() > PATH_MAX_BYTES {
        return Err(FilePathError::TooLong);
    }
    if path.contains('\0') {
        return Err(FilePathError::Nul);
    }
    if path.starts_with('/') {
        return Err(FilePathError::Absolute);
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(FilePathError::Component);
    }
    if path
        .match_indices('\n')
        .any(|(at, _)| ends_with_entry_hash(&path.as_bytes()[..at]))
    {
        return Err(FilePathError::LineFeedAfterHash);
    }
    Ok(())
}

/// Whether `line` ends like an entry of the version's digest: `:<64 hex>`, perhaps `:x` or `:l`.
fn ends_with_entry_hash(line: &[u8]) -> bool {
    let line = line
        .strip_suffix(b":x")
        .or_else(|| line.strip_suffix(b":l"))
        .unwrap_or(line);
    line.len().checked_sub(65).is_some_and(|start| {
        line[start] == b':' && line[start + 1..].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Why the entry at `index` cannot be in one version with the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FileSetError {
    /// Position of the entry, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub fault: FileSetFault,
}

/// What is wrong with an entry of a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileSetFault {
    /// Its own path breaks a rule.
    #[error(transparent)]
    Path(#[from] FilePathError),
    /// An earlier entry has the same path.
    #[error("is listed twice")]
    Duplicate,
    /// Another entry stands where a directory would have to be.
    #[error("is below '{file}', which is also listed")]
    Below {
        /// The other entry.
        file: String,
    },
}

/// Checks the paths of all entries of one version.
///
/// # Errors
/// The first entry that breaks a rule of API 8.4, alone or together with the others.
pub fn validate_file_set<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<(), FileSetError> {
    let mut seen = HashMap::new();
    for (index, path) in paths.into_iter().enumerate() {
        validate_file_path(path).map_err(|error| FileSetError {
            index,
            fault: error.into(),
        })?;
        if seen.insert(path, index).is_some() {
            return Err(FileSetError {
                index,
                fault: FileSetFault::Duplicate,
            });
        }
    }
    let below = seen.iter().filter_map(|(path, &index)| {
        let file = ancestors(path).find(|parent| seen.contains_key(parent))?;
        Some(FileSetError {
            index,
            fault: FileSetFault::Below {
                file: file.to_owned(),
            },
        })
    });
    below.min_by_key(|error| error.index).map_or(Ok(()), Err)
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The target of a symlink is empty, too long, or contains NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {PATH_MAX_BYTES} bytes long, without NUL")]
pub struct LinkTargetError;

/// Checks the target of a symlink. Any target is allowed otherwise: nothing on the host follows it.
///
/// # Errors
/// [`LinkTargetError`].
pub fn validate_link_target(target: &str) -> Result<(), LinkTargetError> {
    let fits = (1..=PATH_MAX_BYTES).contains(&target.len()) && !target.contains('\0');
    fits.then_some(()).ok_or(LinkTargetError)
}

/// Directories that nothing may be mounted at or below.
pub(crate) const RESERVED_TREES: [&str; 12] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/vm0",
];

/// Directories that themselves may not be a mount.
pub(crate) const RESERVED_PATHS: [&str; 4] = ["/", HOME, "/tmp", "/var/tmp"];

/// Why a path cannot be the working directory or a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SandboxPathError {
    /// Not absolute, or not in normal form.
    #[error("must be an absolute path without '.', '..' or '//'")]
    Form,
    /// Longer than [`PATH_MAX_BYTES`].
    #[error("must be at most {PATH_MAX_BYTES} bytes long")]
    TooLong,
    /// One of the directories that must stay what they are.
    #[error("may not be {0}")]
    Reserved(&'static str),
    /// In a tree that the platform makes.
    #[error("may not be at or below {0}")]
    ReservedTree(&'static str),
}

/// An absolute path in normal form at which a sandbox may have a mount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxPath(String);

impl SandboxPath {
    /// Checks and keeps the path.
    ///
    /// # Errors
    /// The first rule of agents 4.2 that it breaks.
    pub fn parse(path: &str) -> Result<Self, SandboxPathError> {
        let components = path.strip_prefix('/').ok_or(SandboxPathError::Form)?;
        if path.len() > PATH_MAX_BYTES {
            return Err(SandboxPathError::TooLong);
        }
        if let Some(reserved) = RESERVED_PATHS
            .into_iter()
            .find(|&reserved| reserved == path)
        {
            return Err(SandboxPathError::Reserved(reserved));
        }
        if path.contains('\0')
            || components
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(SandboxPathError::Form);
        }
        match RESERVED_TREES
            .into_iter()
            .find(|tree| is_at_or_below(path, tree))
        {
            Some(tree) => Err(SandboxPathError::ReservedTree(tree)),
            None => Ok(Self(path.to_owned())),
        }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Number of components: mounts are made in this order.
    pub fn depth(&self) -> usize {
        self.0.matches('/').count()
    }

    /// Whether HOME lies below this path.
    pub fn contains_home(&self) -> bool {
        is_at_or_below(HOME, &self.0)
    }
}

fn is_at_or_below(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for SandboxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SandboxPath {
    type Error = SandboxPathError;

    fn try_from(path: String) -> Result<Self, SandboxPathError> {
        Self::parse(&path)
    }
}

impl From<SandboxPath> for String {
    fn from(path: SandboxPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn file_paths_are_relative_and_in_normal_form() {
        for good in [
            "a",
            "a/b.txt",
            ".git/config",
            "...",
            "a b",
            "é/ü",
            "a\nb",
            "a:x\nb",
            "-",
        ] {
            assert_eq!(validate_file_path(good), Ok(()), "{good:?}");
        }
        for (bad, error) in [
            ("", FilePathError::Empty),
            ("/a", FilePathError::Absolute),
            ("a//b", FilePathError::Component),
            ("a/", FilePathError::Component),
            ("./a", FilePathError::Component),
            ("a/../b", FilePathError::Component),
            ("..", FilePathError::Component),
            ("a\0b", FilePathError::Nul),
        ] {
            assert_eq!(validate_file_path(bad), Err(error), "{bad:?}");
        }
        assert_eq!(validate_file_path(&"a".repeat(4096)), Ok(()));
        assert_eq!(
            validate_file_path(&"a".repeat(4097)),
            Err(FilePathError::TooLong)
        );
    }

    #[test]
    fn a_path_cannot_imitate_two_entries() {
        let hash = "ab".repeat(32);
        for suffix in ["", ":x", ":l"] {
            let path = format!("a:{hash}{suffix}\nb");
            assert_eq!(
                validate_file_path(&path),
                Err(FilePathError::LineFeedAfterHash)
            );
        }
        assert_eq!(validate_file_path(&format!("a:{hash}:y\nb")), Ok(()));
        assert_eq!(validate_file_path(&format!("a:{}\nb", &hash[1..])), Ok(()));
        assert_eq!(validate_file_path(&format!("a:{hash}b\nc")), Ok(()));
        assert_eq!(validate_file_path(&format!("{hash}\nb")), Ok(()));
    }

    #[test]
    fn a_file_is_listed_once_and_has_nothing_below() {
        assert_eq!(validate_file_set(["a/b", "a/c", "ab", "a-b/c"]), Ok(()));
        assert_eq!(validate_file_set([]), Ok(()));
        let duplicate = FileSetError {
            index: 2,
            fault: FileSetFault::Duplicate,
        };
        assert_eq!(validate_file_set(["a", "b", "a"]), Err(duplicate));
        let below = FileSetError {
            index: 0,
            fault: FileSetFault::Below {
                file: "a".to_owned(),
            },
        };
        assert_eq!(validate_file_set(["a/b/c", "b", "a"]), Err(below));
        let path = FileSetError {
            index: 1,
            fault: FilePathError::Absolute.into(),
        };
        assert_eq!(validate_file_set(["a", "/b"]), Err(path));
    }

    #[test]
    fn link_targets_may_be_anything_but_empty_long_or_with_nul() {
        for good in ["a", "../../etc/passwd", "/", "a\nb"] {
            assert_eq!(validate_link_target(good), Ok(()));
        }
        for bad in ["", "a\0", "a".repeat(4097).as_str()] {
            assert_eq!(validate_link_target(bad), Err(LinkTargetError));
        }
    }

    #[test]
    fn mounts_leave_the_system_alone() {
        for good in [
            "/data",
            "/home",
            "/home/user/workspace",
            "/tmp/x",
            "/usrlocal",
            "/var",
            "/..a",
        ] {
            assert!(SandboxPath::parse(good).is_ok(), "{good}");
        }
        for (bad, text) in [
            ("data", "must be an absolute path without '.', '..' or '//'"),
            ("", "must be an absolute path without '.', '..' or '//'"),
            (
                "/data/",
                "must be an absolute path without '.', '..' or '//'",
            ),
            (
                "/a/../b",
                "must be an absolute path without '.', '..' or '//'",
            ),
            ("//a", "must be an absolute path without '.', '..' or '//'"),
            ("/", "may not be /"),
            ("/home/user", "may not be /home/user"),
            ("/tmp", "may not be /tmp"),
            ("/proc", "may not be at or below /proc"),
            ("/proc/1/root", "may not be at or below /proc"),
            ("/usr/local/x", "may not be at or below /usr"),
            ("/vm0/x", "may not be at or below /vm0"),
        ] {
            assert_eq!(
                SandboxPath::parse(bad).unwrap_err().to_string(),
                text,
                "{bad}"
            );
        }
    }

    #[test]
    fn only_ancestors_of_home_contain_it() {
        let contains = |path| SandboxPath::parse(path).unwrap().contains_home();
        assert!(contains("/home"));
        assert!(!contains("/home/user/workspace"));
        assert!(!contains("/home/users"));
        assert_eq!(SandboxPath::parse("/a/b").unwrap().depth(), 2);
    }

    proptest! {
        #[test]
        fn an_accepted_file_path_stays_inside_its_root(path in "[a-c./\\\\:\n\0]{0,12}") {
            if validate_file_path(&path).is_ok() {
                let components: Vec<_> = std::path::Path::new(&path).components().collect();
                prop_assert!(
                    components.iter().all(|part| matches!(part, std::path::Component::Normal(_)))
                );
                prop_assert_eq!(components.len(), path.split('/').count());
            }
        }

        #[test]
        fn an_accepted_set_can_be_unpacked_in_any_order(
            paths in prop::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,2}", 0..6),
        ) {
            if validate_file_set(paths.iter().map(String::as_str)).is_ok() {
                for (i, a) in paths.iter().enumerate() {
                    for (j, b) in paths.iter().enumerate() {
                        prop_assert!(i == j || !is_at_or_below(a, b));
                    }
                }
            }
        }

        #[test]
        fn an_accepted_mount_is_outside_every_reserved_tree(
            path in "(/(usr|proc|home|user|tmp|vm0|a|\\.|\\.\\.|)){0,4}/?",
        ) {
            if let Ok(path) = SandboxPath::parse(&path) {
                let path = std::path::Path::new(path.as_str());
                for tree in RESERVED_TREES {
                    prop_assert!(!path.starts_with(tree));
                }
                for reserved in RESERVED_PATHS {
                    prop_assert_ne!(path, std::path::Path::new(reserved));
                }
            }
        }
    }
}
