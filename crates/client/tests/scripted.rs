//! The client against a scripted HTTP server: errors by class, repeated calls, resumed streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vm0_client::{Client, ClientError, PageQuery, RunEventBody, RunnerClient};
use vm0_model::id::RunId;
use vm0_model::wire::runner::{ClaimRequest, RenewRequest};
use vm0_model::{Epoch, StorageKind};

const RUN: &str = "019bc134-7840-7cba-a551-2100f80b56fc";
const TIME: &str = "2026-01-15T10:30:00.000Z";

/// Answers the requests of its connections, one connection per request, with the given texts; the
/// last one again and again. Keeps the heads of the requests.
struct Scripted {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(answers: Vec<String>) -> Self {
        vm0_egress::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the script runs");
        let url = format!("http://{}", listener.local_addr().expect("the script runs"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, next) = (Arc::clone(&requests), AtomicUsize::new(0));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("the script runs");
                let index = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                answer(stream, &answers[index], &seen).await;
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> Client {
        Client::new(
            self.url.parse().expect("the script runs"),
            "vm0_live_test".to_owned().into(),
        )
        .expect("the script runs")
    }

    fn runner(&self) -> RunnerClient {
        RunnerClient::new(
            self.url.parse().expect("the script runs"),
            "vm0_runner_test".to_owned().into(),
        )
        .expect("the script runs")
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the script runs").clone()
    }
}

async fn answer(mut stream: TcpStream, answer: &str, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    seen.lock()
        .expect("the script runs")
        .push(String::from_utf8(head).expect("the script runs"));
    stream
        .write_all(answer.as_bytes())
        .await
        .expect("the script runs");
    // What is left of the request is read, so that closing does not cut the answer off.
    let _ = stream.shutdown().await;
    let drained = tokio::time::timeout(Duration::from_millis(200), async {
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    });
    let _ = drained.await;
}

fn json(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

fn stream(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{events}"
    )
}

fn output(sequence: u64) -> String {
    format!(
        "id: {sequence}\nevent: output\ndata: {{\"sequence\":{sequence},\"type\":\"message\",\
         \"data\":{{\"n\":{sequence}}},\"timestamp\":\"{TIME}\"}}\n\n"
    )
}

const EMPTY_PAGE: &str = r#"{"data":[],"pagination":{"has_more":false,"next_cursor":null}}"#;

fn run() -> RunId {
    RUN.parse().expect("the script runs")
}

#[tokio::test]
async fn a_broken_stream_is_resumed_after_the_last_output_without_a_repeat() {
    let complete =
        "event: complete\ndata: {\"status\":\"completed\",\"output\":null,\"error\":null}\n\n";
    let server = Scripted::start(vec![
        stream(&format!(
            "{}{}event: output\ndata: {{\"seq",
            output(1),
            output(2)
        )),
        json("503 Service Unavailable", "{}"),
        stream(&format!("{}{}", output(2), output(3))),
        stream(&format!("{}{complete}", output(4))),
    ])
    .await;
    let mut follow = server.client().run_follow(run(), 0);
    let mut seen = Vec::new();
    while let Some(event) = follow.next().await.unwrap() {
        match event.body {
            RunEventBody::Output(output) => seen.push(output.sequence),
            RunEventBody::Complete(_) => seen.push(0),
            _ => {}
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 0]);
    let requests = server.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|head| head.lines().next().unwrap())
        .collect();
    let path = format!("GET /v1/runs/{RUN}/events");
    assert_eq!(
        asked,
        [
            format!("{path} HTTP/1.1"),
            format!("{path}?last_event_id=2 HTTP/1.1"),
            format!("{path}?last_event_id=2 HTTP/1.1"),
            format!("{path}?last_event_id=3 HTTP/1.1"),
        ]
    );
}

#[tokio::test]
async fn a_run_that_vanishes_ends_the_stream_with_an_error() {
    let gone = "event: error\ndata: {\"message\":\"Run not found\",\"code\":\"run_not_found\"}\n\n";
    let server = Scripted::start(vec![stream(gone)]).await;
    let error = server
        .client()
        .run_follow(run(), 0)
        .next()
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
}

#[tokio::test]
async fn a_get_is_tried_again_while_the_server_is_out_of_reach() {
    let server = Scripted::start(vec![
        json("502 Bad Gateway", "oops"),
        json("200 OK", EMPTY_PAGE),
    ])
    .await;
    let started = Instant::now();
    let page = server
        .client()
        .agent_list(None, &PageQuery::default())
        .await
        .unwrap();
    assert!(page.data.is_empty());
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_error_of_the_api_keeps_its_code_and_is_not_repeated() {
    let body = r#"{"error":{"type":"not_found_error","code":"resource_not_found","message":"No such run: 'x'"}}"#;
    let server = Scripted::start(vec![json("404 Not Found", body)]).await;
    let error = server.client().run_view(run()).await.unwrap_err();
    assert_eq!(
        (error.status(), error.code()),
        (Some(404), Some("resource_not_found"))
    );
    assert_eq!(error.to_string(), "No such run: 'x'");
    assert!(!error.is_transient());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0]
            .to_lowercase()
            .contains("authorization: bearer vm0_live_test")
    );
}

