//! Brokered secrets: what the sandbox has of them, where their values go, and that these come back
//! nowhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vm0_testkit::https::TlsFront;
use vm0_testkit::{Api, ModelServer, Server, host};

use crate::network::network_log;
use crate::sandboxes::options;

crate::on_each_sandbox!(
    a_sandbox_has_placeholders_only,
    a_value_goes_to_its_host_and_comes_back_masked,
    a_placeholder_elsewhere_is_refused_and_logged,
    a_value_that_no_request_can_hold_fails_the_run,
    claude_code_works_over_tls_without_its_key,
    codex_works_over_tls_without_its_key,
);

const KEY: &str = "sk-proj-real-key/0123456789+abcdef";
const LIMIT: Duration = Duration::from_secs(90);

/// A web server on the host that keeps what it gets and answers with it.
struct Echo {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&kept)));
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!("http://host.vm0.internal:{}", self.port)
    }

    fn seen(&self) -> String {
        self.requests.lock().expect("no handler panics").concat()
    }
}

async fn answer(mut stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    kept.lock().expect("no handler panics").push(head.clone());
    let headers = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n";
    let key = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("authorization"));
    let echo = format!(
        "X-Echo: {}\r\nContent-Length: {}\r\n",
        key.unwrap_or("-"),
        head.len()
    );
    // In pieces, so that a value in the answer is cut.
    for piece in [
        headers,
        &echo,
        "\r\n",
        &head[..head.len() / 2],
        &head[head.len() / 2..],
    ] {
        let _ = stream.write_all(piece.as_bytes()).await;
        let _ = stream.flush().await;
    }
}

fn server(kind: &str, ports: &[u16]) -> Server {
    let opened = ports.iter().fold(options(kind), |options, port| {
        options
            .arg("--allow-private")
            .arg(format!("127.0.0.1/32:{port}"))
    });
    opened.start()
}

/// A shell agent whose `OPENAI_API_KEY` is for `home`, and that may reach `other`, too.
async fn keeper(api: &Api, home: &Echo, other: Option<&Echo>) {
    let rules: Vec<Value> = other
        .iter()
        .map(|other| json!({ "domain": "host.vm0.internal", "ports": [other.port], "action": "allow" }))
        .collect();
    let agent = json!({
        "framework": "shell",
        "network": { "mode": "allowlist", "rules": rules },
        "environment": {
            "OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}",
            "WRAPPED": "<Bearer ${{secrets.OPENAI_API_KEY}}>",
            "PLAIN": "${{ secrets.PLAIN }}",
            "OPENAI_BASE_URL": home.url(),
        },
    });
    let config = json!({ "version": "1.0", "agents": { "keeper": agent } });
    api.agent(&config).await;
}

fn run(prompt: &str) -> Value {
    let secrets = json!({ "OPENAI_API_KEY": KEY, "PLAIN": "plain-value" });
    json!({ "agent": "keeper", "prompt": prompt, "secrets": secrets, "artifact_name": "kept" })
}

/// Whether `text` is a placeholder with this prefix.
fn is_placeholder(text: &str, prefix: &str) -> bool {
    let hex = text
        .strip_prefix(prefix)
        .and_then(|text| text.strip_prefix("vm0_enc_"));
    hex.is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// No file below the server's directory has the value, as it is, reversed or in base64.
fn assert_not_kept(server: &Server) {
    let control = server.data_dir().join("control");
    std::fs::write(&control, [b"\0", KEY.as_bytes()].concat()).expect("it is writable");
    let found = std::process::Command::new("grep")
        .env("LC_ALL", "C")
        .args(["-rlF", "-e", KEY, "-e", &reversed(KEY)])
        .args(["-e", "c2stcHJvai1yZWFsLWtleS8wMTIzNDU2Nzg5K2FiY2RlZ"])
        .arg(server.data_dir())
        .output()
        .expect("grep runs");
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found.trim_end(), control.display().to_string());
    std::fs::remove_file(&control).expect("it is there");
}

