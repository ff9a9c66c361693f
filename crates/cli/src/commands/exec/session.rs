//! A command that runs: its output comes, its input goes, until one end is reached.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use vm0_client::{ExecError, ExecOutput, ExecReceiver, ExecSender};
use vm0_model::wire::exec::{ExecEnd, ExecFault, ExecStream};

use super::keyboard::{Signals, pieces, send};
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// Asked for and not sent yet: a signal or two.
const ASKED: usize = 2;

/// A command that runs, from this side.
pub(super) struct Session {
    sender: ExecSender,
    receiver: ExecReceiver,
    interactive: bool,
    tty: bool,
}

impl Session {
    pub(super) fn new(
        (sender, receiver): (ExecSender, ExecReceiver),
        interactive: bool,
        tty: bool,
    ) -> Self {
        Self {
            sender,
            receiver,
            interactive,
            tty,
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(self) -> CommandResult {
        let Self {
            mut sender,
            mut receiver,
            interactive,
            tty,
        } = self;
        let mut signals = Signals::listen(tty)?;
        let (ask, asked) = mpsc::channel(ASKED);
        let typed = interactive.then(pieces);
        let ended = tokio::select! {
            biased;
            ended = show(&mut receiver) => ended,
            signal = signals.pass_on(&ask) => Ok(Exit::Command(128 | signal.number() as u8)),
            () = send(&mut sender, typed, asked) => Ok(Exit::Failed),
        };
        sender.close(receiver, None).await;
        ended
    }
}

/// Writes what the command puts out until it has ended.
async fn show(receiver: &mut ExecReceiver) -> CommandResult {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    loop {
        match receiver.output().await {
            Ok(ExecOutput::Piece(ExecStream::Stdout, piece)) => put(&mut stdout, &piece).await?,
            Ok(ExecOutput::Piece(ExecStream::Stderr, piece)) => put(&mut stderr, &piece).await?,
            Ok(ExecOutput::End(ExecEnd { exit_code })) => {
                return Ok(Exit::Command((exit_code & 0xff) as u8));
            }
            Err(error) => return Err(failure(error)),
        }
    }
}

async fn put(to: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    to.write_all(piece).await?;
    to.flush().await
}

fn failure(error: ExecError) -> Failure {
    let ExecError::Closed { fault, reason } = error else {
        return unreachable(&error.to_string());
    };
    match fault {
        None => unreachable("keep the connection of the command"),
        Some(ExecFault::Stopping) => Failure::new(
            Exit::Unreachable,
            "server_unreachable",
            "The server is stopping; the command has been hung up",
        ),
        Some(ExecFault::RunEnded) => Failure::new(
            Exit::Failed,
            "run_ended",
            "The run has ended, and the command with it",
        )
        .hint("See: vm0 run show RUN"),
        Some(ExecFault::RunnerLost) => Failure::new(
            Exit::Failed,
            "runner_lost",
            sentence("The sandbox is lost", &reason),
        )
        .hint("See: vm0 run show RUN"),
        Some(ExecFault::NotStarted) => {
            let text = sentence("The command did not start", &reason);
            Failure::new(Exit::Failed, "not_started", text)
        }
        Some(ExecFault::BadMessage | ExecFault::TooLarge) => {
            let text = sentence("The server does not accept the command", &reason);
            Failure::new(Exit::Failed, "invalid_parameter", text)
        }
        Some(ExecFault::Internal) => Failure::new(
            Exit::Failed,
            "internal_error",
            sentence("The server failed", &reason),
        ),
    }
}

fn sentence(what: &str, reason: &str) -> String {
    match reason {
        "" => what.to_owned(),
        reason => format!("{what}: {reason}"),
    }
}

fn unreachable(what: &str) -> Failure {
    let text = format!("Failed to {what}; the command has been hung up");
    Failure::new(Exit::Unreachable, "server_unreachable", text)
        .hint("See whether the run goes on: vm0 run show RUN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_which_a_connection_ends_has_its_exit_code() {
        for (code, exit) in [
            (1001, Exit::Unreachable),
            (1008, Exit::Failed),
            (1009, Exit::Failed),
            (1011, Exit::Failed),
            (4001, Exit::Failed),
            (4002, Exit::Failed),
            (4003, Exit::Failed),
            (1000, Exit::Unreachable),
        ] {
            let error = ExecError::Closed {
                fault: ExecFault::of(code),
                reason: "because".to_owned(),
            };
            assert_eq!(failure(error).exit(), exit, "{code}");
        }
    }
}
