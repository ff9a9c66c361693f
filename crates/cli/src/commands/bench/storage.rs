//! `vm0 bench storage`: saving, mounting and downloading a directory of 600 MB, beside what others
//! need for the same.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tempfile::TempDir;
use vm0_client::Client;
use vm0_model::run::RunStatus;
use vm0_model::storage::StorageKind;
use vm0_model::wire::runs::RunCreate;

use super::figure::{Figure, Target, print};
use super::fixture::{self, CHANGE_SCRIPT};
use super::private_server::PrivateServer;
use super::quantiles::Quantiles;
use super::rivals::Rivals;
use super::runs::define;
use crate::commands::volume::{PushRequest, push_tree};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::files::scan;
use crate::output::Output;

const AGENT: &str = "bench-shell";
const ARTIFACT: &str = "bench";
const REPEATS: usize = 7;

const AS_RESTIC: Target = Target::AtMost(1.0);
const FIFTH_OF_RESTIC: Target = Target::AtMost(0.2);
const FOURTH_OF_TAR: Target = Target::AtMost(0.25);

/// Options of `storage`.
#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// The kind of sandbox of the runs that commit
    #[arg(long, value_name = "KIND", default_value = "gvisor")]
    sandbox: String,
}

/// Seconds of each way to save the same files.
#[derive(Debug, Clone, Copy)]
struct Saved {
    vm0: f64,
    restic: f64,
    borg: f64,
}

impl Saved {
    fn figures(&self, what: &str) -> Vec<Figure> {
        let ratio = self.vm0 / self.restic;
        vec![
            Figure::new(format!("{what}: restic backup"), self.restic, "s"),
            Figure::new(format!("{what}: borg create"), self.borg, "s"),
            Figure::new(format!("{what}: vm0 push"), self.vm0, "s"),
            Figure::new(format!("{what}: vm0 push / restic"), ratio, "×").with(AS_RESTIC),
        ]
    }

    /// A run that commits the same.
    fn run_figures(&self, what: &str, run_ms: f64) -> Vec<Figure> {
        let ratio = run_ms / 1e3 / self.restic;
        vec![
            Figure::new(format!("{what}: commit of a run"), run_ms / 1e3, "s"),
            Figure::new(format!("{what}: run / restic"), ratio, "×").with(FIFTH_OF_RESTIC),
        ]
    }
}

/// What is measured, and with what.
struct Subject<'a> {
    client: &'a Client,
    output: &'a Output,
    root: &'a Path,
    rivals: Rivals,
}

/// Does it.
pub(super) async fn execute(context: &Context, args: StorageArgs) -> CommandResult {
    let output = &context.output;
    let (files, repositories) = (temporary()?, temporary()?);
    output.note("Writing 600 MB in 10,008 files");
    fixture::write(files.path())?;
    let rivals = Rivals::prepare(repositories.path(), files.path())?;
    let server = PrivateServer::start(&args.sandbox).await?;
    let client = server.client()?;
    let mut subject = Subject {
        client: &client,
        output,
        root: files.path(),
        rivals,
    };
    let figures = subject.measure(repositories.path()).await?;
    server.stop().await?;
    print(output, &figures)
}

fn temporary() -> Result<TempDir, Failure> {
    Ok(tempfile::Builder::new()
        .prefix("vm0-bench-storage-")
        .tempdir()?)
}

