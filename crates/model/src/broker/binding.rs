//! Where the value of a secret may go.

use crate::config::Inject;

/// How a request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Encrypted, to a server that proved its name.
    Tls,
    /// In clear: only to the host and port of a base URL that says so.
    Plain,
}

/// A place in requests to a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// A name in lower-case punycode, `*.` and one, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the request must travel.
    pub transport: Transport,
    /// Where in it the value is put.
    pub place: Place,
}

/// The place of a secret in a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `Authorization: Bearer VALUE`.
    Bearer,
    /// `Authorization: Basic` with the value, or `x-access-token:VALUE`, in base64.
    Basic,
    /// This header, in lower case, is the value.
    Header(String),
    /// This query parameter is the value.
    Query(String),
    /// Wherever in a header the placeholder stands (`experimental_seal_secrets`).
    AnyHeader,
}

impl From<&Inject> for Place {
    fn from(inject: &Inject) -> Self {
        match inject {
            Inject::Bearer => Self::Bearer,
            Inject::Basic => Self::Basic,
            Inject::Header(name) => Self::Header(name.clone()),
            Inject::Query(name) => Self::Query(name.clone()),
        }
    }
}
