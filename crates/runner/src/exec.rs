//! Commands beside the agent: what `vm0 exec` starts in the sandbox of a run.
//!
//! ```text
//!   lease.execs() ─► take ─► Command ─ start ─► Running ─┬─ input ◄── the client, through the server
//!                                                        ├─ output ─► one piece at a time
//!                                                        └─ its end, the client's, or the agent's
//! ```
//!
//! A command gets what its client types only as fast as it reads, and is read only as fast as the
//! client takes. One whose client has gone is hung up, and killed [`limits::GRACE`] later.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use vm0_client::{ClientError, ExecError, ExecInput, ExecReceiver, ExecSender};
use vm0_model::wire::exec::{
    ExecControl, ExecEnd, ExecFault, ExecStart, ExecStream, StdinControl, TtySize,
};
use vm0_model::{ExecId, limits};
use vm0_sandbox::{ExecSpec, Process, ProcessControl, Sandbox, SandboxError, Stdin, TerminalSize};

use crate::chain::chain;
use crate::run::Run;
use crate::telemetry::Phase;

const SIGHUP: i32 = 1;
const SIGKILL: i32 = 9;
/// The exit code of a program that is not there.
const NOT_FOUND: i32 = 127;
/// Between two tries to reach the server.
const PAUSE: Duration = Duration::from_millis(500);
/// Characters of a command in the log.
const SHOWN_CHARS: usize = 1000;

type Input = Option<Pin<Box<dyn AsyncWrite + Send>>>;
type Output = Pin<Box<dyn AsyncRead + Send>>;

/// What a command finds as the agent finds it.
pub(crate) struct Surroundings {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: String,
}

/// Where commands are executed.
#[derive(Clone, Copy)]
struct Place<'a> {
    run: &'a Run,
    sandbox: &'a dyn Sandbox,
    surroundings: &'a Surroundings,
    agent_ended: &'a CancellationToken,
}

/// Serves the commands of a run until its agent has ended and all clients are told.
pub(crate) async fn serve(
    run: &Run,
    sandbox: &dyn Sandbox,
    surroundings: &Surroundings,
    agent_ended: &CancellationToken,
) {
    let place = Place {
        run,
        sandbox,
        surroundings,
        agent_ended,
    };
    let mut waiting = run.link.lease.execs();
    waiting.mark_changed();
    let mut begun = BTreeSet::new();
    let mut commands = FuturesUnordered::new();
    loop {
        tokio::select! {
            changed = waiting.changed() => {
                if changed.is_err() {
                    return;
                }
                let new: Vec<ExecId> = waiting.borrow_and_update().clone();
                for exec in new {
                    if begun.insert(exec) {
                        commands.push(place.execute(exec));
                    }
                }
            }
            Some(exec) = commands.next() => {
                begun.remove(&exec);
            }
            () = agent_ended.cancelled() => break,
        }
    }
    while commands.next().await.is_some() {}
}

/// Why a command's service is over.
enum Over {
    /// The command has ended, and all its output is sent.
    Command(i32),
    /// The client has gone, or says what it may not.
    Client,
    /// The agent has ended, and with it the run.
    Agent,
    /// The sandbox has failed.
    Sandbox(SandboxError),
}

