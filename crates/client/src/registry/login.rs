//! The login for a registry, where `docker login` and `podman login` put it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::reference::{DOCKER_HUB, Reference};

/// A longer file is none of logins.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// A helper that says nothing for this long is stuck.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// The name that Docker Hub has in login files.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// What a helper says that knows no login; see `docker/docker-credential-helpers`.
const NOT_FOUND: &str = "credentials not found";
/// The user of a secret that is no password but a token to be exchanged.
const TOKEN_USER: &str = "<token>";

/// Who asks. Its secret is shown nowhere.
#[derive(Debug, Clone)]
pub enum Login {
    /// Name and password.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// A token to be exchanged for that of a registry.
    Identity(SecretString),
}

/// The login for a registry cannot be read; never names what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file.
    #[error("read the logins in {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its form.
    #[error("understand the logins in {}: {reason}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A program that the file names.
    #[error("get a login from {program}: {reason}")]
    Helper {
        /// Which.
        program: String,
        /// What is wrong.
        reason: String,
    },
}

/// The files that may have a login, the first one that has it being taken.
#[derive(Debug, Clone)]
pub struct LoginFiles {
    paths: Vec<PathBuf>,
    /// The first was asked for and has to be there.
    named: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Logins {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl LoginFiles {
    /// The file of `REGISTRY_AUTH_FILE`; else that of podman, then that of docker. `variable` reads
    /// the environment.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        if let Some(named) = path("REGISTRY_AUTH_FILE") {
            return Self {
                paths: vec![named],
                named: true,
            };
        }
        let podman = path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
        let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let docker = docker.map(|dir| dir.join("config.json"));
        Self {
            paths: podman.into_iter().chain(docker).collect(),
            named: false,
        }
    }

