//! A real `vm0 serve` on a free port with its own data directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::api::Api;
use crate::process::TestProcess;

/// How a test server is started.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The `vm0` binary: `env!("CARGO_BIN_EXE_vm0")`.
    pub binary: PathBuf,
    /// `--sandbox`.
    pub sandbox: String,
    /// Further arguments of `serve`.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Links to make in the data directory before the first start: name and target.
    pub links: Vec<(String, PathBuf)>,
}

impl ServerOptions {
    /// A server with this kind of sandbox.
    pub fn new(binary: &str, sandbox: &str) -> Self {
        Self {
            binary: binary.into(),
            sandbox: sandbox.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Adds an argument of `serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Makes `name` in the data directory a link to `target`.
    #[must_use]
    pub fn link(mut self, name: &str, target: PathBuf) -> Self {
        self.links.push((name.to_owned(), target));
        self
    }

    /// Starts it on a new data directory.
    pub fn start(self) -> Server {
        let data = tempfile::Builder::new().prefix("vm0-test-").tempdir();
        let data = data.expect("a temporary directory");
        for (name, target) in &self.links {
            let link = data.path().join(name);
            std::fs::create_dir_all(link.parent().expect("a name below the directory"))
                .expect("the directory is ours");
            std::os::unix::fs::symlink(target, link).expect("the directory is ours");
        }
        Server::start(self, data)
    }
}

/// A running server. Dropping it stops it as an operator would and removes its directory.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    process: TestProcess,
    url: String,
    token: String,
    data: Option<tempfile::TempDir>,
}

impl Server {
    fn start(options: ServerOptions, data: tempfile::TempDir) -> Self {
        let (process, url) = spawn(&options, data.path());
        let mut server = Self {
            options,
            process,
            url,
            token: String::new(),
            data: Some(data),
        };
        server.token = server.token_create("tester");
        server
    }

    /// The base address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token of the user `tester`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data
            .as_ref()
            .expect("the directory lives as long as the server")
            .path()
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.options.binary
    }

    /// A command of the binary under test, as the user of this server whose home is `home`, where it
    /// is run too. Nobody types.
    pub fn client(&self, home: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary());
        command
            .args(args)
            .current_dir(home)
            .env("VM0_API_URL", self.url())
            .env("VM0_TOKEN", self.token())
            .env_remove("VM0_API_KEY")
            .env("HOME", home)
            .stdin(Stdio::null());
        command
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// The process, for signals.
    pub fn process(&mut self) -> &mut TestProcess {
        &mut self.process
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The API as the user `tester`.
    pub fn api(&self) -> Api {
        Api::new(&self.url, &self.token)
    }

    /// Makes a token for the user `name`.
    pub fn token_create(&self, name: &str) -> String {
        let output = Command::new(&self.options.binary)
            .args(["token", "create", "--user", name, "--data-dir"])
            .arg(self.data_dir())
            .output()
            .expect("vm0 token create runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("a token is text")
            .trim()
            .to_owned()
    }

    /// Kills the server as a crash would and starts it again on the same data.
    pub fn crash_and_restart(&mut self) {
        self.crash();
        self.restart();
    }

    /// Kills the server as a crash would.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Starts a crashed or stopped server again on the same data.
    pub fn restart(&mut self) {
        let (process, url) = spawn(&self.options, self.data_dir());
        self.process = process;
        self.url = url;
    }

    /// Stops it with SIGTERM and waits.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.signal("TERM");
        self.process.wait(Duration::from_secs(60)).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the server:\n{}", self.process.stderr());
        }
        let alive = Path::new("/proc")
            .join(self.process.id().to_string())
            .exists();
        if alive {
            let pid = self.process.id().to_string();
            let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
            let limit = std::time::Instant::now() + Duration::from_secs(20);
            while std::time::Instant::now() < limit && !ended(self.process.id()) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.process.kill();
    }
}

/// Whether the process has ended, waited for or not.
fn ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| matches!(rest.trim().chars().next(), None | Some('Z')))
}

fn spawn(options: &ServerOptions, data: &Path) -> (TestProcess, String) {
    let mut command = Command::new(&options.binary);
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--sandbox",
            &options.sandbox,
            "--data-dir",
        ])
        .arg(data)
        .args(&options.args)
        .envs(options.env.iter().cloned());
    let mut process = TestProcess::start(command);
    let line = process.stdout_line();
    let Some(url) = line.strip_prefix("listening on ") else {
        process.kill();
        std::thread::sleep(Duration::from_millis(100));
        panic!(
            "the server did not start: {line:?}; log:\n{}",
            process.stderr()
        );
    };
    (process, url.to_owned())
}