impl Place<'_> {
    /// Executes one command; its id.
    async fn execute(self, exec: ExecId) -> ExecId {
        let taken = tokio::select! {
            taken = self.take(exec) => taken,
            () = self.agent_ended.cancelled() => return exec,
        };
        if let Some((sender, mut receiver)) = taken
            && let Ok(ExecInput::Start(start)) = receiver.input().await
        {
            self.command(start, sender, receiver).await;
        }
        exec
    }

    /// Connects to the server; `None` if nobody waits there any more.
    async fn take(self, exec: ExecId) -> Option<(ExecSender, ExecReceiver)> {
        let link = &self.run.link;
        loop {
            match link.client.exec_answer(link.run_id, link.epoch, exec).await {
                Ok(connection) => return Some(connection),
                Err(error) if error.is_transient() && self.is_waiting(exec) => {
                    self.complain(&error);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    self.complain(&error);
                    return None;
                }
            }
        }
    }

    fn is_waiting(self, exec: ExecId) -> bool {
        self.run.link.lease.execs().borrow().contains(&exec)
    }

    fn complain(self, error: &ClientError) {
        tracing::debug!(run = %self.run.id(), error = chain(error), "failed to take a command");
    }

    async fn command(self, start: ExecStart, sender: ExecSender, receiver: ExecReceiver) {
        let shown = shown(&start.command);
        let program = start.command.first().cloned().unwrap_or_default();
        self.log(format!("started {shown}")).await;
        let process = match self.sandbox.exec(self.spec(start)).await {
            Ok(process) => process,
            Err(error) => {
                let reason = format!("failed to {}", chain(&error));
                self.log(format!("{shown}: {reason}")).await;
                let fault = Some((ExecFault::NotStarted, reason.as_str()));
                return sender.close(receiver, fault).await;
            }
        };
        let said = match Running::new(process, sender, program)
            .serve(receiver, self)
            .await
        {
            Over::Command(code) => format!("exited with code {code}"),
            Over::Client => "hung up, its client has gone".to_owned(),
            Over::Agent => "ended with the run".to_owned(),
            Over::Sandbox(error) => format!("lost: {error}"),
        };
        self.log(format!("{shown}: {said}")).await;
    }

    fn spec(self, start: ExecStart) -> ExecSpec {
        let Surroundings { env, cwd } = self.surroundings;
        let mut env = env.clone();
        let cwd = start.cwd.unwrap_or_else(|| cwd.clone());
        env.insert("PWD".to_owned(), cwd.clone());
        env.extend(start.env);
        ExecSpec {
            argv: start.command,
            env,
            cwd,
            stdin: Stdin::Pipe,
            terminal: start.tty.map(terminal_size),
        }
    }

    async fn log(self, text: String) {
        self.run.journal.info(Phase::Exec, text).await;
    }
}

/// A command that runs, and who is told of it.
struct Running {
    control: Box<dyn ProcessControl>,
    stdin: Input,
    speaker: Speaker,
}

/// Sends what a command puts out.
struct Speaker {
    sender: ExecSender,
    stdout: Output,
    stderr: Output,
    program: String,
    silent: bool,
}

impl Running {
    fn new(process: Process, sender: ExecSender, program: String) -> Self {
        let Process {
            stdin,
            stdout,
            stderr,
            control,
        } = process;
        Self {
            control,
            stdin,
            speaker: Speaker {
                sender,
                stdout,
                stderr,
                program,
                silent: true,
            },
        }
    }

    /// Serves it to its end.
    async fn serve(self, mut receiver: ExecReceiver, place: Place<'_>) -> Over {
        let Self {
            control,
            mut stdin,
            mut speaker,
        } = self;
        let over = {
            let speak = pin!(speaker.speak(control.wait()));
            let listen = pin!(listen(&mut receiver, &mut stdin, &*control));
            tokio::select! {
                over = speak => over,
                _gone = listen => Over::Client,
                () = place.agent_ended.cancelled() => Over::Agent,
            }
        };
        drop(stdin);
        speaker.finish(receiver, &over).await;
        if let Over::Client = over {
            tokio::select! {
                () = hang_up(&*control) => {}
                () = place.agent_ended.cancelled() => {}
            }
        }
        over
    }
}

impl Speaker {
    /// Sends output until the command has ended and its output too, or the client has gone.
    async fn speak(
        &mut self,
        end: impl Future<Output = Result<vm0_sandbox::Exit, SandboxError>>,
    ) -> Over {
        let mut end = pin!(end);
        let mut code = None;
        let (mut from_stdout, mut from_stderr) = (piece(), piece());
        let (mut stdout_open, mut stderr_open) = (true, true);
        let mut beats = tokio::time::interval(limits::HEARTBEAT_INTERVAL);
        loop {
            if let (Some(code), false, false) = (code, stdout_open, stderr_open) {
                return Over::Command(code);
            }
            let patience = async {
                match code {
                    Some(code) => {
                        tokio::time::sleep(limits::EXEC_OUTPUT_PATIENCE).await;
                        code
                    }
                    None => std::future::pending().await,
                }
            };
            let sent = tokio::select! {
                read = self.stdout.read(&mut from_stdout), if stdout_open => {
                    let read = read.unwrap_or(0);
                    stdout_open = read > 0;
                    self.say(ExecStream::Stdout, &from_stdout[..read]).await
                }
                read = self.stderr.read(&mut from_stderr), if stderr_open => {
                    let read = read.unwrap_or(0);
                    stderr_open = read > 0;
                    self.say(ExecStream::Stderr, &from_stderr[..read]).await
                }
                exit = &mut end, if code.is_none() => match exit {
                    Ok(exit) => {
                        code = Some(exit.code);
                        Ok(())
                    }
                    Err(error) => return Over::Sandbox(error),
                },
                code = patience => return Over::Command(code),
                _ = beats.tick() => self.sender.heartbeat().await,
            };
            if sent.is_err() {
                return Over::Client;
            }
        }
    }

