//! Secrets in requests, and what becomes of them in answers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use vm0_egress::{BrokeredSecret, ImpliedHost};
use vm0_model::broker::{Binding, Place, Transport};
use vm0_model::event::LogLevel;

use crate::support::{Bench, allowing, allowing_with_secrets, mirror, read_head, server};

const VALUE: &str = "real-value-0123456789";
pub(crate) const PLACEHOLDER: &str = "sk-vm0_enc_00112233445566778899aabbccddeeff";

/// A gateway that puts the secret into `x-key` of requests in clear to a.example, and allows
/// b.example and the model host m.example.
pub(crate) fn bench(port: u16) -> Bench {
    let binding = Binding {
        host: "a.example".to_owned(),
        port,
        transport: Transport::Plain,
        place: Place::Header("x-key".to_owned()),
    };
    let secret = BrokeredSecret::new("KEY".to_owned(), VALUE.into(), PLACEHOLDER, [binding]);
    let model = ImpliedHost {
        host: "m.example".to_owned(),
        ports: vec![port],
    };
    let names = ["a.example", "b.example", "m.example"];
    allowing_with_secrets(&names, vec![secret.unwrap()], vec![model])
}

/// The whole answer to a request on a connection of its own.
async fn ask(bench: &Bench, host: &str, port: u16, request: &str) -> String {
    let mut client = bench.connect();
    let request = request.replacen(
        " HTTP/1.1\r\n",
        &format!(" HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"),
        1,
    );
    let request = request.replacen(" /", &format!(" http://{host}:{port}/"), 1);
    client.send(request).await;
    String::from_utf8(client.rest().await).unwrap()
}

pub(crate) fn metadata(entry: &vm0_model::event::LogEntry) -> Value {
    serde_json::from_str(entry.metadata.as_ref().unwrap()).unwrap()
}

