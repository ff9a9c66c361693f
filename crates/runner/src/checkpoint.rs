//! After the agent: history and workspace are saved, and the outcome is known.

use vm0_model::framework::AgentResult;
use vm0_model::wire::runner::{Conversation, SavedArtifact};
use vm0_model::wire::runs::Usage;
use vm0_model::{HistoryId, limits};
use vm0_sandbox::{FileLimits, GuestFile, Sandbox, SandboxError, Stopped};

use crate::agent::Agent;
use crate::boot::Ended;
use crate::chain::chain;
use crate::conversation;
use crate::exec::Surroundings;
use crate::history::{self, HistoryError};
use crate::link::LinkError;
use crate::outcome::{Interruption, Observed, Verdict};
use crate::output::Recorded;
use crate::prepare::Held;
use crate::run::{PhaseEnd, Run};
use crate::supervise::AgentEnd;
use crate::telemetry::Phase;
use crate::usage::usage;
use crate::workspace::{self, Base, WorkspaceError};

/// A run of which only the report is missing.
pub(crate) struct Concluded {
    pub(crate) verdict: Verdict,
    /// Why the platform ended it, if it did.
    pub(crate) interruption: Option<Interruption>,
    pub(crate) output: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) artifact: Option<SavedArtifact>,
    pub(crate) conversation: Option<Conversation>,
    pub(crate) remains: Remains,
    pub(crate) held: Held,
}

/// What is left of the sandbox.
pub(crate) enum Remains {
    /// Nothing, or what a sweep finds.
    Unknown,
    /// It still runs.
    Running(Box<dyn Sandbox>),
    /// It has ended.
    Stopped(Box<dyn Stopped>),
}

/// The exit code of a program that is not there.
const NOT_FOUND: i32 = 127;

