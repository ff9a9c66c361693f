//! What the gateway reads of the answers of models.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use vm0_egress::{ImpliedHost, UsageTotals};

use crate::support::{allowing_models, read_head, server};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\
    \"model\":\"claude-opus-5\",\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\
    \"usage\":{\"output_tokens\":40}}\n\n";

fn model_at(port: u16) -> ImpliedHost {
    ImpliedHost {
        host: "model.example".to_owned(),
        ports: vec![port],
    }
}

/// A model server whose stream goes on when it is told to, and that keeps the heads it read.
async fn model(go_on: Arc<Notify>, heads: Arc<std::sync::Mutex<Vec<String>>>) -> u16 {
    server(move |mut stream| {
        let (go_on, heads) = (Arc::clone(&go_on), Arc::clone(&heads));
        async move {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                // The connection of a tunnel whose requests have their own.
                return;
            }
            heads.lock().unwrap().push(head);
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            let _sent = stream.write_all(format!("{head}{START}").as_bytes()).await;
            go_on.notified().await;
            let _sent = stream.write_all(END.as_bytes()).await;
        }
    })
    .await
}

async fn totals(
    usage: &mut watch::Receiver<UsageTotals>,
    wanted: impl FnMut(&UsageTotals) -> bool,
) -> UsageTotals {
    let seen = timeout(Duration::from_secs(10), usage.wait_for(wanted));
    seen.await.expect("never seen").unwrap().clone()
}

#[tokio::test]
async fn a_stream_is_counted_while_it_passes_and_passes_while_it_is_counted() {
    let (go_on, heads) = (Arc::new(Notify::new()), Arc::default());
    let port = model(Arc::clone(&go_on), Arc::clone(&heads)).await;
    let bench = allowing_models(&["model.example"], vec![model_at(port)]);
    let mut usage = bench.gateway.usage();
    let mut client = bench.connect();
    client
        .send(format!(
            "POST http://model.example:{port}/v1/messages HTTP/1.1\r\nHost: model.example:{port}\r\n\
             Accept-Encoding: gzip, br\r\nContent-Length: 2\r\n\r\n{{}}"
        ))
        .await;
    client.until(START.lines().nth(1).unwrap()).await;
    let begun = totals(&mut usage, |totals| totals.requests == 1).await;
    assert_eq!((begun.input_tokens, begun.output_tokens), (100, 1));
    go_on.notify_one();
    client.until("40}}\n\n").await;
    let ended = totals(&mut usage, |totals| totals.output_tokens == 40).await;
    assert_eq!((ended.requests, ended.input_tokens), (1, 100));
    assert_eq!(ended.cost_usd(), Some(0.0015));
    let head = heads.lock().unwrap()[0].to_lowercase();
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(!head.contains("gzip"), "{head}");
}

#[tokio::test]
async fn an_answer_in_a_tunnel_is_read_and_one_of_another_host_is_not() {
    let (go_on, heads) = (Arc::new(Notify::new()), Arc::default());
    let port = model(Arc::clone(&go_on), Arc::clone(&heads)).await;
    let bench = allowing_models(&["model.example", "other.example"], vec![model_at(port)]);
    let mut usage = bench.gateway.usage();
    for host in ["other.example", "model.example"] {
        let mut client = bench.connect();
        let authority = format!("{host}:{port}");
        client.connect(&authority).await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {authority}\r\nAccept-Encoding: br\r\nContent-Length: 0\r\n\r\n"
        );
        client.send(request).await;
        client.until("message_start\"").await;
        go_on.notify_one();
        client.until("40}}").await;
    }
    let totals = totals(&mut usage, |totals| totals.output_tokens == 40).await;
    assert_eq!((totals.requests, totals.tokens()), (1, 140));
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains(": br\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_used_what_it_had_said() {
    let port = server(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let answer = format!("{head}{:x}\r\n{START}\r\n", START.len());
        let _sent = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let mut bench = allowing_models(&["model.example"], vec![model_at(port)]);
    let mut client = bench.connect();
    let url = format!("http://model.example:{port}/");
    client
        .send(format!(
            "GET {url} HTTP/1.1\r\nHost: model.example:{port}\r\n\r\n"
        ))
        .await;
    client.until("message_start\"").await;
    bench.line().await;
    let totals = bench.gateway.usage().borrow().clone();
    assert_eq!((totals.requests, totals.tokens()), (1, 101));
}