    async fn say(&mut self, stream: ExecStream, piece: &[u8]) -> Result<(), ExecError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.silent = false;
        self.sender.output(stream, piece).await
    }

    /// The last words.
    async fn finish(mut self, receiver: ExecReceiver, over: &Over) {
        let fault = match over {
            Over::Command(exit_code) => {
                if *exit_code == NOT_FOUND && self.silent {
                    let text = format!("vm0: program '{}' is not in the sandbox\r\n", self.program);
                    // The end that follows meets the same fate.
                    let _ = self.say(ExecStream::Stderr, text.as_bytes()).await;
                }
                let end = ExecEnd {
                    exit_code: *exit_code,
                };
                // A client that has gone needs no end.
                let _ = self.sender.end(end).await;
                None
            }
            Over::Client => None,
            Over::Agent => Some((ExecFault::RunEnded, "the run has ended")),
            Over::Sandbox(_) => Some((ExecFault::RunnerLost, "the sandbox has ended")),
        };
        self.sender.close(receiver, fault).await;
    }
}

/// Does what the client says, until it has gone or says what it may not.
async fn listen(
    receiver: &mut ExecReceiver,
    stdin: &mut Input,
    control: &dyn ProcessControl,
) -> ExecError {
    loop {
        let input = match receiver.input().await {
            Ok(input) => input,
            Err(error) => return error,
        };
        let done = match input {
            ExecInput::Stdin(bytes) => {
                let written = match stdin {
                    Some(pipe) => pipe.write_all(&bytes).await.is_ok(),
                    None => true,
                };
                if !written {
                    // The command reads no more; what else is typed is dropped.
                    *stdin = None;
                }
                Ok(())
            }
            ExecInput::Control(ExecControl::Stdin(StdinControl::Close)) => {
                if let Some(mut pipe) = stdin.take() {
                    // It may have been closed from inside.
                    let _ = pipe.shutdown().await;
                }
                Ok(())
            }
            ExecInput::Control(ExecControl::Resize(size)) => {
                control.resize(terminal_size(size)).await
            }
            ExecInput::Control(ExecControl::Signal(signal)) => {
                control.signal(signal.number()).await
            }
            // The receiver gives out one start.
            ExecInput::Start(_) => Ok(()),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "failed to pass on what a client asks");
        }
    }
}

/// Ends a command whose client has gone.
async fn hang_up(control: &dyn ProcessControl) {
    let ended = async {
        control.signal(SIGHUP).await?;
        control.wait().await
    };
    if tokio::time::timeout(limits::GRACE, ended).await.is_err() {
        // What cannot be killed ends with its sandbox.
        let _ = control.signal(SIGKILL).await;
        let _ = tokio::time::timeout(limits::GRACE, control.wait()).await;
    }
}

fn piece() -> Vec<u8> {
    vec![0; limits::EXEC_PIECE_MAX_BYTES]
}

fn terminal_size(size: TtySize) -> TerminalSize {
    TerminalSize {
        rows: size.rows,
        cols: size.cols,
    }
}

/// A command as one types it in a shell, without what would break a line of the log.
fn shown(command: &[String]) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let text = words.join(" ");
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let text: String = word.chars().flat_map(printable).collect();
    format!("'{text}'")
}

fn printable(c: char) -> Vec<char> {
    match c {
        '\'' => "'\\''".chars().collect(),
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_logged_as_it_is_typed_in_one_line() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&words(&["ls", "-l", "/tmp/a"])), "ls -l /tmp/a");
        assert_eq!(
            shown(&words(&["sh", "-c", "echo 'a'\n", ""])),
            r"sh -c 'echo '\''a'\''\n' ''"
        );
        let long = shown(&["ä".repeat(2 * SHOWN_CHARS)]);
        assert_eq!(long.chars().count(), SHOWN_CHARS + 1);
    }
}