impl Subject<'_> {
    async fn measure(&mut self, scratch: &Path) -> Result<Vec<Figure>, Failure> {
        let first = self.save("first").await?;
        let unchanged = self.save("unchanged").await?;
        fixture::change(self.root)?;
        let changed = self.save("20 changed").await?;
        let tar = self.rivals.tar()?;
        let download = self.download(&scratch.join("download")).await?;
        let runs = self.runs().await?;
        let mut figures = first.figures("first");
        figures.extend(unchanged.figures("unchanged"));
        figures.extend(unchanged.run_figures("unchanged", runs.unchanged_ms));
        figures.extend(changed.figures("20 changed"));
        figures.extend(changed.run_figures("20 changed", runs.changed_ms));
        figures.push(Figure::new(
            "mount into a run, first",
            runs.cold_mount_ms,
            "ms",
        ));
        figures.push(Figure::new("mount into a run, again", runs.mount_ms, "ms"));
        figures.push(Figure::new("tar czf", tar, "s"));
        figures.push(Figure::new("download", download, "s"));
        figures.push(Figure::new("download / tar czf", download / tar, "×").with(FOURTH_OF_TAR));
        Ok(figures)
    }

    async fn save(&mut self, what: &str) -> Result<Saved, Failure> {
        self.output.note(&format!("Saving: {what}"));
        let restic = self.rivals.restic()?;
        let borg = self.rivals.borg()?;
        let started = Instant::now();
        let request = PushRequest {
            kind: StorageKind::Artifact,
            name: ARTIFACT,
            root: self.root,
            tree: scan(self.root)?,
            message: None,
            force: false,
            expect: None,
        };
        push_tree(self.client, self.output, request).await?;
        let vm0 = started.elapsed().as_secs_f64();
        Ok(Saved { vm0, restic, borg })
    }

    async fn download(&self, to: &Path) -> Result<f64, Failure> {
        let page = self
            .client
            .storage_list(StorageKind::Artifact, Some(ARTIFACT), &Default::default())
            .await?;
        let storage = page.data.first().map(|storage| storage.id);
        let message = "The server lists no artifact";
        let storage = storage.ok_or_else(|| Failure::new(Exit::Failed, "bench_answer", message))?;
        let started = Instant::now();
        let download = self
            .client
            .storage_download(StorageKind::Artifact, storage, None)
            .await?;
        download.save(to, |_| {}).await?;
        let seconds = started.elapsed().as_secs_f64();
        std::fs::remove_file(to)?;
        Ok(seconds)
    }

    async fn runs(&self) -> Result<Runs, Failure> {
        self.output.note("Runs that commit");
        let agent = json!({ "framework": "shell", "network": { "mode": "none" } });
        define(self.client, AGENT, agent, json!({})).await?;
        self.run(None, "true").await?;
        let without = self.series(None, "true").await?;
        let cold = self.run(Some(ARTIFACT), "true").await?;
        let unchanged = self.series(Some(ARTIFACT), "true").await?;
        let working = self
            .series(None, &format!("mkdir $(seq -f d%g 10 29); {CHANGE_SCRIPT}"))
            .await?;
        let changed = self.series(Some(ARTIFACT), CHANGE_SCRIPT).await?;
        Ok(Runs {
            cold_mount_ms: cold.ready_ms - without.ready_ms,
            mount_ms: unchanged.ready_ms - without.ready_ms,
            unchanged_ms: unchanged.rest_ms() - without.rest_ms(),
            changed_ms: changed.rest_ms() - working.rest_ms(),
        })
    }

    /// Medians of some runs.
    async fn series(&self, artifact: Option<&str>, prompt: &str) -> Result<Timed, Failure> {
        let mut all = Vec::new();
        for _ in 0..REPEATS {
            all.push(self.run(artifact, prompt).await?);
        }
        let median = |part: fn(&Timed) -> f64| Quantiles::of(all.iter().map(part)).p50;
        Ok(Timed {
            total_ms: median(|timed| timed.total_ms),
            ready_ms: median(|timed| timed.ready_ms),
        })
    }

    async fn run(&self, artifact: Option<&str>, prompt: &str) -> Result<Timed, Failure> {
        let body = RunCreate {
            prompt: prompt.to_owned(),
            agent: Some(AGENT.to_owned()),
            artifact_name: artifact.map(str::to_owned),
            ..RunCreate::default()
        };
        let key = uuid::Uuid::new_v4().to_string();
        let started = Instant::now();
        let run = self.client.run_create(&body, &key).await?.run.id;
        let mut follow = self.client.run_follow(run, 0);
        while follow.next().await?.is_some() {}
        let total_ms = started.elapsed().as_secs_f64() * 1e3;
        let ended = self.client.run_view(run).await?;
        if ended.run.status != RunStatus::Completed {
            let why = ended.error.unwrap_or_default();
            let message = format!("A run did not complete: {why}");
            return Err(Failure::new(Exit::Failed, "bench_run", message));
        }
        let ready_ms = ended.timings.sandbox_ready_ms.unwrap_or_default() as f64;
        Ok(Timed { total_ms, ready_ms })
    }
}

/// One run, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Timed {
    /// From the POST to the end.
    total_ms: f64,
    /// From the claim to the start of the agent.
    ready_ms: f64,
}

impl Timed {
    /// The agent's own time and the commit.
    fn rest_ms(&self) -> f64 {
        self.total_ms - self.ready_ms
    }
}

/// What runs with the files take longer than runs without.
#[derive(Debug, Clone, Copy)]
struct Runs {
    cold_mount_ms: f64,
    mount_ms: f64,
    unchanged_ms: f64,
    changed_ms: f64,
}
