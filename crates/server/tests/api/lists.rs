//! Every list, by enumeration of the description, walked while rows are inserted.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::described::{Described, Description};
use crate::harness::{Answer, Harness};
use crate::storages::{archive, upload};

const ROWS: usize = 5;
/// Insertions during a walk: a list in order of time grows at its end, and the walk must end too.
const INSERTED: usize = 3;
/// SHA-256 of `hello\n`.
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// What the lists of parts are of.
struct World {
    harness: Harness,
    agent: String,
    volume: String,
    artifact: String,
    run: String,
}

impl World {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let agent = text(&harness.agent(json!({})).await["id"]);
        let run = harness.run().await;
        harness.claim().await;
        let storage = async |kind: &str| {
            let answer = harness.post(kind, json!({ "name": "parts" })).await;
            text(&answer.json()["id"])
        };
        let (volume, artifact) = (storage("/v1/volumes").await, storage("/v1/artifacts").await);
        Self {
            harness,
            agent,
            volume,
            artifact,
            run,
        }
    }

    fn path(&self, list: &str) -> String {
        let id = match list.split('/').nth(2) {
            Some("agents") => &self.agent,
            Some("volumes") => &self.volume,
            Some("artifacts") => &self.artifact,
            _ => &self.run,
        };
        list.replace("{id}", id)
    }

    /// Adds the row number `n` to a list.
    async fn insert(&self, list: &str, n: usize) {
        let harness = &self.harness;
        let answer = match list {
            "/v1/agents" => self.compose(&format!("agent-{n}"), n).await,
            "/v1/agents/{id}/versions" => self.compose("demo", n).await,
            "/v1/runs" => {
                harness.run().await;
                return;
            }
            "/v1/runs/{id}/events" => {
                harness
                    .append(&self.run, n as u64, &[&format!("{n}")])
                    .await
            }
            "/v1/runs/{id}/logs" => self.log(n).await,
            "/v1/volumes" | "/v1/artifacts" => {
                harness
                    .post(list, json!({ "name": format!("row-{n}") }))
                    .await
            }
            "/v1/volumes/{id}/versions" | "/v1/artifacts/{id}/versions" => {
                self.commit(&self.path(list).replace("/versions", ""), n)
                    .await
            }
            "/v1/sessions" => {
                let run = harness.run().await;
                while harness.claim().await["spec"]["run_id"] != run.as_str() {}
                harness.complete(&run).await
            }
            "/v1/secrets" | "/v1/variables" => {
                let path = format!("{list}/KEY_{n}");
                harness.put(&path, json!({ "value": "v" })).await
            }
            "/v1/schedules" => {
                let body = json!({ "agent": "demo", "cron": "@yearly", "prompt": format!("{n}") });
                let answer = harness.post(list, body).await;
                assert_eq!(answer.status, 201, "{answer:?}");
                return;
            }
            "/v1/tokens" => {
                let body = json!({ "name": format!("token {n}") });
                harness.post(list, body).await
            }
            unknown => panic!("say how a row is added to {unknown}"),
        };
        assert!(matches!(answer.status, 200..=201), "{list}: {answer:?}");
    }

    async fn compose(&self, name: &str, n: usize) -> Answer {
        let agent = json!({ "framework": "shell", "description": format!("{n}") });
        let config = json!({ "version": "1.0", "agents": { name: agent } });
        self.harness
            .post("/v1/agents", json!({ "config": config }))
            .await
    }

    async fn log(&self, n: usize) -> Answer {
        let line = json!({
            "timestamp": "2026-01-15T10:30:00.000Z", "type": "system", "level": "info",
            "message": format!("{n}"), "metadata": null,
        });
        let body = json!({ "epoch": 1, "offset": n, "entries": [line] });
        self.harness
            .runner(&format!("/runs/{}/logs", self.run), body)
            .await
    }

    async fn commit(&self, storage: &str, n: usize) -> Answer {
        let path = format!("{n}.txt");
        let files = json!([{ "path": path, "size": 6, "hash": HELLO }]);
        let archive = archive(&[(&path, b"hello\n")]);
        let session = upload(&self.harness, storage, &files, archive).await;
        let body = json!({ "upload_session_id": session });
        self.harness.post(&format!("{storage}/commit"), body).await
    }

    async fn page(&self, list: &str, limit: usize, cursor: &str) -> Value {
        let path = format!("{}?limit={limit}&cursor={cursor}", self.path(list));
        let request = self.harness.request(Method::GET, &path);
        let request = request.header("Accept", "application/json");
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What tells a row from the others of its list.
fn identity(row: &Value) -> String {
    let key = ["id", "name", "sequence", "message"]
        .iter()
        .find(|key| !row[**key].is_null());
    row[*key.unwrap_or_else(|| panic!("no identity: {row}"))].to_string()
}

fn identities(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(identity).collect()
}

/// The lists that have pages: those that take a cursor.
fn lists() -> Vec<&'static str> {
    let description = Description::get();
    let takes_cursor = |operation: &Described<'_>| {
        let parameters = operation.entry["parameters"].as_array();
        parameters.is_some_and(|parameters| {
            let mut names = parameters.iter().map(|it| &description.resolve(it)["name"]);
            names.any(|name| name == "cursor")
        })
    };
    let operations = description.operations();
    operations
        .filter(|operation| operation.method == "get" && takes_cursor(operation))
        .map(|operation| operation.path)
        .collect()
}

#[tokio::test]
async fn a_walk_through_any_list_shows_each_old_row_once_while_rows_are_inserted() {
    let lists = lists();
    assert!(lists.len() >= 12, "{lists:?}");
    let world = World::start().await;
    for list in lists {
        for n in 0..ROWS {
            world.insert(list, n).await;
        }
        let old = identities(&world.page(list, 100, "").await);
        assert!(old.len() >= ROWS, "{list}: {old:?}");
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let (mut cursor, mut pages) = (String::new(), 0);
        loop {
            let page = world.page(list, 2, &cursor).await;
            for row in identities(&page) {
                *seen.entry(row).or_default() += 1;
            }
            if pages < INSERTED {
                world.insert(list, ROWS + pages).await;
            }
            pages += 1;
            match page["pagination"]["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert!(seen.values().all(|&times| times == 1), "{list}: {seen:?}");
        for row in &old {
            assert!(seen.contains_key(row), "{list} lost {row}: {seen:?}");
        }
    }
}
