//! `/`: who is signed in, and where to go on.

use axum::extract::State;
use axum::http::Method;
use axum::routing::get;

use super::super::router::{Route, route};
use super::form::SignedIn;
use super::html::Html;
use super::page::Page;
use crate::app::App;

const CONTENT: &str = include_str!("html/home.html");

pub(super) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/", get(home_page))]
}

async fn home_page(State(app): State<App>, SignedIn(caller): SignedIn) -> Page {
    let values = [
        ("user", caller.user.name.as_str()),
        ("form_token", &app.form_token(&caller)),
    ];
    let content = Html::fill(CONTENT, &values);
    Page::new("Signed in", content).account(&app, &caller)
}
