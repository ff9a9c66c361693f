//! Which secrets are brokered and where their values go (agents 1.4).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vm0_model::broker::{Binding, Place, Transport, brokered_secrets, secret_bindings};
use vm0_model::config::AgentConfig;

fn agent(fields: Value) -> AgentConfig {
    let mut fields = fields;
    fields["framework"] = json!("shell");
    let config = json!({"version": "1.0", "agents": {"demo": fields}});
    AgentConfig::from_json(&config).expect("a good one").1
}

fn uses(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            (
                name.to_string(),
                json!(format!("${{{{ secrets.{name} }}}}")),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// `TRANSPORT HOST:PORT PLACE` of each binding of a secret.
fn bindings(config: &AgentConfig, secret: &str, env: &[(&str, &str)]) -> BTreeSet<String> {
    let env: BTreeMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut all = secret_bindings(config, &env);
    let shown = |binding: Binding| {
        let place = match binding.place {
            Place::Bearer => "bearer".to_owned(),
            Place::Basic => "basic".to_owned(),
            Place::Header(name) => format!("header:{name}"),
            Place::Query(name) => format!("query:{name}"),
            Place::AnyHeader => "any header".to_owned(),
        };
        let transport = match binding.transport {
            Transport::Tls => "tls",
            Transport::Plain => "plain",
        };
        format!("{transport} {}:{} {place}", binding.host, binding.port)
    };
    let found = all.remove(secret).expect("it is brokered");
    found.into_iter().map(shown).collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

#[test]
fn a_secret_is_brokered_if_it_is_used_and_has_hosts() {
    let names = ["GH_TOKEN", "OTHER", "OPENAI_API_KEY"];
    let config = agent(json!({
        "environment": uses(&names),
        "secrets": { "OWN": { "hosts": ["a.example"] }, "OPENAI_API_KEY": { "expose": true } },
    }));
    let brokered = brokered_secrets(&config);
    assert_eq!(
        brokered,
        set(["GH_TOKEN", "OWN"]),
        "GITHUB_TOKEN is not used"
    );
    assert!(!brokered.contains("OTHER"), "it has no hosts");
    assert!(!brokered.contains("OPENAI_API_KEY"), "it is exposed");
}

#[test]
fn a_run_without_a_network_has_placeholders_too() {
    let config = agent(json!({
        "environment": uses(&["GH_TOKEN"]), "network": { "mode": "none" },
    }));
    assert_eq!(brokered_secrets(&config), set(["GH_TOKEN"]));
}

#[test]
fn built_in_secrets_go_to_their_service() {
    let config = agent(json!({ "environment": uses(&[
        "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "OPENAI_API_KEY",
        "CODEX_API_KEY", "GEMINI_API_KEY", "GH_TOKEN", "GITHUB_TOKEN",
    ]) }));
    let anthropic = set(["tls api.anthropic.com:443 bearer"]);
    let openai = set(["tls api.openai.com:443 bearer"]);
    let github = set([
        "tls api.github.com:443 bearer",
        "tls uploads.github.com:443 bearer",
        "tls github.com:443 basic",
        "tls codeload.github.com:443 basic",
        "tls raw.githubusercontent.com:443 basic",
    ]);
    for (secret, expected) in [
        (
            "ANTHROPIC_API_KEY",
            set(["tls api.anthropic.com:443 header:x-api-key"]),
        ),
        ("ANTHROPIC_AUTH_TOKEN", anthropic.clone()),
        ("CLAUDE_CODE_OAUTH_TOKEN", anthropic),
        ("OPENAI_API_KEY", openai.clone()),
        ("CODEX_API_KEY", openai),
        (
            "GEMINI_API_KEY",
            set(["tls generativelanguage.googleapis.com:443 header:x-goog-api-key"]),
        ),
        ("GH_TOKEN", github.clone()),
        ("GITHUB_TOKEN", github),
    ] {
        assert_eq!(bindings(&config, secret, &[]), expected, "{secret}");
    }
}

#[test]
fn a_base_url_adds_its_host_and_only_a_plain_one_allows_plain_http() {
    let config = agent(json!({ "environment": uses(&["ANTHROPIC_API_KEY", "GEMINI_API_KEY"]) }));
    let env = [
        ("ANTHROPIC_BASE_URL", "https://Proxy.example:8443/v1"),
        ("GOOGLE_GEMINI_BASE_URL", "http://[::1]:9"),
        ("OPENAI_BASE_URL", "http://other.example"),
    ];
    assert_eq!(
        bindings(&config, "ANTHROPIC_API_KEY", &env),
        set([
            "tls api.anthropic.com:443 header:x-api-key",
            "tls proxy.example:8443 header:x-api-key",
        ])
    );
    assert_eq!(
        bindings(&config, "GEMINI_API_KEY", &env),
        set([
            "tls generativelanguage.googleapis.com:443 header:x-goog-api-key",
            "plain ::1:9 header:x-goog-api-key",
        ])
    );
}

#[test]
fn an_entry_of_the_same_name_replaces_the_built_in_binding() {
    let config = agent(json!({
        "environment": uses(&["GH_TOKEN"]),
        "secrets": { "GH_TOKEN": { "hosts": ["git.example", "*.git.example:8443"], "inject": "query:t" } },
    }));
    assert_eq!(
        bindings(&config, "GH_TOKEN", &[]),
        set([
            "tls git.example:443 query:t",
            "tls *.git.example:8443 query:t"
        ])
    );
}

#[test]
fn own_bindings_are_plain_only_at_a_plain_base_url() {
    let config = agent(json!({
        "secrets": { "OWN": { "hosts": ["*.example:81", "b.example"] } },
    }));
    let env = [
        ("ANTHROPIC_BASE_URL", "http://a.example:81"),
        ("OPENAI_BASE_URL", "http://b.example:82"),
        ("SOME_URL", "http://c.example:81"),
    ];
    assert_eq!(
        bindings(&config, "OWN", &env),
        set([
            "tls *.example:81 bearer",
            "tls b.example:443 bearer",
            "plain a.example:81 bearer",
        ])
    );
}

#[test]
fn sealed_secrets_go_into_any_header_to_the_allowed_domains() {
    let config = agent(json!({
        "environment": uses(&["FREE", "GH_TOKEN"]),
        "secrets": { "LISTED": { "expose": true } },
        "experimental_firewall": {
            "experimental_mitm": true, "experimental_seal_secrets": true,
            "rules": [
                { "domain": "a.example", "action": "ALLOW" },
                { "domain": "b.example", "action": "DENY" },
                { "final": "DENY" },
            ],
        },
    }));
    assert_eq!(brokered_secrets(&config), set(["FREE", "GH_TOKEN"]));
    assert_eq!(
        bindings(&config, "FREE", &[]),
        set(["tls a.example:443 any header"])
    );
    assert!(!bindings(&config, "GH_TOKEN", &[]).contains("tls a.example:443 any header"));
}
