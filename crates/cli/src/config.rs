//! Which server, which token, which data directory (CLI 1.2).

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use vm0_client::{Client, ServerUrl};

use crate::config_file::ConfigFile;
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

impl TokenSource {
    /// The variable of the environment that has a token and so comes before the config file.
    pub(crate) fn of_environment() -> Option<Self> {
        let mut variables = [Self::ApiKey, Self::Token].into_iter();
        variables.find(|source| non_empty(source.label()).is_some())
    }

    /// Its name.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::ApiKey => "VM0_API_KEY",
            Self::Token => "VM0_TOKEN",
            Self::ConfigFile => "config file",
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigFile => f.write_str("the config file"),
            variable => f.write_str(variable.label()),
        }
    }
}

/// The server to talk to and how to sign in there.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The server.
    pub(crate) server: ServerUrl,
    /// The token and its source.
    pub(crate) token: Option<(SecretString, TokenSource)>,
    /// Whether the user has named the server: by option, environment or config file.
    pub(crate) named: bool,
}

impl Connection {
    /// Finds server and token: option, environment, config file, default.
    pub(crate) fn find(api_url: Option<&str>) -> Result<Self, Failure> {
        let file = ConfigFile::read()?;
        let url = |text: &str| {
            text.parse::<ServerUrl>()
                .map_err(|e| Failure::usage(e.to_string()))
        };
        let stored = file.server()?;
        let given = api_url
            .map(str::to_owned)
            .or_else(|| non_empty("VM0_API_URL"));
        let named = given.is_some() || stored.is_some();
        let server = match given {
            Some(text) => url(&text)?,
            None => match &stored {
                Some(server) => server.clone(),
                None => url(DEFAULT_SERVER)?,
            },
        };
        let from_file = file.token()?.filter(|_| stored.as_ref() == Some(&server));
        let token =
            from_environment().or_else(|| from_file.map(|token| (token, TokenSource::ConfigFile)));
        Ok(Self {
            server,
            token,
            named,
        })
    }

    /// Warns if what is sent to the server can be read on its way.
    pub(crate) fn warn_if_plain(&self, output: &Output) {
        if self.server.is_plain() && !self.server.is_loopback() {
            output.warn(&format!(
                "The token is sent to {} without encryption",
                self.server
            ));
        }
    }

    /// A client of the server; warns of a token that can be read on its way.
    pub(crate) fn client(self, output: &Output) -> Result<Client, Failure> {
        if self.token.is_some() {
            self.warn_if_plain(output);
        }
        let Some((token, _)) = self.token else {
            let failure = Failure::new(
                Exit::NotAuthenticated,
                "not_authenticated",
                "Not authenticated",
            );
            return Err(failure.hint("Sign in: vm0 auth login"));
        };
        Ok(Client::new(self.server, token)?)
    }
}

/// The token of the environment; the first variable that is set wins.
fn from_environment() -> Option<(SecretString, TokenSource)> {
    let source = TokenSource::of_environment()?;
    Some((non_empty(source.label())?.into(), source))
}

/// The environment variable, if it is set and not empty.
pub(crate) fn non_empty(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The user's own directory for vm0.
pub(crate) fn home() -> Option<PathBuf> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join(".vm0"))
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
