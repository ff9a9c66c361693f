//! The system's `git`, used as a program that fetches objects and prints them. Nothing is checked
//! out: no hook, filter, attribute, submodule or link of a repository has any effect.
//!
//! A token reaches git in its environment, bound to `https://github.com/`: not in an argument,
//! which others can see, and not in a file.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use vm0_model::limits::{SKILL_FETCH_TIMEOUT, SKILL_REPOSITORY_MAX_BYTES};

use crate::config::non_empty;
use crate::events::escape;

/// What the user's own settings may turn `https://github.com/` into.
const PROTOCOLS: &str = "https:ssh";
/// Text of one call on stderr, in bytes.
const STDERR_MAX_BYTES: u64 = 64 << 10;
/// The size of the repository on disk is looked at this often.
const SIZE_POLL: Duration = Duration::from_millis(250);
/// Variables that would lead git to another repository.
const FOREIGN: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_COMMON_DIR",
    "GIT_SHALLOW_FILE",
    "GIT_QUARANTINE_PATH",
];
/// Settings of every call, on top of the user's own.
const SETTINGS: [(&str, &str); 9] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.negotiationAlgorithm", "noop"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
];

/// Git did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    /// It is not there.
    #[error("skills of GitHub need the program git, which is not installed")]
    Missing,
    /// It could not be started or read.
    #[error("git: {0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("git {command}: {text}")]
    Failed {
        /// What it should do.
        command: String,
        /// What it said.
        text: String,
    },
    /// Nobody is let in, or nothing is there: GitHub does not tell which.
    #[error("there is no such repository, or it needs GH_TOKEN or GITHUB_TOKEN")]
    NoAccess,
    /// It took too long.
    #[error("git {command} took longer than {} s", SKILL_FETCH_TIMEOUT.as_secs())]
    TimedOut {
        /// What it should do.
        command: String,
    },
    /// It wrote or printed too much.
    #[error("the repository is too large for a skill: more than {0} bytes")]
    TooLarge(u64),
}

/// A bare repository of our own.
#[derive(Debug)]
pub(super) struct Repository {
    dir: tempfile::TempDir,
    token: Option<String>,
}

impl Repository {
    /// An empty one with `url` as its origin.
    pub(super) async fn create(url: &str) -> Result<Self, GitError> {
        let dir = tempfile::Builder::new().prefix("vm0-skill-").tempdir()?;
        let token = non_empty("GH_TOKEN").or_else(|| non_empty("GITHUB_TOKEN"));
        let repository = Self { dir, token };
        let none = 0;
        repository
            .run(&["init", "--quiet", "--bare", "--template="], &[], none)
            .await?;
        repository
            .run(&["remote", "add", "--", "origin", url], &[], none)
            .await?;
        Ok(repository)
    }

    /// Runs git with these arguments and this input, and gives what it printed: at most `max`
    /// bytes.
    pub(super) async fn run(
        &self,
        args: &[&str],
        input: &[u8],
        max: u64,
    ) -> Result<Vec<u8>, GitError> {
        let command = args.first().copied().unwrap_or_default().to_owned();
        let mut child = self.spawn(args)?;
        let work = tokio::time::timeout(SKILL_FETCH_TIMEOUT, talk(&mut child, input, max));
        let done = tokio::select! {
            done = work => done.map_err(|_| GitError::TimedOut { command: command.clone() })?,
            () = self.outgrown() => Err(GitError::TooLarge(SKILL_REPOSITORY_MAX_BYTES)),
        };
        let (stdout, stderr) = done?;
        let status = child.wait().await?;
        if status.success() {
            return Ok(stdout);
        }
        Err(self.failed(command, &stderr))
    }

