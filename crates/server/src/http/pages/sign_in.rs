//! `/sign-in`, `/sign-in/{link}` and `/sign-out`.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use vm0_model::{ErrorCode, limits};

use super::super::extract::{PathIds, QueryValues};
use super::super::router::{Route, route};
use super::cookie;
use super::fault::{PageFault, PageResult, message};
use super::form::{Form, MaybeCaller, SignedForm};
use super::html::Html;
use super::page::{Notice, Page, see_other};
use crate::app::{App, AppError, Client, LinkFault, LinkUsed, LinkView, PageSession};

const SIGN_IN: &str = include_str!("html/sign_in.html");
const LINK_FIRST: &str = include_str!("html/link_first.html");
const LINK_USER: &str = include_str!("html/link_user.html");
const LINK_MADE: &str = include_str!("html/link_made.html");

/// From the page of a link to the server's address.
const UP: &str = "../";
/// The page to go on with that a sign-in may name.
const DEVICE: &str = "device";
const BAD_NAME: &str = "That is not a user name.";

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/sign-in", get(sign_in_view)),
        route(Method::POST, "/sign-in", post(sign_in_by_token)),
        route(Method::GET, "/sign-in/{link}", get(sign_in_link_view)),
        route(Method::POST, "/sign-in/{link}", post(sign_in_link_use)),
        route(Method::POST, "/sign-in-link", post(sign_in_link_create)),
        route(Method::POST, "/sign-out", post(page_session_delete)),
    ]
}

async fn sign_in_view(query: QueryValues, MaybeCaller(caller): MaybeCaller) -> Response {
    let next = next_of(query.get("next"));
    if caller.is_some() {
        return see_other(location_of(next));
    }
    let notice = match query.get("signed_out") {
        Some(_) => Notice::Good("You are signed out."),
        None => Notice::None,
    };
    sign_in_page(next, &notice).into_response()
}

fn sign_in_page(next: Option<&str>, notice: &Notice) -> Page {
    let values = [("next", next.unwrap_or_default())];
    let content = Html::fill_with(SIGN_IN, &values, &[("notice", &notice.html())]);
    Page::new("Sign in", content)
}

/// Only pages of ours that are known here.
fn next_of(name: Option<&str>) -> Option<&'static str> {
    (name == Some(DEVICE)).then_some(DEVICE)
}

const fn location_of(next: Option<&'static str>) -> &'static str {
    match next {
        Some(next) => next,
        None => super::page::HOME,
    }
}

async fn sign_in_by_token(State(app): State<App>, from: Client, form: Form) -> PageResult {
    let token = form.get("token").ok_or(PageFault::Form)?;
    let next = next_of(form.get("next"));
    match app.sign_in_by_token(token, &from).await {
        Ok(session) => Ok(signed_in(&app, &session, location_of(next))),
        Err(AppError::Api(error)) if error.code == ErrorCode::InvalidApiKey => {
            let notice = Notice::Bad("That token is not valid. It may have expired.");
            let page = sign_in_page(next, &notice);
            Ok(page.status(StatusCode::UNAUTHORIZED).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn signed_in(app: &App, session: &PageSession, location: &'static str) -> Response {
    let mut response = see_other(location);
    cookie::set(app, response.headers_mut(), session);
    response
}

async fn sign_in_link_view(State(app): State<App>, ids: PathIds, from: Client) -> PageResult<Page> {
    Ok(match app.sign_in_link_view(ids.first(), &from).await? {
        LinkView::First { name } => first_page(&name, &Notice::None),
        LinkView::User(user) => {
            let content = Html::fill(LINK_USER, &[("user", &user.name)]);
            Page::new("Sign in", content).root(UP)
        }
        LinkView::Dead(fault) => dead_page(fault),
    })
}

fn first_page(name: &str, notice: &Notice) -> Page {
    let parts = [("notice", &notice.html())];
    let content = Html::fill_with(LINK_FIRST, &[("name", name)], &parts);
    Page::new("Welcome", content).root(UP)
}

fn dead_page(fault: LinkFault) -> Page {
    let (status, title, text) = match fault {
        LinkFault::Unknown => (
            StatusCode::NOT_FOUND,
            "This link is not valid",
            "It is incomplete, or a newer one has taken its place.",
        ),
        LinkFault::Used => (
            StatusCode::GONE,
            "This link was used already",
            "Every link works once. If you are not signed in, use a token: on the machine of the \
             server, vm0 token create --user NAME prints one.",
        ),
        LinkFault::Expired => (
            StatusCode::GONE,
            "This link has expired",
            "A new start of the server prints a new link as long as there is no user; who is \
             signed in can make one on the first page.",
        ),
        LinkFault::NotFirst => (
            StatusCode::GONE,
            "There is a first user already",
            "This link was for making the first user of this server.",
        ),
    };
    message(title, text, "../sign-in", "Sign in by a token")
        .status(status)
        .root(UP)
}

async fn sign_in_link_use(
    State(app): State<App>,
    ids: PathIds,
    from: Client,
    form: Form,
) -> PageResult {
    let name = form.get("name").map(str::trim);
    Ok(
        match app.sign_in_link_use(ids.first(), name, &from).await? {
            LinkUsed::SignedIn(session) => signed_in(&app, &session, UP),
            LinkUsed::BadName => first_page(name.unwrap_or_default(), &Notice::Bad(BAD_NAME))
                .status(StatusCode::BAD_REQUEST)
                .into_response(),
            LinkUsed::Dead(fault) => dead_page(fault).into_response(),
        },
    )
}

async fn sign_in_link_create(State(app): State<App>, signed: SignedForm) -> PageResult<Page> {
    let caller = signed.caller;
    let url = app.sign_in_link_create(&caller).await?;
    let minutes = (limits::SIGN_IN_LINK_TTL.as_secs() / 60).to_string();
    let values = [
        ("user", caller.user.name.as_str()),
        ("minutes", &minutes),
        ("url", &url),
    ];
    let content = Html::fill(LINK_MADE, &values);
    Ok(Page::new("Sign in on another device", content).account(&app, &caller))
}

async fn page_session_delete(State(app): State<App>, signed: SignedForm) -> PageResult {
    app.page_session_delete(&signed.caller).await?;
    let mut response = see_other("sign-in?signed_out");
    cookie::clear(&app, response.headers_mut());
    Ok(response)
}