#[tokio::test]
async fn a_stale_epoch_is_recognised() {
    let body = r#"{"error":{"type":"conflict_error","code":"stale_epoch","message":"stale"}}"#;
    let server = Scripted::start(vec![json("409 Conflict", body)]).await;
    let request = RenewRequest { epoch: Epoch(1) };
    let error = server.runner().renew(run(), &request).await.unwrap_err();
    assert!(error.is_stale_epoch());
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_claim_without_a_run_gives_none_and_nothing_is_repeated_for_a_runner() {
    let none = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned();
    let server = Scripted::start(vec![none, json("503 Service Unavailable", "{}")]).await;
    let request = ClaimRequest {
        runner: "r".into(),
        sandbox: "fake".into(),
    };
    assert!(server.runner().claim(&request).await.unwrap().is_none());
    let error = server.runner().claim(&request).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    vm0_egress::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(url.parse().unwrap(), "t".to_owned().into()).unwrap();
    let error = client.run_cancel(run()).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn what_is_deleted_is_asked_for_once() {
    let empty = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned();
    let gone = json(
        "404 Not Found",
        r#"{"error":{"type":"not_found_error","code":"resource_not_found","message":"gone"}}"#,
    );
    let server = Scripted::start(vec![empty.clone(), empty, gone]).await;
    let client = server.client();
    let agent = RUN.parse().expect("an id");
    client.agent_delete(agent).await.expect("it is deleted");
    let volume = RUN.parse().expect("an id");
    client
        .storage_delete(StorageKind::Volume, volume)
        .await
        .expect("it is deleted");
    let error = client.storage_delete(StorageKind::Artifact, volume).await;
    assert!(
        matches!(error, Err(ClientError::Api { status: 404, .. })),
        "{error:?}"
    );
    let lines: Vec<_> = server
        .requests()
        .iter()
        .map(|head| head.lines().next().unwrap_or_default().to_owned())
        .collect();
    let expected =
        ["agents", "volumes", "artifacts"].map(|kind| format!("DELETE /v1/{kind}/{RUN} HTTP/1.1"));
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn sessions_and_checkpoints_are_read_by_their_ids() {
    let session = format!(
        r#"{{"id":"{RUN}","agent_id":"{RUN}","agent_name":"a","artifact_name":null,"last_run_id":"{RUN}","last_checkpoint_id":"{RUN}","active_run_id":null,"created_at":"{TIME}","updated_at":"{TIME}"}}"#
    );
    let version = "0".repeat(64);
    let checkpoint = format!(
        r#"{{"id":"{RUN}","run_id":"{RUN}","session_id":"{RUN}","agent_id":"{RUN}","agent_name":"a","agent_version":"{version}","variables":{{"A":"1"}},"secret_names":["B"],"artifact_name":"out","artifact_version":"{version}","volumes":{{"data":"{version}"}},"created_at":"{TIME}"}}"#
    );
    let server = Scripted::start(vec![
        json("200 OK", &session),
        json("200 OK", &checkpoint),
        json("200 OK", EMPTY_PAGE),
    ])
    .await;
    let client = server.client();
    let id = RUN.parse().expect("an id");
    let session = client.session_view(id).await.expect("a session");
    let found = client
        .checkpoint_view(session.last_checkpoint_id)
        .await
        .expect("a checkpoint");
    assert_eq!(found.secret_names, ["B"]);
    client
        .session_list(Some(session.agent_id), &PageQuery::default())
        .await
        .expect("a page");
    let last = server.requests().pop().unwrap_or_default();
    let expected = format!("GET /v1/sessions?agent_id={RUN} HTTP/1.1");
    assert!(last.starts_with(&expected), "{last}");
}
