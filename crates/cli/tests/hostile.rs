//! Clients that mean harm: the server answers the others, and its memory stays bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use vm0_testkit::{Api, Server, ServerOptions};

/// A client that does nothing costs the server less than this.
const BYTES_PER_IDLE_CONNECTION: u64 = 8 << 10;
/// What waits for its time is given up after `REQUEST_READ_TIMEOUT`, and a margin.
const PATIENCE: Duration = Duration::from_secs(90);

fn server() -> Server {
    ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
        .arg("--no-runner")
        .start()
}

fn connect(server: &Server) -> TcpStream {
    let address = server.url().strip_prefix("http://").expect("an http URL");
    TcpStream::connect(address).expect("the server accepts")
}

fn head(server: &Server, method: &str, path: &str, headers: &str) -> String {
    let token = server.token();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{headers}\r\n"
    )
}

/// All that the server says until it closes; `None` if it does not within [`PATIENCE`].
fn until_closed(mut stream: TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(_) => return None,
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

async fn answers(api: &Api) {
    for path in ["/v1/runs", "/v1/volumes?name=nothing"] {
        api.get(path).await.expect(200);
    }
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("a number") << 10
}

#[tokio::test]
async fn ten_thousand_idle_connections_do_not_stop_the_others() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit is ours");
    let server = server();
    let api = server.api();
    answers(&api).await;
    let before = resident_bytes(server.pid());
    let idle: Vec<TcpStream> = (0..10_000).map(|_| connect(&server)).collect();
    answers(&api).await;
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    let allowed = idle.len() as u64 * BYTES_PER_IDLE_CONNECTION;
    assert!(grown < allowed, "{grown} bytes for idle connections");
}

#[tokio::test]
async fn what_stops_coming_is_given_up_and_leaves_nothing() {
    let server = server();
    let api = server.api();
    let volume = api.storage("volumes", "slow").await;
    let body = json!({ "files": [{ "path": "a", "size": 1 }] });
    let upload = api
        .post(&format!("/v1/volumes/{volume}/upload"), &body)
        .await
        .expect(200);
    let url = upload["files"][0]["upload_url"].as_str().expect("a URL");
    let path = url.strip_prefix(server.url()).expect("a URL of the server");
    let stalled = [
        "GET /v1/runs HTTP/1.1\r\nHost".to_owned(),
        head(&server, "POST", "/v1/volumes", "Content-Length: 100\r\n") + "{\"name",
        head(
            &server,
            "POST",
            "/v1/volumes",
            "Transfer-Encoding: chunked\r\n",
        ) + "5\r\n{\"na",
        head(&server, "PUT", path, "Content-Length: 100000\r\n") + "some bytes",
    ];
    let readers: Vec<_> = stalled
        .iter()
        .map(|text| {
            let mut stream = connect(&server);
            stream.write_all(text.as_bytes()).expect("it takes bytes");
            std::thread::spawn(move || until_closed(stream))
        })
        .collect();
    answers(&api).await;
    for (reader, text) in readers.into_iter().zip(&stalled) {
        let said = reader.join().expect("no panic");
        let said = said.unwrap_or_else(|| panic!("never given up: {text:?}"));
        assert!(
            !said.starts_with("HTTP/1.1 2"),
            "{text:?} was answered {said:?}"
        );
    }
    // Connections that were idle are closed by now.
    let api = server.api();
    answers(&api).await;
    assert_eq!(
        api.get("/v1/volumes").await.expect(200)["data"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let staging = server.data_dir().join("objects/staging");
    let left = std::fs::read_dir(staging).into_iter().flatten().count();
    assert_eq!(left, 0, "a part of the object is left");
}

#[tokio::test]
async fn a_body_that_comes_a_byte_at_a_time_is_no_burden_and_is_answered() {
    let server = server();
    let body = json!({ "name": "drip" }).to_string();
    let length = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
    let mut stream = connect(&server);
    let head = head(&server, "POST", "/v1/volumes", &length);
    stream
        .write_all(head.as_bytes())
        .expect("it takes the head");
    let api = server.api();
    for byte in body.as_bytes() {
        stream.write_all(&[*byte]).expect("it takes a byte");
        answers(&api).await;
    }
    let said = until_closed(stream).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 201"), "{said}");
}

#[tokio::test]
async fn a_body_that_is_cut_off_changes_nothing() {
    let server = server();
    let body = json!({ "name": "cut" }).to_string();
    for sent in 0..body.len() {
        let length = format!("Content-Length: {}\r\n", body.len());
        let mut stream = connect(&server);
        let head = head(&server, "POST", "/v1/volumes", &length);
        stream
            .write_all(head.as_bytes())
            .expect("it takes the head");
        stream.write_all(&body.as_bytes()[..sent]).expect("a part");
    }
    let volumes = server.api().get("/v1/volumes").await.expect(200);
    assert_eq!(volumes["data"], json!([]));
}

#[tokio::test]
async fn heads_that_are_no_http_or_too_large_are_refused() {
    let server = server();
    let heads = [
        format!(
            "GET /v1/runs HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n",
            "x".repeat(1 << 20)
        ),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000)),
        "\0\u{1}\u{2} nonsense\r\n\r\n".to_owned(),
        "POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
    ];
    for text in heads {
        let mut stream = connect(&server);
        // The server may close before all is written.
        let _ = stream.write_all(text.as_bytes());
        let said = until_closed(stream).expect("it closes");
        let refused = said.is_empty() || said.starts_with("HTTP/1.1 4");
        assert!(refused, "{said}");
    }
    answers(&server.api()).await;
}
