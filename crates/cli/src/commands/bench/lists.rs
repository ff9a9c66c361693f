//! Pages of lists of few and of many runs, which should take the same time.

use serde_json::Value;
use vm0_server::{RunFill, run_fill};

use super::api::{AGENT, define_agent};
use super::figure::{Figure, Target};
use super::load::{Connection, Until, drive};
use super::private_server::{PrivateServer, USER};
use crate::context::Context;
use crate::error::Failure;

const OTHER_AGENT: &str = "bench-other";
const FEW: u32 = 1000;
const PAGES: usize = 4000;
const CONNECTIONS: usize = 1;
/// Pages that are read before the measurement.
const WARM_PAGES: usize = 200;
const RATIO: Target = Target::AtMost(1.3);

/// A list with a filter, and its path.
type List = (&'static str, String);

/// Measures the pages of `FEW` runs, then those of `rows`.
pub(super) async fn measure(context: &Context, rows: u32) -> Result<Vec<Figure>, Failure> {
    let server = PrivateServer::without_runner(None).await?;
    for agent in [AGENT, OTHER_AGENT] {
        define_agent(&server, agent).await?;
    }
    fill(context, &server, FEW).await?;
    let few = pages(context, &server).await?;
    fill(context, &server, rows - FEW).await?;
    let many = pages(context, &server).await?;
    server.stop().await?;
    let mut figures = Vec::new();
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        figures.push(Figure::new(format!("{what}: p99 of {FEW}"), few, "ms"));
        figures.push(Figure::new(format!("{what}: p99 of {rows}"), many, "ms"));
        figures.push(Figure::new(format!("{what}: ratio"), many / few, "×").with(RATIO));
    }
    Ok(figures)
}

async fn fill(context: &Context, server: &PrivateServer, runs: u32) -> Result<(), Failure> {
    context.output.note(&format!("Making {runs} runs"));
    let fill = RunFill {
        user: USER.to_owned(),
        agents: vec![AGENT.to_owned(), OTHER_AGENT.to_owned()],
        runs,
    };
    let filled = run_fill(&server.data_dir(), fill).await;
    filled.map_err(|error| Failure::of("run_fill", &error))
}

async fn pages(
    context: &Context,
    server: &PrivateServer,
) -> Result<Vec<(&'static str, f64)>, Failure> {
    let mut times = Vec::new();
    for (what, path) in lists(server).await? {
        context.output.note(&format!("Measuring {what}"));
        let request = server.get(&path, "application/json");
        let warm = Until::Answers(WARM_PAGES);
        drive(server, &request, 200, CONNECTIONS, warm).await?;
        let pace = drive(server, &request, 200, CONNECTIONS, Until::Answers(PAGES)).await?;
        times.push((what, pace.times_ms.p99));
    }
    Ok(times)
}

/// Every filter of the list of runs, a page in its middle, and the other lists of the user.
async fn lists(server: &PrivateServer) -> Result<Vec<List>, Failure> {
    let page = read(server, "/v1/runs?limit=100").await?;
    let (first, last) = (&page["data"][0], &page["data"][99]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let agent = text(&first["agent_id"]);
    let since = text(&last["created_at"]);
    let cursor = text(&page["pagination"]["next_cursor"]);
    Ok(vec![
        ("runs", "/v1/runs".to_owned()),
        ("runs after a cursor", format!("/v1/runs?cursor={cursor}")),
        ("runs by status", "/v1/runs?status=cancelled".to_owned()),
        ("runs by agent", format!("/v1/runs?agent_id={agent}")),
        (
            "runs by agent and status",
            format!("/v1/runs?agent_id={agent}&status=pending"),
        ),
        ("runs since a time", format!("/v1/runs?since={since}")),
        (
            "runs by status since a time",
            format!("/v1/runs?status=pending&since={since}"),
        ),
        ("runs of no match", "/v1/runs?status=failed".to_owned()),
        ("agents", "/v1/agents".to_owned()),
        ("volumes", "/v1/volumes".to_owned()),
        ("artifacts", "/v1/artifacts".to_owned()),
    ])
}

async fn read(server: &PrivateServer, path: &str) -> Result<Value, Failure> {
    let request = server.get(path, "application/json");
    let mut connection = Connection::open(server.address()).await?;
    let (_, body) = connection.exchange(&request).await?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}