    /// The login for the registry of `reference`, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, a helper that fails.
    pub async fn find(&self, reference: &Reference) -> Result<Option<Login>, LoginError> {
        for path in &self.paths {
            let text = match read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.named => continue,
                Err(source) => {
                    let path = path.clone();
                    return Err(LoginError::File { path, source });
                }
                Ok(text) => text,
            };
            let format = |reason| LoginError::Format {
                path: path.clone(),
                reason,
            };
            // The parser's own words would show a piece of the file.
            let logins: Logins = serde_json::from_slice(&text)
                .map_err(|_| format("it is no JSON of a login file"))?;
            if let Some(login) = logins.find(reference, format).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

impl Logins {
    async fn find(
        &self,
        reference: &Reference,
        format: impl Fn(&'static str) -> LoginError,
    ) -> Result<Option<Login>, LoginError> {
        let registry = reference.registry();
        let helper = self.cred_helpers.iter();
        let helper = helper.filter(|(key, _)| host_of(key) == registry);
        if let Some((_, helper)) = helper.into_iter().next() {
            return ask(helper, registry).await;
        }
        for scope in scopes(reference) {
            let entry = self.auths.iter().find(|(key, _)| host_of(key) == scope);
            let Some((_, entry)) = entry else { continue };
            if let Some(token) = non_empty(&entry.identitytoken) {
                return Ok(Some(Login::Identity(token.to_owned().into())));
            }
            if let Some(auth) = non_empty(&entry.auth) {
                let login = password(auth);
                let wrong = || format("an entry's auth is not NAME:PASSWORD in base64");
                return login.ok_or_else(wrong).map(Some);
            }
        }
        match non_empty(&self.creds_store) {
            Some(helper) => ask(helper, registry).await,
            None => Ok(None),
        }
    }
}

/// The keys under which the login may be, the narrowest first.
fn scopes(reference: &Reference) -> Vec<String> {
    let mut scope = format!("{}/{}", reference.registry(), reference.repository());
    let mut scopes = vec![scope.clone()];
    while let Some((wider, _)) = scope.rsplit_once('/') {
        scope = wider.to_owned();
        scopes.push(scope.clone());
    }
    scopes
}

/// A key of a login file as a reference names the same.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    let key = key.strip_prefix("http://").unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key
        .strip_suffix("/v1")
        .or(key.strip_suffix("/v2"))
        .unwrap_or(key);
    match key {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    }
}

fn non_empty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn password(auth: &str) -> Option<Login> {
    let pair = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(Login::Password {
        user: user.to_owned(),
        // Old files end it with zeros.
        password: password.trim_end_matches('\0').to_owned().into(),
    })
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Asks a program that keeps logins: `docker-credential-NAME get`.
async fn ask(helper: &str, registry: &str) -> Result<Option<Login>, LoginError> {
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| LoginError::Helper {
        program: program.clone(),
        reason,
    };
    if helper.contains('/') {
        return Err(failed("its name is a path".to_owned()));
    }
    let key = match registry {
        DOCKER_HUB => DOCKER_HUB_KEY,
        other => other,
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut stdin = child.stdin.take().expect("it has a pipe");
    // A helper that does not read what it is asked has its own reasons.
    let _asked = stdin.write_all(key.as_bytes()).await;
    drop(stdin);
    let answer = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output()).await;
    let answer = answer
        .map_err(|_| failed(format!("no answer within {} s", HELPER_TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !answer.status.success() {
        if String::from_utf8_lossy(&answer.stdout).contains(NOT_FOUND) {
            return Ok(None);
        }
        return Err(failed(answer.status.to_string()));
    }
    let helped: Helped = serde_json::from_slice(&answer.stdout)
        .map_err(|_| failed("its answer has no Username and Secret".to_owned()))?;
    Ok(Some(match helped.user.as_str() {
        TOKEN_USER => Login::Identity(helped.secret.into()),
        _ => Login::Password {
            user: helped.user,
            password: helped.secret.into(),
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;

    fn files(dir: &Path) -> LoginFiles {
        let dir = dir.to_owned();
        LoginFiles::of(move |name| (name == "DOCKER_CONFIG").then(|| dir.clone().into_os_string()))
    }

    async fn found(logins: Value, reference: &str) -> Option<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), logins.to_string()).unwrap();
        let login = files(dir.path()).find(&reference.parse().unwrap()).await;
        login.unwrap().map(|login| match login {
            Login::Password { user, password } => (user, password.expose_secret().to_owned()),
            Login::Identity(token) => (TOKEN_USER.to_owned(), token.expose_secret().to_owned()),
        })
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[tokio::test]
    async fn the_narrowest_entry_of_the_registry_is_taken() {
        let auth = |text: &str| json!({ "auth": STANDARD.encode(text) });
        let logins = json!({ "auths": {
            "https://index.docker.io/v1/": auth("hub:a:b"),
            "https://r.example": auth("wide:1"),
            "r.example/team": auth("team:2"),
            "r.example:5000": auth("port:3\0\0"),
            "azure.example": { "auth": "", "identitytoken": "refresh" },
        } });
        for (reference, expected) in [
            ("debian", pair("hub", "a:b")),
            ("r.example/x", pair("wide", "1")),
            ("r.example/team/tools", pair("team", "2")),
            ("r.example/teams/tools", pair("wide", "1")),
            ("r.example:5000/x", pair("port", "3")),
            ("azure.example/x", pair(TOKEN_USER, "refresh")),
            ("other.example/x", None),
        ] {
            assert_eq!(
                found(logins.clone(), reference).await,
                expected,
                "{reference}"
            );
        }
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_does_not_show_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for text in [
            r#"{"auths":{"docker.io":{"auth":7777}}}"#,
            r#"{"auths":{"docker.io":{"auth":"7777"}}}"#,
            r#"{"auths": 7777"#,
            r#"{"credsStore":"../7777"}"#.replace("7777", "x").as_str(),
        ] {
            fs::write(&path, text).unwrap();
            let failed = files(dir.path()).find(&"debian".parse().unwrap()).await;
            let error = format!("{:?}", failed.unwrap_err());
            assert!(!error.contains("7777"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_named_has_to_be_there() {
        let named = LoginFiles::of(|name| {
            (name == "REGISTRY_AUTH_FILE").then(|| "/nonexistent/auth.json".into())
        });
        let reference = "debian".parse().unwrap();
        let failed = named.find(&reference).await.unwrap_err();
        assert!(matches!(failed, LoginError::File { .. }), "{failed}");
        let usual = LoginFiles::of(|name| (name == "HOME").then(|| "/nonexistent".into()));
        assert!(usual.find(&reference).await.unwrap().is_none());
    }
}
