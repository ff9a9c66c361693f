//! Runs from claim to end against a server in memory.
#![expect(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "this is all test code"
)]

mod server;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use vm0_blob::{Content, Manifest};
use vm0_model::network::{NetworkMode, NetworkPolicy};
use vm0_model::wire::runner::{ArtifactMount, MountedVersion, NetworkChange, RunSpec};
use vm0_model::{AgentVersionId, ManifestId, RunId, RunStatus, StorageId, Timestamp, VersionId};
use vm0_runner::{Runner, RunnerConfig, RunningRunner, SandboxChoice};

use server::{ServerRun, TestServer};

struct Fixture {
    server: TestServer,
    dir: tempfile::TempDir,
    runner: RunningRunner,
}

async fn start_runner(server: &TestServer, state_dir: &Path) -> RunningRunner {
    let config = RunnerConfig {
        server: server.url.parse().unwrap(),
        token: "token".into(),
        name: "test".into(),
        slots: 2,
        state_dir: state_dir.to_owned(),
        sandbox: SandboxChoice::Kind(sandbox_kind()),
        allow_private: Vec::new(),
        trusted_authorities: Vec::new(),
        upstream_proxy: None,
        host_image: true,
        tree_budget_bytes: 1 << 30,
    };
    Runner::start(config).await.unwrap()
}

fn sandbox_kind() -> vm0_runner::SandboxKind {
    let kind = std::env::var("VM0_TEST_SANDBOX");
    kind.as_deref().unwrap_or("runc").parse().unwrap()
}

async fn fixture() -> Fixture {
    vm0_egress::install_crypto_provider();
    let server = TestServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let runner = start_runner(&server, dir.path()).await;
    Fixture {
        server,
        dir,
        runner,
    }
}

impl Fixture {
    /// The directories of runs are gone once each is over.
    async fn assert_nothing_left(&self) {
        for _ in 0..1000 {
            if std::fs::read_dir(self.dir.path().join("runs"))
                .unwrap()
                .next()
                .is_none()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a run's directory is left");
    }
}

/// A runner that can be made to vanish, as by `kill -9`.
struct Mortal {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Mortal {
    async fn start(server: &TestServer, state_dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let (server, state_dir) = (server.clone(), state_dir.to_owned());
        let started = runtime.spawn(async move { start_runner(&server, &state_dir).await });
        std::mem::forget(started.await.unwrap());
        Self {
            runtime: Some(runtime),
        }
    }

    async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5)))
            .await
            .unwrap();
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn shell(prompt: &str) -> RunSpec {
    agent(json!({"framework": "shell"}), prompt)
}

fn agent(agent: Value, prompt: &str) -> RunSpec {
    RunSpec {
        run_id: RunId::from_uuid(Uuid::now_v7()),
        agent_name: "test-agent".into(),
        agent_version: AgentVersionId::from_digest([1; 32]),
        config: json!({"version": "1.0", "agents": {"test-agent": agent}}),
        environment: Default::default(),
        secrets: Default::default(),
        placeholders: Default::default(),
        prompt: prompt.into(),
        timeout_seconds: 60,
        started_at: now(),
        artifact: None,
        volumes: Vec::new(),
        bundle: None,
        session_id: None,
        conversation: None,
        network: None,
    }
}

fn with_artifact(mut spec: RunSpec, base: Option<ManifestId>) -> RunSpec {
    let version = base.map(|manifest_id| MountedVersion {
        version_id: VersionId::from_digest(*manifest_id.digest()),
        manifest_id,
    });
    spec.artifact = Some(ArtifactMount {
        storage_id: StorageId::from_uuid(Uuid::from_u128(1)),
        name: "work".into(),
        version,
    });
    spec
}

fn is_finished(run: &ServerRun) -> bool {
    run.finish.is_some()
}

fn texts(run: &ServerRun) -> Vec<String> {
    let data = run
        .events
        .iter()
        .map(|event| serde_json::from_str::<Value>(&event.data).unwrap());
    data.filter(|data| data["type"] == "output")
        .map(|data| data["text"].as_str().unwrap().to_owned())
        .collect()
}

