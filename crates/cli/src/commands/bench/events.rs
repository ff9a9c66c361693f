//! `vm0 bench events`: many watchers of one run that says much.
//!
//! The bench is the runner of the run. An event is sent when its time has come, not when the one
//! before it was answered, and its way is measured from before it is sent to the moment a watcher
//! has it: so the store's commit is part of it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use vm0_client::RunnerClient;
use vm0_model::event::NewEvent;
use vm0_model::wire::runner::{ClaimRequest, EventBatch};
use vm0_model::wire::runs::RunCreate;
use vm0_model::{Epoch, RunId};

use super::figure::{Figure, Target, print};
use super::private_server::PrivateServer;
use super::quantiles::Quantiles;
use super::runs::define;
use super::watcher::{Seen, Watcher};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::units;

const AGENT: &str = "bench-busy";
const EVENTS_PER_SECOND: u32 = 100;
/// The watchers have their first event before the measurement.
const SETTLE: Duration = Duration::from_millis(500);

const WAY_MS: Target = Target::AtMost(100.0);
const WATCHER_KIBIBYTES: Target = Target::AtMost(64.0);
const NONE: Target = Target::AtMost(0.0);

/// Options of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Clients that follow the run
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=8000))]
    watchers: u32,
    /// How long the run emits 100 events a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// When each event was sent.
pub(super) type Sent = Arc<Vec<OnceLock<Instant>>>;

/// Does it.
pub(super) async fn execute(context: &Context, args: EventsArgs) -> CommandResult {
    raise_file_limit()?;
    let server = PrivateServer::without_runner(None).await?;
    let client = server.client()?;
    let agent = json!({ "framework": "shell", "network": { "mode": "none" } });
    define(&client, AGENT, agent, json!({})).await?;
    let body = RunCreate {
        prompt: "true".to_owned(),
        agent: Some(AGENT.to_owned()),
        ..RunCreate::default()
    };
    let key = uuid::Uuid::new_v4().to_string();
    let run = client.run_create(&body, &key).await?.run.id;
    let runner = server.runner_client().await?;
    let epoch = claim(&runner).await?;
    let before = server.resident_bytes()?;
    let count = args.seconds * EVENTS_PER_SECOND;
    let sent: Sent = Arc::new((0..count).map(|_| OnceLock::new()).collect());
    let mut watchers = Vec::new();
    for _ in 0..args.watchers {
        let request = server.get(&format!("/v1/runs/{run}/events"), "text/event-stream");
        let watcher = Watcher::open(server.address(), &request).await?;
        watchers.push(tokio::spawn(watcher.watch(Arc::clone(&sent))));
    }
    tokio::time::sleep(SETTLE).await;
    context
        .output
        .note(&format!("{} watchers, {} s", args.watchers, args.seconds));
    emit(&runner, run, epoch, &sent).await?;
    let during = server.resident_bytes()?;
    let mut seen = Vec::new();
    for watcher in watchers {
        seen.push(watcher.await.expect("a watcher does not panic")?);
    }
    server.stop().await?;
    let exact = seen.iter().all(Seen::is_exact);
    print(
        &context.output,
        &figures(&seen, during.saturating_sub(before)),
    )?;
    Ok(if exact { Exit::Done } else { Exit::Failed })
}

/// A connection is a file, here and in the server, which inherits the limit.
fn raise_file_limit() -> std::io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

async fn claim(runner: &RunnerClient) -> Result<Epoch, Failure> {
    let request = ClaimRequest {
        runner: "bench".to_owned(),
        sandbox: "none".to_owned(),
    };
    let claim = runner.claim(&request).await?;
    let message = "The server gave no run to its runner";
    let claim = claim.ok_or_else(|| Failure::new(Exit::Failed, "bench_claim", message))?;
    Ok(claim.lease.epoch)
}

/// Sends each event at its time; what became due during a request goes with the next one.
async fn emit(runner: &RunnerClient, run: RunId, epoch: Epoch, sent: &Sent) -> Result<(), Failure> {
    let period = Duration::from_secs(1) / EVENTS_PER_SECOND;
    let started = Instant::now();
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut offset = 0;
    while offset < sent.len() {
        clock.tick().await;
        let due = (started.elapsed().as_nanos() / period.as_nanos()) as usize + 1;
        let due = due.min(sent.len());
        let now = Instant::now();
        for moment in &sent[offset..due] {
            // Each is set once: the ranges do not overlap.
            let _ = moment.set(now);
        }
        let batch = EventBatch {
            epoch,
            offset: offset as u64,
            events: (offset..due).map(event).collect(),
        };
        offset = due;
        runner.events(run, &batch).await?;
    }
    Ok(())
}

fn event(number: usize) -> NewEvent {
    let text = "A line as an agent says it, of about the usual length.";
    NewEvent {
        timestamp: units::now(),
        kind: "output".to_owned(),
        data: json!({ "type": "output", "number": number, "text": text }).to_string(),
    }
}

fn figures(seen: &[Seen], grown_bytes: u64) -> Vec<Figure> {
    let sum = |part: fn(&Seen) -> u64| seen.iter().map(part).sum::<u64>() as f64;
    let way = Quantiles::of(seen.iter().flat_map(|seen| seen.ways_ms.iter().copied()));
    let each = grown_bytes as f64 / 1024.0 / seen.len() as f64;
    vec![
        Figure::new("events received", sum(|seen| seen.ways_ms.len() as u64), ""),
        Figure::new("events lost", sum(|seen| seen.lost), "").with(NONE),
        Figure::new("events repeated", sum(|seen| seen.repeated), "").with(NONE),
        Figure::new("from sending to a watcher: p50", way.p50, "ms"),
        Figure::new("from sending to a watcher: p95", way.p95, "ms"),
        Figure::new("from sending to a watcher: p99", way.p99, "ms").with(WAY_MS),
        Figure::new("server memory for each watcher", each, "KiB").with(WATCHER_KIBIBYTES),
    ]
}
