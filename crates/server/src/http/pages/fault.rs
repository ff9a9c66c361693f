//! What a page says when it cannot do what was asked.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::respond::seconds_up;
use super::html::Html;
use super::page::{HOME, Page, see_other};
use crate::app::AppError;

const MESSAGE: &str = include_str!("html/message.html");

/// Why a page is not there.
#[derive(Debug)]
pub(super) enum PageFault {
    /// Nobody is signed in.
    SignedOut,
    /// The form is of another site, or of an earlier session.
    Foreign,
    /// The form is none of ours.
    Form,
    /// The operation failed.
    App(AppError),
}

/// What a handler of a page answers.
pub(super) type PageResult<T = Response> = Result<T, PageFault>;

impl<E: Into<AppError>> From<E> for PageFault {
    fn from(error: E) -> Self {
        Self::App(error.into())
    }
}

/// A page that only says something, with a link that leads on.
pub(super) fn message(title: &str, text: &str, href: &str, link: &str) -> Page {
    let values = [
        ("title", title),
        ("text", text),
        ("href", href),
        ("link", link),
    ];
    Page::new(title, Html::fill(MESSAGE, &values))
}

impl IntoResponse for PageFault {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut => see_other("sign-in"),
            Self::Foreign => {
                let text = "This form did not come from a page of this server that you have just \
                            seen. Open the page again and repeat what you did.";
                let page = message("That did not work", text, HOME, "Start again");
                page.status(StatusCode::FORBIDDEN).into_response()
            }
            Self::Form => {
                let page = message(
                    "That did not work",
                    "The form was not complete.",
                    HOME,
                    "Start again",
                );
                page.status(StatusCode::BAD_REQUEST).into_response()
            }
            Self::App(AppError::TooMany { retry_after }) => too_many(retry_after),
            Self::App(error) => failed(error),
        }
    }
}

fn too_many(retry_after: Duration) -> Response {
    let seconds = seconds_up(retry_after);
    let minutes = seconds.div_ceil(60);
    let plural = if minutes == 1 { "" } else { "s" };
    let text = format!(
        "There were too many wrong codes, links or tokens. Try again in {minutes} minute{plural}."
    );
    let page = message("Too many tries", &text, HOME, "Back");
    let mut response = page.status(StatusCode::TOO_MANY_REQUESTS).into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The status and the log are those of the API.
fn failed(error: AppError) -> Response {
    let outside = error.outside();
    let status = error.into_response().status();
    let page = message("That did not work", &outside.message, HOME, "Start again");
    page.status(status).into_response()
}
