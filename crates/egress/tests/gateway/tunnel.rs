//! Connections whose bytes pass through.

use crate::support::{
    Scripted, allow, allowing, allowing_with_room, bench, client_hello, echo, mirror, server,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use vm0_model::event::LogLevel;
use vm0_model::network::NetworkMode;

#[tokio::test]
async fn connect_passes_tls_whose_name_agrees() {
    let port = echo().await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    assert!(
        client
            .connect(&format!("a.example:{port}"))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    let hello = client_hello("a.example");
    client.send(&hello).await;
    assert_eq!(client.exactly(hello.len()).await, hello);
    let entry = bench.entry().await;
    assert_eq!(entry.message, format!("SNI ALLOW a.example:{port} rule 1"));
    assert_eq!(entry.level, LogLevel::Info);
    let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
    assert_eq!(
        metadata,
        json!({"mode": "SNI", "action": "ALLOW", "host": "a.example", "port": port,
               "rule": "rule 1", "address": "127.0.0.1"})
    );
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    client.served.await.unwrap();
    let entry = bench.entry().await;
    let sent = hello.len();
    let begins = format!("SNI CLOSE a.example:{port} {sent} B out, {sent} B in (");
    assert!(entry.message.starts_with(&begins), "{entry:?}");
    let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
    assert!(metadata["duration"].is_u64(), "{metadata}");
    assert_eq!(metadata["requestSize"], sent);
    assert_eq!(metadata["responseSize"], sent);
    assert_eq!(metadata["action"], "CLOSE");
    assert_eq!(metadata["address"], "127.0.0.1");
}

#[tokio::test]
async fn a_connection_that_is_open_at_the_end_of_its_run_has_its_line() {
    let port = echo().await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    client.send("\x01ping").await;
    assert_eq!(client.exactly(5).await, b"\x01ping");
    bench.line().await;
    assert!(bench.quiet());
    client.served.abort();
    let line = bench.line().await;
    let begins = format!("TCP CLOSE a.example:{port} 5 B out, 5 B in (");
    assert!(line.starts_with(&begins), "{line}");
}

#[tokio::test]
async fn tls_for_another_name_is_cut_before_a_byte_has_passed() {
    let port = server(|mut stream| async move {
        let passed = tokio::io::AsyncReadExt::read_u8(&mut stream).await;
        assert!(passed.is_err(), "a byte has passed");
    })
    .await;
    let mut bench = allowing(&["a.example", "127.0.0.1/32"]);
    for host in ["a.example", "127.0.0.1"] {
        let mut client = bench.connect();
        assert_eq!(client.socks(host, port).await, 0);
        let hello = client_hello("b.example");
        client.send(&hello[..7]).await;
        client.send(&hello[7..]).await;
        assert_eq!(client.rest().await, b"");
        let entry = bench.entry().await;
        assert_eq!(entry.message, format!("SNI DENY {host}:{port} fixed"));
        assert_eq!(entry.level, LogLevel::Warn);
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let port = server(|mut stream| async move {
        stream.write_all(b"220 hello\r\n").await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let _copied = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let mut bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    client.until("220 hello\r\n").await;
    client.send("EHLO x\r\n").await;
    client.until("EHLO x\r\n").await;
    assert_eq!(
        bench.line().await,
        format!("TCP ALLOW a.example:{port} rule 1")
    );
}

#[tokio::test]
async fn http_inside_a_tunnel_must_be_for_the_host_of_the_tunnel() {
    let port = mirror().await;
    let mut bench = allowing(&["a.example", "b.example"]);
    for (host, status) in [("a.example", "200"), ("b.example", "403")] {
        let mut client = bench.connect();
        assert_eq!(client.socks("a.example", port).await, 0);
        client
            .send(format!(
                "GET /x HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(&client.rest().await[9..12], status.as_bytes());
        let line = bench.line().await;
        assert!(
            line.starts_with(&format!("GET http://a.example:{port}/x - {status} (")),
            "{line}"
        );
        assert!(bench.quiet());
    }
}

#[tokio::test]
async fn denied_destinations_are_refused_in_the_language_of_the_client() {
    let mut bench = bench(
        NetworkMode::Public,
        vec![],
        Scripted::new(&[
            ("meta.example", &["169.254.169.254"]),
            ("home.example", &["127.0.0.1"]),
        ]),
    );
    for (host, line) in [
        ("meta.example", "DNS DENY meta.example:80 fixed"),
        ("169.254.169.254", "TCP DENY 169.254.169.254:80 fixed"),
        (
            "::ffff:169.254.169.254",
            "TCP DENY 169.254.169.254:80 fixed",
        ),
        ("home.example", "TCP DENY home.example:80 default"),
        ("host.vm0.internal", "TCP DENY host.vm0.internal:80 default"),
        ("10.0.0.1", "TCP DENY 10.0.0.1:80 fixed"),
    ] {
        assert_eq!(bench.connect().socks(host, 80).await, 2, "{host}");
        assert_eq!(bench.line().await, line);
    }
    assert_eq!(bench.connect().socks("nowhere.example", 80).await, 4);
    assert_eq!(bench.line().await, "DNS DENY nowhere.example:80 fixed");
    let mut client = bench.connect();
    let head = client.connect("169.254.169.254:80").await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 403 ") && head.contains("x-vm0-network: denied"),
        "{head}"
    );
    assert_eq!(bench.line().await, "TCP DENY 169.254.169.254:80 fixed");
}

#[tokio::test]
async fn the_name_of_the_runner_is_its_loopback() {
    let port = echo().await;
    let mut bench = bench(
        NetworkMode::Allowlist,
        vec![allow("host.vm0.internal")],
        Scripted::new(&[]),
    );
    let mut client = bench.connect();
    assert_eq!(client.socks("host.vm0.internal", port).await, 0);
    client.send("\x01ping").await;
    assert_eq!(client.exactly(5).await, b"\x01ping");
    assert_eq!(
        bench.line().await,
        format!("TCP ALLOW host.vm0.internal:{port} rule 1")
    );
    assert!(bench.resolver.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_changes_after_the_check_changes_nothing() {
    let port = echo().await;
    let resolver = Scripted::new(&[("a.example", &["127.0.0.1", "169.254.169.254"])]);
    let mut bench = bench(NetworkMode::Allowlist, vec![allow("a.example")], resolver);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    client.send("\x01ping").await;
    assert_eq!(client.exactly(5).await, b"\x01ping");
    assert_eq!(
        bench.line().await,
        format!("TCP ALLOW a.example:{port} rule 1")
    );
    assert_eq!(*bench.resolver.asked.lock().unwrap(), ["a.example"]);
    assert_eq!(bench.connect().socks("a.example", port).await, 2);
    assert_eq!(
        bench.line().await,
        format!("DNS DENY a.example:{port} fixed")
    );
}

#[tokio::test]
async fn names_that_no_rule_allows_are_never_looked_up() {
    let mut bench = allowing(&["a.example"]);
    assert_eq!(bench.connect().socks("secret.evil.example", 443).await, 2);
    assert_eq!(
        bench.line().await,
        "TCP DENY secret.evil.example:443 default"
    );
    assert!(bench.resolver.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_told_so() {
    let mut bench = allowing(&["a.example"]);
    assert_eq!(bench.connect().socks("a.example", 1).await, 5);
    assert_eq!(bench.line().await, "TCP ALLOW a.example:1 rule 1");
    assert!(
        bench
            .connect()
            .connect("a.example:1")
            .await
            .starts_with("HTTP/1.1 502 ")
    );
}

#[tokio::test]
async fn a_half_closed_client_still_gets_its_answer() {
    let port = server(|mut stream| async move {
        let mut question = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut question)
            .await
            .unwrap();
        stream
            .write_all(format!("{} bytes", question.len()).as_bytes())
            .await
            .unwrap();
    })
    .await;
    let bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    client.send("\x01".repeat(100_000)).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"100000 bytes");
    client.served.await.unwrap();
}

#[tokio::test]
async fn dropping_a_connection_frees_its_place_and_a_dead_log_opens_nothing() {
    let port = echo().await;
    let bench = allowing(&["a.example"]);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    client.served.abort();
    assert!(client.served.await.unwrap_err().is_cancelled());
    let gateway = bench.gateway.clone();
    drop(bench);
    let (near, far) = tokio::io::duplex(1024);
    let served = tokio::spawn(async move { gateway.serve(far).await });
    let mut client = crate::support::Client {
        stream: near,
        served,
    };
    assert_eq!(client.socks("a.example", port).await, 1);
}

#[tokio::test]
async fn http_inside_a_tunnel_needs_no_more_room_in_the_log_than_one_line() {
    let port = mirror().await;
    let mut bench = allowing_with_room(&["a.example"], 1);
    let mut client = bench.connect();
    assert_eq!(client.socks("a.example", port).await, 0);
    let request = format!("GET / HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: close\r\n\r\n");
    client.send(request).await;
    assert_eq!(&client.rest().await[9..12], b"200");
    assert!(bench.line().await.contains(" - 200 ("));
}
