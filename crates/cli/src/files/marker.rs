//! `.vm0/storage.yaml`: which volume or artifact a directory is (CLI 1.3).

use std::io;
use std::path::{Path, PathBuf};

use vm0_model::storage::StorageKind;

const FOLDER: &str = ".vm0";
const FILE: &str = "storage.yaml";

/// What a directory is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Name of the storage.
    pub(crate) name: String,
    /// Volume or artifact.
    pub(crate) kind: StorageKind,
}

/// A marker cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkerError {
    /// It cannot be read or written.
    #[error("use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("read {}: {fault}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: MarkerFault,
    },
}

/// What is wrong with the text of a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MarkerFault {
    /// A line is not `key: value`.
    #[error("line {0}: write key: value")]
    Line(usize),
    /// A key that it may not have.
    #[error("unknown key '{0}'; allowed: name, type")]
    Key(String),
    /// Neither of the kinds.
    #[error("invalid type '{0}'; allowed: volume, artifact")]
    Kind(String),
    /// No usable name.
    #[error("name is missing or invalid")]
    Name,
}

impl Marker {
    /// Where the marker of `dir` is.
    pub(crate) fn path_in(dir: &Path) -> PathBuf {
        dir.join(FOLDER).join(FILE)
    }

    /// The marker of `dir`, if it has one.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, MarkerError> {
        let path = Self::path_in(dir);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map(Some)
                .map_err(|fault| MarkerError::Form { path, fault }),
            Err(error) if is_absent(&error) => Ok(None),
            Err(source) => Err(MarkerError::Io { path, source }),
        }
    }

    /// Writes the marker of `dir`: to a temporary file, then renamed.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), MarkerError> {
        let path = Self::path_in(dir);
        let text = format!("name: {}\ntype: {}\n", self.name, self.kind);
        let write = || {
            std::fs::create_dir_all(dir.join(FOLDER))?;
            let temporary = path.with_extension("yaml.tmp");
            std::fs::write(&temporary, text)?;
            std::fs::rename(temporary, &path)
        };
        write().map_err(|source| MarkerError::Io {
            path: path.clone(),
            source,
        })
    }

    fn parse(text: &str) -> Result<Self, MarkerFault> {
        let mut name = None;
        let mut kind = StorageKind::Volume;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once(':').ok_or(MarkerFault::Line(index + 1))?;
            let value = unquote(value.trim());
            match key {
                "name" => name = Some(value.to_owned()),
                "type" if value == "volume" => kind = StorageKind::Volume,
                "type" if value == "artifact" => kind = StorageKind::Artifact,
                "type" => return Err(MarkerFault::Kind(value.to_owned())),
                other => return Err(MarkerFault::Key(other.to_owned())),
            }
        }
        let name = name.filter(|name| vm0_model::name::is_storage_name(name));
        Ok(Self {
            name: name.ok_or(MarkerFault::Name)?,
            kind,
        })
    }
}

/// The nearest directory from `start` upwards that has a marker.
pub(crate) fn find_marker(start: &Path) -> Result<Option<(PathBuf, Marker)>, MarkerError> {
    for dir in start.ancestors() {
        if let Some(marker) = Marker::read(dir)? {
            return Ok(Some((dir.to_owned(), marker)));
        }
    }
    Ok(None)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn unquote(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap(), None);
        let marker = Marker {
            name: "books".into(),
            kind: StorageKind::Artifact,
        };
        marker.write(dir.path()).unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap().as_ref(), Some(&marker));
        let below = dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(
            find_marker(&below).unwrap(),
            Some((dir.path().to_owned(), marker))
        );
    }

    #[test]
    fn a_marker_without_a_type_is_of_a_volume() {
        let marker = Marker::parse("# c\nname: \"books\"\n").unwrap();
        assert_eq!(
            marker,
            Marker {
                name: "books".into(),
                kind: StorageKind::Volume
            }
        );
    }

    #[test]
    fn other_keys_and_bad_values_are_refused() {
        assert_eq!(
            Marker::parse("name: a\nx: y"),
            Err(MarkerFault::Key("x".into()))
        );
        assert_eq!(
            Marker::parse("name: a\ntype: x"),
            Err(MarkerFault::Kind("x".into()))
        );
        assert_eq!(Marker::parse("name: A_B"), Err(MarkerFault::Name));
        assert_eq!(Marker::parse("type: volume"), Err(MarkerFault::Name));
        assert_eq!(Marker::parse("name"), Err(MarkerFault::Line(1)));
    }
}
