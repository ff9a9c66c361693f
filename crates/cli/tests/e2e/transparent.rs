//! Programs that know no proxy: they resolve names, connect, and are judged like all others.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use vm0_testkit::{Api, Server};

use crate::network::{agent, network_log};
use crate::sandboxes::{options, server};

crate::on_each_sandbox!(
    programs_that_know_no_proxy_reach_what_is_allowed,
    a_name_has_an_address_and_is_asked_of_nobody,
    refused_destinations_are_logged_by_name,
    only_dns_is_answered_by_udp,
    large_transfers_arrive_whole_in_both_directions,
    a_program_with_little_room_that_has_said_all_gets_all,
    two_hundred_connections_are_open_at_once,
    the_system_log_says_that_the_mode_is_on,
);

const LARGE_BYTES: usize = 100 << 20;
const LITTLE_BYTES: usize = 4 << 20;
const CONNECTIONS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(240);

/// What the server on the host does with a connection, by the first line that it gets.
async fn serve(stream: TcpStream, together: Arc<Barrier>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    stream.read_line(&mut command).await?;
    match command.trim_end() {
        "upload" => {
            let (mut hash, mut count, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
            loop {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    length => {
                        hash.update(&buffer[..length]);
                        count += length;
                    }
                }
            }
            // The other direction is still open.
            let answer = format!("{count} {}\n", hex::encode(hash.finalize()));
            stream.write_all(answer.as_bytes()).await?;
        }
        "download" => {
            for chunk in large() {
                stream.write_all(&chunk).await?;
            }
        }
        "little" => {
            for chunk in large().take(LITTLE_BYTES >> 16) {
                stream.write_all(&chunk).await?;
            }
        }
        "together" => {
            together.wait().await;
            let mut rest = [0; 3];
            stream.read_exact(&mut rest).await?;
            stream.write_all(&rest).await?;
        }
        _http => {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    stream.shutdown().await
}

/// Bytes that are not the same twice.
fn large() -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1u32;
    (0..LARGE_BYTES >> 16).map(move |_| {
        let mut chunk = Vec::with_capacity(1 << 16);
        while chunk.len() < 1 << 16 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            chunk.extend_from_slice(&state.to_be_bytes());
        }
        chunk
    })
}

async fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let together = Arc::new(Barrier::new(CONNECTIONS));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&together)));
        }
    });
    port
}

/// A server whose agents may reach a port of the host.
async fn world(kind: &str) -> (Server, Api, u16) {
    let port = upstream().await;
    let server = options(kind)
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{port}"))
        .start();
    let api = server.api();
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    (server, api, port)
}

/// The output of a run without any proxy variable.
async fn output(api: &Api, prompt: &str) -> (String, Value) {
    let prompt = format!(
        "unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy; {prompt}"
    );
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, PATIENCE).await;
    let text = run["output"].as_str().unwrap_or_default().to_owned();
    (text, run)
}

fn python(code: &str) -> String {
    format!("python3 - 2>&1 <<'END'\nimport hashlib, socket, threading\n{code}\nEND\n")
}

async fn programs_that_know_no_proxy_reach_what_is_allowed(kind: &str) {
    let (_server, api, port) = world(kind).await;
    let prompt = format!(
        "curl -sS --noproxy '*' -m 20 http://host.vm0.internal:{port}/; echo; \
         exec 3<>/dev/tcp/host.vm0.internal/{port}; printf 'x\\r\\n' >&3; tail -1 <&3; echo; \
         {}",
        python(&format!(
            "s = socket.create_connection(('host.vm0.internal', {port}), 20)\n\
             s.sendall(b'hello\\n')\n\
             print(s.makefile().read().splitlines()[-1])"
        ))
    );
    let (output, run) = output(&api, &prompt).await;
    assert_eq!(output, "served\nserved\nserved", "{run}");
}

async fn a_name_has_an_address_and_is_asked_of_nobody(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [] })))
        .await;
    let tcp = "q = bytes.fromhex('0007010000010000000000000161076578616d706c650000010001')\n\
               s = socket.create_connection(('198.18.0.2', 53), 20)\n\
               s.sendall(len(q).to_bytes(2, 'big') + q)\n\
               r = s.recv(512)\n\
               print(socket.inet_ntoa(r[-4:]))";
    let prompt = format!(
        "getent ahostsv4 leak-canary.example | head -1 | cut -c-7; \
         getent hosts leak-canary.example | wc -l; \
         [ \"$(getent hosts a.example)\" = \"$(getent hosts A.EXAMPLE | sed s/A.EXAMPLE/a.example/)\" ] && echo same; \
         getent ahostsv6 leak-canary.example | grep -v ffff: || echo no v6; \
         getent hosts localhost | head -1 | tr -s ' ' | cut -d' ' -f2; \
         {}",
        python(tcp)
    );
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, PATIENCE).await;
    let output = run["output"].as_str().unwrap_or_default();
    assert!(
        output.starts_with("198.18.\n1\nsame\nno v6\nlocalhost\n198.18."),
        "{run}"
    );
    assert_eq!(network_log(&api, &id).await, Vec::<Value>::new());
}

