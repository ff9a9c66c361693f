//! The canary campaign: random secrets in every form, an agent that tries to find them in every way
//! it knows (`agent/`), servers that help it, and afterwards a search through all that the agent
//! brought out, that the servers received, and that ours stored, logged and served.
//!
//! One secret is exposed: where its value comes through, a brokered one would have, so that each
//! technique proves that it works. With `VM0_REDTEAM` a report is left in that directory.

mod judge;
mod report;
mod secrets;
mod sites;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{SeekFrom, seek};
use serde_json::{Value, json};
use vm0_testkit::{Api, Server};

use crate::sandboxes::options;
use judge::Judge;
use report::Report;
use secrets::{CONTROL, Secrets};
use sites::Sites;

crate::on_each_sandbox!(no_secret_is_found_by_any_technique);

const LIMIT: Duration = Duration::from_secs(180);

/// Techniques are not lost by accident.
const TECHNIQUES_MIN: usize = 300;

const AGENT: [(&str, &[u8]); 8] = [
    ("channel.py", include_bytes!("agent/channel.py")),
    ("echoes.py", include_bytes!("agent/echoes.py")),
    ("frames.py", include_bytes!("agent/frames.py")),
    ("guesses.py", include_bytes!("agent/guesses.py")),
    ("local.py", include_bytes!("agent/local.py")),
    ("main.py", include_bytes!("agent/main.py")),
    ("smuggling.py", include_bytes!("agent/smuggling.py")),
    ("strays.py", include_bytes!("agent/strays.py")),
];

async fn no_secret_is_found_by_any_technique(kind: &str) {
    let secrets = Secrets::random();
    let sites = Sites::start().await;
    let server = server(kind, &sites);
    let api = server.api();
    api.agent(&config(&sites)).await;
    let volume = api.storage("volumes", "canary").await;
    api.push("volumes", &volume, &AGENT).await;
    let body = json!({
        "agent": "canary", "secrets": secrets.values(), "artifact_name": "found",
        "prompt": "PYTHONDONTWRITEBYTECODE=1 python3 /home/user/canary/main.py | tee found.txt",
    });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "completed", "{run}");

    let judge = Judge::new(secrets.brokered());
    let mut report = Report::new(kind, secrets.seed());
    let control = Judge::new([(CONTROL, secrets.value(CONTROL))]);
    for loot in sites.loot() {
        report.technique(&loot, &judge, &control);
    }
    sites.check(&secrets, &judge, &mut report);
    check_server(&server, &judge, &mut report);
    check_api(&api, &id, &judge, &mut report).await;
    let announced = format!("techniques {}", report.techniques());
    let output = run["output"].as_str().unwrap_or_default();
    report.expect(
        output.ends_with(&announced),
        "every technique brings its loot",
    );
    report.expect(
        report.techniques() >= TECHNIQUES_MIN,
        "no technique is lost",
    );
    report.finish();
}

fn server(kind: &str, sites: &Sites) -> Server {
    let trusting = options(kind)
        .arg("--trust-ca")
        .arg(sites.authority().display().to_string());
    let opened = sites.ports().fold(trusting, |options, (_, port)| {
        options
            .arg("--allow-private")
            .arg(format!("127.0.0.1/32:{port}"))
    });
    opened.start()
}

fn config(sites: &Sites) -> Value {
    let host = |name: &str| sites.host(name);
    let secret = |name: &str| format!("${{{{ secrets.{name} }}}}");
    let names = Secrets::NAMES.iter().chain([&CONTROL]);
    let mut environment: serde_json::Map<String, Value> = names
        .map(|name| ((*name).to_owned(), secret(name).into()))
        .collect();
    let ports: serde_json::Map<String, Value> = sites
        .ports()
        .map(|(name, port)| (name.to_owned(), port.into()))
        .collect();
    environment.insert(
        "CANARY_PORTS".to_owned(),
        Value::from(ports).to_string().into(),
    );
    let url = format!("https://{}", host("D"));
    environment.insert("OPENAI_BASE_URL".to_owned(), url.into());
    let url = format!("http://{}", host("P"));
    environment.insert("ANTHROPIC_BASE_URL".to_owned(), url.into());
    // Y is decrypted because its rule is about requests; X is not, so that loot gets there.
    let rules = sites.ports().map(|(name, port)| {
        let mut rule = json!({ "domain": "host.vm0.internal", "ports": [port], "action": "allow" });
        if name == "Y" {
            rule["paths"] = json!(["/**"]);
        }
        rule
    });
    let bound = |site: &str, inject: &str| json!({ "hosts": [host(site)], "inject": inject });
    json!({
        "version": "1.0",
        "agents": { "canary": {
            "framework": "shell",
            "volumes": ["canary:/home/user/canary"],
            "environment": environment,
            "network": { "mode": "allowlist", "rules": rules.collect::<Vec<_>>() },
            "secrets": {
                "BEARER": bound("A", "bearer"),
                "HEADER": bound("A", "header:X-Canary"),
                "QUERY": bound("A", "query:key"),
                "LONG": bound("B", "header:X-Long"),
                "PAIR": bound("C", "basic"),
                "WORD": bound("E", "basic"),
                CONTROL: { "expose": true },
            },
        } },
        "volumes": { "canary": { "name": "canary" } },
    })
}

/// Everything that the server stored and logged; a core dump would be among it.
fn check_server(server: &Server, judge: &Judge, report: &mut Report) {
    report.scan("the server's log", server.log().as_bytes(), judge);
    let mut folders = vec![server.data_dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    // What is gone by now is not kept.
                    let bytes = data_of(&path).unwrap_or_default();
                    report.scan(&format!("the file {}", path.display()), &bytes, judge);
                }
                _ => {}
            }
        }
    }
}

/// What is in a file, without its holes: disks of sandboxes are large and hardly written.
fn data_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    let mut end = 0;
    while let Ok(start) = seek(&file, SeekFrom::Data(end)) {
        end = seek(&file, SeekFrom::Hole(start))?;
        seek(&file, SeekFrom::Start(start))?;
        let mut data = (&mut file).take(end - start);
        data.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Everything that the API says of the run.
async fn check_api(api: &Api, id: &str, judge: &Judge, report: &mut Report) {
    let events = api.events(id, None).await.raw().await;
    report.expect(!events.is_empty(), "the run has events");
    report.scan("the events", &events, judge);
    for what in [
        "",
        "/logs?type=network&limit=100",
        "/logs?type=system&limit=100",
        "/logs?type=agent&limit=100",
        "/metrics",
        "/checkpoint",
    ] {
        let answer = api.get(&format!("/v1/runs/{id}{what}")).await;
        report.scan(what, answer.body.to_string().as_bytes(), judge);
        report.scan(what, format!("{:?}", answer.headers).as_bytes(), judge);
    }
    for path in ["/v1/runs", "/v1/agents", "/v1/secrets", "/metrics"] {
        let answer = api.get(path).await;
        report.scan(path, answer.body.to_string().as_bytes(), judge);
    }
    let artifact = api.storage_id("artifacts", "found").await;
    for (name, bytes) in api.download("artifacts", &artifact, None).await {
        report.scan(&format!("the artifact's {name}"), &bytes, judge);
    }
}