/// A conversation could not be saved.
#[derive(Debug, thiserror::Error)]
enum ConversationError {
    /// Its files could not be read.
    #[error(transparent)]
    Read(#[from] SandboxError),
    /// They are over a limit.
    #[error(transparent)]
    Encode(#[from] HistoryError),
    /// The server does not take them.
    #[error("store the history")]
    Store(#[from] LinkError),
}

impl Concluded {
    /// The end of a run whose agent never started.
    pub(crate) async fn without_agent(run: &Run, end: PhaseEnd) -> Self {
        let timeout_seconds = run.spec.timeout_seconds;
        let observed = match end {
            PhaseEnd::Interrupted(by) => Observed {
                interruption: Some(by),
                timeout_seconds,
                ..Observed::default()
            },
            PhaseEnd::Failed(text) => {
                let platform_failure = Some(run.mask.text(text));
                Observed {
                    platform_failure,
                    timeout_seconds,
                    ..Observed::default()
                }
            }
        };
        Self {
            verdict: Verdict::of(&observed),
            interruption: observed.interruption,
            output: None,
            usage: None,
            artifact: None,
            conversation: None,
            remains: Remains::Unknown,
            held: Held::default(),
        }
    }
}

impl Ended {
    /// Saves what is to be kept: after success history and workspace, else the workspace.
    pub(crate) async fn conclude(self, run: &Run) -> Concluded {
        let Self {
            sandbox,
            surroundings,
            agent,
            base,
            end,
            recorder,
            read,
            held,
        } = self;
        let recorded = recorder.finish();
        let mut observed = observe(run, &agent, &end, &recorded);
        let result = recorded.result;
        let succeeded = observed.interruption.is_none() && Verdict::of(&observed).is_success();
        let mut conversation = None;
        if succeeded {
            let saving = save_conversation(run, &*sandbox, &surroundings, &agent, &result);
            match checkpoint_step(run, "history", saving).await {
                Ok(saved) => conversation = Some(saved),
                Err(text) => observed.platform_failure = Some(text),
            }
        }
        let mut artifact = None;
        let mut remains = Remains::Running(sandbox);
        if run.spec.artifact.is_some() {
            remains = stop(remains).await;
            let phase = if succeeded {
                Phase::Checkpoint
            } else {
                Phase::Finish
            };
            match save_workspace(run, phase, &remains, &agent, base).await {
                Ok(saved) => artifact = saved,
                Err(text) if succeeded && observed.platform_failure.is_none() => {
                    observed.platform_failure = Some(text);
                }
                Err(_) => {}
            }
        }
        let verdict = Verdict::of(&observed);
        Concluded {
            conversation: conversation.filter(|_| verdict.is_success()),
            verdict,
            interruption: observed.interruption,
            output: result.output,
            usage: usage(&read, result.usage),
            artifact,
            remains,
            held,
        }
    }
}

fn observe(run: &Run, agent: &Agent, end: &AgentEnd, recorded: &Recorded) -> Observed {
    let mut observed = Observed {
        timeout_seconds: run.spec.timeout_seconds,
        stderr: recorded.stderr.clone(),
        failure_event: recorded.result.failure.clone(),
        ..Observed::default()
    };
    match end {
        AgentEnd::Exited(exit) => {
            observed.exit_code = Some(exit.code);
            if exit.out_of_memory {
                observed.out_of_memory_mb = Some(agent.resources.memory_bytes >> 20);
            }
            if exit.code == NOT_FOUND && !recorded.spoke {
                observed.platform_failure = Some(agent.missing_program());
                observed.exit_code = None;
            }
        }
        AgentEnd::Interrupted(by) => observed.interruption = Some(by.clone()),
        AgentEnd::Failed(error) => {
            let text = format!("[run] {}", chain(error));
            observed.platform_failure = Some(run.mask.text(text));
        }
    }
    observed
}

/// Does one step of the checkpoint within the time of the phase.
async fn checkpoint_step<T, E: std::error::Error>(
    run: &Run,
    name: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    let bounded = async {
        match tokio::time::timeout(limits::CHECKPOINT_TIMEOUT, work).await {
            Ok(result) => result.map_err(|error| chain(&error)),
            Err(_) => Err(format!(
                "not done within {} s",
                limits::CHECKPOINT_TIMEOUT.as_secs()
            )),
        }
    };
    let result = run.journal.stage(Phase::Checkpoint, name, bounded).await;
    result.map_err(|text| run.mask.text(format!("[checkpoint] {text}")))
}

async fn save_conversation(
    run: &Run,
    sandbox: &dyn Sandbox,
    surroundings: &Surroundings,
    agent: &Agent,
    result: &AgentResult,
) -> Result<Conversation, ConversationError> {
    sandbox.kill_all().await?;
    let session = agent.session_id(result);
    let limits = FileLimits {
        files: limits::HISTORY_MAX_FILES,
        bytes: limits::HISTORY_MAX_BYTES,
        timeout: limits::CHECKPOINT_TIMEOUT,
    };
    let patterns = agent.history_patterns(&session);
    let home = vm0_sandbox::HOME;
    let mut files = match patterns.is_empty() {
        true => Vec::new(),
        false => sandbox.get_files(home, &patterns, limits).await?,
    };
    if let (Some(commands), Some(id)) =
        (&agent.config.framework.history_commands, &result.session_id)
    {
        files.push(conversation::export(sandbox, surroundings, commands, id).await?);
    }
    let history = match files.is_empty() {
        true => {
            run.journal
                .warn(
                    Phase::Checkpoint,
                    "the agent left no history; continuing starts afresh",
                )
                .await;
            None
        }
        false => Some(store_history(run, files).await?),
    };
    Ok(Conversation {
        framework: agent.config.framework.name.clone(),
        agent_session_id: session,
        history,
        working_dir: agent.config.working_dir.as_str().to_owned(),
        token_total: result.token_total,
    })
}

async fn store_history(run: &Run, files: Vec<GuestFile>) -> Result<HistoryId, ConversationError> {
    let mask = &run.mask;
    let masked = files.into_iter().map(|file| GuestFile {
        path: file.path,
        bytes: mask.bytes(file.bytes),
    });
    let (id, bytes) = history::encode(&Vec::from_iter(masked))?;
    let bytes = bytes::Bytes::from(bytes);
    let link = &run.link;
    link.call(|| {
        link.client
            .history_put(link.run_id, link.epoch, id, bytes.clone())
    })
    .await?;
    Ok(id)
}

/// Ends the sandbox, if it still runs.
pub(crate) async fn stop(remains: Remains) -> Remains {
    match remains {
        Remains::Running(sandbox) => match sandbox.stop().await {
            Ok(stopped) => Remains::Stopped(stopped),
            Err(error) => {
                tracing::error!(error = chain(&error), "failed to stop a sandbox");
                Remains::Unknown
            }
        },
        other => other,
    }
}

/// Saves the workspace: always after success, else if it was changed.
async fn save_workspace(
    run: &Run,
    phase: Phase,
    remains: &Remains,
    agent: &Agent,
    base: Option<Base>,
) -> Result<Option<SavedArtifact>, String> {
    let layer = match remains {
        Remains::Stopped(stopped) => stopped.layer(agent.config.working_dir.as_str()),
        Remains::Unknown | Remains::Running(_) => None,
    };
    let saving = async {
        let layer = layer.ok_or(WorkspaceError::NoLayer)?;
        workspace::save(&run.link, &run.host.versions, layer, base, &run.dir).await
    };
    let name = if phase == Phase::Checkpoint {
        "artifact"
    } else {
        "salvage"
    };
    let bounded = async {
        match tokio::time::timeout(limits::CHECKPOINT_TIMEOUT, saving).await {
            Ok(result) => result.map_err(|error| chain(&error)),
            Err(_) => Err(format!(
                "not done within {} s",
                limits::CHECKPOINT_TIMEOUT.as_secs()
            )),
        }
    };
    let saved = run.journal.stage(phase, name, bounded).await;
    let saved = saved.map_err(|text| run.mask.text(format!("[checkpoint] {text}")))?;
    for warning in &saved.warnings {
        let text = format!("{:?} was left out: {}", warning.path, warning.reason);
        run.journal.warn(phase, text).await;
    }
    let manifest = saved.artifact.manifest_id.short();
    run.journal
        .info(
            phase,
            format!("artifact: {} files, manifest {manifest}", saved.entries),
        )
        .await;
    Ok((phase == Phase::Checkpoint || saved.changed).then_some(saved.artifact))
}
