//! The address of a server as people write it.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The base address of a server: `http` or `https`, without a trailing `/` or `/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

/// The text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the address of a server; write http://HOST:PORT or https://HOST")]
pub struct ServerUrlError {
    /// The text as given.
    pub text: String,
}

impl ServerUrl {
    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => is_loopback_name(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The address of a resource: the segments are percent-encoded.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn is_loopback_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// `https://` is put before a text without a scheme, `http://` if its host is this machine.
fn with_scheme(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let plain = format!("http://{text}");
    match Url::parse(&plain).map(ServerUrl) {
        Ok(url) if url.is_loopback() => plain,
        _ => format!("https://{text}"),
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let error = || ServerUrlError {
            text: text.to_owned(),
        };
        let full = with_scheme(text.trim());
        let full = full.trim_end_matches('/');
        let full = full.strip_suffix("/v1").unwrap_or(full);
        let url = Url::parse(full).map_err(|_| error())?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        usable.then_some(Self(url)).ok_or_else(error)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<ServerUrl>().unwrap().to_string()
    }

    #[test]
    fn a_missing_scheme_is_https_unless_the_host_is_this_machine() {
        assert_eq!(shown("vm0.example.com"), "https://vm0.example.com");
        assert_eq!(shown("localhost:8080"), "http://localhost:8080");
        assert_eq!(shown("127.0.0.1:9/"), "http://127.0.0.1:9");
        assert_eq!(shown("[::1]:9"), "http://[::1]:9");
        assert_eq!(shown("http://vm0.example.com"), "http://vm0.example.com");
    }

    #[test]
    fn a_trailing_slash_or_v1_is_dropped() {
        assert_eq!(
            shown("https://vm0.example.com/v1"),
            "https://vm0.example.com"
        );
        assert_eq!(
            shown("https://vm0.example.com/base/v1/"),
            "https://vm0.example.com/base"
        );
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for text in [
            "",
            "ftp://x",
            "http://",
            "https://u:p@x",
            "https://x?y",
            "http://a b",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn segments_cannot_change_the_path() {
        let url: ServerUrl = "https://x/base".parse().unwrap();
        let joined = url.join(&["v1", "runs", "a/b?c#d"]);
        assert_eq!(joined.as_str(), "https://x/base/v1/runs/a%2Fb%3Fc%23d");
    }
}