async fn a_sandbox_has_placeholders_only(kind: &str) {
    let home = Echo::start().await;
    let server = server(kind, &[home.port]);
    let api = server.api();
    keeper(&api, &home, None).await;
    // Reversed, the value would get past the mask of everything that comes out.
    let prompt = "echo \"$OPENAI_API_KEY\"; echo \"$WRAPPED\"; echo \"$PLAIN\" | rev; env | rev; \
                  cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | rev; grep -r . /vm0/prompt | rev";
    let mut placeholders = Vec::new();
    for _ in 0..2 {
        let run = api.run_to_end(&run(prompt)).await;
        assert_eq!(run["status"], "completed", "{run}");
        let output = run["output"].as_str().expect("an output").to_owned();
        let lines: Vec<&str> = output.lines().collect();
        assert!(is_placeholder(lines[0], "sk-proj-"), "{output}");
        assert_eq!(lines[1], format!("<Bearer {}>", lines[0]));
        assert_eq!(lines[2], reversed("plain-value"), "it has no host");
        assert!(!output.contains(&reversed(KEY)), "{output}");
        placeholders.push(lines[0].to_owned());
    }
    assert_ne!(placeholders[0], placeholders[1], "each run has its own");
    let id = api.run(&run("echo up; sleep 60")).await;
    api.run_event(&id, |data| data["text"] == "up").await;
    let mut exec = server.client(server.data_dir(), &["exec", &id]);
    exec.args(["--", "printenv", "OPENAI_API_KEY"]);
    let output = tokio::task::spawn_blocking(move || exec.output())
        .await
        .expect("no panic")
        .expect("vm0 runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(is_placeholder(shown.trim_end(), "sk-proj-"), "{output:?}");
    api.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await;
    api.run_end(&id, LIMIT).await;
    assert_not_kept(&server);
}

async fn a_value_goes_to_its_host_and_comes_back_masked(kind: &str) {
    let home = Echo::start().await;
    let server = server(kind, &[home.port]);
    let api = server.api();
    keeper(&api, &home, None).await;
    let url = home.url();
    let prompt = format!(
        "curl -si {url}/none > echo; curl -si -H 'Authorization: Basic x' -H 'authorization: y' {url}/two >> echo; \
         curl -si -H \"Authorization: $WRAPPED\" -p {url}/tunnel >> echo; rev echo; cat echo"
    );
    let id = api.run(&run(&prompt)).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "completed", "{run}");
    let seen = home.seen();
    let sent = format!("Authorization: Bearer {KEY}\r\n").to_lowercase();
    assert_eq!(seen.to_lowercase().matches(&sent).count(), 3, "{seen}");
    assert_eq!(
        seen.to_lowercase().matches("authorization").count(),
        3,
        "{seen}"
    );
    assert!(!seen.contains("vm0_enc_"), "{seen}");
    let output = run["output"].as_str().expect("an output");
    let stars = "*".repeat(KEY.len());
    assert!(output.contains(&format!("Bearer {stars}")), "{output}");
    assert!(!output.contains(&reversed(KEY)), "{output}");
    let log = network_log(&api, &id).await;
    assert_eq!(log.len(), 3, "{log:#?}");
    for entry in &log {
        assert_eq!(
            entry["metadata"]["secrets"],
            json!(["OPENAI_API_KEY"]),
            "{entry}"
        );
        assert_eq!(entry["metadata"]["rule"], "implied", "{entry}");
    }
    let artifact = api.storage_id("artifacts", "kept").await;
    let files = api.download("artifacts", &artifact, None).await;
    let echo = String::from_utf8_lossy(&files["echo"]);
    assert!(echo.contains(&stars) && !echo.contains(KEY), "{echo}");
    host::assert_nothing_left(server.data_dir(), &id, Duration::from_secs(60)).await;
    assert_not_kept(&server);
    assert!(!server.log().contains(KEY));
}

async fn a_placeholder_elsewhere_is_refused_and_logged(kind: &str) {
    let home = Echo::start().await;
    let other = Echo::start().await;
    let server = server(kind, &[home.port, other.port]);
    let api = server.api();
    keeper(&api, &home, Some(&other)).await;
    let (home_url, other_url) = (home.url(), other.url());
    let status = "curl -s -o /dev/null -w '%{http_code}\\n'";
    let upper = "$(echo $OPENAI_API_KEY | tr a-z A-Z)";
    let prompt = format!(
        "{status} -H \"Authorization: $WRAPPED\" {other_url}/header
         {status} -H \"X-Any: {upper}\" {other_url}/upper
         {status} -u \"user:$OPENAI_API_KEY\" {other_url}/basic
         {status} \"{other_url}/$OPENAI_API_KEY\"
         {status} \"{other_url}/?q=$(echo $OPENAI_API_KEY | sed 's/vm0/%76%6d0/')\"
         {status} -d \"key=$OPENAI_API_KEY\" {other_url}/body
         {status} -H \"X-Wrong: $OPENAI_API_KEY\" {home_url}/wrong
         {status} \"{home_url}/?q=$OPENAI_API_KEY\"
         {status} {other_url}/fine"
    );
    let id = api.run(&run(&prompt)).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["output"], format!("{}200", "403\n".repeat(8)), "{run}");
    let (here, there) = (home.seen(), other.seen());
    assert!(
        !there.contains("vm0_enc_") && !there.contains(KEY),
        "{there}"
    );
    assert!(here.is_empty(), "{here}");
    let log = network_log(&api, &id).await;
    let denied: Vec<&Value> = log
        .iter()
        .filter(|entry| entry["level"] == "warn")
        .collect();
    assert_eq!(denied.len(), 8, "{log:#?}");
    for entry in denied {
        let message = entry["message"].as_str().expect("a message");
        assert!(
            message.contains("placeholder of secret 'OPENAI_API_KEY' in the "),
            "{entry}"
        );
        assert_eq!(entry["metadata"]["secrets"], json!([]));
    }
}

