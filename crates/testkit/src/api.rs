//! The public API as tests use it: raw JSON, so that what is checked is what is on the wire.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::archive;
use crate::stream::EventStream;

/// The API as one user.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An answer: status, headers and JSON body (`null` if the body is not JSON).
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// If the status is another than `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// `error.code` of a failure.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Api {
    /// The API below `url` with this token.
    pub fn new(url: &str, token: &str) -> Self {
        vm0_egress::install_crypto_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build();
        Self {
            http: http.expect("a client without special settings"),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// The same API with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Any request with a JSON body.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .timeout(Duration::from_secs(60));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await.expect("the body arrives");
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Composes an agent and gives its id.
    pub async fn agent(&self, config: &Value) -> String {
        let answer = self.post("/v1/agents", &json!({ "config": config })).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
        answer.body["id"]
            .as_str()
            .expect("an agent has an id")
            .to_owned()
    }

    /// Composes an agent named `name` of framework `shell`.
    pub async fn shell_agent(&self, name: &str) -> String {
        self.agent(&shell_config(name)).await
    }

    /// Creates a run and gives its id.
    pub async fn run(&self, body: &Value) -> String {
        let run = self.post("/v1/runs", body).await.expect(202);
        run["id"].as_str().expect("a run has an id").to_owned()
    }

    /// Waits for the end of a run.
    ///
    /// # Panics
    /// After `limit`.
    pub async fn run_end(&self, id: &str, limit: Duration) -> Value {
        let start = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).await.expect(200);
            let status = run["status"].as_str().expect("a run has a status");
            if !matches!(status, "pending" | "running") {
                return run;
            }
            assert!(start.elapsed() < limit, "the run has not ended: {run}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a run and waits for its end.
    pub async fn run_to_end(&self, body: &Value) -> Value {
        let id = self.run(body).await;
        self.run_end(&id, Duration::from_secs(120)).await
    }

    /// Waits until a run is `running` and has made an event that `wanted` accepts.
    pub async fn run_event(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut stream = self.events(id, None).await;
        while let Some(event) = stream.next().await {
            if event.event == "output" && wanted(&event.data["data"]) {
                return event.data;
            }
        }
        panic!("the run ended without the event");
    }

    /// Opens the event stream of a run.
    pub async fn events(&self, id: &str, last: Option<&str>) -> EventStream {
        let mut request = self
            .http
            .get(format!("{}/v1/runs/{id}/events", self.url))
            .bearer_auth(&self.token)
            .header("Accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.expect("the stream opens");
        assert_eq!(response.status().as_u16(), 200);
        EventStream::new(response)
    }

    /// The first hundred events of a run, in the JSON form.
    pub async fn events_page(&self, id: &str) -> Value {
        let url = format!("{}/v1/runs/{id}/events?limit=100", self.url);
        let request = self
            .http
            .get(url)
            .bearer_auth(&self.token)
            .header("Accept", "application/json");
        let response = request.send().await.expect("the page is answered");
        assert_eq!(response.status().as_u16(), 200);
        let bytes = response.bytes().await.expect("the page arrives");
        serde_json::from_slice(&bytes).expect("the page is JSON")
    }

    /// Creates a volume or artifact (`kind` is `volumes` or `artifacts`) and gives its id.
    pub async fn storage(&self, kind: &str, name: &str) -> String {
        let made = self
            .post(&format!("/v1/{kind}"), &json!({ "name": name }))
            .await
            .expect(201);
        made["id"].as_str().expect("a storage has an id").to_owned()
    }

    /// Pushes files as a new version and gives the commit's answer.
    pub async fn push(&self, kind: &str, id: &str, files: &[(&str, &[u8])]) -> Value {
        let declared: Vec<Value> = files
            .iter()
            .map(|(path, bytes)| {
                json!({ "path": path, "size": bytes.len(), "hash": archive::sha256_hex(bytes) })
            })
            .collect();
        let archive = archive::tar_gz(files);
        self.push_archive(kind, id, &json!(declared), archive)
            .await
            .expect(200)
    }

    /// Declares `files`, uploads `archive` and commits.
    pub async fn push_archive(
        &self,
        kind: &str,
        id: &str,
        files: &Value,
        archive: Vec<u8>,
    ) -> Answer {
        let base = format!("/v1/{kind}/{id}");
        let body = json!({ "files": files });
        let answer = self.post(&format!("{base}/upload"), &body).await;
        if answer.status != 200 {
            return answer;
        }
        let session = answer.body;
        let manifest = json!({
            "version": "", "createdAt": "2026-01-15T10:30:00.000Z", "totalSize": 0, "fileCount": 0,
            "files": files,
        });
        for target in session["files"].as_array().expect("a list of targets") {
            let url = target["upload_url"].as_str().expect("a URL");
            let bytes = match target["path"].as_str() {
                Some("manifest.json") => serde_json::to_vec(&manifest).expect("JSON"),
                _ => archive.clone(),
            };
            let put = self
                .http
                .put(url)
                .body(bytes)
                .send()
                .await
                .expect("the upload is answered");
            assert!(put.status().is_success(), "{}", put.status());
        }
        let commit = json!({ "upload_session_id": session["upload_session_id"] });
        self.post(&format!("{base}/commit"), &commit).await
    }

    /// Downloads a version and gives its files by path.
    pub async fn download(&self, kind: &str, id: &str, version: Option<&str>) -> archive::Files {
        archive::untar_gz(&self.download_archive(kind, id, version).await)
    }

    /// Downloads a version and gives the archive as it comes.
    pub async fn download_archive(&self, kind: &str, id: &str, version: Option<&str>) -> Vec<u8> {
        let query = version
            .map(|v| format!("?version_id={v}"))
            .unwrap_or_default();
        let url = format!("{}/v1/{kind}/{id}/download{query}", self.url);
        let response = self.http.get(url).bearer_auth(&self.token).send().await;
        let response = response.expect("the download is answered");
        assert_eq!(response.status().as_u16(), 200);
        let bytes = response.bytes().await.expect("the archive arrives");
        bytes.to_vec()
    }

    /// The id of the artifact or volume with this name.
    pub async fn storage_id(&self, kind: &str, name: &str) -> String {
        let page = self
            .get(&format!("/v1/{kind}?name={name}"))
            .await
            .expect(200);
        page["data"][0]["id"]
            .as_str()
            .expect("the storage exists")
            .to_owned()
    }
}

/// The smallest configuration of framework `shell`.
pub fn shell_config(name: &str) -> Value {
    json!({ "version": "1.0", "agents": { name: { "framework": "shell" } } })
}
