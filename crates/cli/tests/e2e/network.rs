//! The one way out: what the gateway lets through and what it refuses.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::sandboxes::{options, server};

crate::on_each_sandbox!(
    private_destinations_are_refused_and_logged,
    an_opened_port_is_reached_only_by_rule,
    without_network_there_is_no_proxy,
    a_policy_is_changed_while_the_run_goes_on,
    without_network_there_is_no_dns_and_no_interface,
    an_interface_leads_nowhere_but_to_the_gateway,
);

/// An agent that runs its prompt, with this network.
pub(crate) fn agent(network: &Value) -> Value {
    json!({ "version": "1.0", "agents": { "caller": { "framework": "shell", "network": network } } })
}

/// The network log of a run.
pub(crate) async fn network_log(api: &vm0_testkit::Api, id: &str) -> Vec<Value> {
    let logs = api
        .get(&format!("/v1/runs/{id}/logs?type=network&limit=100"))
        .await
        .expect(200);
    logs["data"].as_array().expect("entries").clone()
}

/// A web server on the loopback interface of the host.
async fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer =
                    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

async fn private_destinations_are_refused_and_logged(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.agent(&agent(&json!({ "mode": "public" }))).await;
    let own = server.url();
    let targets = [
        own,
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://172.16.0.1/",
        "http://100.64.0.1/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://host.vm0.internal/",
        "http://2130706433/",
    ];
    let script: String = targets
        .iter()
        .map(|url| {
            format!("curl -sg --noproxy '' -m 20 -o /dev/null -w '%{{http_code}} {url}\\n' '{url}'\n\
                     curl -sg --noproxy '' -p -m 20 -o /dev/null -w 'tunnel %{{http_connect}} {url}\\n' '{url}'\n")
        })
        .collect();
    let prompt = format!(
        "{script}curl -sg --noproxy '' --socks5-hostname 127.0.0.1:${{ALL_PROXY##*:}} '{own}/health' || echo socks refused"
    );
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, std::time::Duration::from_secs(120)).await;
    let output = run["output"].as_str().expect("an output");
    for url in targets {
        assert!(output.contains(&format!("403 {url}\n")), "{url}: {output}");
        assert!(
            output.contains(&format!("tunnel 403 {url}\n")),
            "{url}: {output}"
        );
    }
    let log = network_log(&api, &id).await;
    let denied = log.iter().filter(|entry| entry["level"] == "warn").count();
    assert!(denied >= targets.len() * 2, "{denied} of {log:#?}");
}

async fn an_opened_port_is_reached_only_by_rule(kind: &str) {
    let port = upstream().await;
    let closed = upstream().await;
    let server = options(kind)
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{port}"))
        .start();
    let api = server.api();
    let prompt = format!(
        "curl -s -m 20 http://host.vm0.internal:{port}/x?q=1; echo; \
         curl -s -m 20 -p http://host.vm0.internal:{port}/; echo; \
         curl -s -m 20 -o /dev/null -w '%{{http_code}}\\n' http://host.vm0.internal:{closed}/"
    );
    let body = json!({ "agent": "caller", "prompt": prompt });
    api.agent(&agent(&json!({ "mode": "public" }))).await;
    let refused = api.run_to_end(&body).await;
    assert!(
        !refused["output"].to_string().contains("served"),
        "opening is not allowing: {refused}"
    );
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    let id = api.run(&body).await;
    let run = api.run_end(&id, std::time::Duration::from_secs(60)).await;
    assert_eq!(run["output"], "served\nserved\n403", "{run}");
    let log = network_log(&api, &id).await;
    let request = &log[0];
    assert_eq!(request["metadata"]["method"], "GET", "{log:#?}");
    assert_eq!(
        request["metadata"]["url"],
        format!("http://host.vm0.internal:{port}/x?q=1")
    );
    assert_eq!(request["metadata"]["status"], 200);
    assert_eq!(request["metadata"]["rule"], "rule 1");
    assert_eq!(
        log[1]["metadata"]["status"], 200,
        "plain HTTP in a tunnel is read too: {log:#?}"
    );
    assert!(log.iter().any(|entry| entry["level"] == "warn"), "{log:#?}");
}

