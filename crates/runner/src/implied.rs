//! The hosts that an agent needs without a rule: those of its model (agents 1.3, 2.3).

use std::collections::BTreeMap;

use vm0_egress::ImpliedHost;
use vm0_model::config::AgentConfig;

/// The ports on which a host is implied if no URL names one.
const PORTS: [u16; 2] = [80, 443];

/// The model hosts of an agent with this environment.
pub(crate) fn hosts(config: &AgentConfig, env: &BTreeMap<String, String>) -> Vec<ImpliedHost> {
    let model = &config.framework.model;
    let fixed = model.hosts.iter().map(|host| ImpliedHost {
        host: host.clone(),
        ports: PORTS.to_vec(),
    });
    let urls = model
        .base_urls
        .iter()
        .filter_map(|name| implied_by(env.get(name)?));
    fixed.chain(urls).collect()
}

/// The host of a base URL, with its port if it names one.
fn implied_by(url: &str) -> Option<ImpliedHost> {
    let url = url::Url::parse(url.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url
        .host_str()?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let mut ports = PORTS.to_vec();
    ports.extend(url.port());
    Some(ImpliedHost { host, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_port_of_a_base_url_are_implied() {
        let implied = |url| implied_by(url).map(|implied| (implied.host, implied.ports));
        assert_eq!(
            implied("https://API.example.com/v1"),
            Some(("api.example.com".into(), vec![80, 443]))
        );
        assert_eq!(
            implied("http://host.vm0.internal:8123"),
            Some(("host.vm0.internal".into(), vec![80, 443, 8123]))
        );
        assert_eq!(
            implied("http://[::1]:9"),
            Some(("::1".into(), vec![80, 443, 9]))
        );
        for other in ["", "example.com", "file:///etc/passwd", "ftp://a"] {
            assert_eq!(implied(other), None, "{other}");
        }
    }
}
