//! A server with two users and a runner.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use vm0_blob::{Content, Entry, Manifest};
use vm0_model::ManifestId;
use vm0_model::token::{TokenKind, TokenSecret};
use vm0_server::{RunningServer, Server, ServerConfig, TokenFor, TokenRequest, token_create};

use crate::described::Description;

pub(crate) struct Harness {
    pub(crate) server: RunningServer,
    pub(crate) token: String,
    pub(crate) other_token: String,
    pub(crate) runner_token: String,
    pub(crate) http: reqwest::Client,
    config: ServerConfig,
    pub(crate) directory: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// Reads it, and compares it with the description of the API.
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let path = response.url().path().to_owned();
        let text = response.text().await.unwrap();
        Description::get().assert_answer(&path, status, &headers, &text);
        Self {
            status,
            headers,
            text,
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Asserts the error and its `param`, and gives the message.
    pub(crate) fn error(&self, status: u16, code: &str, param: Option<&str>) -> String {
        let error = &self.json()["error"];
        assert_eq!(
            (self.status, error["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert_eq!(error["param"].as_str(), param, "{self:?}");
        error["message"].as_str().unwrap().to_owned()
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adapt: impl FnOnce(&mut ServerConfig)) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = ServerConfig::new(directory.path().join("data"), listen);
        let runner = TokenSecret::from_bytes(TokenKind::Runner, [7; 32]);
        config.builtin_runner_token = Some(runner.clone());
        // All callers of a test have one address.
        config.auth_failures_max = u32::MAX;
        adapt(&mut config);
        let server = Server::start(config.clone()).await.unwrap();
        let token = |name: &str| {
            let request = TokenRequest {
                owner: TokenFor::User(name.to_owned()),
                label: "test".to_owned(),
                expires_in_days: 1,
            };
            let data_dir = config.data_dir.clone();
            async move { token_create(&data_dir, request).await.unwrap() }
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let (token, other_token) = (token("ada").await, token("bob").await);
        let runner_token = runner.expose().to_owned();
        Self {
            server,
            token,
            other_token,
            runner_token,
            http,
            directory,
            config,
        }
    }

    /// Stops the server, and starts it again on what it has stored.
    pub(crate) async fn restart(self) -> Self {
        self.server.stop().await;
        let server = Server::start(self.config.clone()).await.unwrap();
        Self { server, ..self }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.server.url()))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::read(
            self.request(Method::POST, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        let request = self.request(Method::PUT, path).json(&body);
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// A call of the runner API.
    pub(crate) async fn runner(&self, path: &str, body: Value) -> Answer {
        let url = format!("{}/api/runner/v1{path}", self.server.url());
        let request = self
            .http
            .post(url)
            .bearer_auth(&self.runner_token)
            .json(&body);
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn runner_put(&self, path: &str, body: Vec<u8>) -> Answer {
        let url = format!("{}/api/runner/v1{path}", self.server.url());
        let request = self
            .http
            .put(url)
            .bearer_auth(&self.runner_token)
            .body(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Composes the shell agent `demo` with more keys in its part of the configuration.
    pub(crate) async fn agent(&self, more: Value) -> Value {
        let mut agent = json!({ "framework": "shell" });
        for (key, value) in more.as_object().unwrap() {
            agent[key] = value.clone();
        }
        let config = json!({ "version": "1.0", "agents": { "demo": agent } });
        let answer = self.post("/v1/agents", json!({ "config": config })).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        answer.json()
    }

    /// Creates a run of `demo`, and gives its id.
    pub(crate) async fn run(&self) -> String {
        let answer = self
            .post("/v1/runs", json!({ "agent": "demo", "prompt": "true" }))
            .await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Claims the next run as a runner: its lease and specification.
    pub(crate) async fn claim(&self) -> Value {
        let answer = self
            .runner("/claim", json!({ "runner": "r", "sandbox": "fake" }))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn append(&self, run: &str, offset: u64, texts: &[&str]) -> Answer {
        let event = |text: &&str| {
            let data = json!({ "type": "output", "text": text }).to_string();
            json!({ "timestamp": "2026-01-15T10:30:00.000Z", "type": "output", "data": data })
        };
        let events: Vec<_> = texts.iter().map(event).collect();
        let body = json!({ "epoch": 1, "offset": offset, "events": events });
        self.runner(&format!("/runs/{run}/events"), body).await
    }

    pub(crate) async fn complete(&self, run: &str) -> Answer {
        self.complete_with(run, None).await
    }

    /// Stores a manifest with one symlink to `target`, which needs no pack, as a runner; its id.
    pub(crate) async fn workspace(&self, run: &str, target: &str) -> ManifestId {
        let link = Entry {
            path: "latest".to_owned(),
            content: Content::Symlink {
                target: target.to_owned(),
            },
        };
        let (id, bytes) = Manifest::new(vec![link]).unwrap().encode().unwrap();
        let put = format!("/runs/{run}/manifests/{id}?epoch=1");
        assert_eq!(self.runner_put(&put, bytes).await.status, 204);
        id
    }

    /// Completes a run that leaves this workspace.
    pub(crate) async fn complete_with(&self, run: &str, saved: Option<ManifestId>) -> Answer {
        let artifact = saved.map(|id| json!({ "manifest_id": id }));
        let body = json!({
            "epoch": 1, "status": "completed", "exit_code": 0, "output": "done", "error": null,
            "usage": null, "artifact": artifact,
            "conversation": {
                "framework": "shell", "agent_session_id": "s", "history": null,
                "working_dir": "/home/user/workspace", "token_total": null,
            },
        });
        self.runner(&format!("/runs/{run}/finish"), body).await
    }
}
