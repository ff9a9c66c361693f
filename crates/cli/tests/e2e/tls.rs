//! TLS out of a sandbox: decrypted where the policy reads requests, passed through elsewhere.

use std::time::Duration;

use serde_json::json;
use vm0_testkit::{HttpsServer, Server};

use crate::network::{agent, network_log};
use crate::sandboxes::options;

crate::on_each_sandbox!(
    requests_in_tls_are_decided_by_method_and_path,
    tls_that_nothing_reads_passes_through,
    a_policy_that_begins_to_read_requests_finds_programs_that_trust_it,
);

fn server(kind: &str, https: &HttpsServer) -> Server {
    options(kind)
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{}", https.port()))
        .arg("--trust-ca")
        .arg(https.authority().display().to_string())
        .start()
}

async fn requests_in_tls_are_decided_by_method_and_path(kind: &str) {
    let https = HttpsServer::start().await;
    let server = server(kind, &https);
    let api = server.api();
    let (url, port) = (https.url(""), https.port());
    let rule = json!({
        "domain": "host.vm0.internal", "ports": [port],
        "methods": ["GET"], "paths": ["/open/**"], "action": "allow",
    });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    let python =
        format!("import urllib.request; print(urllib.request.urlopen('{url}/open/python').status)");
    let prompt = format!(
        "code() {{ curl -s -m 30 -o /dev/null -w '%{{http_code}} %{{http_version}}\\n' \"$@\"; }}\n\
         code {url}/open/two\n\
         code --http1.1 {url}/open/one\n\
         code -X POST {url}/open/post\n\
         code {url}/closed\n\
         python3 -c \"{python}\"\n\
         unset SSL_CERT_FILE CURL_CA_BUNDLE\n\
         code {url}/open/bundle\n\
         openssl verify /vm0/authorities.pem > /dev/null && echo verified\n\
         curl -s -m 30 {url}/open/bytes | head -c 9"
    );
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, Duration::from_secs(120)).await;
    let expected = "200 2\n200 1.1\n403 2\n403 2\n200\n200 2\nverified\n{\"method\"";
    assert_eq!(run["output"], expected, "{run}");
    let log = network_log(&api, &id).await;
    let post = log
        .iter()
        .find(|entry| entry["metadata"]["method"] == "POST")
        .expect("a line of the refused request");
    assert_eq!(post["level"], "warn");
    assert_eq!(post["metadata"]["url"], format!("{url}/open/post"));
    assert_eq!(post["metadata"]["status"], 403);
    let seen: Vec<String> = https.seen().into_iter().map(|seen| seen.path).collect();
    let expected = ["two", "one", "python", "bundle", "bytes"];
    assert_eq!(seen, expected.map(|name| format!("/open/{name}")));
}

async fn tls_that_nothing_reads_passes_through(kind: &str) {
    let https = HttpsServer::start().await;
    let server = server(kind, &https);
    let api = server.api();
    let (url, port) = (https.url("/x"), https.port());
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    let prompt = format!(
        "curl -s {url}; echo $?; curl -ks -o /dev/null -w '%{{http_code}}\\n' {url}; \
         echo \"[$SSL_CERT_FILE]\"; ls /vm0"
    );
    let id = api
        .run(&json!({ "agent": "caller", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, Duration::from_secs(60)).await;
    // 60: the certificate is that of the server itself, which nothing inside vouches for.
    assert_eq!(
        run["output"], "60\n200\n[]\nagent\nauthorities.pem\nprompt",
        "{run}"
    );
    let log = network_log(&api, &id).await;
    let allowed = format!("SNI ALLOW host.vm0.internal:{port} rule 1");
    let closed = format!("SNI CLOSE host.vm0.internal:{port} ");
    for pair in ["ALLOW", "CLOSE"] {
        let lines = log
            .iter()
            .filter(|entry| entry["metadata"]["action"] == pair);
        assert_eq!(lines.count(), 2, "{log:#?}");
    }
    assert!(
        log.iter().all(|entry| {
            let message = entry["message"].as_str().expect("a message");
            message == allowed || message.starts_with(&closed)
        }),
        "{log:#?}"
    );
}

async fn a_policy_that_begins_to_read_requests_finds_programs_that_trust_it(kind: &str) {
    let https = HttpsServer::start().await;
    let server = server(kind, &https);
    let api = server.api();
    let (url, port) = (https.url(""), https.port());
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
    api.agent(&agent(&json!({ "mode": "allowlist", "rules": [rule] })))
        .await;
    // The server's own certificate is that of a stranger: 60.
    let prompt = format!(
        "curl -s -m 5 {url}/open/first; echo \"curl $?\"\n\
         until curl -s -m 5 -o /dev/null {url}/open/x; do sleep 0.1; done; echo trusted\n\
         curl -s -m 30 -o /dev/null -w '%{{http_code}}\\n' {url}/closed\n\
         python3 -c \"import urllib.request as r; print(r.urlopen('{url}/open/python').status)\""
    );
    let body = json!({ "agent": "caller", "prompt": prompt });
    let run = api.run(&body).await;
    api.run_event(&run, |event| event["text"] == "curl 60")
        .await;
    let rule = json!({ "domain": "host.vm0.internal", "ports": [port],
                       "paths": ["/open/**"], "action": "allow" });
    let policy = json!({ "mode": "allowlist", "rules": [rule] });
    api.put(&format!("/v1/runs/{run}/network"), &policy)
        .await
        .expect(200);
    let run = api.run_end(&run, Duration::from_secs(120)).await;
    assert_eq!(run["output"], "curl 60\ntrusted\n403\n200", "{run}");
}
