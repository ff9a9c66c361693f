//! The environment of an agent (agents 4.3).

use std::collections::BTreeMap;

use vm0_model::limits;
use vm0_model::wire::runner::RunSpec;
use vm0_sandbox::{AUTHORITIES_NAME, HOME, PLATFORM_DIR, PROXY_URL};

use crate::agent::Agent;
use crate::network;

/// The search path of an image that names none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The whole environment: defaults, image, framework, the agent's own, then what the platform sets.
pub(crate) fn environment(
    spec: &RunSpec,
    agent: &Agent,
    image_env: &BTreeMap<String, String>,
    prompt_file: &str,
    decrypted: bool,
) -> BTreeMap<String, String> {
    let config = &agent.config;
    let working_dir = config.working_dir.as_str();
    let mut env = defaults(working_dir);
    env.extend(image_env.clone());
    let path = format!(
        "{HOME}/.local/bin:{}",
        image_env.get("PATH").map_or(PATH, String::as_str)
    );
    env.insert("PATH".to_owned(), path);
    env.extend(config.framework.environment.clone());
    env.extend(spec.environment.clone());
    for (copy, original) in &config.framework.environment_copies {
        if let Some(value) = env.get(original).filter(|value| !value.is_empty()).cloned() {
            env.entry(copy.clone()).or_insert(value);
        }
    }
    env.extend(platform(spec, agent, prompt_file));
    if network::has_proxy(spec, config) {
        env.extend(proxy());
    }
    if decrypted {
        env.extend(authorities());
    }
    env
}

fn defaults(working_dir: &str) -> BTreeMap<String, String> {
    owned([
        ("HOME", HOME),
        ("USER", "user"),
        ("LOGNAME", "user"),
        ("SHELL", "/bin/bash"),
        ("PWD", working_dir),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
    ])
    .collect()
}

fn platform(
    spec: &RunSpec,
    agent: &Agent,
    prompt_file: &str,
) -> impl Iterator<Item = (String, String)> {
    let config = &agent.config;
    let mut values = vec![
        ("VM0_RUN_ID", spec.run_id.to_string()),
        ("VM0_AGENT_NAME", spec.agent_name.clone()),
        ("VM0_AGENT_VERSION", spec.agent_version.to_string()),
        ("VM0_FRAMEWORK", config.framework.name.clone()),
        ("VM0_WORKING_DIR", config.working_dir.as_str().to_owned()),
        ("VM0_PROMPT_FILE", prompt_file.to_owned()),
    ];
    if spec.prompt.len() < limits::PROMPT_ARG_MAX_BYTES && !spec.prompt.contains('\0') {
        values.push(("VM0_PROMPT", spec.prompt.clone()));
    }
    if let Some(conversation) = &agent.resumed {
        values.push((
            "VM0_RESUME_SESSION_ID",
            conversation.agent_session_id.clone(),
        ));
    }
    if let Some(artifact) = &spec.artifact {
        let version = artifact
            .version
            .map(|version| version.version_id.to_string());
        values.push(("VM0_ARTIFACT_NAME", artifact.name.clone()));
        values.push(("VM0_ARTIFACT_VERSION", version.unwrap_or_default()));
    }
    if config.instructions.is_some() {
        let place = format!("{HOME}/{}", config.framework.places.instructions);
        values.push(("VM0_INSTRUCTIONS_FILE", place));
    }
    if !config.skills.is_empty() {
        let place = format!("{HOME}/{}", config.framework.places.skills);
        values.push(("VM0_SKILLS_DIR", place));
    }
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
}

fn proxy() -> impl Iterator<Item = (String, String)> {
    let proxies = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let proxies = proxies.map(|name| (name.to_owned(), PROXY_URL.to_owned()));
    let others = owned([
        ("NODE_USE_ENV_PROXY", "1"),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
        ("no_proxy", "localhost,127.0.0.1,::1"),
    ]);
    proxies.into_iter().chain(others)
}

/// Where programs look for those who vouch for servers.
fn authorities() -> impl Iterator<Item = (String, String)> {
    let names = [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
    ];
    let bundle = format!("{PLATFORM_DIR}/{AUTHORITIES_NAME}");
    names
        .into_iter()
        .map(move |name| (name.to_owned(), bundle.clone()))
}

fn owned<const N: usize>(values: [(&str, &str); N]) -> impl Iterator<Item = (String, String)> {
    values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
}
