//! A server of this binary's own, in a temporary directory, gone with the measurement.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use vm0_client::{Client, RunnerClient, ServerUrl};
use vm0_server::{TokenFor, TokenRequest, token_create};

use super::cores::Cores;
use super::load::Request;
use crate::error::Failure;
use crate::exit::Exit;

const START_LIMIT: Duration = Duration::from_secs(60);
/// The user of every private server.
pub(super) const USER: &str = "bench";
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running `vm0 serve`.
#[derive(Debug)]
pub(super) struct PrivateServer {
    child: Child,
    url: String,
    token: String,
    dir: TempDir,
}

impl PrivateServer {
    /// Starts a server whose runs are executed in sandboxes of `kind`.
    pub(super) async fn start(kind: &str) -> Result<Self, Failure> {
        Self::launch(&["--sandbox", kind], None).await
    }

    /// Starts a server that executes no run, on a core of its own if there are `cores`.
    pub(super) async fn without_runner(cores: Option<&Cores>) -> Result<Self, Failure> {
        Self::launch(&["--no-runner"], cores).await
    }

    async fn launch(options: &[&str], cores: Option<&Cores>) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("vm0-bench-").tempdir()?;
        let log = dir.path().join("log");
        let mut command = serve(&dir.path().join("data"), &log, options)?;
        let mut child = match cores {
            Some(cores) => cores.on_server(|| command.spawn())??,
            None => command.spawn()?,
        };
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let Some(url) = line.strip_prefix("listening on ") else {
            return Err(not_started(&log));
        };
        let token = token(&dir.path().join("data"), TokenFor::User(USER.to_owned())).await?;
        Ok(Self {
            child,
            url: url.to_owned(),
            token,
            dir,
        })
    }

    /// A client of it.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.server_url()?, self.token.clone().into())?)
    }

    /// A client of its runner API.
    pub(super) async fn runner_client(&self) -> Result<RunnerClient, Failure> {
        let token = token(&self.data_dir(), TokenFor::Runner("bench".to_owned())).await?;
        Ok(RunnerClient::new(self.server_url()?, token.into())?)
    }

    /// Where its data is.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Its address as a URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A token of its user.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A request without a body, authorized.
    pub(super) fn get(&self, path: &str, accept: &str) -> Request {
        let head = self.head("GET", path);
        format!("{head}accept: {accept}\r\n\r\n").into_bytes()
    }

    /// A request with a JSON body, authorized.
    pub(super) fn post(&self, path: &str, body: &str) -> Request {
        let (head, length) = (self.head("POST", path), body.len());
        let content = "content-type: application/json\r\ncontent-length";
        format!("{head}{content}: {length}\r\n\r\n{body}").into_bytes()
    }

    /// Bytes of memory that it has at present.
    pub(super) fn resident_bytes(&self) -> Result<u64, Failure> {
        self.status_bytes("VmRSS:")
    }

    /// The most bytes of memory that it had since the last time this was asked.
    pub(super) fn take_peak_bytes(&self) -> Result<u64, Failure> {
        let bytes = self.status_bytes("VmHWM:")?;
        let id = self.child.id().unwrap_or_default();
        // proc(5): 5 sets the peak to what there is at present.
        std::fs::write(format!("/proc/{id}/clear_refs"), "5")?;
        Ok(bytes)
    }

    fn status_bytes(&self, key: &str) -> Result<u64, Failure> {
        let id = self.child.id().unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        let kibibytes: u64 = kibibytes.unwrap_or_default();
        Ok(kibibytes * 1024)
    }

    fn head(&self, method: &str, path: &str) -> String {
        let (address, token) = (self.address(), &self.token);
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n")
    }

    fn server_url(&self) -> Result<ServerUrl, Failure> {
        self.url
            .parse()
            .map_err(|error| Failure::of("server_url", &error))
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

fn serve(data: &Path, log: &Path, options: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "text"])
        .args(options)
        .arg("--data-dir")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(log)?)
        .kill_on_drop(true);
    Ok(command)
}

fn not_started(log: &Path) -> Failure {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let why = log
        .lines()
        .find(|line| line.starts_with('✗'))
        .unwrap_or("it did not start");
    Failure::new(Exit::Failed, "bench_server", why.trim_start_matches("✗ "))
}

async fn token(data: &Path, owner: TokenFor) -> Result<String, Failure> {
    let request = TokenRequest {
        owner,
        label: "bench".to_owned(),
        expires_in_days: 1,
    };
    let token = token_create(data, request).await;
    token.map_err(|error| Failure::of("token_create", &error))
}
