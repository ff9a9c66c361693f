//! Conversations that are not just files: the agent's own commands save and restore them.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use vm0_model::framework::HistoryCommands;
use vm0_model::limits;
use vm0_sandbox::{ExecSpec, GuestFile, HOME, Process, Sandbox, SandboxError, Stdin};

use crate::exec::Surroundings;

/// Where a saved conversation is, below HOME.
const EXPORTED: &str = ".vm0/conversation";
/// The beginning of what a command says about its failure, in bytes.
const COMPLAINT_MAX_BYTES: u64 = 4096;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Saves a conversation as a file below HOME.
pub(crate) async fn export(
    sandbox: &dyn Sandbox,
    surroundings: &Surroundings,
    commands: &HistoryCommands,
    session: &str,
) -> Result<GuestFile, SandboxError> {
    let argv = filled(&commands.export, "{session_id}", session);
    let bytes = run(sandbox, surroundings, argv, "export").await?;
    Ok(GuestFile {
        path: EXPORTED.to_owned(),
        bytes,
    })
}

/// Restores the conversation that [`export`] has saved.
pub(crate) async fn import(
    sandbox: &dyn Sandbox,
    surroundings: &Surroundings,
    commands: &HistoryCommands,
) -> Result<(), SandboxError> {
    let argv = filled(&commands.import, "{file}", &format!("{HOME}/{EXPORTED}"));
    run(sandbox, surroundings, argv, "import").await.map(drop)
}

fn filled(command: &[String], name: &str, value: &str) -> Vec<String> {
    let words = command.iter().map(|word| word.replace(name, value));
    words.collect()
}

/// Runs a command to its end; its output.
async fn run(
    sandbox: &dyn Sandbox,
    surroundings: &Surroundings,
    argv: Vec<String>,
    action: &'static str,
) -> Result<Vec<u8>, SandboxError> {
    let spec = ExecSpec {
        argv,
        env: surroundings.env.clone(),
        cwd: surroundings.cwd.clone(),
        stdin: Stdin::Null,
        terminal: None,
    };
    let ended = tokio::time::timeout(TIMEOUT, collect(sandbox.exec(spec).await?, action)).await;
    let seconds = TIMEOUT.as_secs();
    ended.unwrap_or(Err(SandboxError::TimedOut { action, seconds }))
}

async fn collect(process: Process, action: &'static str) -> Result<Vec<u8>, SandboxError> {
    let Process {
        stdin: _none,
        stdout,
        stderr,
        control,
    } = process;
    let most = limits::HISTORY_MAX_BYTES;
    let (output, complaint) = tokio::join!(
        beginning(stdout, most + 1),
        beginning(stderr, COMPLAINT_MAX_BYTES),
    );
    if output.len() as u64 > most {
        return Err(SandboxError::TooLarge {
            files: 1,
            bytes: most,
        });
    }
    let exit = control.wait().await?;
    if exit.code == 0 {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&complaint);
    let output = format!("exit code {}: {}", exit.code, text.trim());
    Err(SandboxError::Files { action, output })
}

/// The first bytes of an output that is read to its end. One that breaks is one of a sandbox that
/// has ended, which its exit tells.
async fn beginning(mut output: Pin<Box<dyn AsyncRead + Send>>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = (&mut output).take(most).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    bytes
}
