//! `vm0 completion` (CLI 7): a small script that asks `vm0` itself for what may come next, so that
//! it never differs from the program that is installed, and knows the names on the server.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use vm0_client::{Client, ClientError, PageQuery, RunListQuery, collect_pages};
use vm0_model::storage::StorageKind;

use crate::config::Connection;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// The variable by which a script asks.
pub(crate) const VARIABLE: &str = "VM0_COMPLETE";
const PROGRAM: &str = "vm0";
/// Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Names offered at most.
const CANDIDATES_MAX: usize = 200;
/// Runs offered at most, the newest.
const RUNS_MAX: usize = 20;

/// Options of `vm0 completion`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  source <(vm0 completion bash)\n  \
                        vm0 completion zsh > ~/.zfunc/_vm0\n  \
                        vm0 completion fish > ~/.config/fish/completions/vm0.fish")]
pub(crate) struct CompletionArgs {
    /// Shell that reads the script
    shell: Shell,
}

/// The shells.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

/// Does it.
pub(crate) fn execute(context: &Context, args: &CompletionArgs) -> CommandResult {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Elvish => &Elvish,
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    let script = String::from_utf8_lossy(&script);
    context.output.line(script.trim_end())?;
    Ok(Exit::Done)
}

/// Names of agents.
pub(crate) fn agents(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, async |client| {
        let agents = collect_pages(Some(CANDIDATES_MAX), async |page| {
            client.agent_list(None, &page).await
        });
        let named = |agent: vm0_model::wire::agents::Agent| (agent.name, agent.description);
        Ok(agents.await?.into_iter().map(named).collect())
    })
}

/// Ids of runs, the newest first, each with what it is about.
pub(crate) fn runs(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, async |client| {
        let query = RunListQuery::default();
        let runs = collect_pages(Some(RUNS_MAX), async |page| {
            client.run_list(&query, &page).await
        });
        let about = |run: vm0_model::wire::runs::Run| {
            let about = format!("{} {}", run.agent_name, run.status);
            (run.id.to_string(), Some(about))
        };
        Ok(runs.await?.into_iter().map(about).collect())
    })
}

/// Names of artifacts.
pub(crate) fn artifacts(typed: &OsStr) -> Vec<CompletionCandidate> {
    offer(typed, async |client| {
        let storages = collect_pages(Some(CANDIDATES_MAX), async |page: PageQuery| {
            client
                .storage_list(StorageKind::Artifact, None, &page)
                .await
        });
        let named = |storage: vm0_model::wire::storages::Storage| (storage.name, None);
        Ok(storages.await?.into_iter().map(named).collect())
    })
}

/// What begins with what was typed. Where there is no server, no token or no answer in time,
/// nothing is offered: there is no place for a message.
fn offer(
    typed: &OsStr,
    ask: impl AsyncFnOnce(&Client) -> Result<Vec<(String, Option<String>)>, ClientError>,
) -> Vec<CompletionCandidate> {
    let found = || -> Result<Vec<(String, Option<String>)>, Failure> {
        let Connection {
            server,
            token: Some((token, _)),
            ..
        } = Connection::find(None)?
        else {
            return Ok(Vec::new());
        };
        let client = Client::new(server, token)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&client)).await });
        Ok(answer.ok().transpose()?.unwrap_or_default())
    };
    let typed = typed.to_string_lossy();
    let candidate = |(name, about): (String, Option<String>)| {
        CompletionCandidate::new(name).help(about.map(Into::into))
    };
    found()
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| name.starts_with(&*typed))
        .map(candidate)
        .collect()
}
