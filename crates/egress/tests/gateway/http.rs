//! Requests that the gateway reads.

use crate::support::{Scripted, allow, allowing, bench, mirror, read_head, server};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_model::event::LogLevel;
use vm0_model::network::{NetworkMode, RuleAction};

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn an_absolute_form_request_arrives_in_origin_form_without_hop_headers() {
    let port = mirror().await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    let url = format!("http://A.example:{port}/x/../y?q=1");
    client
        .send(format!(
            "GET {url} HTTP/1.1\r\nHost: a.EXAMPLE:{port}\r\nProxy-Connection: keep-alive\r\n\
             Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        ))
        .await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("keep-alive"), "{head}");
    assert!(seen.starts_with("GET /x/../y?q=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("a.example:{port}\r\n")), "{seen}");
    assert!(seen.contains("X-Kept: 2"), "{seen}");
    for gone in ["X-Hop", "roxy", "onnection"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }

    let entry = bench.entry().await;
    assert_eq!(entry.level, LogLevel::Info);
    assert!(
        entry.message.starts_with(&format!("GET {url} - 200 (")),
        "{}",
        entry.message
    );
    let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
    assert_eq!(metadata["rule"], "rule 1");
    assert_eq!(metadata["status"], 200);
    assert_eq!(metadata["responseSize"], seen.len());
    assert_eq!(metadata["secrets"], Value::Array(vec![]));
    let counters = bench.gateway.counters();
    assert_eq!(counters.rx_bytes, answer.len() as u64);
    assert!(counters.tx_bytes > url.len() as u64);
}

#[tokio::test]
async fn one_connection_carries_requests_to_two_hosts_and_each_is_decided() {
    let port = mirror().await;
    let mut bench = allowing(&["a.example", "b.example"]);
    let mut client = bench.connect();
    for (host, status) in [
        ("a.example", 200),
        ("evil.example", 403),
        ("b.example", 200),
    ] {
        client
            .send(format!(
                "GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            ))
            .await;
        let head = client.until("\r\n\r\n").await.to_lowercase();
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{host}: {head}"
        );
        let length = head
            .split_once("content-length: ")
            .unwrap()
            .1
            .split_once('\r')
            .unwrap()
            .0;
        let body = String::from_utf8(client.exactly(length.parse().unwrap()).await).unwrap();
        assert_eq!(
            status == 200,
            body.contains(host) && body.starts_with("GET / "),
            "{body}"
        );
    }
    assert!(bench.line().await.contains("a.example"));
    let denied = bench.entry().await;
    assert_eq!(denied.level, LogLevel::Warn);
    assert!(denied.message.contains("evil.example") && denied.message.contains(" - 403 ("));
    assert!(bench.line().await.contains("b.example"));
    assert_eq!(
        *bench.resolver.asked.lock().unwrap(),
        ["a.example", "b.example"]
    );
}

#[tokio::test]
async fn a_denied_request_is_told_so() {
    let bench = allowing(&[]);
    let mut client = bench.connect();
    client
        .send("GET http://x.example/ HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n")
        .await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("x-vm0-network: denied\r\n"),
        "{answer}"
    );
    let error: Value = serde_json::from_str(body_of(&answer)).unwrap();
    assert_eq!(error["error"]["type"], "network_policy");
}

#[tokio::test]
async fn a_host_header_that_names_another_host_is_refused() {
    let port = mirror().await;
    let mut bench = allowing(&["a.example", "b.example"]);
    for host in [
        format!("b.example:{port}"),
        "a.example".to_owned(),
        format!("a.example:{port}\r\nHost: b.example"),
    ] {
        let mut client = bench.connect();
        client
            .send(format!(
                "GET http://a.example:{port}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(client.rest().await.starts_with(b"HTTP/1.1 403 "), "{host}");
        assert!(bench.line().await.contains(" - 403 ("));
    }
}

#[tokio::test]
async fn methods_and_paths_decide_requests_in_and_outside_of_tunnels() {
    let port = mirror().await;
    let mut reads = allow("a.example");
    reads.methods = vec!["GET".to_owned()];
    reads.paths = vec!["/open/**".to_owned()];
    let resolver = Scripted::new(&[("a.example", &["127.0.0.1"])]);
    let mut bench = bench(NetworkMode::Allowlist, vec![reads], resolver);
    for (method, path, status) in [
        ("GET", "/open/x", "200"),
        ("GET", "/open/%2e%2e/x", "403"),
        ("DELETE", "/open/x", "403"),
    ] {
        let headers = format!("HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: close\r\n\r\n");
        let mut direct = bench.connect();
        direct
            .send(format!("{method} http://a.example:{port}{path} {headers}"))
            .await;
        assert_eq!(&direct.rest().await[9..12], status.as_bytes());
        let mut tunnelled = bench.connect();
        assert!(
            tunnelled
                .connect(&format!("a.example:{port}"))
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        tunnelled.send(format!("{method} {path} {headers}")).await;
        assert_eq!(&tunnelled.rest().await[9..12], status.as_bytes());
        for _ in 0..2 {
            let line = bench.line().await;
            assert!(
                line.starts_with(&format!(
                    "{method} http://a.example:{port}{path} - {status} ("
                )),
                "{line}"
            );
        }
    }
    let mut opaque = bench.connect();
    assert_eq!(opaque.socks("a.example", port).await, 0);
    opaque.send("\x01not http").await;
    assert_eq!(opaque.rest().await, b"");
    assert_eq!(
        bench.line().await,
        format!("TCP DENY a.example:{port} rule 1")
    );
}

#[tokio::test]
async fn denied_requests_never_reach_a_server() {
    let port = server(|_| async { panic!("a denied connection was made") }).await;
    let mut denied = allow("a.example");
    denied.action = RuleAction::Deny;
    let resolver = Scripted::new(&[("a.example", &["127.0.0.1"]), ("b.example", &["127.0.0.1"])]);
    let mut bench = bench(NetworkMode::Public, vec![denied], resolver);
    for host in [
        "a.example",
        "b.example",
        "127.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        let mut client = bench.connect();
        client
            .send(format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"))
            .await;
        assert!(client.rest().await.starts_with(b"HTTP/1.1 403 "), "{host}");
        assert!(bench.line().await.contains(" - 403 ("));
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_unbuffered() {
    let port = server(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0; 1];
        while stream.read_exact(&mut byte).await.is_ok() {
            if byte[0].is_ascii_lowercase() {
                stream.write_all(&byte).await.unwrap();
            }
        }
    })
    .await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    client
        .send(format!("POST http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\nTransfer-Encoding: chunked\r\n\r\n"))
        .await;
    client.until("\r\n\r\n").await;
    for letter in ["x", "y", "z"] {
        client.send(format!("1\r\n{letter}\r\n")).await;
        client.until(&format!("{letter}\r\n")).await;
    }
    drop(client);
    assert!(bench.line().await.contains(" - 200 ("));
}

#[tokio::test]
async fn a_websocket_passes_and_other_upgrades_do_not() {
    let port = server(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        if !head.contains("upgrade: websocket") || !head.contains("connection: upgrade") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain").await.unwrap();
            return;
        }
        let switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi";
        stream.write_all(switching).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let _copied = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let mut bench = allowing(&["a.example"]);
    let upgrade = |protocol: &str| {
        format!(
            "GET http://a.example:{port}/ws HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        )
    };
    let mut client = bench.connect();
    client.send(upgrade("websocket")).await;
    let head = client.until("\r\n\r\n").await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket"),
        "{head}"
    );
    assert_eq!(client.exactly(2).await, b"hi");
    client.send("\x00frame\x7f").await;
    assert_eq!(client.exactly(7).await, b"\x00frame\x7f");
    drop(client);
    assert!(bench.line().await.contains(" - 101 ("));

    let mut client = bench.connect();
    client.send(upgrade("h2c")).await;
    assert!(client.until("plain").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_server_that_is_not_there_or_breaks_off_is_a_bad_gateway() {
    let port = server(|stream| async move { drop(stream) }).await;
    let mut bench = allowing(&["a.example"]);
    for port in [port, 1] {
        let mut client = bench.connect();
        client
            .send(format!("GET http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: close\r\n\r\n"))
            .await;
        assert!(client.rest().await.starts_with(b"HTTP/1.1 502 "));
        let entry = bench.entry().await;
        assert_eq!(entry.level, LogLevel::Error);
        assert!(entry.message.contains(" - 502 ("), "{}", entry.message);
    }
}

#[tokio::test]
async fn garbage_and_endless_heads_end_the_connection() {
    let bench = allowing(&["a.example"]);
    for sent in [
        "\0\0\0garbage\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET https://a.example/ HTTP/1.1\r\n\r\n",
    ] {
        let mut client = bench.connect();
        client.send(sent).await;
        client.stream.shutdown().await.unwrap();
        let answer = client.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{sent:?}"
        );
        client.served.await.unwrap();
    }
    let mut client = bench.connect();
    let endless = format!(
        "GET http://a.example/ HTTP/1.1\r\nX: {}",
        "x".repeat(200_000)
    );
    let _refused = client.stream.write_all(endless.as_bytes()).await;
    let answer = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 431 ") || answer.starts_with(b"HTTP/1.1 400 "));
}
