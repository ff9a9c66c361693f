//! A whole page: the frame around its content, and the headers that keep it from others.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::html::Html;
use crate::app::{App, PageCaller};

const LAYOUT: &str = include_str!("html/layout.html");
const ACCOUNT: &str = include_str!("html/account.html");
const NOTICE: &str = include_str!("html/notice.html");
const STYLE: &str = include_str!("html/style.css");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Nothing is loaded and nothing is executed; the one style sheet is known by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a hash in base64 is ASCII")
});

/// From a page directly below the server's address to that address. Links are relative, because
/// the server may stand behind a proxy that gives it a path.
pub(super) const HOME: &str = "./";

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) content: Html,
    /// The way to the server's address.
    root: &'static str,
    account: Html,
}

impl Page {
    /// A page with this title for the browser.
    pub(super) fn new(title: impl Into<String>, content: Html) -> Self {
        Self {
            status: StatusCode::OK,
            title: title.into(),
            content,
            root: HOME,
            account: Html::default(),
        }
    }

    /// With another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With another way to the server's address.
    pub(super) fn root(mut self, root: &'static str) -> Self {
        self.root = root;
        self
    }

    /// With the name of the user and the way out.
    pub(super) fn account(mut self, app: &App, caller: &PageCaller) -> Self {
        let values = [
            ("root", self.root),
            ("form_token", &app.form_token(caller)),
            ("user", &caller.user.name),
        ];
        self.account = Html::fill(ACCOUNT, &values);
        self
    }
}

/// A line above a form.
pub(super) enum Notice {
    /// Nothing.
    None,
    /// Good news.
    Good(&'static str),
    /// What went wrong.
    Bad(&'static str),
}

impl Notice {
    /// As HTML.
    pub(super) fn html(&self) -> Html {
        match self {
            Self::None => Html::default(),
            Self::Good(text) => Html::fill(NOTICE, &[("kind", ""), ("text", text)]),
            Self::Bad(text) => Html::fill(NOTICE, &[("kind", "bad"), ("text", text)]),
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = Html::fill_with(
            LAYOUT,
            &[("title", &self.title), ("root", self.root)],
            &[
                ("style", &Html::constant(STYLE)),
                ("account", &self.account),
                ("content", &self.content),
            ],
        );
        let mut response = (self.status, html.into_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HTML);
        protect(response.headers_mut());
        response
    }
}

/// The answer to a form: go on at this address, relative to the present one.
pub(super) fn see_other(location: &'static str) -> Response {
    let location = HeaderValue::from_static(location);
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    protect(response.headers_mut());
    response
}

/// `Referrer-Policy` is `same-origin`, which tells other servers as little as `no-referrer`; that
/// one also makes browsers send `Origin: null` with our own forms.
fn protect(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
}
