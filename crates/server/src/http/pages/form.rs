//! Who looks at a page, and what a form brings.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Uri, header};
use url::form_urlencoded;
use vm0_model::limits::FORM_MAX_BYTES;

use super::super::auth::{asker, client};
use super::super::extract::read_body;
use super::cookie;
use super::fault::PageFault;
use crate::app::{App, PageCaller};

const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The user who is signed in, if any.
pub(super) struct MaybeCaller(pub(super) Option<PageCaller>);

/// The user who is signed in.
pub(super) struct SignedIn(pub(super) PageCaller);

/// A form that a page of this server sent.
pub(super) struct Form(Vec<(String, String)>);

/// A form of a page that the session of the user made.
pub(super) struct SignedForm {
    pub(super) caller: PageCaller,
    pub(super) form: Form,
}

impl Form {
    /// A field; a repeated one has its last value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().rev();
        let field = fields.find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    }
}

async fn caller(
    app: &App,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<Option<PageCaller>, PageFault> {
    let Some(secret) = cookie::read(app, headers) else {
        return Ok(None);
    };
    let client = client(extensions, headers);
    let caller = app.page_session_find(&secret, &client).await?;
    if let Some(caller) = &caller {
        asker(extensions).note(&caller.user.name, None);
    }
    Ok(caller)
}

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = PageFault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageFault> {
        caller(app, &parts.extensions, &parts.headers)
            .await
            .map(Self)
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = PageFault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageFault> {
        let caller = caller(app, &parts.extensions, &parts.headers).await?;
        caller.map(Self).ok_or(PageFault::SignedOut)
    }
}

impl FromRequest<App> for Form {
    type Rejection = PageFault;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageFault> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts.headers, body, FORM_MAX_BYTES).await?;
        if !is_of_this_server(app, &parts.headers, &parts.uri) {
            return Err(PageFault::Foreign);
        }
        if !is_form(&parts.headers) {
            return Err(PageFault::Form);
        }
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

impl FromRequest<App> for SignedForm {
    type Rejection = PageFault;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageFault> {
        let caller = caller(app, request.extensions(), request.headers()).await?;
        let form = Form::from_request(request, app).await?;
        let caller = caller.ok_or(PageFault::SignedOut)?;
        let token = form.get("form_token").unwrap_or_default();
        if app.is_form_token(&caller, token) {
            Ok(Self { caller, form })
        } else {
            Err(PageFault::Foreign)
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(FORM_TYPE)
}

/// Whether the page that sent the form is of the server's public address, or of the address that
/// the browser has sent it to. Every browser says so with a form; what does not is refused.
fn is_of_this_server(app: &App, headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = text(headers, header::ORIGIN) else {
        return false;
    };
    let host = text(headers, header::HOST).or_else(|| uri.authority().map(|host| host.as_str()));
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    origin == app.settings.public_origin || (host.is_some() && authority == host)
}
