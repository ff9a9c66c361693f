//! All endpoints in one table, and the router made of it.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use vm0_model::{ApiError, ErrorCode};

use super::{
    agents, auth, config_schema, device_auth, events, execs, frame, health, logs, metrics, monitor,
    objects, openapi, pages, runner, runs, schedules, secrets, sessions, storages, tokens,
    variables,
};
use crate::app::{App, AppError};

/// A method and path that the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, ids as `{id}`, names as `{name}`.
    pub path: &'static str,
}

/// An endpoint and what answers it.
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) handler: MethodRouter<App>,
}

/// A route; `handler` is that of `axum::routing` for the same method.
pub(super) fn route(method: Method, path: &'static str, handler: MethodRouter<App>) -> Route {
    Route {
        endpoint: Endpoint { method, path },
        handler,
    }
}

fn routes() -> Vec<Route> {
    [
        health::routes(),
        openapi::routes(),
        config_schema::routes(),
        monitor::routes(),
        agents::routes(),
        runs::routes(),
        events::routes(),
        execs::routes(),
        logs::routes(),
        metrics::routes(),
        storages::routes(),
        sessions::routes(),
        objects::routes(),
        secrets::routes(),
        variables::routes(),
        schedules::routes(),
        tokens::routes(),
        device_auth::routes(),
        pages::routes(),
        runner::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every endpoint.
pub fn endpoints() -> Vec<Endpoint> {
    routes().into_iter().map(|route| route.endpoint).collect()
}

/// The router of the whole server.
pub(crate) fn router(app: App) -> Router {
    router_of(app, routes())
}

/// The router of the API of runners alone.
pub(crate) fn runner_router(app: App) -> Router {
    let mut routes = routes();
    routes.retain(|route| route.endpoint.path.starts_with("/api/runner/"));
    router_of(app, routes)
}

fn router_of(app: App, routes: Vec<Route>) -> Router {
    let mut router = Router::new();
    for Route { endpoint, handler } in routes {
        // An empty segment is an unknown id or name, not an unknown route.
        for placeholder in ["{id}", "{name}"] {
            if endpoint.path.contains(placeholder) {
                router = router.route(&endpoint.path.replace(placeholder, ""), handler.clone());
            }
        }
        router = router.route(endpoint.path, handler);
    }
    router
        .fallback(unknown_route)
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), frame::frame))
        .with_state(app)
}

async fn unknown_route(request: Request) -> AppError {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("No such route: '{method} {path}'");
    ApiError::new(ErrorCode::ResourceNotFound, message).into()
}