async fn refused_destinations_are_logged_by_name(kind: &str) {
    let (_server, api, port) = world(kind).await;
    let connect = |host: &str, port: u16| {
        python(&format!(
            "try: socket.create_connection(('{host}', {port}), 20)\n\
             except OSError as error: print(type(error).__name__)"
        ))
    };
    let prompt = [
        connect("denied.example", 443),
        connect("metadata.google.internal", 80),
        connect("169.254.169.254", 80),
        connect("host.vm0.internal", port.wrapping_add(1).max(1)),
    ]
    .concat();
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, PATIENCE).await;
    let expected = ["ConnectionRefusedError"; 4].join("\n");
    assert_eq!(run["output"], expected, "{run}");
    let log = network_log(&api, &id).await;
    let denied: Vec<String> = log
        .iter()
        .filter(|entry| entry["level"] == "warn")
        .map(|entry| entry["metadata"].to_string())
        .collect();
    for name in [
        "denied.example",
        "metadata.google.internal",
        "169.254.169.254",
        "host.vm0.internal",
    ] {
        let logged = denied.iter().any(|entry| entry.contains(name));
        assert!(logged, "{name}: {log:#?}");
    }
}

async fn only_dns_is_answered_by_udp(kind: &str) {
    let (_server, api, _port) = world(kind).await;
    let prompt = python(
        "def ask(address, port, data):\n\
        \x20   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        \x20   s.settimeout(20)\n\
        \x20   s.connect((address, port))\n\
        \x20   try:\n\
        \x20       s.send(data)\n\
        \x20       return s.recv(600)[-4:-2].hex()\n\
        \x20   except OSError as error: return type(error).__name__\n\
         q = bytes.fromhex('0007010000010000000000000161076578616d706c650000010001')\n\
         print(ask('1.1.1.1', 443, b'quic'), ask('198.18.0.2', 5353, q))\n\
         print(ask('198.18.0.2', 53, q), ask('8.8.8.8', 53, q))",
    );
    let (output, run) = output(&api, &prompt).await;
    let refused = "ConnectionRefusedError ConnectionRefusedError";
    assert_eq!(output, format!("{refused}\nc612 c612"), "{run}");
}

async fn large_transfers_arrive_whole_in_both_directions(kind: &str) {
    let (_server, api, port) = world(kind).await;
    let mut hash = Sha256::new();
    large().for_each(|chunk| hash.update(&chunk));
    let expected = hex::encode(hash.finalize());
    let prompt = python(&format!(
        "s = socket.create_connection(('host.vm0.internal', {port}), 60)\n\
         s.sendall(b'download\\n')\n\
         h, d, n = hashlib.sha256(), bytearray(), 0\n\
         while True:\n\
        \x20   b = s.recv(1 << 18)\n\
        \x20   if not b: break\n\
        \x20   h.update(b); n += len(b)\n\
        \x20   d += b\n\
         print(n, h.hexdigest())\n\
         s = socket.create_connection(('host.vm0.internal', {port}), 60)\n\
         s.sendall(b'upload\\n')\n\
         s.sendall(d)\n\
         s.shutdown(socket.SHUT_WR)\n\
         print(s.makefile().read().strip())"
    ));
    let (output, run) = output(&api, &prompt).await;
    let line = format!("{LARGE_BYTES} {expected}");
    assert_eq!(output, format!("{line}\n{line}"), "{run}");
}

async fn a_program_with_little_room_that_has_said_all_gets_all(kind: &str) {
    let (_server, api, port) = world(kind).await;
    let mut hash = Sha256::new();
    large()
        .take(LITTLE_BYTES >> 16)
        .for_each(|chunk| hash.update(&chunk));
    let expected = hex::encode(hash.finalize());
    let prompt = python(&format!(
        "s = socket.socket()\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)\n\
         s.connect(('host.vm0.internal', {port}))\n\
         s.sendall(b'little\\n')\n\
         s.shutdown(socket.SHUT_WR)\n\
         h = hashlib.sha256()\n\
         while True:\n\
        \x20   b = s.recv(3000)\n\
        \x20   if not b: break\n\
        \x20   h.update(b)\n\
         print(h.hexdigest())"
    ));
    let (output, run) = output(&api, &prompt).await;
    assert_eq!(output, expected, "{run}");
}

async fn two_hundred_connections_are_open_at_once(kind: &str) {
    let (_server, api, port) = world(kind).await;
    let prompt = python(&format!(
        "all = [socket.create_connection(('host.vm0.internal', {port}), 60) for _ in range({CONNECTIONS})]\n\
         for s in all: s.sendall(b'together\\n')\n\
         for i, s in enumerate(all): s.sendall(b'%03d' % i)\n\
         print(all and sum(int(s.recv(3)) == i for i, s in enumerate(all)))"
    ));
    let (output, run) = output(&api, &prompt).await;
    assert_eq!(output, CONNECTIONS.to_string(), "{run}");
}

async fn the_system_log_says_that_the_mode_is_on(kind: &str) {
    let server = server(kind);
    let api = server.api();
    for (mode, expected) in [("public", 1), ("none", 0)] {
        api.agent(&agent(&json!({ "mode": mode }))).await;
        let id = api
            .run(&json!({ "agent": "caller", "prompt": "true" }))
            .await;
        api.run_end(&id, PATIENCE).await;
        let logs = api
            .get(&format!("/v1/runs/{id}/logs?type=system&limit=100"))
            .await
            .expect(200);
        let lines = logs["data"].as_array().expect("entries").iter();
        let found = lines.filter(|entry| {
            entry["message"]
                .to_string()
                .contains("transparent mode is on")
        });
        assert_eq!(found.count(), expected, "{mode}: {logs}");
    }
}
