//! Placeholders in what a client says through a WebSocket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_model::event::LogLevel;

use crate::secrets::{PLACEHOLDER, bench, metadata};
use crate::support::{Bench, Client, read_head, server};

/// A server that agrees to a WebSocket with compression, and sends back what it gets.
async fn repeating() -> u16 {
    server(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        let asked = head.contains("sec-websocket-extensions");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             X-Asked: {asked}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let _copied = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

/// A WebSocket to `host`, and the head of the answer.
async fn open(bench: &Bench, host: &str, port: u16) -> (Client, String) {
    let mut client = bench.connect();
    client
        .send(format!(
            "GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ))
        .await;
    let head = client.until("\r\n\r\n").await.to_lowercase();
    (client, head)
}

/// A frame of a client.
fn frame(first: u8, text: &str) -> Vec<u8> {
    const KEY: [u8; 4] = [7, 77, 177, 0];
    let length = u8::try_from(text.len()).unwrap();
    let masked = text.bytes().zip(KEY.iter().cycle());
    let masked: Vec<u8> = masked.map(|(byte, key)| byte ^ key).collect();
    [&[first, 0x80 | length][..], &KEY, &masked].concat()
}

#[tokio::test]
async fn a_placeholder_in_messages_is_refused_unless_they_go_home_or_to_the_model() {
    let port = repeating().await;
    let mut bench = bench(port);
    let (begun, ended) = PLACEHOLDER.split_at(20);
    let (first, ping, last) = (frame(0x01, begun), frame(0x89, "?"), frame(0x80, ended));
    for (host, passes) in [
        ("a.example", true),
        ("b.example", false),
        ("m.example", true),
    ] {
        let (mut client, _head) = open(&bench, host, port).await;
        for frame in [&first, &ping] {
            client.send(frame).await;
            assert_eq!(&client.exactly(frame.len()).await, frame, "{host}");
        }
        client.send(&last).await;
        if passes {
            assert_eq!(client.exactly(last.len()).await, last, "{host}");
            drop(client);
        } else {
            assert_eq!(client.rest().await, b"", "{host}");
        }
        let entry = bench.entry().await;
        assert_eq!(entry.level == LogLevel::Warn, !passes, "{entry:?}");
        let named = "placeholder of secret 'KEY' in a WebSocket message";
        assert_eq!(entry.message.contains(named), !passes, "{entry:?}");
        let sent = first.len() + ping.len() + if passes { last.len() } else { 0 };
        assert_eq!(metadata(&entry)["responseSize"], sent, "{entry:?}");
    }
}

#[tokio::test]
async fn messages_that_are_looked_into_are_not_compressed() {
    let port = repeating().await;
    let mut bench = bench(port);
    let (mut client, head) = open(&bench, "b.example", port).await;
    assert!(head.contains("x-asked: false\r\n"), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    client.send(frame(0x82, "nothing")).await;
    client.exactly(13).await;
    client.send(frame(0xc1, "compressed")).await;
    assert_eq!(client.rest().await, b"");
    let entry = bench.entry().await;
    assert_eq!(entry.level, LogLevel::Warn);
    assert_eq!(
        metadata(&entry)["reason"],
        "a WebSocket frame cannot be read"
    );
    let (client, head) = open(&bench, "m.example", port).await;
    assert!(head.contains("x-asked: true\r\n"), "{head}");
    assert!(head.contains("sec-websocket-extensions"), "{head}");
    drop(client);
}

#[tokio::test]
async fn what_a_server_says_is_heard_before_anything_is_said() {
    let port = server(|mut stream| async move {
        let _head = read_head(&mut stream).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\n\u{1}\u{2}hi";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _closed = stream.read_u8().await;
    })
    .await;
    let bench = bench(port);
    let (mut client, _head) = open(&bench, "b.example", port).await;
    assert_eq!(client.exactly(4).await, b"\x01\x02hi");
}
