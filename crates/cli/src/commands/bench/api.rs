//! `vm0 bench api`: requests a second of a server on one core, and the memory that it keeps.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::cores::Cores;
use super::figure::{Figure, Target, print};
use super::load::{Connection, Pace, Request, Until, drive};
use super::private_server::PrivateServer;
use super::quantiles::Quantiles;
use super::runs::define;
use super::{floor, lists};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// Connections that read at once, and that create at once.
const READERS: usize = 32;
const CREATORS: usize = 64;
const RUNS: usize = 1000;
pub(super) const AGENT: &str = "bench-shell";

const GET_PER_SECOND: Target = Target::AtLeast(10_000.0);
const CREATE_PER_SECOND: Target = Target::AtLeast(500.0);
const IDLE_MEBIBYTES: Target = Target::AtMost(40.0);

/// Options of `api`.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// How long each kind of request is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Compare the pages of lists at 1,000 runs and at so many instead [default if no N is given: 1000000]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000000",
          value_parser = clap::value_parser!(u32).range(2_000..=10_000_000))]
    rows: Option<u32>,
}

/// Does it.
pub(super) async fn execute(context: &Context, args: ApiArgs) -> CommandResult {
    let figures = match args.rows {
        Some(rows) => lists::measure(context, rows).await?,
        None => measure(context, args.seconds).await?,
    };
    print(&context.output, &figures)
}

async fn measure(context: &Context, seconds: u32) -> Result<Vec<Figure>, Failure> {
    let cores = Cores::divide()?;
    if cores.is_none() {
        let warning = "There is one core: server and load share it";
        context.output.warn(warning);
    }
    let server = PrivateServer::without_runner(cores.as_ref()).await?;
    if let Some(cores) = &cores {
        cores.keep_off()?;
    }
    let figures = measure_on(context, &server, seconds).await?;
    server.stop().await?;
    Ok(figures)
}

async fn measure_on(
    context: &Context,
    server: &PrivateServer,
    seconds: u32,
) -> Result<Vec<Figure>, Failure> {
    define_agent(server, AGENT).await?;
    let span = Duration::from_secs(seconds.into());
    let mut figures = vec![memory("server memory after the start", server)?];
    let body = json!({ "agent": AGENT, "prompt": "true" }).to_string();
    let create = server.post("/v1/runs", &body);
    drive(server, &create, 202, CREATORS, Until::Answers(RUNS)).await?;
    figures.push(memory("server memory after 1,000 runs", server)?);
    let health = server.get("/health", "application/json");
    let list = server.get("/v1/runs?limit=20", "application/json");
    let view = format!("/v1/runs/{}", newest(server, &list).await?);
    let view = server.get(&view, "application/json");
    for (what, request, target) in [
        ("GET /health (floor)", &health, None),
        ("GET a run", &view, Some(GET_PER_SECOND)),
        ("GET 20 runs", &list, None),
    ] {
        context.output.note(&format!("Measuring {what}"));
        let pace = drive(server, request, 200, READERS, Until::Elapsed(span)).await?;
        push(&mut figures, what, pace, target);
    }
    context.output.note("Measuring the disk and POST a run");
    let data_dir = server.data_dir();
    let syncs = floor::syncs_per_second(&data_dir, Duration::from_secs(1))?;
    figures.push(Figure::new("fdatasync of 4 KiB (floor)", syncs, "/s"));
    let pace = drive(server, &create, 202, CREATORS, Until::Elapsed(span)).await?;
    let per_sync = pace.per_second / syncs;
    push(
        &mut figures,
        "POST a run, durable",
        pace,
        Some(CREATE_PER_SECOND),
    );
    figures.push(Figure::new("  runs for each floor sync", per_sync, "×"));
    Ok(figures)
}

/// Makes an agent whose runs are only created.
pub(super) async fn define_agent(server: &PrivateServer, name: &str) -> Result<(), Failure> {
    let agent = json!({ "framework": "shell", "network": { "mode": "none" } });
    define(&server.client()?, name, agent, json!({})).await
}

fn memory(what: &str, server: &PrivateServer) -> Result<Figure, Failure> {
    let mebibytes = server.resident_bytes()? as f64 / f64::from(1 << 20);
    Ok(Figure::new(what, mebibytes, "MiB").with(IDLE_MEBIBYTES))
}

fn push(figures: &mut Vec<Figure>, what: &str, pace: Pace, target: Option<Target>) {
    let figure = Figure::new(what, pace.per_second, "/s");
    figures.push(match target {
        Some(target) => figure.with(target),
        None => figure,
    });
    let p99 = Quantiles::of(pace.times_ms).p99;
    figures.push(Figure::new(format!("  {what}: p99"), p99, "ms"));
}

/// The id of the first run of a list.
async fn newest(server: &PrivateServer, list: &Request) -> Result<String, Failure> {
    let (_, body) = Connection::open(server.address())
        .await?
        .exchange(list)
        .await?;
    let page: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = page["data"][0]["id"].as_str().map(str::to_owned);
    let message = "The server lists no run";
    id.ok_or_else(|| Failure::new(Exit::Failed, "bench_answer", message))
}
