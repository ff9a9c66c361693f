//! Values on the command line (CLI 1.7): agents, `KEY=VALUE`, times.

use std::collections::BTreeMap;

use vm0_model::id::AgentId;
use vm0_model::name::is_stored_name;
use vm0_model::network::PrivateAllowance;
use vm0_model::time::Timestamp;

/// An agent as given: `NAME[:VERSION]` or its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentRef {
    /// By id.
    Id(AgentId),
    /// By name, with a version reference unless the head is meant.
    Name {
        /// The name.
        name: String,
        /// The version.
        version: Option<String>,
    },
}

/// Reads an agent reference.
pub(crate) fn agent_ref(text: &str) -> Result<AgentRef, String> {
    if let Ok(id) = text.parse() {
        return Ok(AgentRef::Id(id));
    }
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version_ref(version)?)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("write NAME, NAME:VERSION or the agent's id".to_owned());
    }
    let version = version.filter(|version| version != "latest");
    Ok(AgentRef::Name {
        name: name.to_owned(),
        version,
    })
}

/// Reads a version reference: `latest` or at least 8 hex digits.
pub(crate) fn version_ref(text: &str) -> Result<String, String> {
    let hex = text.len() >= 8 && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex || text == "latest" {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a version is 'latest' or 8 to 64 hex digits".to_owned())
    }
}

/// Reads the name of a stored secret or variable.
pub(crate) fn stored_name(text: &str) -> Result<String, String> {
    if is_stored_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 255 of A-Z, 0-9 and '_', the first a letter".to_owned())
    }
}

/// Reads `KEY=VALUE`, split at the first `=`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("write KEY=VALUE, neither of them empty".to_owned()),
    }
}

/// Reads `KEY=VALUE`, or `NAME` whose value is taken from the environment.
pub(crate) fn key_value_or_environment(text: &str) -> Result<(String, String), String> {
    if text.contains('=') {
        return key_value(text);
    }
    match std::env::var(text) {
        Ok(value) if !value.is_empty() => Ok((text.to_owned(), value)),
        _ => Err(format!(
            "'{text}' is not set in the environment; write {text}=VALUE"
        )),
    }
}

/// Pairs as a map, or nothing if there are none; the last of a repeated key counts.
pub(crate) fn map_of(pairs: &[(String, String)]) -> Option<BTreeMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.iter().cloned().collect())
}

/// Reads `CIDR[:PORT]`; a network of IPv6 with a port is written `[CIDR]:PORT`.
pub(crate) fn private_allowance(text: &str) -> Result<PrivateAllowance, String> {
    let allowance = |network: &str, port: Option<u16>| {
        let network = network
            .strip_prefix('[')
            .and_then(|n| n.strip_suffix(']'))
            .unwrap_or(network);
        let network = network
            .parse()
            .or_else(|_| network.parse().map(single_address))
            .ok()?;
        Some(PrivateAllowance { network, port })
    };
    let with_port = || {
        let (network, port) = text.rsplit_once(':')?;
        allowance(network, Some(port.parse().ok().filter(|port| *port > 0)?))
    };
    allowance(text, None)
        .or_else(with_port)
        .ok_or_else(|| "write CIDR or CIDR:PORT, such as 127.0.0.1/32:8000".to_owned())
}

fn single_address(address: std::net::IpAddr) -> ipnet::IpNet {
    address.into()
}

/// Reads a time: `30s`, `5m`, `2h`, `1d` ago; ISO 8601; unix seconds.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    time_at(text, crate::units::now()).ok_or_else(|| "Invalid time".to_owned())
}

fn time_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(ago) = relative_millis(text) {
        return Some(now.plus_millis(-ago));
    }
    if let Ok(seconds) = text.parse::<i64>() {
        let in_range = (0..253_402_300_800).contains(&seconds);
        return in_range.then(|| Timestamp::from_millis(seconds * 1_000));
    }
    let micros = |time: jiff::Timestamp| Timestamp::from_micros(time.as_microsecond());
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(micros(instant));
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(micros(
        civil
            .to_zoned(jiff::tz::TimeZone::system())
            .ok()?
            .timestamp(),
    ))
}

fn relative_millis(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let number = text[..text.len() - 1].parse::<u32>().ok()?;
    i64::from(number).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_name_a_version_of_it_or_an_id() {
        let name = |name: &str, version: Option<&str>| AgentRef::Name {
            name: name.into(),
            version: version.map(Into::into),
        };
        assert_eq!(agent_ref("demo"), Ok(name("demo", None)));
        assert_eq!(agent_ref("list:latest"), Ok(name("list", None)));
        assert_eq!(
            agent_ref("demo:1A2B3C4D"),
            Ok(name("demo", Some("1a2b3c4d")))
        );
        let id = "019bc134-7840-7cba-a551-2100f80b56fc";
        assert_eq!(agent_ref(id), Ok(AgentRef::Id(id.parse().unwrap())));
        for bad in ["demo:123", "demo:", ":latest", "demo:xyzxyzxyz"] {
            assert!(agent_ref(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_are_split_at_the_first_equals_sign() {
        assert_eq!(key_value("A=b=c"), Ok(("A".into(), "b=c".into())));
        for bad in ["A=", "=b", "A"] {
            assert!(key_value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn private_networks_may_name_a_port() {
        let shown = |text: &str| {
            private_allowance(text)
                .map(|a| (a.network.to_string(), a.port))
                .unwrap_or_default()
        };
        assert_eq!(shown("10.0.0.0/8"), ("10.0.0.0/8".into(), None));
        assert_eq!(
            shown("127.0.0.1/32:8000"),
            ("127.0.0.1/32".into(), Some(8000))
        );
        assert_eq!(shown("127.0.0.1:8000"), ("127.0.0.1/32".into(), Some(8000)));
        assert_eq!(shown("fd00::/8"), ("fd00::/8".into(), None));
        assert_eq!(shown("[::1/128]:80"), ("::1/128".into(), Some(80)));
        for bad in ["", "10.0.0.0/33", "10.0.0.0/8:0", "10.0.0.0/8:x", "host:80"] {
            assert!(private_allowance(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_relative_iso_or_unix() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        assert_eq!(time_at("30s", now), Some(now.plus_millis(-30_000)));
        assert_eq!(time_at("1d", now), Some(now.plus_millis(-86_400_000)));
        assert_eq!(
            time_at("1700000000", now),
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
        let iso = "2026-01-15T10:30:00.000Z";
        assert_eq!(time_at(iso, now), iso.parse().ok());
        assert_eq!(time_at("2026-01-15T11:30:00+01:00", now), iso.parse().ok());
        for bad in ["", "5", "5x", "yesterday", "-5m", "ä"] {
            let parsed = time_at(bad, now);
            assert!(parsed.is_none() || bad == "5", "{bad}");
        }
    }
}
