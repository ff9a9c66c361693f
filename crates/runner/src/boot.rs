//! The phase `boot`: sandbox, files, and the start of the agent.

use std::pin::pin;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vm0_egress::{Gateway, UsageTotals};
use vm0_model::limits;
use vm0_model::wire::runner::StartedReport;
use vm0_sandbox::{Process, Sandbox, SandboxError, Transparent};

use crate::agent::Agent;
use crate::budget::Watch;
use crate::clock;
use crate::conversation;
use crate::exec::{self, Surroundings};
use crate::outcome::Interruption;
use crate::output::Recorder;
use crate::prepare::{Held, PROMPT_FILE_NAME, Prepared};
use crate::run::{Outlets, Run};
use crate::spool::SpoolWriter;
use crate::supervise::{AgentEnd, supervise};
use crate::telemetry::{Phase, Sampler};
use crate::workspace::Base;

/// A run whose agent has started.
pub(crate) struct Booted {
    sandbox: Box<dyn Sandbox>,
    surroundings: Surroundings,
    process: Process,
    gateway: Option<Gateway>,
    agent: Agent,
    base: Option<Base>,
    held: Held,
}

/// A run whose agent has ended, in whatever way.
pub(crate) struct Ended {
    pub(crate) sandbox: Box<dyn Sandbox>,
    pub(crate) surroundings: Surroundings,
    pub(crate) agent: Agent,
    pub(crate) base: Option<Base>,
    pub(crate) end: AgentEnd,
    pub(crate) recorder: Recorder,
    /// What the gateway read of what it consumed.
    pub(crate) read: UsageTotals,
    pub(crate) held: Held,
}

impl Prepared {
    /// Makes the sandbox and starts the agent.
    pub(crate) async fn boot(self, run: &Run) -> Result<Booted, SandboxError> {
        let Self {
            sandbox,
            exec,
            files,
            gateway,
            agent,
            base,
            held,
        } = self;
        let sandbox = run.host.backend.create(sandbox).await?;
        log_transparent(run, sandbox.transparent()).await;
        let put_prompt = sandbox.put_platform_file(PROMPT_FILE_NAME, run.spec.prompt.as_bytes());
        let put_files = async {
            if files.is_empty() {
                return Ok(());
            }
            sandbox.put_files(vm0_sandbox::HOME, files).await
        };
        tokio::try_join!(put_prompt, put_files)?;
        let surroundings = Surroundings {
            env: exec.env.clone(),
            cwd: exec.cwd.clone(),
        };
        if let (Some(_), Some(commands)) =
            (&agent.resumed, &agent.config.framework.history_commands)
        {
            conversation::import(&*sandbox, &surroundings, commands).await?;
        }
        let process = sandbox.exec(exec).await?;
        report_start(run);
        Ok(Booted {
            sandbox,
            surroundings,
            process,
            gateway,
            agent,
            base,
            held,
        })
    }
}

async fn log_transparent(run: &Run, transparent: &Transparent) {
    let journal = &run.journal;
    match transparent {
        Transparent::Off => {}
        Transparent::On => {
            let text = "network: transparent mode is on";
            journal.info(Phase::Boot, text).await;
        }
        Transparent::Failed(reason) => {
            let text = format!("network: only through the proxy, no transparent mode: {reason}");
            journal.warn(Phase::Boot, text).await;
        }
    }
}

/// Tells the server that the agent process has started, without waiting for the answer.
fn report_start(run: &Run) {
    let report = StartedReport {
        epoch: run.link.epoch,
        sandbox: run.host.backend.kind().to_owned(),
        sandbox_ready_ms: clock::now().millis_since(run.spec.started_at).max(0),
    };
    run.report_start(report);
}

impl Booted {
    /// Waits for the agent's end, serving its sandbox meanwhile.
    pub(crate) async fn run(self, run: &Run, outlets: Outlets) -> Ended {
        let Self {
            sandbox,
            surroundings,
            process,
            gateway,
            agent,
            base,
            held,
        } = self;
        let Process {
            stdin: _closed,
            stdout,
            stderr,
            control,
        } = process;
        run.journal
            .info(Phase::Run, format!("agent {} started", agent.program))
            .await;
        let mut recorder = recorder(run, &agent, outlets.events);
        let read = gateway.as_ref().map(Gateway::usage);
        let said = recorder.progress();
        let mut watch = Watch::start(agent.config.budget, read, said, run.journal.clone());
        let mut sampler = Sampler::new(outlets.metrics, agent.resources);
        let bytes = || bytes_of(gateway.as_ref());
        let mut connections = JoinSet::new();
        let end = {
            let agent_ended = CancellationToken::new();
            let mut execs = pin!(exec::serve(run, &*sandbox, &surroundings, &agent_ended));
            let services = async {
                tokio::join!(
                    crate::network::follow(run, gateway.as_ref()),
                    crate::network::serve(&*sandbox, gateway.as_ref(), &mut connections),
                    sampler.run(&*sandbox, bytes),
                    &mut execs,
                )
            };
            let output = recorder.record(stdout, stderr);
            let interrupted = interrupted(run, &mut watch);
            let end = tokio::select! {
                end = supervise(&*sandbox, &*control, output, interrupted) => end,
                (never, _, _, ()) = services => match never {},
            };
            agent_ended.cancel();
            // Who is told late is told by the server.
            let _ = tokio::time::timeout(limits::EXEC_GOODBYE_TIMEOUT, execs).await;
            end
        };
        connections.shutdown().await;
        let end = settle(end, &watch);
        let read = watch.conclude().await;
        sampler.sample(&*sandbox, bytes()).await;
        log_end(run, &end).await;
        Ended {
            sandbox,
            surroundings,
            agent,
            base,
            end,
            recorder,
            read,
            held,
        }
    }
}

fn recorder(run: &Run, agent: &Agent, events: SpoolWriter) -> Recorder {
    Recorder::new(
        events,
        run.journal.clone(),
        Arc::clone(&run.mask),
        agent.results(),
        agent.config.framework.plain_lines_are_events,
    )
}

/// Waits until the platform must end the run or it has consumed too much.
async fn interrupted(run: &Run, watch: &mut Watch) -> Interruption {
    tokio::select! {
        by = run.interrupted() => by,
        exceeded = watch.exceeded() => Interruption::Budget(exceeded),
    }
}

/// Whether the agent or the platform was quicker makes no difference to a budget.
fn settle(end: AgentEnd, watch: &Watch) -> AgentEnd {
    match (end, watch.check()) {
        (AgentEnd::Exited(_), Some(exceeded)) => {
            AgentEnd::Interrupted(Interruption::Budget(exceeded))
        }
        (end, _) => end,
    }
}

/// Bytes that the sandbox received and sent.
fn bytes_of(gateway: Option<&Gateway>) -> (u64, u64) {
    gateway.map_or((0, 0), |gateway| {
        let counters = gateway.counters();
        (counters.rx_bytes, counters.tx_bytes)
    })
}

async fn log_end(run: &Run, end: &AgentEnd) {
    match end {
        AgentEnd::Exited(exit) => {
            run.journal
                .info(Phase::Run, format!("agent exited with code {}", exit.code))
                .await;
        }
        AgentEnd::Interrupted(by) => {
            run.journal
                .warn(Phase::Run, format!("agent stopped: {by}"))
                .await;
        }
        AgentEnd::Failed(error) => {
            run.journal
                .warn(Phase::Run, format!("sandbox failed: {error}"))
                .await;
        }
    }
}
