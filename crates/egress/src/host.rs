//! Names and addresses as a client writes them, in one normal form.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

const HOST_MAX_BYTES: usize = 253;

/// A host in normal form: equal values mean the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name in lower-case punycode without the final dot.
    Domain(String),
    /// An address, never an IPv4-mapped one.
    Address(IpAddr),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Why a destination cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("read the host of the destination")]
    Host,
    #[error("read the port of the destination")]
    Port,
    #[error("accept a destination with credentials")]
    Credentials,
}

impl Host {
    /// Reads a name or an address; brackets around IPv6 are optional. Shorthand IPv4 forms such
    /// as `127.1` are the address they mean.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetError> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(bare) = bare {
            let address: Ipv6Addr = bare.parse().map_err(|_| TargetError::Host)?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
                if !labels || name.len() > HOST_MAX_BYTES {
                    return Err(TargetError::Host);
                }
                Ok(Self::Domain(name.to_owned()))
            }
            Ok(url::Host::Ipv4(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Ipv6(address)) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            Err(_) => Err(TargetError::Host),
        }
    }

    /// Whether `pattern`, a name or `*.` + a name in normal form, covers this host.
    pub(crate) fn matches(&self, pattern: &str) -> bool {
        let Self::Domain(name) = self else {
            return false;
        };
        match pattern.strip_prefix("*.") {
            Some(parent) => name
                .strip_suffix(parent)
                .is_some_and(|child| child.len() > 1 && child.ends_with('.')),
            None => name == pattern,
        }
    }
}

impl Target {
    /// Reads `host:port`; without a port it is `default_port`.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Result<Self, TargetError> {
        if text.contains('@') {
            return Err(TargetError::Credentials);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| TargetError::Port)?
            }
            Some(_) => return Err(TargetError::Port),
            None => default_port.ok_or(TargetError::Port)?,
        };
        if port == 0 {
            return Err(TargetError::Port);
        }
        Ok(Self {
            host: Host::parse(host)?,
            port,
        })
    }

    /// The value of a `Host` header, where `default_port` is left out.
    pub(crate) fn http_host(&self, default_port: u16) -> String {
        if self.port == default_port {
            bracketed(&self.host)
        } else {
            self.to_string()
        }
    }
}

fn bracketed(host: &Host) -> String {
    match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        other => other.to_string(),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> Host {
        Host::Domain(text.to_owned())
    }

    #[test]
    fn names_have_one_normal_form() {
        for text in ["Example.COM", "example.com.", "EXAMPLE.com"] {
            assert_eq!(Host::parse(text), Ok(domain("example.com")));
        }
        assert_eq!(
            Host::parse("bücher.example"),
            Ok(domain("xn--bcher-kva.example"))
        );
    }

    #[test]
    fn disguised_addresses_are_addresses() {
        let loopback = Ok(Host::Address("127.0.0.1".parse().unwrap()));
        for text in [
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "::ffff:127.0.0.1",
            "[::ffff:7f00:1]",
        ] {
            assert_eq!(Host::parse(text), loopback, "{text}");
        }
    }

    #[test]
    fn malformed_destinations_are_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "a\0b",
            "[::1",
            "fe80::1%eth0",
            "1.2.3.4.5",
        ] {
            assert!(Host::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "a:", "a:0", "a:65536", "a:+1", "u@a:1", ":80"] {
            assert!(Target::parse(text, None).is_err(), "{text:?}");
        }
    }

    #[test]
    fn destinations_have_ports() {
        let target = Target::parse("[::1]:8080", None).unwrap();
        assert_eq!(
            (target.port, target.to_string().as_str()),
            (8080, "[::1]:8080")
        );
        assert_eq!(
            Target::parse("[::1]", Some(80)).unwrap().http_host(80),
            "[::1]"
        );
        assert_eq!(
            Target::parse("a.example:81", Some(80))
                .unwrap()
                .http_host(80),
            "a.example:81"
        );
    }

    #[test]
    fn wildcards_cover_any_depth_below_but_not_the_name_itself() {
        assert!(domain("a.example.com").matches("*.example.com"));
        assert!(domain("a.b.example.com").matches("*.example.com"));
        assert!(!domain("example.com").matches("*.example.com"));
        assert!(!domain("badexample.com").matches("*.example.com"));
        assert!(!Host::parse("1.2.3.4").unwrap().matches("1.2.3.4"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_the_normal_form_is_stable(text in ".{0,40}") {
            if let Ok(target) = Target::parse(&text, Some(80)) {
                prop_assert_eq!(Target::parse(&target.to_string(), None), Ok(target));
            }
        }
    }
}
