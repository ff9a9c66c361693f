//! The cookie of a page session.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::{App, PageSession};

/// The name of the cookie. With TLS the browser itself sees to it that no other host and no page
/// without TLS sets it. Without TLS it names the port, which cookies do not tell apart.
fn name(app: &App) -> String {
    let origin = &app.settings.public_origin;
    if is_secure(app) {
        return "__Host-vm0_session".to_owned();
    }
    let port = origin.rsplit(':').next().unwrap_or_default();
    match port.parse::<u16>() {
        Ok(port) => format!("vm0_session_{port}"),
        Err(_) => "vm0_session".to_owned(),
    }
}

fn is_secure(app: &App) -> bool {
    app.settings.public_origin.starts_with("https://")
}

/// The session's secret, if the request has one.
pub(super) fn read(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = name(app);
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let pairs = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// Makes the browser keep the session.
pub(super) fn set(app: &App, headers: &mut HeaderMap, session: &PageSession) {
    insert(
        app,
        headers,
        session.secret.expose(),
        session.lives.as_secs(),
    );
}

/// Makes the browser forget it.
pub(super) fn clear(app: &App, headers: &mut HeaderMap) {
    insert(app, headers, "", 0);
}

fn insert(app: &App, headers: &mut HeaderMap, value: &str, lives: u64) {
    let secure = if is_secure(app) { "; Secure" } else { "" };
    let cookie = format!(
        "{}={value}; Path=/; Max-Age={lives}; HttpOnly; SameSite=Lax{secure}",
        name(app)
    );
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
}
