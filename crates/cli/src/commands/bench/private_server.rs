//! A server of this binary's own, in a temporary directory, gone with the measurement.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use vm0_client::Client;
use vm0_server::{TokenFor, TokenRequest, token_create};

use crate::error::Failure;
use crate::exit::Exit;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running `vm0 serve`.
#[derive(Debug)]
pub(super) struct PrivateServer {
    child: Child,
    url: String,
    token: String,
    _dir: TempDir,
}

impl PrivateServer {
    /// Starts a server whose runs are executed in sandboxes of `kind`.
    pub(super) async fn start(kind: &str) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("vm0-bench-").tempdir()?;
        let data = dir.path().join("data");
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "text",
                "--sandbox",
                kind,
            ])
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let Some(url) = line.strip_prefix("listening on ") else {
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            let why = log
                .lines()
                .find(|line| line.starts_with('✗'))
                .unwrap_or("it did not start");
            return Err(Failure::new(
                Exit::Failed,
                "bench_server",
                why.trim_start_matches("✗ "),
            ));
        };
        let owner = TokenFor::User("bench".to_owned());
        let request = TokenRequest {
            owner,
            label: "bench".to_owned(),
            expires_in_days: 1,
        };
        let token = token_create(&data, request).await;
        let token = token.map_err(|error| Failure::of("token_create", &error))?;
        Ok(Self {
            child,
            url: url.to_owned(),
            token,
            _dir: dir,
        })
    }

    /// A client of it.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let url = self
            .url
            .parse()
            .map_err(|error| Failure::of("server_url", &error))?;
        Ok(Client::new(url, self.token.clone().into())?)
    }

    /// Stops it as an operator would, so that it leaves nothing.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        }
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        let message = "Failed to stop the private server in time";
        ended.map_err(|_| Failure::new(Exit::Failed, "bench_server", message))??;
        Ok(())
    }
}
