//! What goes in and what comes out of a run that succeeds.

use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::host;

use crate::sandboxes::server;

crate::on_each_sandbox!(
    a_volume_goes_in_and_an_artifact_comes_out,
    an_artifact_keeps_what_a_run_did_not_touch,
    two_hundred_events_arrive_in_order_and_resume_in_the_middle,
    the_events_of_the_shell_agent_are_those_of_the_specification,
    the_environment_is_that_of_the_specification,
    secrets_are_masked_in_everything_that_comes_out,
    an_agent_of_ones_own_works,
    a_changed_volume_is_not_written_back,
);

fn with_volume() -> Value {
    json!({
        "version": "1.0",
        "agents": { "copier": { "framework": "shell", "volumes": ["data:/home/user/data"] } },
        "volumes": { "data": { "name": "input-data" } },
    })
}

async fn a_volume_goes_in_and_an_artifact_comes_out(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let volume = api.storage("volumes", "input-data").await;
    let pushed = api
        .push(
            "volumes",
            &volume,
            &[("a.txt", b"hello\n"), ("b/c.txt", b"world\n")],
        )
        .await;
    api.agent(&with_volume()).await;
    let prompt = "cat ../data/a.txt ../data/b/c.txt > out.txt; mkdir d; printf '#!/bin/sh\\n' > d/x; \
                  chmod +x d/x; ln -s out.txt link; stat -c %u:%g out.txt ../data/a.txt";
    let run = api
        .run_to_end(&json!({ "agent": "copier", "prompt": prompt, "artifact_name": "results" }))
        .await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["output"], "1000:1000\n1000:1000");
    assert_eq!(run["exit_code"], 0);
    assert_eq!(run["sandbox"], kind);
    assert_eq!(run["volumes"], json!({ "data": pushed["id"] }));
    let artifact = api.storage_id("artifacts", "results").await;
    let head = api
        .get(&format!("/v1/artifacts/{artifact}"))
        .await
        .expect(200);
    assert_eq!(head["current_version_id"], run["artifact_version"]);
    assert_eq!(head["file_count"], 3, "two files and a link: {head}");
    let files = api.download("artifacts", &artifact, None).await;
    assert_eq!(files["out.txt"], b"hello\nworld\n");
    assert_eq!(files["d/x"], b"#!/bin/sh\n");
}

async fn an_artifact_keeps_what_a_run_did_not_touch(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let body =
        |prompt: &str| json!({ "agent": "worker", "prompt": prompt, "artifact_name": "work" });
    let first = api
        .run_to_end(&body(
            "mkdir -p a/b; echo 1 > a/b/one; echo 2 > a/two; echo 3 > three",
        ))
        .await;
    assert_eq!(first["status"], "completed", "{first}");
    let second = api
        .run_to_end(&body(
            "rm -r a/b; echo 4 >> three; mkdir a/b; echo 5 > a/b/new",
        ))
        .await;
    assert_eq!(second["status"], "completed", "{second}");
    let artifact = api.storage_id("artifacts", "work").await;
    let files = api.download("artifacts", &artifact, None).await;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["a/b/new", "a/two", "three"]);
    assert_eq!(files["three"], b"3\n4\n");
    let third = api.run_to_end(&body("touch three; cat a/two")).await;
    assert_eq!(
        third["artifact_version"], second["artifact_version"],
        "unchanged content, same id"
    );
    let old = first["artifact_version"].as_str();
    assert_eq!(api.download("artifacts", &artifact, old).await.len(), 3);
}

