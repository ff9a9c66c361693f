//! Putting values into the head of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderName, HeaderValue, IF_RANGE, RANGE,
    SEC_WEBSOCKET_EXTENSIONS,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::broker::head::parameter_name;
use crate::broker::placeholders::{Placeholders, basic_credentials};
use crate::broker::secret::header_value;

/// Makes `value` the only header of this name.
pub(super) fn set_header(head: &mut Parts, name: &HeaderName, value: &HeaderValue) {
    head.headers.insert(name.clone(), value.clone());
}

/// Makes `value` the only parameter of this name, at the end of the query.
pub(super) fn set_parameter(
    head: &mut Parts,
    name: &str,
    value: &SecretString,
) -> Result<(), http::Error> {
    let others = head.uri.query().unwrap_or_default().split('&');
    let mut query: Vec<&str> = others
        .filter(|pair| !pair.is_empty() && parameter_name(pair) != name)
        .collect();
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let set = Zeroizing::new([name.as_str(), "=", value.expose_secret()].concat());
    query.push(&set);
    let path = head.uri.path();
    let path = if path.is_empty() { "/" } else { path };
    let whole = Zeroizing::new([path, "?", &query.join("&")].concat().into_bytes());
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from_owner(whole))?);
    head.uri = http::Uri::from_parts(parts)?;
    Ok(())
}

/// Puts values in the place of their placeholders in every header; `value` knows which may be
/// there. In Basic credentials they are found, too.
pub(super) fn replace_in_headers<'v>(
    head: &mut Parts,
    placeholders: &Placeholders,
    value: impl Fn(usize) -> Option<&'v str>,
) {
    for (name, header) in &mut head.headers {
        let replaced = placeholders.replace(header.as_bytes(), &value).or_else(|| {
            let credentials =
                basic_credentials(header.as_bytes()).filter(|_| *name == AUTHORIZATION)?;
            let plain = placeholders.replace(&credentials, &value)?;
            let encoded = Zeroizing::new(STANDARD.encode(plain));
            Some(Zeroizing::new(["Basic ", &encoded].concat().into_bytes()))
        });
        if let Some(bytes) = replaced {
            *header = header_value(bytes).expect("parts that are fit for a header make one");
        }
    }
}

/// Asks for an answer in which an echo of the value can be seen: not compressed, and whole.
pub(super) fn ask_for_readable(head: &mut Parts) {
    let identity = HeaderValue::from_static("identity");
    head.headers.insert(ACCEPT_ENCODING, identity);
    for name in [SEC_WEBSOCKET_EXTENSIONS, RANGE, IF_RANGE] {
        head.headers.remove(name);
    }
}
