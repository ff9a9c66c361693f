//! Connections whose TLS the gateway decrypts.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vm0_model::event::LogLevel;
use vm0_model::network::{NetworkMode, NetworkRule, RuleAction};

use crate::support::{allow, server};
use crate::tls_support::{
    Internet, body, connect, describe, http1, http2, request, request2, secure, switching, text,
    websocket,
};

fn rule(target: &str, methods: &[&str], paths: &[&str], action: RuleAction) -> NetworkRule {
    NetworkRule {
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        action,
        ..allow(target)
    }
}

#[tokio::test]
async fn a_rule_about_methods_and_paths_decides_each_request_in_tls() {
    let internet = Internet::new();
    let server = internet.server(&["a.example"], &[], describe).await;
    let rules = vec![
        rule("a.example", &["GET"], &["/open/**"], RuleAction::Allow),
        rule("a.example", &[], &[], RuleAction::Deny),
    ];
    let mut bench = internet.bench(&["a.example"], false, rules);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let answer = sender
        .send_request(request("GET", &authority, "/open/x?q=1", ""))
        .await;
    let answer = text(answer.unwrap()).await;
    assert_eq!(answer, format!("1 GET {authority} /open/x?q=1 "));
    let entry = bench.entry().await;
    let url = format!("https://{authority}/open/x?q=1");
    assert!(
        entry.message.starts_with(&format!("GET {url} - 200 (")),
        "{}",
        entry.message
    );
    assert_eq!(entry.level, LogLevel::Info);
    let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
    assert_eq!(metadata["rule"], "rule 1");
    assert_eq!(metadata["url"], url);
    for (method, path) in [
        ("POST", "/open/x"),
        ("GET", "/closed"),
        ("GET", "/open/../closed"),
    ] {
        let denied = sender
            .send_request(request(method, &authority, path, ""))
            .await
            .unwrap();
        assert_eq!(denied.status(), StatusCode::FORBIDDEN, "{method} {path}");
        assert_eq!(denied.headers()["x-vm0-network"], "denied");
        text(denied).await;
        let entry = bench.entry().await;
        assert_eq!(entry.level, LogLevel::Warn);
        let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
        assert_eq!(metadata["rule"], "rule 2");
    }
}

