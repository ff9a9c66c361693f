//! Waiting for the agent: its output and its end, or what makes the platform stop it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use vm0_model::limits;
use vm0_sandbox::{Exit, ProcessControl, Sandbox, SandboxError};

use crate::outcome::Interruption;

const SIGTERM: i32 = 15;
/// After the agent's end its output ends too, unless children of it hold it open.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(50);

/// How the agent ended.
#[derive(Debug)]
pub(crate) enum AgentEnd {
    /// By itself.
    Exited(Exit),
    /// The platform stopped it.
    Interrupted(Interruption),
    /// The sandbox failed.
    Failed(SandboxError),
}

/// Waits for the agent and for `output` to end. When `interrupted` ends first, the agent gets
/// SIGTERM and [`limits::GRACE`]; what does not end in that time ends with the sandbox.
pub(crate) async fn supervise(
    sandbox: &dyn Sandbox,
    control: &dyn ProcessControl,
    output: impl Future<Output = ()>,
    interrupted: impl Future<Output = Interruption>,
) -> AgentEnd {
    let output = pin!(output);
    let mut end = pin!(to_the_end(sandbox, control, output));
    let interruption = tokio::select! {
        end = &mut end => {
            return match end {
                Ok(exit) => AgentEnd::Exited(exit),
                Err(error) => AgentEnd::Failed(error),
            };
        }
        interruption = interrupted => interruption,
    };
    if let Err(error) = control.signal(SIGTERM).await {
        tracing::debug!(%error, "failed to signal an agent");
    } else {
        // Whether it ended in time makes no difference: the sandbox is stopped next.
        let _ended = tokio::time::timeout(limits::GRACE, end).await;
    }
    AgentEnd::Interrupted(interruption)
}

async fn to_the_end(
    sandbox: &dyn Sandbox,
    control: &dyn ProcessControl,
    mut output: Pin<&mut impl Future<Output = ()>>,
) -> Result<Exit, SandboxError> {
    let mut wait = pin!(control.wait());
    let mut open = true;
    let exit = loop {
        tokio::select! {
            exit = &mut wait => break exit?,
            () = &mut output, if open => open = false,
        }
    };
    if open
        && tokio::time::timeout(OUTPUT_PATIENCE, &mut output)
            .await
            .is_err()
    {
        sandbox.kill_all().await?;
        output.await;
    }
    Ok(exit)
}
