//! The phase `prepare`: everything that can be known and fetched before there is a sandbox.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use vm0_blob::TreeGuard;
use vm0_egress::{AuthorityError, Gateway, SecretError};
use vm0_model::config::AgentConfig;
use vm0_model::framework::{
    CommandContext, CommandError, Stdin as CommandStdin, agent_command_line,
};
use vm0_model::path::SandboxPath;
use vm0_model::wire::runner::{Conversation, MountedVersion};
use vm0_sandbox::image::ImageLease;
use vm0_sandbox::{ExecSpec, GuestFile, MountSpec, PLATFORM_DIR, SandboxSpec, Stdin};

use crate::agent::{Agent, relocated, resources, settings};
use crate::bundle::{self, BundleError};
use crate::chain::chain;
use crate::environment::environment;
use crate::history::{self, HistoryError};
use crate::image::ImageMissing;
use crate::link::LinkError;
use crate::network;
use crate::run::Run;
use crate::secrets;
use crate::telemetry::Phase;
use crate::versions::VersionError;
use crate::workspace::Base;

/// The prompt's name below [`PLATFORM_DIR`].
pub(crate) const PROMPT_FILE_NAME: &str = "prompt";
/// The working directory unless the configuration names one.
const WORKING_DIR: &str = "/home/user/workspace";

/// A run for which a sandbox can be made.
pub(crate) struct Prepared {
    pub(crate) sandbox: SandboxSpec,
    pub(crate) exec: ExecSpec,
    /// Files below HOME.
    pub(crate) files: Vec<GuestFile>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) agent: Agent,
    pub(crate) base: Option<Base>,
    pub(crate) held: Held,
}

/// What a sandbox is mounted from, kept for as long as it is there.
#[derive(Debug, Default)]
#[expect(
    dead_code,
    reason = "its fields are kept for what dropping them releases"
)]
pub(crate) struct Held {
    /// Lower layers of its mounts.
    pub(crate) trees: Vec<TreeGuard>,
    /// Its root.
    pub(crate) image: Option<ImageLease>,
}

