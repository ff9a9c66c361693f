//! The simulated commands: `echo TEXT`, `cat [FILE…]`, `rm FILE`, `mkdir -p DIR`, `pwd`, `env`,
//! `id -u|-g`, `sleep SECONDS`, `exit N`, `true`, `false`, `head -c BYTES /dev/zero`, `wc -c`,
//! `stty size`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use vm0_guest::TerminalSize;

use super::files::GuestTree;
use super::script::{Step, Target, parse};

const CHUNK: usize = 64 * 1024;

/// What a simulated program has.
pub(super) struct Program {
    pub(super) tree: Arc<GuestTree>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) stdin: Pin<Box<dyn AsyncRead + Send>>,
    pub(super) stdout: Pin<Box<dyn AsyncWrite + Send>>,
    pub(super) stderr: Pin<Box<dyn AsyncWrite + Send>>,
    /// The size of its terminal; what goes to its error output is then shown there too.
    pub(super) terminal: Option<watch::Receiver<TerminalSize>>,
}

/// How a step went on.
enum Next {
    Code(i32),
    Exit(i32),
}

impl Program {
    /// Runs a program by its arguments; its exit code.
    pub(super) async fn run(&mut self, argv: &[String]) -> i32 {
        let code = match argv {
            [shell, flag, text] if is_shell(shell) && flag == "-c" => self.run_script(text).await,
            [agent, verb] if agent == crate::AGENT_PATH && verb == "shell" => {
                super::events::run(self).await
            }
            words => match self.step(words.to_vec(), Target::Stdout).await {
                Next::Code(code) | Next::Exit(code) => code,
            },
        };
        let _ = self.stdout.shutdown().await;
        let _ = self.stderr.shutdown().await;
        code
    }

    /// Runs a script; its exit code.
    pub(super) async fn run_script(&mut self, text: &str) -> i32 {
        let Some(steps) = parse(text) else {
            self.complain("fake: this script needs a real sandbox")
                .await;
            return 2;
        };
        let mut code = 0;
        for Step {
            if_success,
            words,
            output,
        } in steps
        {
            if if_success && code != 0 {
                continue;
            }
            match self.step(words, output).await {
                Next::Code(next) => code = next,
                Next::Exit(code) => return code,
            }
        }
        code
    }

    async fn step(&mut self, words: Vec<String>, output: Target) -> Next {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = match words.as_slice() {
            ["exit", code] => return Next::Exit(code.parse().unwrap_or(2)),
            ["true"] => return Next::Code(0),
            ["false"] => return Next::Code(1),
            ["sleep", seconds] => {
                let seconds = seconds.parse().unwrap_or_default();
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                return Next::Code(0);
            }
            ["head", "-c", bytes, "/dev/zero"] => {
                return Next::Code(self.zeros(bytes.parse().unwrap_or_default()).await);
            }
            ["wc", "-c"] => Ok(format!("{}\n", self.count().await).into_bytes()),
            ["cat"] => return Next::Code(self.copy_input().await),
            ["echo", rest @ ..] => Ok(format!("{}\n", rest.join(" ")).into_bytes()),
            ["stty", "size"] => self.terminal_size(),
            ["pwd"] => Ok(format!("{}\n", self.cwd).into_bytes()),
            ["env"] => Ok(self
                .env
                .iter()
                .map(|(k, v)| format!("{k}={v}\n"))
                .collect::<String>()
                .into()),
            ["id", "-u" | "-g"] => Ok(b"1000\n".to_vec()),
            ["cat", files @ ..] => self.cat(files),
            ["rm", file] => self.tree.remove(&self.absolute(file)).map(|()| Vec::new()),
            ["mkdir", "-p", directory] => self
                .tree
                .make_directory(&self.absolute(directory))
                .map(|()| Vec::new()),
            [program, ..] => {
                let known = matches!(*program, "/usr" | "/tmp" | "/vm0");
                self.complain(&format!("fake: {program} cannot be simulated"))
                    .await;
                return Next::Code(if known { 126 } else { 127 });
            }
            [] => return Next::Code(0),
        };
        Next::Code(self.put(text, &output).await)
    }

    /// Sends a command's output on its way; its exit code.
    async fn put(&mut self, text: std::io::Result<Vec<u8>>, output: &Target) -> i32 {
        let sent = match (text, output) {
            (Err(error), _) => Err(error),
            (Ok(text), Target::Stdout) => self.stdout.write_all(&text).await,
            (Ok(text), Target::Stderr) => self.errors().write_all(&text).await,
            (Ok(text), Target::File { path, append }) => {
                self.tree.write(&self.absolute(path), &text, *append)
            }
        };
        match sent {
            Ok(()) => 0,
            Err(error) => {
                self.complain(&format!("fake: {error}")).await;
                1
            }
        }
    }

    fn cat(&self, files: &[&str]) -> std::io::Result<Vec<u8>> {
        let contents = files
            .iter()
            .map(|file| self.tree.read(&self.absolute(file)));
        Ok(contents.collect::<std::io::Result<Vec<_>>>()?.concat())
    }

    async fn copy_input(&mut self) -> i32 {
        i32::from(
            tokio::io::copy(&mut self.stdin, &mut self.stdout)
                .await
                .is_err(),
        )
    }

    async fn count(&mut self) -> u64 {
        tokio::io::copy(&mut self.stdin, &mut tokio::io::sink())
            .await
            .unwrap_or_default()
    }

    async fn zeros(&mut self, bytes: u64) -> i32 {
        let mut zeros =
            tokio::io::BufReader::with_capacity(CHUNK, tokio::io::repeat(0).take(bytes));
        i32::from(
            tokio::io::copy_buf(&mut zeros, &mut self.stdout)
                .await
                .is_err(),
        )
    }

    fn absolute(&self, path: &str) -> String {
        let home = self.env.get("HOME").map_or(crate::HOME, String::as_str);
        match (path.strip_prefix('/'), path.strip_prefix("~/")) {
            (Some(_), _) => path.to_owned(),
            (_, Some(rest)) => format!("{home}/{rest}"),
            _ => format!("{}/{path}", self.cwd.trim_end_matches('/')),
        }
    }

    async fn complain(&mut self, text: &str) {
        let line = format!("{text}\n");
        let _ = self.errors().write_all(line.as_bytes()).await;
    }

    /// Where its error output goes.
    fn errors(&mut self) -> &mut Pin<Box<dyn AsyncWrite + Send>> {
        match self.terminal {
            Some(_) => &mut self.stdout,
            None => &mut self.stderr,
        }
    }

    fn terminal_size(&self) -> std::io::Result<Vec<u8>> {
        let none = || std::io::Error::other("no terminal");
        let TerminalSize { rows, cols } = *self.terminal.as_ref().ok_or_else(none)?.borrow();
        Ok(format!("{rows} {cols}\n").into_bytes())
    }
}

fn is_shell(name: &str) -> bool {
    matches!(name.rsplit('/').next(), Some("sh" | "bash"))
}
