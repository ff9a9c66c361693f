//! `/device`: a user lets a program sign in (RFC 8628, 3.3).

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use vm0_model::limits::TOKEN_EXPIRES_DEFAULT_DAYS;

use super::super::router::{Route, route};
use super::fault::{PageFault, PageResult, message};
use super::form::{MaybeCaller, SignedForm};
use super::html::Html;
use super::page::{HOME, Notice, Page, see_other};
use crate::app::{App, DeviceAsk, DeviceFound, PageCaller};

const CODE: &str = include_str!("html/device_code.html");
const ASK: &str = include_str!("html/device_ask.html");
const UNKNOWN: &str = "No program has this code. Compare it with what your terminal shows.";

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/device", get(device_page)),
        route(Method::POST, "/device", post(device_form)),
    ]
}

async fn device_page(State(app): State<App>, MaybeCaller(caller): MaybeCaller) -> Response {
    match caller {
        Some(caller) => code_page(&app, &caller, &Notice::None).into_response(),
        None => see_other("sign-in?next=device"),
    }
}

fn code_page(app: &App, caller: &PageCaller, notice: &Notice) -> Page {
    let token = app.form_token(caller);
    let content = Html::fill_with(
        CODE,
        &[("form_token", &token)],
        &[("notice", &notice.html())],
    );
    Page::new("Connect a terminal", content).account(app, caller)
}

async fn device_form(State(app): State<App>, signed: SignedForm) -> PageResult<Page> {
    let SignedForm { caller, form } = signed;
    let code = form.get("user_code").ok_or(PageFault::Form)?;
    let page = match form.get("action") {
        Some("view") => match app.device_view(&caller, code).await? {
            DeviceFound::Open(ask) => ask_page(&app, &caller, &ask),
            other => closed_page(&app, &caller, &other),
        },
        Some("approve") => decided_page(&app, &caller, code, true).await?,
        Some("deny") => decided_page(&app, &caller, code, false).await?,
        _ => return Err(PageFault::Form),
    };
    Ok(page.account(&app, &caller))
}

fn ask_page(app: &App, caller: &PageCaller, ask: &DeviceAsk) -> Page {
    let asked = match ask.waited.as_secs() {
        0..90 => "just now".to_owned(),
        seconds => format!("{} minutes ago", (seconds + 30) / 60),
    };
    let values = [
        ("user", caller.user.name.as_str()),
        ("code", &ask.code.to_string()),
        ("client", ask.client.as_deref().unwrap_or("it does not say")),
        (
            "address",
            ask.address
                .as_deref()
                .unwrap_or("not known: through a proxy"),
        ),
        ("asked", &asked),
        ("days", &TOKEN_EXPIRES_DEFAULT_DAYS.to_string()),
        ("form_token", &app.form_token(caller)),
    ];
    Page::new("Let this program sign in?", Html::fill(ASK, &values))
}

async fn decided_page(
    app: &App,
    caller: &PageCaller,
    code: &str,
    approved: bool,
) -> PageResult<Page> {
    let found = app.device_decide(caller, code, approved).await?;
    let DeviceFound::Open(_) = found else {
        return Ok(closed_page(app, caller, &found));
    };
    Ok(if approved {
        let text = "The terminal is signed in within a few seconds. You can close this page.";
        message("Approved", text, HOME, "Home")
    } else {
        let text = "The program was told that it may not sign in. You can close this page.";
        message("Denied", text, HOME, "Home")
    })
}

/// Of a code that is not open.
fn closed_page(app: &App, caller: &PageCaller, found: &DeviceFound) -> Page {
    match found {
        DeviceFound::Expired => {
            let text = "Codes are valid for 15 minutes. Run vm0 auth login again.";
            let page = message(
                "This code has expired",
                text,
                "device",
                "Enter another code",
            );
            page.status(StatusCode::GONE)
        }
        DeviceFound::Decided => {
            let text = "It was approved or denied before. Run vm0 auth login again for a new one.";
            let page = message(
                "This code was used already",
                text,
                "device",
                "Enter another code",
            );
            page.status(StatusCode::GONE)
        }
        DeviceFound::Unknown | DeviceFound::Open(_) => {
            code_page(app, caller, &Notice::Bad(UNKNOWN)).status(StatusCode::NOT_FOUND)
        }
    }
}