    fn spawn(&self, args: &[&str]) -> Result<Child, GitError> {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .envs(settings(self.token.as_deref()))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C");
        for name in FOREIGN {
            command.env_remove(name);
        }
        if std::env::var_os("GIT_ALLOW_PROTOCOL").is_none() {
            command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
        }
        if std::env::var_os("GIT_SSH_COMMAND").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GitError::Missing,
            _ => GitError::Io(error),
        })
    }

    /// Ends when the repository has become too large.
    async fn outgrown(&self) {
        loop {
            tokio::time::sleep(SIZE_POLL).await;
            if size_of(self.dir.path()) > SKILL_REPOSITORY_MAX_BYTES {
                return;
            }
        }
    }

    fn failed(&self, command: String, stderr: &[u8]) -> GitError {
        let said = String::from_utf8_lossy(stderr);
        let refused = [
            "could not read Username",
            "Authentication failed",
            "epository not found",
        ];
        if refused.iter().any(|text| said.contains(text)) {
            return GitError::NoAccess;
        }
        let lines = || said.lines().filter(|line| !line.trim().is_empty());
        let fatal = lines().find(|line| line.starts_with("fatal: "));
        let text = fatal.or(lines().next_back()).unwrap_or("it failed");
        let mut text = escape(text);
        if let Some(token) = &self.token {
            text = text.replace(token, "***");
        }
        GitError::Failed { command, text }
    }
}

/// Settings as variables, behind those that are there already.
fn settings(token: Option<&str>) -> Vec<(OsString, OsString)> {
    let present = non_empty("GIT_CONFIG_COUNT").and_then(|count| count.parse::<usize>().ok());
    let present = present.unwrap_or(0);
    let mut settings: Vec<_> = SETTINGS
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    if let Some(token) = token {
        let basic = base64(&format!("x-access-token:{token}"));
        let key = "http.https://github.com/.extraHeader".to_owned();
        settings.push((key, format!("Authorization: Basic {basic}")));
    }
    let count = (present + settings.len()).to_string();
    let mut variables = vec![("GIT_CONFIG_COUNT".into(), count.into())];
    for (index, (key, value)) in settings.into_iter().enumerate() {
        let number = present + index;
        variables.push((format!("GIT_CONFIG_KEY_{number}").into(), key.into()));
        variables.push((format!("GIT_CONFIG_VALUE_{number}").into(), value.into()));
    }
    variables
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Gives the input and takes both outputs.
async fn talk(child: &mut Child, input: &[u8], max: u64) -> Result<(Vec<u8>, Vec<u8>), GitError> {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let give = async {
        // A git that ends early does not read the rest; its status says why.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        Ok(())
    };
    let (stdout, stderr, ()) = tokio::try_join!(
        async {
            let bytes = read_some(stdout, max + 1).await?;
            if bytes.len() as u64 > max {
                return Err(GitError::TooLarge(max));
            }
            Ok(bytes)
        },
        async { Ok(read_some(stderr, STDERR_MAX_BYTES).await?) },
        give,
    )?;
    Ok((stdout, stderr))
}

/// The first bytes of an output; the others are read and dropped.
async fn read_some(mut from: impl AsyncRead + Unpin, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut from).take(max).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < max {
        return Ok(bytes);
    }
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// Bytes of the files below a directory; what vanishes meanwhile has none.
fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() {
            size_of(&entry.path())
        } else {
            metadata.len()
        })
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bound_to_its_host_and_never_an_argument() {
        let variables = settings(Some("ghp_secret"));
        let find = |text: &str| {
            variables
                .iter()
                .position(|(_, value)| value.to_string_lossy().contains(text))
        };
        let key = find("http.https://github.com/.extraHeader").expect("the header is set");
        let value = variables[key + 1].1.to_string_lossy().into_owned();
        assert_eq!(
            value,
            "Authorization: Basic eC1hY2Nlc3MtdG9rZW46Z2hwX3NlY3JldA=="
        );
        assert_eq!(find("ghp_secret"), None);
        assert_eq!(settings(None).len(), variables.len() - 2);
    }
}