fn files(server: &TestServer, id: ManifestId) -> Vec<String> {
    let bytes = server.lock().objects[&format!("manifests/{id}")].clone();
    let manifest = Manifest::decode(&bytes).unwrap();
    let names = manifest.entries().iter().map(|entry| match &entry.content {
        Content::File(file) => format!("{}:{}", entry.path, file.size),
        Content::Symlink { target } => format!("{} -> {target}", entry.path),
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_run_streams_its_events_and_saves_its_artifact() {
    let fixture = fixture().await;
    let prompt = "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo data > report.txt; mkdir sub; ln -s ../report.txt sub/link";
    let id = fixture.server.submit(with_artifact(shell(prompt), None));
    let run = fixture.server.wait(id, is_finished).await;
    let finish = run.finish.clone().unwrap();
    assert_eq!(
        (run.status, finish.error, finish.exit_code),
        (RunStatus::Completed, None, Some(0))
    );
    assert_eq!(finish.output.as_deref(), Some("one\ntwo"));
    let kinds: Vec<&str> = run.events.iter().map(|event| event.kind.as_str()).collect();
    let expected = [
        "system",
        "assistant",
        "assistant",
        "output",
        "output",
        "user",
        "result",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(texts(&run), ["one", "two"]);
    let saved = finish.artifact.unwrap().manifest_id;
    assert_eq!(
        files(&fixture.server, saved),
        ["report.txt:5", "sub/link -> ../report.txt"]
    );
    let conversation = finish.conversation.unwrap();
    assert!(conversation.history.is_some());
    assert_eq!(run.started.unwrap().sandbox, fixture.runner.sandbox_kind());
    assert!(run.metrics.len() >= 2);
    let messages: Vec<&str> = run
        .logs
        .iter()
        .map(|entry| entry.message.as_str())
        .collect();
    for part in [
        "[sandbox:prepare] ▷ prepare",
        "[sandbox:boot] ✓ boot ",
        "[sandbox:run-agent] agent exited with code 0",
    ] {
        assert!(
            messages.iter().any(|message| message.starts_with(part)),
            "{part} in {messages:#?}"
        );
    }
    fixture.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_starts_from_the_saved_files_and_the_conversation() {
    let fixture = fixture().await;
    let id = fixture
        .server
        .submit(with_artifact(shell("echo 1 > kept; echo 2 > gone"), None));
    let first = fixture.server.wait(id, is_finished).await.finish.unwrap();
    let base = first.artifact.unwrap().manifest_id;
    let prompt = "cat kept; rm gone; echo 3 > new; printf %s \"$VM0_SHELL_HISTORY\"";
    let mut spec = with_artifact(shell(prompt), Some(base));
    spec.conversation = first.conversation.clone();
    let id = fixture.server.submit(spec);
    let run = fixture.server.wait(id, is_finished).await;
    let second = run.finish.clone().unwrap();
    assert_eq!(second.error, None);
    assert_eq!(texts(&run), ["1", "echo 1 > kept; echo 2 > gone"]);
    let saved = second.artifact.unwrap().manifest_id;
    assert_eq!(files(&fixture.server, saved), ["kept:2", "new:2"]);
    let session = |conversation: &Option<vm0_model::wire::runner::Conversation>| {
        conversation.as_ref().unwrap().agent_session_id.clone()
    };
    assert_eq!(session(&first.conversation), session(&second.conversation));

    let id = fixture
        .server
        .submit(with_artifact(shell("true"), Some(saved)));
    let unchanged = fixture.server.wait(id, is_finished).await.finish.unwrap();
    assert_eq!(unchanged.artifact.unwrap().manifest_id, saved);
    fixture.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_and_in_order_although_answers_are_lost() {
    let fixture = fixture().await;
    fixture.server.lock().lose_answers_every = Some(2);
    let id = fixture
        .server
        .submit(shell("for i in $(seq 500); do echo $i; done"));
    let run = fixture.server.wait(id, is_finished).await;
    let expected: Vec<String> = (1..=500).map(|n: u32| n.to_string()).collect();
    assert_eq!(texts(&run), expected);
    assert_eq!(run.status, RunStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_agent_gives_its_stderr_and_a_salvaged_workspace() {
    let fixture = fixture().await;
    let prompt = "echo kept > file; printf '\\033[31mgone\\033[0m\\n wrong \\n' >&2; exit 3";
    let id = fixture.server.submit(with_artifact(shell(prompt), None));
    let run = fixture.server.wait(id, is_finished).await;
    let finish = run.finish.unwrap();
    assert_eq!(
        (finish.status, finish.exit_code),
        (RunStatus::Failed, Some(3))
    );
    assert_eq!(finish.error.as_deref(), Some("gone wrong"));
    assert!(finish.conversation.is_none());
    assert_eq!(
        files(&fixture.server, finish.artifact.unwrap().manifest_id),
        ["file:5"]
    );

    let id = fixture.server.submit(with_artifact(shell("exit 4"), None));
    let finish = fixture.server.wait(id, is_finished).await.finish.unwrap();
    assert_eq!(finish.error.as_deref(), Some("Agent exited with code 4"));
    assert!(finish.artifact.is_none(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_masked_in_all_that_comes_out() {
    let fixture = fixture().await;
    let mut spec =
        shell("echo \"a $TOKEN z\"; echo \"$TOKEN\" | base64; echo \"err $TOKEN\" >&2; exit 1");
    spec.secrets.insert("TOKEN".into(), "s3cr3t-value".into());
    spec.environment
        .insert("TOKEN".into(), "s3cr3t-value".into());
    let id = fixture.server.submit(spec);
    let run = fixture.server.wait(id, is_finished).await;
    assert!(texts(&run).contains(&"a *** z".to_owned()));
    assert_eq!(
        run.finish.clone().unwrap().error.as_deref(),
        Some("err ***")
    );
    let everything = format!("{run:?}");
    assert!(!everything.contains("s3cr3t-value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_agent_at_once_and_salvages_its_files() {
    let fixture = fixture().await;
    let id = fixture.server.submit(with_artifact(
        shell("echo x > file; echo up; sleep 100"),
        None,
    ));
    fixture.server.wait(id, |run| !texts(run).is_empty()).await;
    fixture.server.set_status(id, RunStatus::Cancelled);
    let cancelled = std::time::Instant::now();
    let run = fixture.server.wait(id, |run| run.salvage.is_some()).await;
    assert!(
        cancelled.elapsed() < Duration::from_secs(9),
        "{:?}",
        cancelled.elapsed()
    );
    assert_eq!((run.status, run.finish), (RunStatus::Cancelled, None));
    let salvage = run.salvage.unwrap();
    assert_eq!(salvage.exit_code, None);
    assert_eq!(
        files(&fixture.server, salvage.artifact.unwrap().manifest_id),
        ["file:2"]
    );
    fixture.assert_nothing_left().await;
}

/// The texts of the log about the network policy.
fn policies(run: &ServerRun) -> Vec<String> {
    let texts = run.logs.iter().filter_map(|entry| {
        let (_, text) = entry.message.split_once("network policy changed")?;
        Some(text.to_owned())
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_network_policy_are_followed_also_after_an_interruption() {
    let fixture = fixture().await;
    let server = &fixture.server;
    let change = |revision, mode| NetworkChange {
        revision,
        policy: NetworkPolicy {
            mode,
            ..NetworkPolicy::default()
        },
    };
    let mut spec = shell("echo up; sleep 60");
    spec.network = Some(change(1, NetworkMode::None));
    let id = server.submit(spec);
    server.wait(id, |run| !texts(run).is_empty()).await;
    server.set_network(id, change(2, NetworkMode::Allowlist));
    server.wait(id, |run| policies(run).len() == 2).await;
    server.lock().hold = Some("/watch");
    server.set_network(id, change(3, NetworkMode::Public));
    server.set_network(id, change(4, NetworkMode::None));
    server.lock().hold = None;
    let run = server.wait(id, |run| policies(run).len() >= 3).await;
    let seen = policies(&run);
    assert_eq!(
        seen[..2],
        [" before the start: mode none", ": mode allowlist"]
    );
    server
        .wait(id, |run| {
            policies(run).last().map(String::as_str) == Some(": mode none")
        })
        .await;
    server.set_status(id, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_a_run_as_timeout() {
    let fixture = fixture().await;
    let mut spec = shell("sleep 100");
    spec.timeout_seconds = 2;
    let id = fixture.server.submit(spec);
    let finish = fixture.server.wait(id, is_finished).await.finish.unwrap();
    assert_eq!(finish.status, RunStatus::Timeout);
    assert_eq!(finish.error.as_deref(), Some("run exceeded 2 s"));
    assert_eq!(finish.exit_code, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_became_anothers_is_dropped() {
    let fixture = fixture().await;
    let id = fixture
        .server
        .submit(shell("echo up; while :; do sleep 0.1; echo more; done"));
    fixture.server.wait(id, |run| !texts(run).is_empty()).await;
    fixture.server.lock().runs.get_mut(&id).unwrap().epoch = vm0_model::Epoch(2);
    fixture.assert_nothing_left().await;
    assert!(fixture.server.run(id).unwrap().finish.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_on_the_runner_is_named() {
    let fixture = fixture().await;
    let cases = [
        (
            json!({"framework": "shell", "image": "nowhere"}),
            "[prepare] image 'nowhere' is not on this runner; run: vm0 image pull nowhere",
        ),
        (
            json!({"framework": "opencode"}),
            "[prepare] program 'opencode' is not in image 'host'; run: vm0 image build opencode",
        ),
    ];
    for (config, error) in cases {
        let id = fixture.server.submit(agent(config, "x"));
        let finish = fixture.server.wait(id, is_finished).await.finish.unwrap();
        assert_eq!(
            (finish.status, finish.error.as_deref()),
            (RunStatus::Failed, Some(error))
        );
        assert_eq!(finish.exit_code, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_custom_agent_are_events() {
    let fixture = fixture().await;
    let script = "echo plain; echo '{\"type\":\"result\",\"result\":\"done\",\"session_id\":\"s-1\"}'; echo bad >&2";
    let custom = json!({"framework": "custom", "command": ["sh", "-c", script, "{prompt}"]});
    let id = fixture.server.submit(agent(custom, "x"));
    let run = fixture.server.wait(id, is_finished).await;
    let finish = run.finish.clone().unwrap();
    assert_eq!(
        (finish.error, finish.output.as_deref()),
        (None, Some("done"))
    );
    assert_eq!(finish.conversation.unwrap().agent_session_id, "s-1");
    let mut lines = texts(&run);
    lines.sort();
    assert_eq!(lines, ["bad", "plain"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_fails_active_runs_and_salvages_them() {
    let Fixture {
        server,
        dir,
        runner,
    } = fixture().await;
    let id = server.submit(with_artifact(
        shell("echo x > file; echo up; sleep 100"),
        None,
    ));
    server.wait(id, |run| !texts(run).is_empty()).await;
    runner.stop(Duration::ZERO).await;
    let finish = server.run(id).unwrap().finish.unwrap();
    assert_eq!(
        (finish.status, finish.error.as_deref()),
        (RunStatus::Failed, Some("[run] the runner was stopped"))
    );
    assert!(finish.artifact.is_some());
    assert!(
        std::fs::read_dir(dir.path().join("runs"))
            .unwrap()
            .next()
            .is_none()
    );
}

/// Where a runner is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Prepare,
    Boot,
    Run,
    Checkpoint,
    Finish,
}

impl Moment {
    /// What keeps the runner at this moment.
    const fn held_request(self) -> Option<&'static str> {
        match self {
            Self::Prepare => Some("/histories/"),
            Self::Checkpoint => Some("/packs/"),
            Self::Finish => Some("/finish"),
            Self::Boot | Self::Run => None,
        }
    }
}

async fn reach(moment: Moment, server: &TestServer, id: RunId, state_dir: &Path) {
    // Boot makes this directory before anything else; what the log says of it arrives too late.
    let sandbox = state_dir
        .join("runs")
        .join(format!("{id}-1"))
        .join("sandbox");
    match moment {
        Moment::Boot => drop(server.wait(id, |_| sandbox.exists()).await),
        Moment::Run => drop(server.wait(id, |run| texts(run).len() == 2).await),
        Moment::Prepare | Moment::Checkpoint | Moment::Finish => {
            server.wait(id, |_| server.lock().held > 0).await;
        }
    }
}

async fn survives(moment: Moment) {
    vm0_egress::install_crypto_provider();
    let server = TestServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mortal = Mortal::start(&server, dir.path()).await;
    // Nothing holds the runner in its boot, so the agent must outlive the moment.
    let tail = match moment {
        Moment::Boot | Moment::Run => "sleep 100",
        Moment::Prepare | Moment::Checkpoint | Moment::Finish => "true",
    };
    let mut spec = with_artifact(
        shell(&format!("echo x > file; echo 1; echo 2; {tail}")),
        None,
    );
    if matches!(moment, Moment::Prepare) {
        spec.conversation = Some(vm0_model::wire::runner::Conversation {
            framework: "shell".into(),
            agent_session_id: "s".into(),
            history: Some(vm0_model::HistoryId::from_digest([2; 32])),
            working_dir: "/home/user/workspace".into(),
            token_total: None,
        });
    }
    server.lock().hold = moment.held_request();
    let id = server.submit(spec);
    reach(moment, &server, id, dir.path()).await;
    mortal.kill().await;
    let before = server.run(id).unwrap();
    server.lock().hold = None;

    let runner = start_runner(&server, dir.path()).await;
    let run = server.wait(id, is_finished).await;
    let finish = run.finish.clone().unwrap();
    assert_eq!(finish.status, RunStatus::Failed, "{moment:?}");
    assert_eq!(
        finish.error.as_deref(),
        Some("[run] the runner was stopped"),
        "{moment:?}"
    );
    assert_eq!(
        &run.events[..before.events.len()],
        &before.events[..],
        "{moment:?}"
    );
    if matches!(moment, Moment::Run | Moment::Checkpoint | Moment::Finish) {
        assert_eq!(texts(&run), ["1", "2"], "{moment:?}");
        let saved = finish.artifact.expect("its files are kept").manifest_id;
        assert_eq!(files(&server, saved), ["file:2"], "{moment:?}");
    }
    Fixture {
        server,
        dir,
        runner,
    }
    .assert_nothing_left()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_prepare_leaves_nothing() {
    survives(Moment::Prepare).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_boot_leaves_nothing() {
    survives(Moment::Boot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_run_loses_neither_events_nor_files() {
    survives(Moment::Run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_checkpoint_loses_neither_events_nor_files() {
    survives(Moment::Checkpoint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_finish_loses_neither_events_nor_files() {
    survives(Moment::Finish).await;
}