#[tokio::test]
async fn requests_of_one_connection_share_a_connection_outside() {
    let internet = Internet::new();
    let server = internet.server(&["a.example"], &[], describe).await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    for n in 0..5 {
        let request = request("POST", &authority, "/", &format!("body {n}"));
        let answer = text(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer, format!("1 POST {authority} / body {n}"));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http2_is_spoken_on_both_sides_if_both_have_it() {
    let internet = Internet::new();
    let bench = internet.inspecting(&["new.example", "old.example"]);
    for (name, alpn, version) in [
        ("new.example", &["h2", "http/1.1"][..], "2"),
        ("old.example", &["http/1.1"], "1"),
        ("old.example", &[], "1"),
    ] {
        let server = internet.server(&[name], alpn, describe).await;
        let authority = format!("{name}:{}", server.port);
        let sender = http2(&bench, &authority).await;
        let requests = (0..20).map(|n| {
            let mut sender = sender.clone();
            let request = request2("PUT", &authority, &format!("/{n}"), "content");
            async move { text(sender.send_request(request).await.unwrap()).await }
        });
        let answers = futures::future::join_all(requests).await;
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(*answer, format!("{version} PUT {authority} /{n} content"));
        }
        if version == "2" {
            assert_eq!(server.connections(), 1);
        }
    }
}

#[tokio::test]
async fn an_http1_client_reaches_a_server_that_prefers_http2() {
    let internet = Internet::new();
    let server = internet
        .server(&["a.example"], &["h2", "http/1.1"], describe)
        .await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let answer = sender
        .send_request(request("GET", &authority, "/", ""))
        .await;
    assert_eq!(text(answer.unwrap()).await, format!("1 GET {authority} / "));
}

#[tokio::test]
async fn a_request_for_another_host_than_the_tunnels_is_refused() {
    let internet = Internet::new();
    let never = |_| async { panic!("a request has passed") };
    let server = internet.server(&["a.example"], &["h2"], never).await;
    let mut bench = internet.inspecting(&["a.example", "b.example"]);
    let authority = format!("a.example:{}", server.port);
    let other = format!("b.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let mut sender2 = http2(&bench, &authority).await;
    let answers = [
        sender.send_request(request("GET", &other, "/", "")).await,
        sender2.send_request(request2("GET", &other, "/", "")).await,
    ];
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(text(answer).await.contains("does not agree"));
        assert_eq!(bench.entry().await.level, LogLevel::Warn);
    }
    let mut twice = request2("GET", &authority, "/", "");
    twice
        .headers_mut()
        .insert("host", "b.example".parse().unwrap());
    let answer = sender2.send_request(twice).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stream_of_events_passes_as_it_comes() {
    let internet = Internet::new();
    let (go, gone) = tokio::sync::watch::channel(0);
    let server = internet
        .server(&["a.example"], &["h2", "http/1.1"], move |_| {
            let mut gone = gone.clone();
            async move {
                let (mut sender, body) = Channel::<Bytes>::new(1);
                tokio::spawn(async move {
                    for n in 0..3 {
                        sender
                            .send_data(format!("data: {n}\n\n").into())
                            .await
                            .unwrap();
                        gone.wait_for(|&seen| seen > n).await.unwrap();
                    }
                });
                Response::new(body.boxed())
            }
        })
        .await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut first = http1(&bench, &authority).await;
    let mut second = http2(&bench, &authority).await;
    let mut bodies = [
        first
            .send_request(request("GET", &authority, "/", ""))
            .await
            .unwrap()
            .into_body(),
        second
            .send_request(request2("GET", &authority, "/", ""))
            .await
            .unwrap()
            .into_body(),
    ];
    for n in 0..3 {
        for body in &mut bodies {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(frame, format!("data: {n}\n\n"));
        }
        go.send_replace(n + 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_stream_frees_its_connection() {
    let internet = Internet::new();
    let silent = |_| async {
        let (sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            let _kept = sender;
            std::future::pending::<()>().await;
        });
        Response::new(body.boxed())
    };
    let server = internet
        .server(&["a.example"], &["h2", "http/1.1"], silent)
        .await;
    let mut bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut first = http1(&bench, &authority).await;
    let answer = first
        .send_request(request("GET", &authority, "/one", ""))
        .await;
    drop((answer.unwrap(), first));
    assert!(bench.line().await.contains("/one - 200 ("));
    let mut second = http2(&bench, &authority).await;
    let answer = second
        .send_request(request2("GET", &authority, "/two", ""))
        .await;
    drop((answer.unwrap(), second));
    assert!(bench.line().await.contains("/two - 200 ("));
}

#[tokio::test]
async fn large_bodies_pass_both_ways_unchanged() {
    let internet = Internet::new();
    let echo = |request: Request<hyper::body::Incoming>| async move {
        let content = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(body(content))
    };
    let server = internet.server(&["a.example"], &["h2"], echo).await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let content: Bytes = (0..8_000_000_u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    let mut sender = http2(&bench, &authority).await;
    let mut large = request2("POST", &authority, "/", "");
    *large.body_mut() = Full::new(content.clone());
    let answer = sender.send_request(large).await.unwrap();
    assert!(answer.into_body().collect().await.unwrap().to_bytes() == content);
    drop(sender);
    let counted = bench.gateway.counters();
    assert!(
        counted.tx_bytes >= 8_000_000 && counted.rx_bytes >= 8_000_000,
        "{counted:?}"
    );
}

#[tokio::test]
async fn a_websocket_is_relayed_after_its_upgrade() {
    let internet = Internet::new();
    let upgrade = |mut request: Request<hyper::body::Incoming>| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        switching()
    };
    let server = internet.server(&["a.example"], &[], upgrade).await;
    let mut bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http1(&bench, &authority).await;
    let asking = websocket(&authority);
    let answer = sender.send_request(asking).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"ping");
    drop(stream);
    assert!(bench.line().await.contains("/socket - 101 ("));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let (internet, other) = (Internet::new(), Internet::new());
    let stranger = other.server(&["a.example"], &[], describe).await;
    let misnamed = internet.server(&["b.example"], &[], describe).await;
    let silent = server(|stream| async move { drop(stream) }).await;
    let mut bench = internet.inspecting(&["a.example"]);
    for port in [stranger.port, misnamed.port, silent] {
        let authority = format!("a.example:{port}");
        let mut sender = http1(&bench, &authority).await;
        let answer = sender
            .send_request(request("GET", &authority, "/", ""))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert!(
            text(answer)
                .await
                .contains("no certificate that the gateway trusts")
        );
        assert_eq!(bench.entry().await.level, LogLevel::Error);
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_gateway_is_logged() {
    let internet = Internet::new();
    let server = internet.server(&["a.example"], &[], describe).await;
    let mut bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut client = bench.connect();
    client.connect(&authority).await;
    let refused = connect(client.stream, &authority, &[], RootCertStore::empty()).await;
    assert!(refused.is_err());
    let entry = bench.entry().await;
    assert_eq!(entry.message, format!("SNI DENY {authority} fixed"));
    let metadata: Value = serde_json::from_str(&entry.metadata.unwrap()).unwrap();
    assert!(
        metadata["reason"]
            .as_str()
            .unwrap()
            .contains("does not accept")
    );
}

#[tokio::test]
async fn a_client_that_speaks_no_http_in_decrypted_tls_is_let_go() {
    let internet = Internet::new();
    let server = internet.server(&["a.example"], &[], describe).await;
    let bench = internet.inspecting(&["a.example"]);
    let authority = format!("a.example:{}", server.port);
    let mut stream = secure(&bench, bench.connect(), &authority, &[])
        .await
        .unwrap();
    stream
        .write_all(b"\0\0\0\x08not http\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer).await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
        "{answer:?}"
    );
    assert!(
        secure(&bench, bench.connect(), &authority, &["imap"])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn everything_public_goes_through_the_operators_proxy() {
    let (seen, mut heads) = tokio::sync::mpsc::channel(8);
    let proxy = server(move |mut stream| {
        let seen = seen.clone();
        async move {
            let head = crate::support::read_head(&mut stream).await;
            seen.send(head).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\nhello from there")
                .await
                .unwrap();
        }
    })
    .await;
    let internet = Internet::new();
    let outside = internet.outside(Some(&format!("http://us%65r:pass@127.0.0.1:{proxy}")));
    let mut config = crate::support::config(NetworkMode::Public, Vec::new());
    config.outside = outside;
    let resolver = crate::support::Scripted::new(&[("known.example", &["192.0.33.8"])]);
    let bench = crate::support::bench_of(config, resolver, 8);
    for name in ["known.example", "only-the-proxy-knows.example"] {
        let mut client = bench.connect();
        assert!(
            client
                .connect(&format!("{name}:22"))
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        client.until("hello from there").await;
        let head = heads.recv().await.unwrap();
        assert!(
            head.starts_with(&format!("CONNECT {name}:22 HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"),
            "{head}"
        );
    }
}

/// A proxy that leads to whatever port it is asked for, here; it counts what it was asked.
async fn leading_proxy(asked: Arc<Mutex<Vec<String>>>) -> u16 {
    server(move |mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            let head = crate::support::read_head(&mut stream).await;
            let authority = head.split(' ').nth(1).unwrap().to_owned();
            let port: u16 = authority.rsplit_once(':').unwrap().1.parse().unwrap();
            asked.lock().unwrap().push(authority);
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _copied = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_proxy_is_spoken_to_over_tls_and_must_prove_its_name() {
    let internet = Internet::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let proxy = leading_proxy(Arc::clone(&asked)).await;
    let known = ("known.example", &["192.0.33.8"][..]);
    let site = internet.server(&["known.example"], &["h2"], describe).await;
    let authority = format!("known.example:{}", site.port);
    for (named, reached) in [("127.0.0.1", true), ("other.example", false)] {
        let front = internet.front(named, proxy).await;
        let mut config = crate::support::config(NetworkMode::Public, Vec::new());
        config.policy.inspect = true;
        config.outside = internet.outside(Some(&format!("https://127.0.0.1:{front}")));
        let resolver = crate::support::Scripted::new(&[known]);
        let mut bench = crate::support::bench_of(config, resolver, 8);
        if !reached {
            let answer = bench.connect().connect(&authority).await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
            continue;
        }
        let mut sender = http2(&bench, &authority).await;
        let asking = request2("GET", &authority, "/x", "");
        let answer = sender.send_request(asking).await.unwrap();
        let text = text(answer).await;
        assert_eq!(text, format!("2 GET {authority} /x "));
        drop(sender);
        let entry = bench.entry().await;
        assert!(
            !entry.metadata.unwrap().contains("address"),
            "the proxy knows it"
        );
    }
    assert_eq!(*asked.lock().unwrap(), [authority]);
}