async fn two_hundred_events_arrive_in_order_and_resume_in_the_middle(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("speaker").await;
    let prompt = "for i in $(seq 200); do echo line $i; sleep 0.002; done";
    let id = api
        .run(&json!({ "agent": "speaker", "prompt": prompt }))
        .await;
    let mut stream = api.events(&id, None).await;
    let mut seen = Vec::new();
    while seen.len() < 100 {
        let event = stream.next().await.expect("the run goes on");
        if event.event == "output" {
            seen.push((event.id.expect("an output has an id"), event.data));
        }
    }
    drop(stream);
    let last = seen.last().expect("a hundred events").0.clone();
    let rest = api
        .events(&id, Some(&format!("evt_{last}")))
        .await
        .rest()
        .await;
    let complete = rest.last().expect("the stream ends with complete");
    assert_eq!(complete.event, "complete");
    assert_eq!(complete.data["status"], "completed");
    let outputs = rest.iter().filter(|event| event.event == "output");
    seen.extend(outputs.map(|event| (event.id.clone().expect("an id"), event.data.clone())));
    let sequences: Vec<u64> = seen
        .iter()
        .map(|(id, _)| id.parse().expect("a number"))
        .collect();
    assert_eq!(sequences, (1..=205).collect::<Vec<u64>>());
    let lines: Vec<&str> = seen
        .iter()
        .filter(|(_, data)| data["type"] == "output")
        .map(|(_, data)| data["data"]["text"].as_str().expect("a line"))
        .collect();
    let expected: Vec<String> = (1..=200).map(|n| format!("line {n}")).collect();
    assert_eq!(lines, expected);
    for (sequence, data) in &seen {
        assert_eq!(&data["data"]["sequenceNumber"].to_string(), sequence);
        assert_eq!(&data["sequence"].to_string(), sequence);
    }
}

async fn the_events_of_the_shell_agent_are_those_of_the_specification(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("sayer").await;
    let prompt = "echo out; echo err >&2; exit 3";
    let id = api
        .run(&json!({ "agent": "sayer", "prompt": prompt }))
        .await;
    let events = api.events(&id, None).await.outputs().await;
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "system",
            "assistant",
            "assistant",
            "output",
            "output",
            "user",
            "result"
        ]
    );
    let session = &events[0]["data"]["session_id"];
    assert!(
        events
            .iter()
            .all(|event| &event["data"]["session_id"] == session)
    );
    assert_eq!(events[0]["data"]["cwd"], "/home/user/workspace");
    assert_eq!(
        events[2]["data"]["message"]["content"][0]["input"]["command"],
        prompt
    );
    assert_eq!(events[6]["data"]["subtype"], "error_during_execution");
    assert_eq!(events[6]["data"]["is_error"], true);
    let run = api.run_end(&id, Duration::from_secs(30)).await;
    assert_eq!(run["status"], "failed");
    assert_eq!(run["exit_code"], 3);
    assert_eq!(run["error"], "err");
}

async fn the_environment_is_that_of_the_specification(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "env-reader": {
        "framework": "shell", "working_dir": "/srv/job",
        "environment": { "REGION": "${{ vars.REGION }}-1", "PLAIN": "x y" },
    } } });
    api.agent(&config).await;
    let body = json!({ "agent": "env-reader", "prompt": "env; id; pwd; hostname; cat /proc/1/comm",
                       "variables": { "REGION": "eu" }, "artifact_name": "env" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, Duration::from_secs(60)).await;
    let output = run["output"].as_str().expect("the environment");
    for line in [
        "REGION=eu-1",
        "PLAIN=x y",
        "HOME=/home/user",
        "USER=user",
        "LOGNAME=user",
        "LANG=C.UTF-8",
        "TZ=UTC",
        "TERM=dumb",
        "PWD=/srv/job",
        "VM0_FRAMEWORK=shell",
        "VM0_AGENT_NAME=env-reader",
        "VM0_WORKING_DIR=/srv/job",
        "VM0_ARTIFACT_NAME=env",
        "VM0_ARTIFACT_VERSION=",
        "VM0_SHELL_HISTORY=",
        "NODE_USE_ENV_PROXY=1",
        "NO_PROXY=localhost,127.0.0.1,::1",
        &format!("VM0_RUN_ID={id}"),
        "/srv/job",
        "sandbox",
    ] {
        assert!(
            output.lines().any(|l| l == line),
            "{line} is missing in:\n{output}"
        );
    }
    assert!(output.contains("uid=1000(user) gid=1000(user)"), "{output}");
    let token = server.token();
    assert!(
        !output.contains(token) && !output.contains(server.url()),
        "{output}"
    );
}

