//! The gateway beside a direct connection, beside mitmproxy, and beside the bare channel of a
//! sandbox, all in the same run: `cargo bench -p vm0-testkit --bench egress`.
//!
//! Server and clients live in this process, the gateway in one of its own, as mitmproxy does.
//! mitmproxy is found by `VM0_MITMDUMP` (a path) or on `PATH`; without it, its row says so.

mod client;
mod gateway;
mod mitmproxy;
mod quantile;
mod report;
mod sandbox;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use client::Way;
use gateway::GatewayProcess;
use report::{Bound, Report};

const REQUESTS: usize = 3000;
const STREAMS: usize = 300;
const CLIENTS: usize = 32;
const LOAD: Duration = Duration::from_secs(5);
const OPEN_CONNECTIONS: usize = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match args
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["gateway", port, authority] => {
            runtime.block_on(gateway::serve(port, authority));
            ExitCode::SUCCESS
        }
        ["server"] => {
            runtime.block_on(server::serve());
            ExitCode::SUCCESS
        }
        _ => runtime.block_on(measure()),
    }
}

async fn measure() -> ExitCode {
    let server = server::Server::start().await;
    let gateway = GatewayProcess::start(&server);
    let mut report = Report::default();
    latency(&mut report, &server, &gateway).await;
    first_event(&mut report, &server, &gateway).await;
    rate(&mut report, &server, &gateway).await;
    memory(&mut report, &server).await;
    sandbox::throughput(&mut report, &server).await;
    report.finish()
}

async fn latency(report: &mut Report, server: &server::Server, gateway: &GatewayProcess) {
    let mut ways = [
        Way::direct(server),
        gateway.passing(server),
        gateway.intercepting(server),
    ];
    let mut times = [const { Vec::new() }; 3];
    // In turns, so that what disturbs the machine disturbs all.
    for round in 0..3 {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            let mut connection = way.connect().await;
            for n in 0..REQUESTS / 3 {
                let started = Instant::now();
                connection.get("/").await;
                if round > 0 || n > 50 {
                    times.push(started.elapsed());
                }
            }
        }
    }
    let [direct, passed, intercepted] = times.map(quantile::p50);
    report.note(&format!(
        "request over a kept connection, direct: {direct:.3?} p50"
    ));
    let added = |time: Duration| time.saturating_sub(direct).as_secs_f64() * 1e3;
    report.row(
        "added latency, passed through",
        added(passed),
        "ms p50",
        Bound::AtMost(0.3),
    );
    report.row(
        "added latency, intercepted",
        added(intercepted),
        "ms p50",
        Bound::AtMost(1.0),
    );
}

async fn first_event(report: &mut Report, server: &server::Server, gateway: &GatewayProcess) {
    let mut medians = Vec::new();
    for way in [Way::direct(server), gateway.intercepting(server)] {
        let mut connection = way.connect().await;
        let mut times = Vec::new();
        for _ in 0..STREAMS {
            times.push(connection.first_byte("/event").await);
            connection = way.connect().await;
        }
        medians.push(quantile::p50(times));
    }
    let added = medians[1].saturating_sub(medians[0]).as_secs_f64() * 1e3;
    report.row(
        "first byte of an event stream, later than direct by",
        added,
        "ms p50",
        Bound::AtMost(2.0),
    );
}

async fn rate(report: &mut Report, server: &server::Server, gateway: &GatewayProcess) {
    let ours = client::rate(&gateway.intercepting(server), CLIENTS, LOAD).await;
    assert!(server.injected() > 0, "no secret was put in");
    report.note(&format!(
        "intercepted, with injection: {ours:.0} requests/s"
    ));
    match mitmproxy::start(server).await {
        None => report.note("mitmproxy: not found, not measured (set VM0_MITMDUMP)"),
        Some(rival) => {
            let theirs = client::rate(&rival.way(server), CLIENTS, LOAD).await;
            report.note(&format!(
                "mitmproxy, with injection: {theirs:.0} requests/s"
            ));
            report.row(
                "requests a second, ours / mitmproxy's",
                ours / theirs,
                "×",
                Bound::AtLeast(10.0),
            );
        }
    }
}

async fn memory(report: &mut Report, server: &server::Server) {
    let gateway = GatewayProcess::start(server);
    let way = gateway.intercepting(server);
    way.connect().await.get("/").await;
    let before = gateway.resident_bytes();
    let mut open = Vec::new();
    for _ in 0..OPEN_CONNECTIONS {
        let mut connection = way.connect().await;
        connection.get("/").await;
        open.push(connection);
    }
    let used = gateway.resident_bytes().saturating_sub(before);
    let mib = used as f64 / f64::from(1 << 20);
    report.row(
        "memory with 100 open connections, intercepted",
        mib,
        "MiB",
        Bound::AtMost(16.0),
    );
    drop(open);
}
