//! Commands in running runs: who may have one, what goes through, and what is refused.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::Harness;

type Socket = WebSocketStream<TcpStream>;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(
    harness: &Harness,
    token: &str,
    path: &str,
    protocol: &str,
) -> Result<Socket, (u16, Value)> {
    let url = harness.server.url().replace("http://", "ws://");
    let address = url.trim_start_matches("ws://").to_owned();
    let mut request = format!("{url}{path}").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            Err((
                answer.status().as_u16(),
                serde_json::from_slice(body).unwrap_or_default(),
            ))
        }
        Err(error) => panic!("{error}"),
    }
}

async fn client(harness: &Harness, run: &str) -> Socket {
    let path = format!("/v1/runs/{run}/exec");
    connect(harness, &harness.token, &path, "vm0.exec.v1")
        .await
        .unwrap()
}

/// The command that waits, once one does.
async fn waiting(harness: &Harness, run: &str) -> String {
    let known = json!({ "epoch": 1, "execs": [] });
    let answer = harness
        .runner(&format!("/runs/{run}/watch"), known)
        .await
        .json();
    answer["execs"][0].as_str().unwrap().to_owned()
}

async fn runner(
    harness: &Harness,
    run: &str,
    exec: &str,
    epoch: u32,
) -> Result<Socket, (u16, Value)> {
    let path = format!("/api/runner/v1/runs/{run}/execs/{exec}?epoch={epoch}");
    connect(harness, &harness.runner_token, &path, "vm0.exec.v1").await
}

async fn say(socket: &mut Socket, value: Value) {
    socket.send(Message::text(value.to_string())).await.unwrap();
}

/// The next message that is not about the connection.
async fn hear(socket: &mut Socket) -> Message {
    loop {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await;
        match next
            .expect("something is said")
            .expect("the connection is there")
        {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            said => return said.unwrap(),
        }
    }
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    match hear(socket).await {
        Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("{other:?}"),
    }
}

/// A run that runs, and a runner that has it.
async fn running() -> (Harness, String) {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    (harness, run)
}

#[tokio::test]
async fn what_client_and_runner_say_goes_through() {
    let (harness, run) = running().await;
    let mut client = client(&harness, &run).await;
    let start = json!({ "command": ["cat"], "env": { "A": "b" } });
    say(&mut client, start.clone()).await;
    client
        .send(Message::binary(b"typed".to_vec()))
        .await
        .unwrap();
    say(&mut client, json!({ "signal": "INT" })).await;
    say(&mut client, json!({ "stdin": "close" })).await;
    let exec = waiting(&harness, &run).await;
    let mut runner = runner(&harness, &run, &exec, 1).await.unwrap();
    let text =
        |message: Message| -> Value { serde_json::from_str(message.to_text().unwrap()).unwrap() };
    assert_eq!(text(hear(&mut runner).await), start);
    assert_eq!(hear(&mut runner).await, Message::binary(b"typed".to_vec()));
    assert_eq!(text(hear(&mut runner).await), json!({ "signal": "INT" }));
    assert_eq!(text(hear(&mut runner).await), json!({ "stdin": "close" }));
    for piece in [&b"\x01out"[..], b"\x02err"] {
        runner.send(Message::binary(piece.to_vec())).await.unwrap();
        assert_eq!(hear(&mut client).await, Message::binary(piece.to_vec()));
    }
    say(&mut runner, json!({ "exit_code": 130 })).await;
    assert_eq!(text(hear(&mut client).await), json!({ "exit_code": 130 }));
    assert_eq!(closed(&mut client).await.0, 1000);
    assert_eq!(closed(&mut runner).await.0, 1000);
}

#[tokio::test]
async fn only_a_running_run_of_the_caller_takes_commands() {
    let (harness, run) = running().await;
    let path = format!("/v1/runs/{run}/exec");
    let refused = |token: String, path: String, protocol: &'static str| {
        let harness = &harness;
        async move { connect(harness, &token, &path, protocol).await.unwrap_err() }
    };
    let token = harness.token.clone();
    let (status, body) = refused("wrong".into(), path.clone(), "vm0.exec.v1").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    let other = harness.other_token.clone();
    assert_eq!(refused(other, path.clone(), "vm0.exec.v1").await.0, 404);
    let unknown = "/v1/runs/019bc134-7840-7cba-a551-2100f80b56fc/exec".to_owned();
    assert_eq!(refused(token.clone(), unknown, "vm0.exec.v1").await.0, 404);
    let (status, body) = refused(token.clone(), path.clone(), "vm0.exec.v2").await;
    assert_eq!(
        (status, &body["error"]["param"]),
        (400, &json!("Sec-WebSocket-Protocol"))
    );
    let plain = harness.get(&path).await;
    plain.error(400, "invalid_parameter", Some("Upgrade"));
    let pending = harness.run().await;
    let path_of_pending = format!("/v1/runs/{pending}/exec");
    let answer = harness.get(&path_of_pending).await;
    assert_eq!(
        answer.error(400, "invalid_state", None),
        "Run is not running: current status is 'pending'"
    );
    assert_eq!(harness.complete(&run).await.status, 200);
    let (status, body) = refused(token, path, "vm0.exec.v1").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("invalid_state"))
    );
}

