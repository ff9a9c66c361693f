//! The hosts that an agent needs without a rule: those of its model and of its brokered secrets
//! (agents 1.3, 2.3). And those whose answers say what a run consumes.

use std::collections::{BTreeMap, BTreeSet};

use vm0_egress::ImpliedHost;
use vm0_model::broker::{BaseUrl, Binding};
use vm0_model::config::AgentConfig;
use vm0_model::framework::{self, ModelHosts};

/// The ports on which every one is implied.
const PORTS: [u16; 2] = [80, 443];

/// The model hosts of an agent with this environment, which get its transcript.
pub(crate) fn models(
    config: &AgentConfig,
    env: &BTreeMap<String, String>,
    bindings: &BTreeSet<Binding>,
) -> Vec<ImpliedHost> {
    let model = &config.framework.model;
    let mut models: Vec<ImpliedHost> = hosts_of(model, env).collect();
    if model.brokered {
        models.extend(of_secrets(bindings));
    }
    models
}

/// The hosts on which models may be that an agent asks: those of every framework, because an
/// agent can call another one's model too, and those that it has a secret for.
pub(crate) fn model_hosts(
    env: &BTreeMap<String, String>,
    bindings: &BTreeSet<Binding>,
) -> Vec<ImpliedHost> {
    let frameworks = framework::all().iter();
    let models = frameworks.flat_map(|framework| hosts_of(&framework.model, env));
    models.chain(of_secrets(bindings)).collect()
}

fn hosts_of(
    model: &ModelHosts,
    env: &BTreeMap<String, String>,
) -> impl Iterator<Item = ImpliedHost> {
    let fixed = model.hosts.iter().map(|host| implied(host.clone(), None));
    let urls = model
        .base_urls
        .iter()
        .filter_map(|name| BaseUrl::parse(env.get(name)?))
        .map(|url| implied(url.host, Some(url.port)));
    fixed.chain(urls)
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
        let models = models(&config, &env(), &bindings());
        let shown = models
            .into_iter()
            .map(|model| json!([model.host, model.ports]));
        shown.collect()
    }

    fn env() -> BTreeMap<String, String> {
        let env = [
            ("ANTHROPIC_BASE_URL", "http://host.vm0.internal:8123"),
            ("OPENAI_BASE_URL", "https://API.example/v1"),
        ];
        env.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn bindings() -> BTreeSet<Binding> {
        BTreeSet::from([Binding {
            host: "*.secret.example".to_owned(),
            port: 8443,
            transport: Transport::Tls,
            place: Place::Bearer,
        }])
    }

    #[test]
    fn the_models_of_every_framework_and_of_every_secret_are_read() {
        let models = model_hosts(&env(), &bindings());
        let has = |host: &str, port| {
            let mut models = models.iter();
            models.any(|model| model.host == host && model.ports.contains(&port))
        };
        assert!(has("api.anthropic.com", 443) && has("api.openai.com", 443));
        assert!(has("generativelanguage.googleapis.com", 443));
        assert!(has("host.vm0.internal", 8123) && has("api.example", 443));
        assert!(has("*.secret.example", 8443));
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
