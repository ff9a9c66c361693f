//! What a host that repeats the agent's words tells of a secret by the sizes of what arrives.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::AsyncWriteExt;
use vm0_egress::BrokeredSecret;
use vm0_model::broker::{Binding, Place, Transport};
use vm0_model::limits;
use vm0_model::network::NetworkMode;

use crate::support::{
    Bench, allow, allowing_with_secrets, bench_of, config, loopback, read_head, server,
};
use crate::tls_support::{Internet, http2, request2};

const PLACEHOLDER: &str = "vm0_enc_00112233445566778899aabbccddeeff";
/// One begins the value, its base64 or its text in a query, the other begins nothing.
const GUESSES: [[&str; 2]; 3] = [
    ["real/va", "raal/va"],
    ["cmVhbC92YWx1", "cmVhbC92YWx2"],
    ["real%2Fva", "real%2Dva"],
];
/// Where the host cuts what it says before the guess, in the guess, and after it.
const CUTS: [&[usize]; 4] = [&[6], &[5, 8], &[6, 7, 8, 9, 10, 11], &[2, 30]];

fn secret(port: u16, transport: Transport) -> BrokeredSecret {
    let binding = Binding {
        host: "a.example".to_owned(),
        port,
        transport,
        place: Place::Bearer,
    };
    let value = "real/value-0123456789".into();
    BrokeredSecret::new("KEY".to_owned(), value, PLACEHOLDER, [binding]).unwrap()
}

/// What the host says, in pieces.
fn pieces(guess: &str, cuts: &[usize]) -> Vec<String> {
    let said = format!("one\nmy {guess} and then some more of it, {guess}");
    let mut pieces = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&said.len()]) {
        pieces.push(said[from..cut].to_owned());
        from = cut;
    }
    pieces
}

/// The sizes of the chunks in which a client of HTTP/1 gets what the host says.
async fn chunks(guess: &'static str, cuts: &'static [usize]) -> Vec<usize> {
    let port = server(move |mut stream| async move {
        let _head = read_head(&mut stream).await;
        let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for piece in pieces(guess, cuts) {
            answer += &format!("{:x}\r\n{piece}\r\n", piece.len());
        }
        stream
            .write_all((answer + "0\r\n\r\n").as_bytes())
            .await
            .unwrap();
    })
    .await;
    let secrets = vec![secret(port, Transport::Plain)];
    let bench = allowing_with_secrets(&["a.example"], secrets, vec![]);
    let mut client = bench.connect();
    let url = format!("http://a.example:{port}/");
    client
        .send(format!(
            "GET {url} HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n"
        ))
        .await;
    client.until("\r\n\r\n").await;
    let mut sizes = Vec::new();
    while sizes.last() != Some(&0) {
        let line = client.until("\r\n").await;
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        client.exactly(size + 2).await;
        sizes.push(size);
    }
    sizes
}

#[tokio::test]
async fn chunks_do_not_tell_whether_a_guess_begins_a_value() {
    for cuts in CUTS {
        for [right, wrong] in GUESSES {
            let sizes = chunks(right, cuts).await;
            assert_eq!(sizes, chunks(wrong, cuts).await, "{right} {cuts:?}");
            assert!(sizes.len() > 2, "{sizes:?}");
        }
    }
}

type Answer = http_body_util::combinators::BoxBody<Bytes, Infallible>;

fn in_frames(guess: &str, cuts: &[usize]) -> Response<Answer> {
    let frames = pieces(guess, cuts);
    let frames = frames
        .into_iter()
        .map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let frames = frames.collect::<Vec<_>>();
    let body: StreamBody<_> = StreamBody::new(stream::iter(frames));
    Response::new(BodyExt::boxed(body))
}

/// The sizes of the frames in which a client of HTTP/2 gets what the host says.
async fn frames(guess: &'static str, cuts: &'static [usize]) -> Vec<usize> {
    let internet = Internet::new();
    let answer = move |_: Request<Incoming>| async move { in_frames(guess, cuts) };
    let server = internet.server(&["a.example"], &["h2"], answer).await;
    let bench = bound(&internet, server.port);
    let authority = format!("a.example:{}", server.port);
    let mut sender = http2(&bench, &authority).await;
    let asking = request2("GET", &authority, "/", "");
    let mut answer = sender.send_request(asking).await.unwrap().into_body();
    let mut sizes = Vec::new();
    while let Some(frame) = answer.frame().await {
        sizes.push(frame.unwrap().into_data().unwrap().len());
    }
    sizes
}

fn bound(internet: &Internet, port: u16) -> Bench {
    let mut config = config(NetworkMode::Allowlist, vec![allow("a.example")]);
    config.outside = internet.outside(None);
    config.secrets = vec![secret(port, Transport::Tls)];
    let names = loopback(&["a.example"]);
    bench_of(config, names, limits::CONNECTIONS_MAX_PER_RUN)
}

#[tokio::test]
async fn frames_do_not_tell_whether_a_guess_begins_a_value() {
    for cuts in CUTS {
        let [right, wrong] = GUESSES[0];
        let sizes = frames(right, cuts).await;
        assert_eq!(sizes, frames(wrong, cuts).await, "{cuts:?}");
        assert!(sizes.len() > 1, "{sizes:?}");
    }
}