#[tokio::test]
async fn a_client_that_says_what_it_may_not_is_closed_with_the_reason() {
    let (harness, run) = running().await;
    let start = || Message::text(r#"{"command":["cat"]}"#);
    let many = "x".repeat(300 << 10);
    for (said, code, reason) in [
        (
            vec![Message::text("cat")],
            1008,
            "not a message of vm0.exec.v1",
        ),
        (
            vec![Message::binary(b"cat".to_vec())],
            1008,
            "says what to start",
        ),
        (
            vec![Message::text(r#"{"command":[]}"#)],
            1008,
            "names no program",
        ),
        (vec![start(), start()], 1008, "not a message of vm0.exec.v1"),
        (
            vec![start(), Message::text(r#"{"signal":"SEGV"}"#)],
            1008,
            "unknown variant",
        ),
        (vec![Message::text(many.clone())], 1009, "too long"),
        (vec![start(), Message::text(many)], 1009, "too long"),
    ] {
        let mut client = client(&harness, &run).await;
        for message in said {
            client.send(message).await.unwrap();
        }
        let (closed_with, why) = closed(&mut client).await;
        assert_eq!(closed_with, code, "{why}");
        assert!(why.contains(reason), "{why}");
    }
}

#[tokio::test]
async fn a_run_has_sixteen_places_for_commands() {
    let (harness, run) = running().await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(client(&harness, &run).await);
    }
    let answer = harness.get(&format!("/v1/runs/{run}/exec")).await;
    let message = answer.error(400, "invalid_state", None);
    assert_eq!(message, "Run has 16 commands already");
}

#[tokio::test]
async fn a_command_is_for_the_runner_with_the_lease_alone() {
    let (harness, run) = running().await;
    let mut client = client(&harness, &run).await;
    say(&mut client, json!({ "command": ["true"] })).await;
    let exec = waiting(&harness, &run).await;
    assert_eq!(runner(&harness, &run, &exec, 2).await.unwrap_err().0, 409);
    let unknown = "019bc134-7840-7cba-a551-2100f80b56fc";
    assert_eq!(runner(&harness, &run, unknown, 1).await.unwrap_err().0, 404);
    let _first = runner(&harness, &run, &exec, 1).await.unwrap();
    assert_eq!(runner(&harness, &run, &exec, 1).await.unwrap_err().0, 404);
}

#[tokio::test]
async fn each_end_learns_that_the_other_has_gone() {
    let (harness, run) = running().await;
    let mut first = client(&harness, &run).await;
    say(&mut first, json!({ "command": ["true"] })).await;
    let exec = waiting(&harness, &run).await;
    let lost = runner(&harness, &run, &exec, 1).await.unwrap();
    drop(lost);
    assert_eq!(
        closed(&mut first).await,
        (4002, "the connection to the runner broke".into())
    );
    let mut second = client(&harness, &run).await;
    say(&mut second, json!({ "command": ["true"] })).await;
    let exec = waiting(&harness, &run).await;
    let mut kept = runner(&harness, &run, &exec, 1).await.unwrap();
    hear(&mut kept).await;
    drop(second);
    assert_eq!(closed(&mut kept).await.0, 1000);
}

#[tokio::test]
async fn a_command_ends_with_its_run_and_with_the_server() {
    let (harness, run) = running().await;
    let mut waits = client(&harness, &run).await;
    say(&mut waits, json!({ "command": ["true"] })).await;
    let cancel = format!("/v1/runs/{run}/cancel");
    assert_eq!(harness.post(&cancel, json!({})).await.status, 200);
    assert_eq!(closed(&mut waits).await, (4001, "the run has ended".into()));
    let next = harness.run().await;
    harness.claim().await;
    let mut client = client(&harness, &next).await;
    say(&mut client, json!({ "command": ["true"] })).await;
    waiting(&harness, &next).await;
    harness.server.stop().await;
    assert_eq!(
        closed(&mut client).await,
        (1001, "the server is stopping".into())
    );
}
