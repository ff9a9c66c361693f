//! Where the head of a request carries placeholders.

use std::fmt;

use http::header::HeaderName;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::broker::placeholders::Placeholders;
use crate::host::Target;

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot {
    Host,
    Method,
    Path,
    /// The parameter with this decoded name.
    Query(String),
    HeaderName,
    /// The value of this header.
    Header(HeaderName),
    Body,
    Message,
}

/// A placeholder in the head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) secret: usize,
    pub(super) spot: Spot,
}

/// Every placeholder in `head`.
pub(super) fn find(placeholders: &Placeholders, target: &Target, head: &Parts) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |spot: Spot, secrets: Vec<usize>| {
        all.extend(secrets.into_iter().map(|secret| Found {
            secret,
            spot: spot.clone(),
        }));
    };
    let plain = |text: &str| placeholders.within(text.as_bytes()).collect();
    add(Spot::Host, plain(&target.host.to_string()));
    add(Spot::Method, plain(head.method.as_str()));
    let path = head.uri.path();
    add(Spot::Path, placeholders.encoded_within(path.as_bytes()));
    for pair in head.uri.query().unwrap_or_default().split('&') {
        let secrets = placeholders.encoded_within(pair.as_bytes());
        if !secrets.is_empty() {
            add(Spot::Query(parameter_name(pair)), secrets);
        }
    }
    for (name, value) in &head.headers {
        add(Spot::HeaderName, plain(name.as_str()));
        let secrets = placeholders.within_header(value.as_bytes());
        add(Spot::Header(name.clone()), secrets);
    }
    all
}

/// The decoded name of `NAME=VALUE`.
pub(super) fn parameter_name(pair: &str) -> String {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let spaced = name.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host"),
            Self::Method => f.write_str("the method"),
            Self::Path => f.write_str("the path"),
            // Names of parameters are the sandbox's own text, of any length.
            Self::Query(_) => f.write_str("the query"),
            Self::HeaderName => f.write_str("the name of a header"),
            Self::Header(name) => write!(f, "the header '{name}'"),
            Self::Body => f.write_str("the body"),
            Self::Message => f.write_str("a WebSocket message"),
        }
    }
}