async fn a_value_that_no_request_can_hold_fails_the_run(kind: &str) {
    let home = Echo::start().await;
    let server = server(kind, &[home.port]);
    let api = server.api();
    keeper(&api, &home, None).await;
    let mut body = run("true");
    body["secrets"]["OPENAI_API_KEY"] = json!("key with a line break\n");
    let run = api.run_to_end(&body).await;
    assert_eq!(
        run["error"],
        "[prepare] the value of secret 'OPENAI_API_KEY' has a line break or another character \
         that no HTTP header can hold",
        "{run}"
    );
}

async fn claude_code_works_over_tls_without_its_key(kind: &str) {
    let key = "sk-ant-api03-real-key-0123456789";
    let environment = |url: &str| {
        json!({ "ANTHROPIC_API_KEY": "${{ secrets.ANTHROPIC_API_KEY }}",
                "ANTHROPIC_BASE_URL": url })
    };
    let case = Agent {
        framework: "claude-code",
        variable: "ANTHROPIC_API_KEY",
        prefix: "sk-ant-api03-",
        key,
        credential: key.to_owned(),
    };
    works_without_its_key(kind, &case, environment).await;
}

async fn codex_works_over_tls_without_its_key(kind: &str) {
    let key = "sk-proj-real-key-0123456789";
    let environment = |url: &str| {
        json!({ "OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}", "OPENAI_MODEL": "scripted",
                "OPENAI_BASE_URL": format!("{url}/v1") })
    };
    let case = Agent {
        framework: "codex",
        variable: "CODEX_API_KEY",
        prefix: "sk-proj-",
        key,
        credential: format!("Bearer {key}"),
    };
    works_without_its_key(kind, &case, environment).await;
}

struct Agent {
    framework: &'static str,
    variable: &'static str,
    prefix: &'static str,
    key: &'static str,
    credential: String,
}

async fn works_without_its_key(kind: &str, case: &Agent, environment: impl Fn(&str) -> Value) {
    let model = ModelServer::start().await;
    let front = TlsFront::start(model.port()).await;
    let server = options(kind)
        .link(
            "runner/images",
            crate::agents::images(case.framework).join("runner/images"),
        )
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{}", front.port()))
        .arg("--trust-ca")
        .arg(front.authority().display().to_string())
        .start();
    let api = server.api();
    let agent = json!({ "framework": case.framework, "environment": environment(&front.url()),
                        "network": { "mode": "allowlist" } });
    let config = json!({ "version": "1.0", "agents": { "writer": agent } });
    api.agent(&config).await;
    let secret = agent["environment"]
        .as_object()
        .expect("a map")
        .keys()
        .find(|name| name.ends_with("_API_KEY"))
        .expect("a key")
        .clone();
    // The model gets to see what the agent saw, the placeholder too.
    let prompt = format!("please RUN[printenv {} | tee made.txt]RUN", case.variable);
    let secrets = json!({ secret: case.key });
    let body = json!({ "agent": "writer", "prompt": prompt, "secrets": secrets,
                       "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["output"], "turn 1 done", "{run}");
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api.download("artifacts", &artifact, None).await;
    let made = String::from_utf8_lossy(&files["made.txt"]).into_owned();
    assert!(is_placeholder(made.trim_end(), case.prefix), "{made}");
    let requests = model.requests_with("RUN[");
    assert!(!requests.is_empty());
    for request in &requests {
        assert_eq!(
            request.credential.as_deref(),
            Some(case.credential.as_str())
        );
        assert!(!request.body.to_string().contains(case.key));
    }
    let transcript = requests.last().expect("one").body.to_string();
    assert!(transcript.contains(made.trim_end()), "{transcript}");
}