/// A server that passes on the head of each request and answers with `answer`.
async fn recorder(answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
    let (heads, received) = mpsc::unbounded_channel();
    let port = server(move |mut stream| {
        let heads = heads.clone();
        async move {
            heads.send(read_head(&mut stream).await).unwrap();
            let _sent = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port.await, received)
}

#[tokio::test]
async fn the_server_gets_the_value_and_its_echo_is_masked() {
    let (port, mut heads) = recorder(
        "HTTP/1.1 200 real-value-0123456789\r\nContent-Length: 29\r\nX-Echo: <real-value-0123456789>\r\n\
         X-real-value-0123456789: 1\r\n\r\nkey=real-value-0123456789 ok\n",
    )
    .await;
    let mut bench = bench(port);
    let request = format!("GET /p?q=1 HTTP/1.1\r\nX-Key: {PLACEHOLDER}\r\nX-Key: 2\r\n\r\n");
    let answer = ask(&bench, "a.example", port, &request).await;
    let head = heads.recv().await.unwrap().to_lowercase();
    assert_eq!(head.matches("x-key: ").count(), 1, "{head}");
    assert!(head.contains(&format!("x-key: {VALUE}\r\n")), "{head}");
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("<*********************>"), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nkey=********************* ok\n"),
        "{answer}"
    );
    assert!(!answer.to_lowercase().contains(VALUE), "{answer}");
    let entry = bench.entry().await;
    assert_eq!(metadata(&entry)["secrets"], serde_json::json!(["KEY"]));
    assert!(!format!("{entry:?}").contains(VALUE));
}

#[tokio::test]
async fn what_a_server_encodes_once_more_is_masked() {
    let port = server(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let body = STANDARD.encode(head);
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let _sent = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    for place in [Place::Basic, Place::Bearer, Place::Query("key".to_owned())] {
        let binding = Binding {
            host: "a.example".to_owned(),
            port,
            transport: Transport::Plain,
            place,
        };
        let value = "real/value+0123456789=";
        let secret = BrokeredSecret::new("KEY".to_owned(), value.into(), PLACEHOLDER, [binding]);
        let bench = allowing_with_secrets(&["a.example"], vec![secret.unwrap()], vec![]);
        for filler in ["", "1", "12"] {
            let request = format!("GET /{filler} HTTP/1.1\r\n\r\n");
            let answer = ask(&bench, "a.example", port, &request).await;
            let body = answer.split("\r\n\r\n").nth(1).unwrap();
            // A star is none of base64: what is left around them is short of the value.
            let kept = body.replace('*', "A");
            let read = String::from_utf8_lossy(&STANDARD.decode(&kept).unwrap()).into_owned();
            assert!(body.contains("****************"), "{body}");
            for part in ["eal", "value", "01234", "ZWFs", "MDEyMzQ1"] {
                assert!(!read.contains(part), "{part} in {read}");
            }
        }
    }
}

#[tokio::test]
async fn a_placeholder_on_the_way_to_another_host_is_refused_and_logged() {
    let (port, mut heads) = recorder("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut bench = bench(port);
    for request in [
        format!("GET /{PLACEHOLDER} HTTP/1.1\r\n\r\n"),
        format!("GET /?x={PLACEHOLDER} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX-Key: {PLACEHOLDER}\r\n\r\n"),
    ] {
        let answer = ask(&bench, "b.example", port, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(
            answer.to_lowercase().contains("x-vm0-network: denied\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("placeholder of secret 'KEY' in "),
            "{answer}"
        );
        let entry = bench.entry().await;
        assert_eq!(entry.level, LogLevel::Warn);
        assert!(
            entry
                .message
                .contains(" placeholder of secret 'KEY' in the "),
            "{entry:?}"
        );
        assert_eq!(metadata(&entry)["status"], 403);
        assert_eq!(metadata(&entry)["secrets"], serde_json::json!([]));
    }
    assert!(heads.try_recv().is_err(), "nothing went out");
}

#[tokio::test]
async fn a_body_with_a_placeholder_breaks_off_unless_it_goes_home_or_to_the_model() {
    let port = server(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => body.push(byte),
                Err(_) => return,
            }
        }
        let status = if head.contains(VALUE) {
            "201 C"
        } else {
            "200 OK"
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let _sent = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let mut bench = bench(port);
    let (first, second) = PLACEHOLDER.split_at(20);
    let chunks: String = [first, second]
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    let request =
        format!("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for (host, status) in [("a.example", 201), ("b.example", 403), ("m.example", 200)] {
        let answer = ask(&bench, host, port, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {answer}"
        );
        let entry = bench.entry().await;
        assert_eq!(entry.level == LogLevel::Warn, status == 403, "{entry:?}");
        assert_eq!(
            entry.message.contains("in the body"),
            status == 403,
            "{entry:?}"
        );
    }
}

#[tokio::test]
async fn an_encoded_answer_to_a_request_with_a_secret_is_not_passed_on() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nzz";
    let (port, _heads) = recorder(answer).await;
    let mut bench = bench(port);
    let with = ask(&bench, "a.example", port, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(with.starts_with("HTTP/1.1 502 "), "{with}");
    assert!(
        with.contains("network_error") && with.contains("encoded its answer"),
        "{with}"
    );
    assert!(bench.line().await.contains(" - 502 ("));
    let without = ask(&bench, "b.example", port, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(without.starts_with("HTTP/1.1 200 "), "{without}");
}

#[tokio::test]
async fn a_stream_of_events_is_not_delayed_by_masking() {
    let seen = Arc::new(Notify::new());
    let release = Arc::clone(&seen);
    let port = server(move |mut stream| {
        let release = Arc::clone(&release);
        async move {
            let _head = read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(b"data: one\n\n").await.unwrap();
            release.notified().await;
            stream.write_all(b"data: real-value-").await.unwrap();
            stream.write_all(b"0123456789\n\n").await.unwrap();
        }
    })
    .await;
    let bench = bench(port);
    let mut client = bench.connect();
    client
        .send(format!(
            "GET http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    client.until("data: one\n\n").await;
    seen.notify_one();
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(
        !rest.contains("real-value-") && rest.contains("****\n\n"),
        "{rest}"
    );
}

#[tokio::test]
async fn what_a_websocket_says_is_masked() {
    let port = server(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(head.contains(VALUE) && !head.contains("extensions"), "{head}");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}\u{15}{VALUE}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut sent = [0; 3];
        stream.read_exact(&mut sent).await.unwrap();
        stream.write_all(&sent).await.unwrap();
    })
    .await;
    let bench = bench(port);
    let mut client = bench.connect();
    client
        .send(format!(
            "GET http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ))
        .await;
    client.until("\r\n\r\n").await;
    client.send("abc").await;
    let frames = String::from_utf8(client.rest().await).unwrap();
    assert_eq!(frames, format!("\u{1}\u{15}{}abc", "*".repeat(VALUE.len())));
}

#[tokio::test]
async fn without_secrets_nothing_is_looked_for() {
    let port = mirror().await;
    let mut bench = allowing(&["b.example"]);
    let request = format!("GET /{PLACEHOLDER} HTTP/1.1\r\nAccept-Encoding: br\r\n\r\n");
    let answer = ask(&bench, "b.example", port, &request).await;
    assert!(
        answer.contains(PLACEHOLDER) && answer.contains("br\r\n"),
        "{answer}"
    );
    assert!(bench.line().await.contains(" - 200 ("));
}
