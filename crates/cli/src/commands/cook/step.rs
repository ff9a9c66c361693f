//! A step of `cook` that is a command of its own: announced, run by this same program in the
//! directory it is about, and obeyed in how it ends.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::interrupt::{Interrupt, interrupted};

/// How steps ended.
#[derive(Debug)]
pub(super) enum Announced<T> {
    /// As they should.
    Done(T),
    /// One did not, and has said why.
    Ended(Exit),
}

/// Says which command comes next.
pub(super) fn announce(context: &Context, command: &str) {
    context.output.note(&format!("> vm0 {command}"));
}

/// Runs `vm0 ARGS` in a directory below this one. On Ctrl-C it takes back what it began.
pub(super) async fn step(
    context: &Context,
    interrupt: &mut Interrupt,
    dir: &str,
    args: &[&str],
) -> Result<Exit, Failure> {
    announce(context, &format!("{}  # in {dir}", args.join(" ")));
    let mut command = program(context, Path::new(dir), args)?;
    if context.output.is_json() {
        command.stdout(Stdio::null());
    }
    let mut child = command
        .spawn()
        .map_err(|error| Failure::of("step", &error))?;
    tokio::select! {
        biased;
        () = interrupt.pressed() => {
            // A terminal has told the child, too; the second time changes nothing.
            let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let Some(id) = id {
                let _gone = kill_process(id, Signal::INT);
            }
            match child.wait().await {
                // It has said so.
                Ok(status) if status.code() == Some(Exit::Interrupted.code().into()) => {
                    Ok(Exit::Interrupted)
                }
                _ => Err(interrupted()),
            }
        }
        status = child.wait() => {
            let status = status.map_err(|error| Failure::of("step", &error))?;
            Ok(Exit::of_code(status.code()))
        }
    }
}

/// What `vm0 ARGS --json` prints in a directory below this one; nothing if it fails.
pub(super) async fn ask(
    context: &Context,
    dir: &str,
    args: &[&str],
) -> Result<Option<serde_json::Value>, Failure> {
    let mut command = program(context, Path::new(dir), args)?;
    let command = command
        .arg("--json")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let answered = command.output().await;
    let answered = answered.map_err(|error| Failure::of("step", &error))?;
    Ok(serde_json::from_slice(&answered.stdout).ok())
}

fn program(context: &Context, dir: &Path, args: &[&str]) -> Result<Command, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::of("step", &error))?;
    let mut command = Command::new(own);
    command
        .args(args)
        .args(context.global_args())
        .current_dir(dir)
        .kill_on_drop(true);
    Ok(command)
}
