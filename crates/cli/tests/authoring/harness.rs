//! A project directory, a server, and `vm0` in the one with the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use vm0_testkit::{Server, ServerOptions};

/// A server without a runner.
pub(crate) fn server() -> Server {
    ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
        .arg("--no-runner")
        .start()
}

/// A directory of a user.
pub(crate) struct Project {
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// An empty one, whose commands know no server.
    pub(crate) fn offline() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("home")).expect("a directory");
        fs::create_dir(directory.path().join("project")).expect("a directory");
        Self {
            directory,
            environment: Vec::new(),
        }
    }

    /// An empty one, whose commands talk to `server`.
    pub(crate) fn on(server: &Server) -> Self {
        Self::offline()
            .with("VM0_API_URL", server.url())
            .with("VM0_TOKEN", server.token())
    }

    /// Sets a variable of its commands.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// A directory beside it, for what tests need.
    pub(crate) fn beside(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file, with the directories that it needs.
    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.path().join(path), text);
    }

    /// The command `vm0 ARGS`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm0"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.directory.path().join("home"))
            .envs(self.environment.iter().cloned())
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs `vm0 ARGS`.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("vm0 runs")
    }

    /// What a command that succeeds prints.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).expect("results are text")
    }

    /// The document of a command that succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"][..]].concat());
        serde_json::from_str(&text).expect("one document")
    }

    /// Exit code and messages of a command that fails.
    pub(crate) fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        let text = String::from_utf8(output.stderr).expect("messages are text");
        (output.status.code(), text)
    }
}

/// Writes a file, with the directories that it needs.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file")).expect("directories");
    fs::write(path, text).expect("a file");
}