async fn secrets_are_masked_in_everything_that_comes_out(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "keeper": { "framework": "shell",
        "environment": { "KEY": "${{ secrets.KEY }}", "STORED": "${{ secrets.STORED }}" } } } });
    api.agent(&config).await;
    let (secret, stored) = ("hunter2/very+secret", "kept-by/the+server");
    let body = json!({ "value": stored });
    api.put("/v1/secrets/STORED", &body).await.expect(201);
    let prompt = "echo \"$KEY $STORED\"; printf %s \"$KEY\" | base64; printf '%s\\n' \"${KEY%cret}\" >&2; \
                  printf 'x%sx' \"$KEY\" >&2; echo $KEY > file; exit 1";
    let body = json!({ "agent": "keeper", "prompt": prompt, "secrets": { "KEY": secret },
                       "artifact_name": "kept" });
    let id = api.run(&body).await;
    let events = api.events(&id, None).await.raw().await;
    let run = api.run_end(&id, Duration::from_secs(60)).await;
    let logs = api
        .get(&format!("/v1/runs/{id}/logs?limit=100"))
        .await
        .expect(200);
    let seen = format!("{}{run}{logs}", String::from_utf8_lossy(&events));
    assert!(!seen.contains(secret) && !seen.contains(stored), "{seen}");
    assert!(!seen.contains("aHVudGVyMi92ZXJ5K3NlY3JldA"), "{seen}");
    assert!(seen.contains("*** ***"), "{seen}");
    let salvaged = run["salvaged_artifact_version"]
        .as_str()
        .expect("a changed workspace");
    let artifact = api.storage_id("artifacts", "kept").await;
    let files = api.download("artifacts", &artifact, Some(salvaged)).await;
    assert_eq!(
        files["file"],
        format!("{secret}\n").as_bytes(),
        "files are left as they are"
    );
    host::assert_nothing_left(server.data_dir(), &id, Duration::from_secs(60)).await;
    let on_disk = std::process::Command::new("grep")
        .args(["-rlF", "--exclude-dir=packs", "-e", secret, "-e", stored])
        .arg(server.data_dir())
        .output()
        .expect("grep runs");
    assert_eq!(
        String::from_utf8_lossy(&on_disk.stdout),
        "",
        "the secrets are nowhere in clear"
    );
}

async fn an_agent_of_ones_own_works(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let volume = api.storage("volumes", "word-counter-program").await;
    let program = include_bytes!("../../../../examples/custom-agent/agent/agent.py");
    api.push("volumes", &volume, &[("agent.py", program)]).await;
    let config = json!({ "version": "1.0", "agents": { "word-counter": { "framework": "custom",
        "command": ["python3", "/home/user/agent/agent.py", "{prompt}"],
        "volumes": ["program:/home/user/agent"] } },
        "volumes": { "program": { "name": "word-counter-program" } } });
    api.agent(&config).await;
    let body = json!({ "agent": "word-counter", "prompt": "count these four words",
                       "artifact_name": "words" });
    let run = api.run_to_end(&body).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["output"], "4 words");
    let artifact = api.storage_id("artifacts", "words").await;
    assert_eq!(
        api.download("artifacts", &artifact, None).await["words.txt"],
        b"4 words\n"
    );
}

async fn a_changed_volume_is_not_written_back(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let volume = api.storage("volumes", "input-data").await;
    api.push("volumes", &volume, &[("a.txt", b"hello\n")]).await;
    api.agent(&with_volume()).await;
    let body = json!({ "agent": "copier",
                       "prompt": "echo changed > ../data/a.txt; echo new > ../data/n; cat ../data/*" });
    for _ in 0..2 {
        let run = api.run_to_end(&body).await;
        assert_eq!(run["output"], "changed\nnew", "{run}");
    }
    let files = api.download("volumes", &volume, None).await;
    assert_eq!(files.len(), 1);
    assert_eq!(files["a.txt"], b"hello\n");
}
