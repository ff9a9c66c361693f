//! A policy that changes while connections are open.

use http::Response;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_model::event::LogLevel;
use vm0_model::network::{NetworkMode, NetworkPolicy, NetworkRule};

use crate::support::{allow, allowing, echo, server};
use crate::tls_support::{Internet, describe, http1, request, switching, text, websocket};

fn allowlist(rules: Vec<NetworkRule>) -> NetworkPolicy {
    NetworkPolicy {
        mode: NetworkMode::Allowlist,
        inspect: false,
        rules,
    }
}

#[tokio::test]
async fn connections_that_a_new_policy_forbids_are_cut_and_others_stay() {
    let port = echo().await;
    let mut bench = allowing(&["a.example", "b.example"]);
    let mut clients = Vec::new();
    for name in ["a.example", "b.example"] {
        let mut client = bench.connect();
        assert_eq!(client.socks(name, port).await, 0);
        client.send("hello").await;
        assert_eq!(client.exactly(5).await, b"hello");
        bench.line().await;
        clients.push(client);
    }
    bench
        .gateway
        .set_policy(allowlist(vec![allow("b.example")]));
    let mut cut = clients.remove(0);
    assert_eq!(cut.rest().await, b"");
    let entry = bench.entry().await;
    assert_eq!(entry.message, format!("TCP DENY a.example:{port} rule 1"));
    let metadata = entry.metadata.unwrap();
    assert!(metadata.contains("policy was changed"), "{metadata}");
    assert!(metadata.contains("\"responseSize\":5"), "{metadata}");
    clients[0].send("again").await;
    assert_eq!(clients[0].exactly(5).await, b"again");
    let mut late = bench.connect();
    assert_eq!(late.socks("a.example", port).await, 2);
    bench.gateway.set_policy(NetworkPolicy {
        mode: NetworkMode::None,
        ..allowlist(vec![allow("b.example")])
    });
    assert_eq!(clients[0].rest().await, b"");
}

#[tokio::test]
async fn an_answer_under_way_is_cut_and_an_idle_connection_asks_anew() {
    let endless = server(|mut stream| async move {
        crate::support::read_head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            .await;
        let _closed = stream.read_u8().await;
    })
    .await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    let url = format!("http://a.example:{endless}/");
    client
        .send(format!(
            "GET {url} HTTP/1.1\r\nHost: a.example:{endless}\r\n\r\n"
        ))
        .await;
    client.until("x\r\n").await;
    bench.gateway.set_policy(allowlist(Vec::new()));
    assert_eq!(client.rest().await, b"");
    let entry = bench.entry().await;
    assert_eq!(entry.level, LogLevel::Warn);
    assert!(entry.message.starts_with(&format!("GET {url} - 200 (")));
    assert!(entry.metadata.unwrap().contains("policy was changed"));
}

#[tokio::test]
async fn requests_in_decrypted_tls_follow_the_policy_of_their_moment() {
    let internet = Internet::new();
    let server = internet.server(&["a.example"], &[], describe).await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let answer = sender
        .send_request(request("GET", &authority, "/", ""))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    text(answer).await;
    bench.gateway.set_policy(NetworkPolicy {
        inspect: true,
        ..allowlist(Vec::new())
    });
    let answer = sender
        .send_request(request("GET", &authority, "/", ""))
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    text(answer).await;
    bench.gateway.set_policy(NetworkPolicy {
        inspect: true,
        ..allowlist(vec![allow("a.example")])
    });
    let answer = sender
        .send_request(request("GET", &authority, "/", ""))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_websocket_and_a_passing_tls_connection_are_cut() {
    let internet = Internet::new();
    let upgrade = |mut request: http::Request<hyper::body::Incoming>| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let _closed = stream.read_u8().await;
        });
        switching()
    };
    let server = internet.server(&["a.example"], &[], upgrade).await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let asking = websocket(&authority);
    let answer = sender.send_request(asking).await.unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    bench.gateway.set_policy(allowlist(Vec::new()));
    let mut bytes = Vec::new();
    let _cut = stream.read_to_end(&mut bytes).await;
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn a_policy_that_reads_requests_cuts_what_passes_unread() {
    let internet = Internet::new();
    let waiting = |_| async {
        let (sender, body) = Channel::<bytes::Bytes>::new(1);
        tokio::spawn(async move {
            let mut sender = sender;
            let _sent = sender.send_data("x".into()).await;
            std::future::pending::<()>().await;
        });
        Response::new(body.boxed())
    };
    let server = internet.server(&["a.example"], &[], waiting).await;
    let mut bench = internet.bench(&["a.example"], false, vec![allow("a.example")]);
    let authority = format!("a.example:{}", server.port);
    let mut client = bench.connect();
    client.connect(&authority).await;
    client.send(crate::support::client_hello("a.example")).await;
    assert_eq!(bench.line().await, format!("SNI ALLOW {authority} rule 1"));
    bench.gateway.set_policy(NetworkPolicy {
        inspect: true,
        ..allowlist(vec![allow("a.example")])
    });
    client.rest().await;
    assert_eq!(bench.line().await, format!("SNI DENY {authority} rule 1"));
}
