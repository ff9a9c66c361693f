//! Which server, which token, which data directory (CLI 1.2 and 1.3).

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use vm0_client::{Client, ServerUrl};

use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Output;

const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// Where the token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// `VM0_API_KEY`.
    ApiKey,
    /// `VM0_TOKEN`.
    Token,
    /// `~/.vm0/config.json`.
    ConfigFile,
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey => "VM0_API_KEY",
            Self::Token => "VM0_TOKEN",
            Self::ConfigFile => "the config file",
        })
    }
}

/// The server to talk to and how to sign in there.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The server.
    pub(crate) server: ServerUrl,
    /// The token and its source.
    pub(crate) token: Option<(SecretString, TokenSource)>,
}

#[derive(Debug, Default, Deserialize)]
struct ConfigFile {
    #[serde(rename = "apiUrl")]
    api_url: Option<String>,
    token: Option<SecretString>,
}

impl Connection {
    /// Finds server and token: option, environment, config file, default.
    pub(crate) fn find(api_url: Option<&str>) -> Result<Self, Failure> {
        let file = read_config_file()?;
        let url = |text: &str| {
            text.parse::<ServerUrl>()
                .map_err(|e| Failure::usage(e.to_string()))
        };
        let stored = file.api_url.as_deref().map(url).transpose()?;
        let given = api_url
            .map(str::to_owned)
            .or_else(|| non_empty("VM0_API_URL"));
        let server = match given {
            Some(text) => url(&text)?,
            None => match &stored {
                Some(server) => server.clone(),
                None => url(DEFAULT_SERVER)?,
            },
        };
        let from_file = file.token.filter(|_| stored.as_ref() == Some(&server));
        let token = non_empty("VM0_API_KEY")
            .map(|text| (text.into(), TokenSource::ApiKey))
            .or_else(|| non_empty("VM0_TOKEN").map(|text| (text.into(), TokenSource::Token)))
            .or_else(|| from_file.map(|token| (token, TokenSource::ConfigFile)));
        Ok(Self { server, token })
    }

    /// A client of the server; warns of a token that can be read on its way.
    pub(crate) fn client(self, output: &Output) -> Result<Client, Failure> {
        let Some((token, _)) = self.token else {
            let failure = Failure::new(
                Exit::NotAuthenticated,
                "not_authenticated",
                "Not authenticated",
            );
            return Err(
                failure.hint("Make a token: vm0 token create --user NAME, then set VM0_TOKEN")
            );
        };
        if self.server.is_plain() && !self.server.is_loopback() {
            output.warn(&format!(
                "The token is sent to {} without encryption",
                self.server
            ));
        }
        Ok(Client::new(self.server, token)?)
    }
}

/// The environment variable, if it is set and not empty.
pub(crate) fn non_empty(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The user's own directory for vm0.
fn home() -> Option<PathBuf> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join(".vm0"))
}

fn read_config_file() -> Result<ConfigFile, Failure> {
    let Some(path) = home().map(|home| home.join("config.json")) else {
        return Ok(ConfigFile::default());
    };
    let bad = |why: &dyn fmt::Display| {
        let message = format!("Failed to read {}: {why}", path.display());
        Failure::new(Exit::Failed, "config_file", message)
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(bad(&error)),
    }
}

/// The data directory: option, `VM0_DATA_DIR`, `/var/lib/vm0` for root, else `~/.vm0/data`.
pub(crate) fn data_dir(option: Option<&Path>) -> Result<PathBuf, Failure> {
    let given = option
        .map(Path::to_owned)
        .or_else(|| non_empty("VM0_DATA_DIR").map(Into::into));
    if let Some(dir) = given {
        let absolute = std::path::absolute(&dir);
        return absolute.map_err(|error| {
            Failure::usage(format!(
                "Cannot use the data directory {}: {error}",
                dir.display()
            ))
        });
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/vm0".into());
    }
    home()
        .map(|home| home.join("data"))
        .ok_or_else(|| Failure::usage("HOME is not set; name the directory with --data-dir"))
}
