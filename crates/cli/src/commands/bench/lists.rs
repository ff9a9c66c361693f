//! Pages of lists of few and of many runs, which should take the same time.

use serde_json::Value;
use vm0_server::{RunFill, run_fill};

use super::api::{AGENT, define_agent};
use super::figure::{Figure, Target};
use super::load::{Connection, Until, drive};
use super::private_server::{PrivateServer, USER};
use super::quantiles::Quantiles;
use crate::context::Context;
use crate::error::Failure;

const OTHER_AGENT: &str = "bench-other";
const FEW: u32 = 1000;
const PAGES: usize = 4000;
const CONNECTIONS: usize = 1;
const TURNS: usize = 8;
/// Pages that are read before those of a turn.
const WARM_PAGES: usize = 50;
const RATIO: Target = Target::AtMost(1.3);

/// A list with a filter, and its path.
type List = (&'static str, String);

/// Measures the pages of a server with `FEW` runs and of one with `rows`, in turns, because a
/// machine's speed drifts.
pub(super) async fn measure(context: &Context, rows: u32) -> Result<Vec<Figure>, Failure> {
    let few = filled(context, FEW).await?;
    let many = filled(context, rows).await?;
    let mut figures = Vec::new();
    for (of_few, of_many) in lists(&few).await?.into_iter().zip(lists(&many).await?) {
        let (what, few_path) = of_few;
        let (_, many_path) = of_many;
        context.output.note(&format!("Measuring {what}"));
        let (mut few_ms, mut many_ms) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            few_ms.extend(pages(&few, &few_path).await?);
            many_ms.extend(pages(&many, &many_path).await?);
        }
        let (few_p99, many_p99) = (Quantiles::of(few_ms).p99, Quantiles::of(many_ms).p99);
        figures.push(Figure::new(format!("{what}: p99 of {FEW}"), few_p99, "ms"));
        figures.push(Figure::new(
            format!("{what}: p99 of {rows}"),
            many_p99,
            "ms",
        ));
        let ratio = many_p99 / few_p99;
        figures.push(Figure::new(format!("{what}: ratio"), ratio, "×").with(RATIO));
    }
    few.stop().await?;
    many.stop().await?;
    Ok(figures)
}

/// A server whose user has so many runs.
async fn filled(context: &Context, runs: u32) -> Result<PrivateServer, Failure> {
    let server = PrivateServer::without_runner(None).await?;
    for agent in [AGENT, OTHER_AGENT] {
        define_agent(&server, agent).await?;
    }
    context.output.note(&format!("Making {runs} runs"));
    let fill = RunFill {
        user: USER.to_owned(),
        agents: vec![AGENT.to_owned(), OTHER_AGENT.to_owned()],
        runs,
    };
    let filled = run_fill(&server.data_dir(), fill).await;
    filled.map_err(|error| Failure::of("run_fill", &error))?;
    Ok(server)
}

/// Times of the pages of one turn.
async fn pages(server: &PrivateServer, path: &str) -> Result<Vec<f64>, Failure> {
    let request = server.get(path, "application/json");
    let warm = Until::Answers(WARM_PAGES);
    drive(server, &request, 200, CONNECTIONS, warm).await?;
    let measured = Until::Answers(PAGES / TURNS);
    let pace = drive(server, &request, 200, CONNECTIONS, measured).await?;
    Ok(pace.times_ms)
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
