//! A step of `cook` that is a command of its own: announced, run by this same program in the
//! directory it is about, and obeyed in how it ends.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

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

/// Runs `vm0 ARGS` in a directory below this one.
pub(super) async fn step(context: &Context, dir: &str, args: &[&str]) -> Result<Exit, Failure> {
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
        // The terminal has told the child, too.
        _ = tokio::signal::ctrl_c() => {
            let _ended = child.wait().await;
            Ok(Exit::Interrupted)
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
