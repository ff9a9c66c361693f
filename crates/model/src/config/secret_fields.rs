//! `secrets` of an agent (agents 1.4).

use std::collections::{BTreeMap, HashMap};

use crate::config::agent::{Inject, SecretBinding, SecretHost};
use crate::config::field::{Field, Fields};
use crate::config::network_fields::parse_port;
use crate::config::problem::Problems;
use crate::name::is_variable_name;
use crate::network::NetworkMode;

/// Keys of a secret.
pub(super) const KEYS: [&str; 3] = ["hosts", "inject", "expose"];
pub(super) const HOSTS_MAX: usize = 32;
const DEFAULT_PORT: u16 = 443;

/// Reads `secrets`.
pub(super) fn read_secrets(
    field: &Field<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, SecretBinding> {
    let mut bindings = BTreeMap::new();
    let mut taken = HashMap::new();
    for (name, field) in field.entries(problems).unwrap_or_default() {
        if !is_variable_name(name) {
            problems.add(
                &field,
                format_args!(
                    "invalid name '{name}': use letters, digits or '_', not beginning with a digit"
                ),
            );
        }
        let Some(binding) = read_binding(&field, problems) else {
            continue;
        };
        if let SecretBinding::Brokered { hosts, inject } = &binding {
            for host in hosts {
                let place = (host.clone(), inject.clone());
                if let Some(other) = taken.insert(place, name) {
                    let host = &host.host;
                    problems.add(
                        &field,
                        format_args!("host '{host}' has '{other}' at the same place already"),
                    );
                }
            }
        }
        bindings.insert(name.to_owned(), binding);
    }
    bindings
}

/// A brokered secret needs a network.
pub(super) fn check_against_network(
    secrets: &Field<'_>,
    bindings: &BTreeMap<String, SecretBinding>,
    mode: NetworkMode,
    problems: &mut Problems,
) {
    let brokered = bindings
        .values()
        .any(|binding| matches!(binding, SecretBinding::Brokered { .. }));
    if mode == NetworkMode::None && brokered {
        problems.add(
            secrets,
            "a secret with hosts may not be used with network mode none",
        );
    }
}

fn read_binding(field: &Field<'_>, problems: &mut Problems) -> Option<SecretBinding> {
    let fields = field.fields(problems, &KEYS)?;
    let expose = fields
        .get("expose")
        .and_then(|field| field.boolean(problems))
        .unwrap_or(false);
    if expose {
        for key in ["hosts", "inject"] {
            if let Some(field) = fields.get(key) {
                problems.add(field, "may not be used together with expose");
            }
        }
        return Some(SecretBinding::Exposed);
    }
    let inject = read_inject(&fields, problems);
    let field = fields.require(problems, "hosts")?;
    let items = field.strings(problems, 1..=HOSTS_MAX)?;
    let mut hosts: Vec<SecretHost> = Vec::new();
    for (item, text) in items {
        match read_host(text) {
            Some(host) if hosts.contains(&host) => problems.add(&item, "is listed twice"),
            Some(host) => hosts.push(host),
            None => problems.add(
                &item,
                "must be a host name, or *. and a host name, with :port if it is not 443",
            ),
        }
    }
    Some(SecretBinding::Brokered {
        hosts,
        inject: inject?,
    })
}

fn read_host(text: &str) -> Option<SecretHost> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (text, DEFAULT_PORT),
    };
    Some(SecretHost {
        host: host.parse().ok()?,
        port,
    })
}

fn read_inject(fields: &Fields<'_>, problems: &mut Problems) -> Option<Inject> {
    let Some(field) = fields.get("inject") else {
        return Some(Inject::Bearer);
    };
    let text = field.string(problems)?;
    let inject = match text.split_once(':') {
        Some(("header", name)) if is_header_name(name) => {
            Some(Inject::Header(name.to_ascii_lowercase()))
        }
        Some(("query", name)) if is_query_name(name) => Some(Inject::Query(name.to_owned())),
        None if text == "bearer" => Some(Inject::Bearer),
        None if text == "basic" => Some(Inject::Basic),
        _ => None,
    };
    if inject.is_none() {
        problems.add(
            field,
            format_args!(
                "invalid value '{text}'; allowed: bearer, header:<name>, basic, query:<name>"
            ),
        );
    }
    inject
}

/// Whether `name` is a token of RFC 9110.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_query_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || "&=#?".contains(c))
}
