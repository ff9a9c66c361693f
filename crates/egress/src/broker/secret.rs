//! A brokered secret, with its value ready for the places it goes to.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, InvalidHeaderValue,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use vm0_model::broker::{Binding, PLACEHOLDER_MARK, Place, Transport};
use vm0_model::limits;
use vm0_model::secret_form::url_encoded;

use crate::host::{Host, Target};

/// Headers that frame a message or belong to one connection: no value may be put there.
const FRAMING: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A secret that the sandbox has only a placeholder of.
#[derive(Clone)]
pub struct BrokeredSecret {
    pub(super) name: String,
    pub(super) value: SecretString,
    /// What of the placeholder is looked for: all but its prefix, which a program may cut off.
    pub(super) core: String,
    pub(super) bounds: Vec<Bound>,
}

/// The value of a secret cannot be put where it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A header cannot hold the value.
    #[error(
        "the value of secret '{name}' has a line break or another character that no HTTP header can hold"
    )]
    Characters {
        /// The secret.
        name: String,
    },
    /// A query cannot hold the value.
    #[error(
        "the value of secret '{name}' is too long for a query: at most {} bytes when encoded",
        limits::GATEWAY_QUERY_SECRET_MAX_BYTES
    )]
    Length {
        /// The secret.
        name: String,
    },
    /// The header is none that a value may be in.
    #[error("secret '{name}' cannot be put into the header '{header}'")]
    Header {
        /// The secret.
        name: String,
        /// The header.
        header: String,
    },
    /// The placeholder is none.
    #[error("secret '{name}' has no proper placeholder")]
    Placeholder {
        /// The secret.
        name: String,
    },
}

/// One binding.
#[derive(Clone)]
pub(super) struct Bound {
    host: BoundHost,
    port: u16,
    transport: Transport,
    pub(super) put: Put,
}

#[derive(Clone)]
enum BoundHost {
    Pattern(String),
    Address(IpAddr),
}

/// What is put where.
#[derive(Clone)]
pub(super) enum Put {
    /// This header is this value.
    Header(HeaderName, HeaderValue),
    /// This parameter is this text, which is encoded.
    Query(String, SecretString),
    /// The bare value, wherever a header has the placeholder.
    AnyHeader,
}

impl BrokeredSecret {
    /// A secret whose `value` goes where `bindings` say. A host that is none is left out.
    ///
    /// # Errors
    /// [`SecretError`] if the value or the place is not fit for a request.
    pub fn new(
        name: String,
        value: SecretString,
        placeholder: &str,
        bindings: impl IntoIterator<Item = Binding>,
    ) -> Result<Self, SecretError> {
        let Some(start) = placeholder.find(PLACEHOLDER_MARK) else {
            return Err(SecretError::Placeholder { name });
        };
        let core = placeholder[start..].to_owned();
        let mut bounds = Vec::new();
        for binding in bindings {
            let Some(host) = BoundHost::parse(&binding.host) else {
                continue;
            };
            bounds.push(Bound {
                host,
                port: binding.port,
                transport: binding.transport,
                put: put(&name, value.expose_secret(), binding.place)?,
            });
        }
        Ok(Self {
            name,
            value,
            core,
            bounds,
        })
    }
}

impl fmt::Debug for BrokeredSecret {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokeredSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Bound {
    /// Whether it is about TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.transport == Transport::Tls
    }

    /// What a request carries instead of the value, if a server that encodes it once more would make
    /// something of it that no form of the value is: Basic credentials, the text of a query.
    pub(super) fn carried_as(&self) -> Option<&str> {
        match &self.put {
            Put::Header(_, value) => value.to_str().ok()?.strip_prefix("Basic "),
            Put::Query(_, text) => Some(text.expose_secret()),
            Put::AnyHeader => None,
        }
    }

    /// Whether a request to `target` that travels like this may carry the value.
    pub(super) fn covers(&self, target: &Target, transport: Transport) -> bool {
        self.transport == transport && self.port == target.port && self.host.covers(&target.host)
    }
}

impl BoundHost {
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        match Host::parse(name).ok()? {
            Host::Domain(_) => Some(Self::Pattern(text.to_owned())),
            Host::Address(address) => Some(Self::Address(address)),
        }
    }

    fn covers(&self, host: &Host) -> bool {
        match self {
            Self::Pattern(pattern) => host.matches(pattern),
            Self::Address(address) => *host == Host::Address(*address),
        }
    }
}

/// Where a value is put, with the value in the form of that place.
fn put(name: &str, value: &str, place: Place) -> Result<Put, SecretError> {
    let joined = |parts: &[&str]| Zeroizing::new(parts.concat().into_bytes());
    let (header, bytes) = match place {
        Place::Bearer => (AUTHORIZATION, joined(&["Bearer ", value])),
        Place::Basic => {
            let user = if value.contains(':') {
                ""
            } else {
                "x-access-token:"
            };
            let encoded = Zeroizing::new(STANDARD.encode(joined(&[user, value])));
            (AUTHORIZATION, joined(&["Basic ", &encoded]))
        }
        Place::Header(header) => match header.parse() {
            Ok(parsed) if !FRAMING.contains(&parsed) => (parsed, joined(&[value])),
            _ => {
                let name = name.to_owned();
                return Err(SecretError::Header { name, header });
            }
        },
        Place::Query(parameter) => {
            let encoded = url_encoded(value);
            if encoded.len() > limits::GATEWAY_QUERY_SECRET_MAX_BYTES {
                let name = name.to_owned();
                return Err(SecretError::Length { name });
            }
            return Ok(Put::Query(parameter, encoded.into()));
        }
        Place::AnyHeader => {
            let _fits = fit(name, joined(&[value]))?;
            return Ok(Put::AnyHeader);
        }
    };
    Ok(Put::Header(header, fit(name, bytes)?))
}

fn fit(name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<HeaderValue, SecretError> {
    header_value(bytes).map_err(|_| SecretError::Characters {
        name: name.to_owned(),
    })
}

/// A header value whose memory is zeroised when its last copy is dropped.
pub(super) fn header_value(bytes: Zeroizing<Vec<u8>>) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))?;
    value.set_sensitive(true);
    Ok(value)
}
