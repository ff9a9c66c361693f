//! `~/.vm0/config.json` (CLI 1.3): read with what it does not know, and replaced as a whole.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use vm0_client::ServerUrl;

use crate::config::home;
use crate::error::Failure;
use crate::exit::Exit;

const API_URL: &str = "apiUrl";
const TOKEN: &str = "token";

/// The file as it is, or as it is to be.
pub(crate) struct ConfigFile {
    /// `None` without a home directory.
    path: Option<PathBuf>,
    values: Map<String, Value>,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Reads the file of this user; one that is missing has no values.
    pub(crate) fn read() -> Result<Self, Failure> {
        match home() {
            Some(home) => Self::read_at(home.join("config.json")),
            None => Ok(Self {
                path: None,
                values: Map::new(),
            }),
        }
    }

    fn read_at(path: PathBuf) -> Result<Self, Failure> {
        let values = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| bad("read", &path, &error))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(bad("read", &path, &error)),
        };
        let file = Self {
            path: Some(path),
            values,
        };
        file.text(API_URL)?;
        file.text(TOKEN)?;
        Ok(file)
    }

    /// The server.
    pub(crate) fn server(&self) -> Result<Option<ServerUrl>, Failure> {
        let text = self.text(API_URL)?;
        let server = text.map(str::parse::<ServerUrl>).transpose();
        server.map_err(|error| Failure::usage(error.to_string()))
    }

    /// The token for the server.
    pub(crate) fn token(&self) -> Result<Option<SecretString>, Failure> {
        Ok(self.text(TOKEN)?.map(SecretString::from))
    }

    /// Puts server and token in the place of those before.
    pub(crate) fn store(mut self, server: &ServerUrl, token: &SecretString) -> Result<(), Failure> {
        let token = token.expose_secret();
        for (key, value) in [(API_URL, &*server.to_string()), (TOKEN, token)] {
            self.values.insert(key.to_owned(), Value::from(value));
        }
        self.write()
    }

    /// Removes the token.
    pub(crate) fn forget(mut self) -> Result<(), Failure> {
        match self.values.shift_remove(TOKEN) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>, Failure> {
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                let path = self.path.as_deref().unwrap_or(Path::new(""));
                Err(bad("read", path, &format!("{key} is not a string")))
            }
        }
    }

    /// Where it is written.
    pub(crate) fn place(&self) -> Result<&Path, Failure> {
        self.path.as_deref().ok_or_else(|| {
            let message = "HOME is not set; there is nowhere to keep the token";
            Failure::new(Exit::Failed, "config_file", message)
        })
    }

    fn write(&self) -> Result<(), Failure> {
        let path = self.place()?;
        replace(path, &self.values).map_err(|error| bad("write", path, &error))
    }
}

/// Writes the file beside and renames it: whoever reads sees all of the old or all of the new.
fn replace(path: &Path, values: &Map<String, Value>) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    let mut bytes = serde_json::to_vec_pretty(values)?;
    bytes.push(b'\n');
    let mut file = tempfile::Builder::new()
        .prefix(".config.json.")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn bad(what: &str, path: &Path, why: &dyn fmt::Display) -> Failure {
    let message = format!("Failed to {what} {}: {why}", path.display());
    Failure::new(Exit::Failed, "config_file", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_token_is_stored_and_removed_and_the_rest_stays() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".vm0");
        let path = directory.join("config.json");
        let read = || ConfigFile::read_at(path.clone()).unwrap();
        let server: ServerUrl = "http://127.0.0.1:9".parse().unwrap();
        read().store(&server, &"secret".into()).unwrap();
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        let mut values: Map<_, _> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        values.insert("editor".into(), serde_json::json!({ "z": 1, "a": [2] }));
        fs::write(&path, serde_json::to_vec(&values).unwrap()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        read().forget().unwrap();
        assert_eq!(mode(&path), 0o600);
        values.shift_remove("token");
        assert_eq!(read().values, values);
        assert_eq!(read().server().unwrap(), Some(server));
        assert!(read().token().unwrap().is_none());
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            1,
            "no other file"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.json");
        for text in ["", "{", "[]", r#"{"token":1}"#, r#"{"apiUrl":{}}"#] {
            fs::write(&path, text).unwrap();
            let failure = ConfigFile::read_at(path.clone()).unwrap_err();
            assert!(failure.message().contains("config.json"), "{text}");
        }
    }
}