async fn without_network_there_is_no_proxy(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.agent(&agent(&json!({ "mode": "none" }))).await;
    let prompt = "printenv HTTP_PROXY https_proxy ALL_PROXY NODE_USE_ENV_PROXY | wc -l; grep -c LISTEN /proc/net/tcp; \
                  python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128), 2)' 2>&1 | tail -1";
    let run = api
        .run_to_end(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let output = run["output"].as_str().expect("an output");
    assert!(output.starts_with("0\n"), "{output}");
    assert!(output.contains("refused"), "{output}");
}

/// Asks once and again, and says what came of it when it is another than before.
const ASK_AGAIN: &str = "while :; do code=$(curl -s -m 5 -o /dev/null -w '%{http_code}' $URL); \
    [ \"$code\" = \"$last\" ] || echo \"code $code\"; last=$code; sleep 0.05; done";

async fn a_policy_is_changed_while_the_run_goes_on(kind: &str) {
    let port = upstream().await;
    let server = options(kind)
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{port}"))
        .start();
    let api = server.api();
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
    let open = json!({ "mode": "allowlist", "rules": [rule] });
    api.agent(&agent(&open)).await;
    let prompt = format!("URL=http://host.vm0.internal:{port}/\n{ASK_AGAIN}");
    let run = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let says = async |wanted: &str, times: usize| {
        let seen = std::cell::Cell::new(0);
        let is_last = |data: &Value| {
            seen.set(seen.get() + usize::from(data["text"] == wanted));
            seen.get() == times
        };
        api.run_event(&run, is_last).await;
    };
    says("code 200", 1).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let change = |policy: &Value| {
        let file = directory.path().join("policy.yaml");
        std::fs::write(&file, policy.to_string()).expect("a file");
        let mut command = server.client(directory.path(), &["run", "network", &run, "--file"]);
        let output = command.arg(&file).output().expect("vm0 runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    };
    change(&json!({ "mode": "none" }));
    says("code 403", 1).await;
    change(&open);
    says("code 200", 2).await;
    change(&json!({ "network": { "mode": "allowlist" } }));
    says("code 403", 2).await;
    api.post(&format!("/v1/runs/{run}/cancel"), &json!({}))
        .await
        .expect(200);
    for text in ["mode none", "mode allowlist, 1 rule", "mode allowlist"] {
        let line = format!("[sandbox:run-agent] network policy changed: {text}");
        system_log_has(&api, &run, &line).await;
    }
}

/// Waits for a line of the system log.
async fn system_log_has(api: &vm0_testkit::Api, run: &str, line: &str) {
    let waiting = async {
        loop {
            let logs = api
                .get(&format!("/v1/runs/{run}/logs?type=system&limit=100"))
                .await
                .expect(200);
            let entries = logs["data"].as_array().expect("entries");
            if entries.iter().any(|entry| entry["message"] == line) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("no line '{line}'"));
}

async fn without_network_there_is_no_dns_and_no_interface(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.agent(&agent(&json!({ "mode": "none" }))).await;
    let prompt = "tail -n +3 /proc/net/dev | grep -vc ' lo:\\|^ *lo:'; \
                  grep -c nameserver /etc/resolv.conf; \
                  getent hosts example.com || echo no name; \
                  python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((\"1.1.1.1\", 53)); s.send(b\"x\")' 2>/dev/null || echo no udp; \
                  python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 443), 3)' 2>/dev/null || echo no tcp; \
                  [ ! -e /dev/net/tun ] || python3 -c 'open(\"/dev/net/tun\", \"r+b\", 0)' 2>/dev/null || echo no device";
    let run = api
        .run_to_end(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let output = run["output"].as_str().expect("an output");
    assert!(output.starts_with("0\n0\nno name\nno udp\nno tcp"), "{run}");
}

async fn an_interface_leads_nowhere_but_to_the_gateway(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let rule = json!({ "domain": "allowed.example", "action": "allow" });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    let prompt = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '; echo; \
                  python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 443), 20)' 2>&1 | tail -1; \
                  python3 -c 'import socket; socket.create_connection((\"denied.example\", 443), 20)' 2>&1 | tail -1; \
                  python3 -c 'import socket; socket.create_connection((\"198.18.0.2\", 80), 20)' 2>&1 | tail -1; \
                  ip route add 10.0.0.0/8 dev lo 2>/dev/null && echo ROUTE; \
                  ip link set tun0 down 2>/dev/null && echo DOWN; \
                  python3 -c 'import fcntl, struct; fcntl.ioctl(open(\"/dev/net/tun\", \"r+b\", 0), 0x400454ca, struct.pack(\"16sH22x\", b\"tun1\", 0x1001))' 2>/dev/null && echo DEVICE; \
                  echo nameserver 1.1.1.1 2>/dev/null > /etc/resolv.conf && echo RESOLVER; \
                  echo end";
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, std::time::Duration::from_secs(120)).await;
    let refused = "ConnectionRefusedError: [Errno 111] Connection refused\n".repeat(3);
    assert_eq!(run["output"], format!("lo tun0 \n{refused}end"), "{run}");
    let log = network_log(&api, &id).await;
    let denied: Vec<String> = log
        .iter()
        .filter(|entry| entry["level"] == "warn")
        .map(|entry| entry["metadata"].to_string())
        .collect();
    assert_eq!(denied.len(), 2, "{log:#?}");
    assert!(
        denied.iter().any(|entry| entry.contains("1.1.1.1")),
        "{log:#?}"
    );
    assert!(
        denied.iter().any(|entry| entry.contains("denied.example")),
        "{log:#?}"
    );
}
