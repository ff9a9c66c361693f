//! The hosts that an agent needs without a rule: those of its model and of its brokered secrets
//! (agents 1.3, 2.3).

use std::collections::{BTreeMap, BTreeSet};

use vm0_egress::ImpliedHost;
use vm0_model::broker::{BaseUrl, Binding};
use vm0_model::config::AgentConfig;

/// The ports on which every one is implied.
const PORTS: [u16; 2] = [80, 443];

/// The model hosts of an agent with this environment, which get its transcript.
pub(crate) fn models(
    config: &AgentConfig,
    env: &BTreeMap<String, String>,
    bindings: &BTreeSet<Binding>,
) -> Vec<ImpliedHost> {
    let model = &config.framework.model;
    let fixed = model.hosts.iter().map(|host| implied(host.clone(), None));
    let urls = model
        .base_urls
        .iter()
        .filter_map(|name| BaseUrl::parse(env.get(name)?))
        .map(|url| implied(url.host, Some(url.port)));
    let mut models: Vec<ImpliedHost> = fixed.chain(urls).collect();
    if model.brokered {
        models.extend(of_secrets(bindings));
    }
    models
}

/// The hosts of brokered secrets.
pub(crate) fn of_secrets(bindings: &BTreeSet<Binding>) -> impl Iterator<Item = ImpliedHost> {
    bindings
        .iter()
        .map(|binding| implied(binding.host.clone(), Some(binding.port)))
}

fn implied(host: String, port: Option<u16>) -> ImpliedHost {
    let mut ports = PORTS.to_vec();
    ports.extend(port.filter(|port| !PORTS.contains(port)));
    ImpliedHost { host, ports }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vm0_model::broker::{Place, Transport};

    use super::*;

    fn hosts(framework: &str) -> Value {
        let agent = json!({ "framework": framework, "command": ["x", "{prompt}"] });
        let mut config = json!({ "version": "1.0", "agents": { "demo": agent } });
        if framework != "custom" {
            let agent = &mut config["agents"]["demo"];
            agent.as_object_mut().unwrap().remove("command");
        }
        let (_, config) = AgentConfig::from_json(&config).unwrap();
        let env = [
            ("ANTHROPIC_BASE_URL", "http://host.vm0.internal:8123"),
            ("OPENAI_BASE_URL", "https://API.example/v1"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bindings = BTreeSet::from([Binding {
            host: "*.secret.example".to_owned(),
            port: 8443,
            transport: Transport::Tls,
            place: Place::Bearer,
        }]);
        let models = models(&config, &env.into(), &bindings);
        let shown = models
            .into_iter()
            .map(|model| json!([model.host, model.ports]));
        shown.collect()
    }

    #[test]
    fn model_hosts_are_those_of_the_framework_and_its_base_url() {
        assert_eq!(
            hosts("claude-code"),
            json!([
                ["api.anthropic.com", [80, 443]],
                ["host.vm0.internal", [80, 443, 8123]]
            ])
        );
        assert_eq!(
            hosts("codex"),
            json!([["api.openai.com", [80, 443]], ["api.example", [80, 443]]])
        );
        assert_eq!(hosts("shell"), json!([]));
    }

    #[test]
    fn a_framework_for_any_model_has_the_hosts_of_its_secrets() {
        let expected = json!([["*.secret.example", [80, 443, 8443]]]);
        assert_eq!(hosts("opencode"), expected);
        assert_eq!(hosts("custom"), expected);
    }
}
