//! The hosts that an agent needs without a rule: those of its model (agents 1.3, 2.3). And those
//! whose answers say what a run consumes.

use std::collections::BTreeMap;

use vm0_egress::ImpliedHost;
use vm0_model::config::{AgentConfig, SecretBinding};
use vm0_model::framework::{self, ModelHosts};

/// The ports on which a host is implied if no URL names one.
const PORTS: [u16; 2] = [80, 443];

/// The model hosts of an agent with this environment.
pub(crate) fn hosts(config: &AgentConfig, env: &BTreeMap<String, String>) -> Vec<ImpliedHost> {
    hosts_of(&config.framework.model, env).collect()
}

/// The hosts on which models may be that this agent asks: those of every framework, because an
/// agent can call another one's model too, and those that it has a secret for.
pub(crate) fn model_hosts(
    config: &AgentConfig,
    env: &BTreeMap<String, String>,
) -> Vec<ImpliedHost> {
    let frameworks = framework::all().iter();
    let models = frameworks.flat_map(|framework| hosts_of(&framework.model, env));
    let bound = config.secrets.values().flat_map(|binding| match binding {
        SecretBinding::Brokered { hosts, .. } => hosts.as_slice(),
        SecretBinding::Exposed => &[],
    });
    let bound = bound.map(|bound| ImpliedHost {
        host: bound.host.as_str().to_owned(),
        ports: vec![bound.port],
    });
    models.chain(bound).collect()
}

fn hosts_of(
    model: &ModelHosts,
    env: &BTreeMap<String, String>,
) -> impl Iterator<Item = ImpliedHost> {
    let fixed = model.hosts.iter().map(|host| ImpliedHost {
        host: host.clone(),
        ports: PORTS.to_vec(),
    });
    let urls = model
        .base_urls
        .iter()
        .filter_map(|name| implied_by(env.get(name)?));
    fixed.chain(urls)
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
    fn the_models_of_every_framework_and_of_every_secret_are_read() {
        let config = serde_json::json!({ "version": "1.0", "agents": { "abc": {
            "framework": "shell",
            "secrets": { "A": { "hosts": ["api.mistral.example:8443"] }, "B": { "expose": true } },
        } } });
        let (_, config) = AgentConfig::from_json(&config).unwrap();
        let env = [("ANTHROPIC_BASE_URL", "http://host.vm0.internal:8123")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = BTreeMap::from(env);
        let models = model_hosts(&config, &env);
        let has = |host: &str, port| {
            let mut models = models.iter();
            models.any(|model| model.host == host && model.ports.contains(&port))
        };
        assert!(has("api.anthropic.com", 443) && has("api.openai.com", 443));
        assert!(has("generativelanguage.googleapis.com", 443));
        assert!(has("host.vm0.internal", 8123));
        assert!(has("api.mistral.example", 8443) && !has("api.mistral.example", 443));
        assert_eq!(hosts(&config, &env), []);
    }

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
