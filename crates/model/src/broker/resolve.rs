//! Which secrets are brokered, and where to.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::base_url::BaseUrl;
use crate::broker::binding::{Binding, Place, Transport};
use crate::broker::built_in;
use crate::config::{AgentConfig, HostPattern, SecretBinding};
use crate::template::{TemplateSource, templates};

const HTTPS: u16 = 443;

/// The secrets of a run that its sandbox sees only as placeholders: those that the configuration
/// binds, those with a built-in binding, and those that it seals. A run without a network gets
/// placeholders, too: nothing could use the values.
pub fn brokered_secrets(config: &AgentConfig) -> BTreeSet<String> {
    let mut names = config.required_secrets();
    names.retain(|name| match config.secrets.get(name) {
        Some(SecretBinding::Brokered { .. }) => true,
        Some(SecretBinding::Exposed) => false,
        None => built_in::find(name).is_some() || is_sealed(config, name),
    });
    names
}

/// Where the value of each brokered secret goes, with this expanded environment.
pub fn secret_bindings(
    config: &AgentConfig,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, BTreeSet<Binding>> {
    let plain = plain_base_urls(config, environment);
    let bindings = brokered_secrets(config).into_iter().map(|name| {
        let bindings = match config.secrets.get(&name) {
            Some(SecretBinding::Brokered { hosts, inject }) => {
                let place = Place::from(inject);
                let hosts = hosts.iter().map(|host| (&host.host, Some(host.port)));
                own(hosts, &place, &plain)
            }
            _ => match built_in::find(&name) {
                Some(row) => from_table(row, environment),
                None => {
                    let hosts = config.sealed_hosts.iter().map(|host| (host, None));
                    own(hosts, &Place::AnyHeader, &plain)
                }
            },
        };
        (name, bindings)
    });
    bindings.collect()
}

fn is_sealed(config: &AgentConfig, name: &str) -> bool {
    let mut texts = config.environment.iter().map(|(_, text)| text);
    !config.sealed_hosts.is_empty()
        && texts.any(|text| templates(text).any(|used| used == (TemplateSource::Secrets, name)))
}

/// The hosts and ports that may be asked in clear, because a base URL says so.
fn plain_base_urls(config: &AgentConfig, environment: &BTreeMap<String, String>) -> Vec<BaseUrl> {
    let of_framework = config.framework.model.base_urls.iter().map(String::as_str);
    let names: BTreeSet<&str> = built_in::base_urls().chain(of_framework).collect();
    names
        .into_iter()
        .filter_map(|name| BaseUrl::parse(environment.get(name)?))
        .filter(|url| url.transport == Transport::Plain)
        .collect()
}

/// Bindings to hosts of the configuration: by TLS, and in clear to a base URL among them. A host
/// without a port means that of HTTPS, and any port of such a base URL.
fn own<'a>(
    hosts: impl Iterator<Item = (&'a HostPattern, Option<u16>)>,
    place: &Place,
    plain: &[BaseUrl],
) -> BTreeSet<Binding> {
    let mut bindings = BTreeSet::new();
    for (pattern, port) in hosts {
        bindings.insert(Binding {
            host: pattern.as_str().to_owned(),
            port: port.unwrap_or(HTTPS),
            transport: Transport::Tls,
            place: place.clone(),
        });
        let covered = plain
            .iter()
            .filter(|url| pattern.matches(&url.host) && port.is_none_or(|port| port == url.port));
        bindings.extend(covered.map(|url| at(url, place.clone())));
    }
    bindings
}

fn from_table(
    row: &built_in::BuiltIn,
    environment: &BTreeMap<String, String>,
) -> BTreeSet<Binding> {
    let fixed = row.hosts.iter().map(|(host, inject)| Binding {
        host: (*host).to_owned(),
        port: HTTPS,
        transport: Transport::Tls,
        place: inject.place(),
    });
    let other = row.base_url.and_then(|(variable, inject)| {
        let url = BaseUrl::parse(environment.get(variable)?)?;
        Some(at(&url, inject.place()))
    });
    fixed.chain(other).collect()
}

fn at(url: &BaseUrl, place: Place) -> Binding {
    Binding {
        host: url.host.clone(),
        port: url.port,
        transport: url.transport,
        place,
    }
}
