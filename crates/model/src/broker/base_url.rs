//! Base URLs of the environment: where an agent's model is.

use crate::broker::binding::Transport;

/// The destination of a base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// A name in lower-case punycode, or an address without brackets.
    pub host: String,
    /// Its port, that of the scheme unless written.
    pub port: u16,
    /// By its scheme.
    pub transport: Transport,
}

impl BaseUrl {
    /// Reads a URL; none if it is not one of HTTP.
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text.trim()).ok()?;
        let transport = match url.scheme() {
            "http" => Transport::Plain,
            "https" => Transport::Tls,
            _ => return None,
        };
        let host = url
            .host_str()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.')
            .to_owned();
        Some(Self {
            host,
            port: url.port_or_known_default()?,
            transport,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_host_port_and_transport() {
        let parts = |url| BaseUrl::parse(url).map(|url| (url.host, url.port, url.transport));
        let tls = |host: &str, port| Some((host.to_owned(), port, Transport::Tls));
        let plain = |host: &str, port| Some((host.to_owned(), port, Transport::Plain));
        assert_eq!(
            parts(" https://API.example.com/v1 "),
            tls("api.example.com", 443)
        );
        assert_eq!(parts("https://u:p@a.example:8443"), tls("a.example", 8443));
        assert_eq!(
            parts("http://host.vm0.internal:8123"),
            plain("host.vm0.internal", 8123)
        );
        assert_eq!(parts("http://[::1]"), plain("::1", 80));
        for other in ["", "example.com", "file:///etc/passwd", "ftp://a"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
