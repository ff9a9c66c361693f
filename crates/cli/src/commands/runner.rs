//! `vm0 runner` (CLI 2.2), and the options that it shares with `serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use vm0_client::{Client, ServerUrl};
use vm0_model::network::PrivateAllowance;
use vm0_runner::{Runner, RunnerConfig, SandboxChoice, SandboxKind, UpstreamProxy};

use super::serve::runner_failure;
use crate::config::non_empty;
use crate::context::Context;
use crate::dump::forbid_dumps;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::logging::{LogFormat, log_service};
use crate::stop_signal::StopSignal;
use crate::values::private_allowance;

/// Version trees that no run uses may take this much.
const TREE_BUDGET_BYTES: u64 = 20 << 30;
const RECONNECT_FIRST: Duration = Duration::from_millis(500);
const RECONNECT_LONGEST: Duration = Duration::from_secs(30);

/// How runs are executed.
#[derive(Debug, Args)]
pub(crate) struct RunnerOptions {
    /// Runs at a time [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,
    /// Kind of sandbox: auto, gvisor, runc, crun, fake
    #[arg(long, value_name = "KIND", default_value = "auto")]
    sandbox: SandboxKind,
    /// Refuse the image 'host'
    #[arg(long)]
    no_host_image: bool,
    /// Private network, or address of this machine, that agents may reach
    #[arg(long, value_name = "CIDR[:PORT]", value_parser = private_allowance)]
    allow_private: Vec<PrivateAllowance>,
    /// Certificate authorities in PEM that agents' connections may end at, beside this machine's
    #[arg(long, value_name = "FILE")]
    trust_ca: Vec<PathBuf>,
    /// Proxy for all that agents reach outside: http[s]://[USER:PASSWORD@]HOST:PORT
    #[arg(
        long,
        value_name = "URL",
        env = "VM0_UPSTREAM_PROXY",
        hide_env_values = true
    )]
    upstream_proxy: Option<String>,
    /// On stopping, time given to active runs
    #[arg(long, value_name = "N", default_value_t = 0)]
    drain_seconds: u32,
    /// Log on stderr [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

impl RunnerOptions {
    /// Time given to active runs.
    pub(super) fn drain(&self) -> Duration {
        Duration::from_secs(u64::from(self.drain_seconds))
    }

    /// The configuration of a runner.
    pub(super) fn config(
        &self,
        server: ServerUrl,
        token: SecretString,
        name: String,
        state_dir: PathBuf,
    ) -> Result<RunnerConfig, Failure> {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let proxy = self.upstream_proxy.as_deref().filter(|url| !url.is_empty());
        let upstream_proxy = proxy.map(UpstreamProxy::parse).transpose();
        Ok(RunnerConfig {
            server,
            token,
            name,
            slots: self.slots.map_or_else(cpus, usize::from),
            state_dir,
            sandbox: SandboxChoice::Kind(self.sandbox),
            allow_private: self.allow_private.clone(),
            host_image: !self.no_host_image,
            trusted_authorities: self.trust_ca.clone(),
            upstream_proxy: upstream_proxy
                .map_err(|error| Failure::usage(format!("Failed to {error}")))?,
            tree_budget_bytes: TREE_BUDGET_BYTES,
        })
    }
}

/// Options of `vm0 runner`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 runner --server https://vm0.example.com --token-file runner.token\n  \
                  VM0_RUNNER_TOKEN=TOKEN vm0 runner --server https://vm0.example.com --slots 4"
)]
pub(crate) struct RunnerArgs {
    /// Server whose runs are executed
    #[arg(long, value_name = "URL")]
    server: ServerUrl,
    /// File that holds the token [default: VM0_RUNNER_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Name of the runner [default: name of this machine]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    options: RunnerOptions,
}

/// Does it: executes runs until a signal comes.
pub(crate) async fn execute(context: &Context, args: RunnerArgs) -> CommandResult {
    log_service(args.options.log_format)?;
    forbid_dumps();
    vm0_runner::give_back_large_buffers();
    let token = read_token(args.token_file)?;
    let name = args.name.unwrap_or_else(host_name);
    let state_dir = context.data_dir()?.join("runner");
    let mut signal = StopSignal::listen()?;
    let health = Client::new(args.server.clone(), token.clone())?;
    let config = args
        .options
        .config(args.server.clone(), token, name.clone(), state_dir)?;
    let mut runner = Runner::start(config)
        .await
        .map_err(|error| runner_failure(&error))?;
    let work = async {
        connected(&health).await;
        context
            .output
            .line(&format!("connected to {} as {name}", args.server))?;
        Err::<(), Failure>(runner_failure(&runner.failed().await))
    };
    tokio::select! {
        () = signal.received() => {}
        failed = work => failed?,
    }
    tokio::select! {
        () = runner.stop(args.options.drain()) => Ok(Exit::Done),
        () = signal.received() => Ok(Exit::Interrupted),
    }
}

/// Returns once the server answers.
async fn connected(server: &Client) {
    let mut wait = RECONNECT_FIRST;
    while let Err(error) = server.health().await {
        tracing::warn!(%error, "the server is out of reach; trying again in {wait:?}");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT_LONGEST);
    }
}

fn read_token(file: Option<PathBuf>) -> Result<SecretString, Failure> {
    let text = match file {
        Some(path) => Some(std::fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!(
                "Cannot read the token file {}: {error}",
                path.display()
            ))
        })?),
        None => non_empty("VM0_RUNNER_TOKEN"),
    };
    let token = text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    token.map(Into::into).ok_or_else(|| {
        let message = "No runner token: set VM0_RUNNER_TOKEN or name a --token-file";
        Failure::new(Exit::NotAuthenticated, "not_authenticated", message)
            .hint("Make one on the server: vm0 token create --runner NAME")
    })
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
