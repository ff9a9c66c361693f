//! The server on a port of the loopback interface.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{generate, messages, responses};

/// A running model server; it ends with the runtime of its test.
#[derive(Debug, Clone)]
pub struct ModelServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ModelRequest>>>,
}

/// A request that an agent sent.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// Path without query.
    pub path: String,
    /// `Authorization`, `x-api-key` or `x-goog-api-key`.
    pub credential: Option<String>,
    /// Body.
    pub body: Value,
}

impl ModelServer {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::start_on("127.0.0.1:0").await
    }

    /// Starts on this address.
    pub async fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .expect("the address is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let server = Self {
            address,
            requests: Arc::default(),
        };
        let router = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The base address as an agent in a sandbox names it.
    pub fn url_inside(&self) -> String {
        format!("http://host.vm0.internal:{}", self.port())
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().expect("no handler panics").clone()
    }

    /// Requests whose body mentions `text`.
    pub fn requests_with(&self, text: &str) -> Vec<ModelRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.body.to_string().contains(text));
        requests
    }
}

async fn handle(
    State(server): State<ModelServer>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let credential = [
        header::AUTHORIZATION.as_str(),
        "x-api-key",
        "x-goog-api-key",
    ]
    .iter()
    .find_map(|name| headers.get(*name))
    .and_then(|value| value.to_str().ok())
    .map(str::to_owned);
    let request = ModelRequest {
        path: uri.path().to_owned(),
        credential,
        body: body.clone(),
    };
    server
        .requests
        .lock()
        .expect("no handler panics")
        .push(request);
    match uri.path() {
        "/v1/messages" => events(messages::answer(&body)),
        "/v1/messages/count_tokens" => axum::Json(json!({ "input_tokens": 100 })).into_response(),
        path if path.ends_with(":streamGenerateContent") => events(generate::answer(&body)),
        path if path.ends_with(":generateContent") => {
            axum::Json(generate::whole(&body)).into_response()
        }
        path if path.ends_with(":countTokens") => {
            axum::Json(json!({ "totalTokens": 100 })).into_response()
        }
        path if path.ends_with("/responses") && !body.is_null() => events(responses::answer(&body)),
        path if path.ends_with("/models") => {
            axum::Json(json!({ "data": [], "models": [], "object": "list" })).into_response()
        }
        path if path.ends_with("/responses") => StatusCode::UPGRADE_REQUIRED.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn events(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}