/// A run cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The stored configuration is not one.
    #[error("understand the agent's configuration: {problem}")]
    Config {
        /// The first problem.
        problem: String,
    },
    /// The image is not here.
    #[error(transparent)]
    Image(#[from] ImageMissing),
    /// A volume or the artifact cannot be had.
    #[error("{what}: {}", chain(source))]
    Version {
        /// Which one.
        what: String,
        /// Why.
        source: VersionError,
    },
    /// The history cannot be fetched.
    #[error("history: {}", chain(.0))]
    History(#[source] LinkError),
    /// The history is broken.
    #[error("history: {}", chain(.0))]
    HistoryFormat(#[from] HistoryError),
    /// Instructions or skills cannot be had.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no gateway.
    #[error("set up the gateway: {}", chain(.0))]
    Gateway(#[from] AuthorityError),
    /// A secret cannot be put where it is bound to.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no command line for this prompt.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Prepares a run.
pub(crate) async fn prepare(run: &Run) -> Result<Prepared, PrepareError> {
    let spec = &run.spec;
    let mut config = config(&spec.config)?;
    if let Some(change) = &spec.network {
        config.network = change.policy.clone();
    }
    let brokered = secrets::brokered(&config, spec, &run.secrets)?;
    let image = run
        .host
        .images
        .resolve(config.image.as_deref(), &config.framework.name)?;
    let placing = async { Ok(bundle::place(run, &config).await?) };
    let (history, (trees, base), placed) =
        tokio::try_join!(history_files(run, &config), fetch(run), placing)?;
    let resumed = spec.conversation.clone().filter(|_| !history.is_empty());
    let mut agent = Agent {
        resources: resources(&config),
        image: image.name.clone(),
        program: String::new(),
        resumed,
        config,
    };
    log_inputs(run, &agent).await;
    let prompt_file = format!("{PLATFORM_DIR}/{PROMPT_FILE_NAME}");
    let gateway = network::gateway(run, &agent.config, brokered)?;
    // A policy may begin to read requests at any time.
    let authority = gateway.as_ref().map(Gateway::certificate);
    let decrypts = gateway.as_ref().is_some_and(Gateway::decrypts);
    let env = environment(spec, &agent, &image.env, &prompt_file, decrypts);
    let exec = exec(run, &agent, env, &prompt_file)?;
    agent.program = exec.argv.first().cloned().unwrap_or_default();
    let mut files = settings(&agent.config, &exec.env);
    files.extend(history);
    files.extend(placed.instructions);
    let sandbox = SandboxSpec {
        id: format!("vm0-{}-{}", run.id(), run.link.epoch),
        dir: run.sandbox_dir(),
        image: image.root,
        mounts: mounts(run, &agent.config, &trees, placed.skills),
        resources: agent.resources,
        network: gateway.is_some(),
        authority,
    };
    let trees = trees.into_iter().flatten().chain(placed.tree).collect();
    let held = Held {
        trees,
        image: image.lease,
    };
    Ok(Prepared {
        sandbox,
        exec,
        files,
        gateway,
        agent,
        base,
        held,
    })
}

fn config(stored: &serde_json::Value) -> Result<AgentConfig, PrepareError> {
    let checked = AgentConfig::from_json(stored);
    let first = |problems: Vec<vm0_model::config::Problem>| {
        problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    checked
        .map(|(_, config)| config)
        .map_err(|problems| PrepareError::Config {
            problem: first(problems),
        })
}

/// Where the workspace of an agent with this stored configuration is.
pub(crate) fn working_dir(stored: &serde_json::Value) -> String {
    match AgentConfig::from_json(stored) {
        Ok((_, config)) => config.working_dir.as_str().to_owned(),
        Err(_) => WORKING_DIR.to_owned(),
    }
}

/// The trees of artifact and volumes, in this order, and what the workspace starts from.
async fn fetch(run: &Run) -> Result<(Vec<Option<TreeGuard>>, Option<Base>), PrepareError> {
    let artifact = run
        .spec
        .artifact
        .as_ref()
        .and_then(|artifact| Some((&artifact.name, artifact.version?)));
    let workspace = async {
        let Some((name, version)) = artifact else {
            return Ok((None, None));
        };
        let what = || format!("artifact '{name}'");
        let (tree, base) = tokio::join!(tree(run, what(), version), base(run, what(), version));
        Ok::<_, PrepareError>((Some(tree?), Some(base?)))
    };
    let volumes = run
        .spec
        .volumes
        .iter()
        .map(|volume| tree(run, format!("volume '{}'", volume.name), volume.version));
    let ((first, base), volumes) = tokio::try_join!(workspace, try_join_all(volumes))?;
    let trees = std::iter::once(first).chain(volumes.into_iter().map(Some));
    Ok((trees.collect(), base))
}

async fn tree(run: &Run, what: String, version: MountedVersion) -> Result<TreeGuard, PrepareError> {
    let tree = run.host.versions.tree(&run.link, version).await;
    tree.map_err(|source| PrepareError::Version { what, source })
}

async fn base(run: &Run, what: String, version: MountedVersion) -> Result<Base, PrepareError> {
    let id = version.manifest_id;
    let manifest = run.host.versions.manifest(&run.link, id).await;
    let manifest = manifest.map_err(|source| PrepareError::Version { what, source })?;
    Ok(Base { id, manifest })
}

/// The working directory, the volumes and the skills; `trees` are of the first two, in this order.
fn mounts(
    run: &Run,
    config: &AgentConfig,
    trees: &[Option<TreeGuard>],
    skills: Vec<MountSpec>,
) -> Vec<MountSpec> {
    let volumes = run.spec.volumes.iter().map(|volume| volume.path.as_str());
    let targets = std::iter::once(config.working_dir.as_str()).chain(volumes);
    let mounts = targets.zip(trees).map(|(target, tree)| MountSpec {
        target: target.to_owned(),
        lower: tree.as_ref().map(|tree| tree.path().to_owned()),
    });
    let mut mounts: Vec<MountSpec> = mounts.chain(skills).collect();
    mounts.sort_by_key(|mount| SandboxPath::parse(&mount.target).map_or(0, |path| path.depth()));
    mounts
}

/// The files of the conversation to resume; none if there is none.
async fn history_files(run: &Run, config: &AgentConfig) -> Result<Vec<GuestFile>, PrepareError> {
    let Some(Conversation {
        history: Some(id),
        working_dir,
        ..
    }) = &run.spec.conversation
    else {
        return Ok(Vec::new());
    };
    let link = &run.link;
    let bytes = link
        .call(|| link.client.history_get(*id))
        .await
        .map_err(PrepareError::History)?;
    Ok(relocated(config, working_dir, history::decode(&bytes)?))
}

fn exec(
    run: &Run,
    agent: &Agent,
    env: BTreeMap<String, String>,
    prompt_file: &str,
) -> Result<ExecSpec, CommandError> {
    let context = CommandContext {
        prompt: &run.spec.prompt,
        prompt_file,
        session_id: agent
            .resumed
            .as_ref()
            .map(|conversation| conversation.agent_session_id.as_str()),
        working_dir: agent.config.working_dir.as_str(),
        env: &env,
    };
    let command = agent_command_line(&agent.config, &context)?;
    let stdin = match command.stdin {
        CommandStdin::Null => Stdin::Null,
        CommandStdin::PromptFile => Stdin::File(prompt_file.to_owned()),
    };
    let cwd = agent.config.working_dir.as_str().to_owned();
    Ok(ExecSpec {
        argv: command.argv,
        env,
        cwd,
        stdin,
        terminal: None,
    })
}

async fn log_inputs(run: &Run, agent: &Agent) {
    let journal = &run.journal;
    journal
        .info(Phase::Prepare, format!("image {}", agent.image))
        .await;
    for volume in &run.spec.volumes {
        let version = volume.version.version_id.short();
        let text = format!(
            "volume {} version {version} at {}",
            volume.name, volume.path
        );
        journal.info(Phase::Prepare, text).await;
    }
    if let Some(bundle) = &run.spec.bundle {
        let text = format!("bundle version {}", bundle.version_id.short());
        journal.info(Phase::Prepare, text).await;
    }
    if let Some(artifact) = &run.spec.artifact {
        let version = artifact
            .version
            .map_or("new".to_owned(), |version| version.version_id.short());
        journal
            .info(
                Phase::Prepare,
                format!("artifact {} version {version}", artifact.name),
            )
            .await;
    }
    if run.spec.conversation.is_some() && agent.resumed.is_none() {
        journal
            .warn(
                Phase::Prepare,
                "the conversation has no history; a fresh one begins",
            )
            .await;
    }
    if let Some(change) = &run.spec.network {
        let text = network::summary(&change.policy);
        let text = format!("network policy changed before the start: {text}");
        journal.info(Phase::Prepare, text).await;
    }
    for missing in &run.host.missing {
        journal.warn(Phase::Prepare, missing).await;
    }
}
