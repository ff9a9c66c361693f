//! `network` of an agent (agents 1.3).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::field::{Field, Fields};
use crate::config::host::HostPattern;
use crate::config::node::NodeValue;
use crate::config::problem::Problems;
use crate::network::{NetworkMode, NetworkPolicy, NetworkRule, RuleAction, RuleTarget};

/// Keys of `network`.
pub(super) const KEYS: [&str; 3] = ["mode", "inspect", "rules"];
/// Keys of an entry of `rules`.
pub(super) const RULE_KEYS: [&str; 7] = [
    "domain", "ip", "cidr", "ports", "methods", "paths", "action",
];
pub(super) const RULES_MAX: usize = 200;
pub(super) const MODES: [(&str, NetworkMode); 3] = [
    ("public", NetworkMode::Public),
    ("allowlist", NetworkMode::Allowlist),
    ("none", NetworkMode::None),
];
pub(super) const ACTIONS: [(&str, RuleAction); 2] =
    [("allow", RuleAction::Allow), ("deny", RuleAction::Deny)];

/// Reads `network`.
pub(super) fn read_network(field: &Field<'_>, problems: &mut Problems) -> NetworkPolicy {
    let Some(fields) = field.fields(problems, &KEYS) else {
        return NetworkPolicy::default();
    };
    let mode = fields
        .get("mode")
        .and_then(|field| field.choice(problems, &MODES));
    let mode = mode.unwrap_or_default();
    let inspect = fields
        .get("inspect")
        .and_then(|field| field.boolean(problems))
        .unwrap_or(false);
    let mut rules = Vec::new();
    if let Some(field) = fields.get("rules") {
        let items = field.items(problems, 0..=RULES_MAX).unwrap_or_default();
        if mode == NetworkMode::None && !items.is_empty() {
            problems.add(field, "must be empty with mode none");
        }
        rules.extend(items.iter().filter_map(|item| read_rule(item, problems)));
    }
    NetworkPolicy {
        mode,
        inspect,
        rules,
    }
}

fn read_rule(field: &Field<'_>, problems: &mut Problems) -> Option<NetworkRule> {
    let fields = field.fields(problems, &RULE_KEYS)?;
    let action = fields
        .require(problems, "action")
        .cloned()
        .and_then(|field| field.choice(problems, &ACTIONS));
    let is_domain = fields.get("domain").is_some();
    let ports = read_ports(&fields, is_domain, problems);
    if !is_domain {
        for key in ["methods", "paths"] {
            if let Some(field) = fields.get(key) {
                problems.add(field, format_args!("{key} is only allowed with domain"));
            }
        }
    }
    let methods = read_texts(&fields, "methods", problems, |text| {
        let upper =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase());
        (!text.split('-').all(upper)).then_some("must be an HTTP method in upper case")
    });
    let paths = read_texts(&fields, "paths", problems, |text| {
        (!text.starts_with('/')).then_some("must begin with /")
    });
    let target = read_target(field, &fields, problems);
    Some(NetworkRule {
        target: target?,
        ports,
        methods,
        paths,
        action: action?,
    })
}

fn read_target(
    rule: &Field<'_>,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<RuleTarget> {
    match (fields.get("domain"), fields.get("ip"), fields.get("cidr")) {
        (Some(domain), None, None) => {
            read_domain(domain, problems).map(|host| RuleTarget::Domain(host.as_str().to_owned()))
        }
        (None, Some(ip), None) => read_address(ip, problems).map(RuleTarget::Network),
        (None, None, Some(cidr)) => read_cidr(cidr, problems).map(RuleTarget::Network),
        _ => {
            problems.add(rule, "exactly one of domain, ip, cidr is required");
            None
        }
    }
}

/// A host pattern.
pub(super) fn read_domain(field: &Field<'_>, problems: &mut Problems) -> Option<HostPattern> {
    field
        .string(problems)?
        .parse()
        .map_err(|error| problems.add(field, error))
        .ok()
}

fn read_address(field: &Field<'_>, problems: &mut Problems) -> Option<IpNet> {
    let address = field.string(problems)?.parse::<IpAddr>();
    if address.is_err() {
        problems.add(field, "must be an IPv4 or IPv6 address");
    }
    address.ok().map(IpNet::from)
}

/// A network in CIDR notation.
pub(super) fn read_cidr(field: &Field<'_>, problems: &mut Problems) -> Option<IpNet> {
    let network = field.string(problems)?.parse::<IpNet>().ok();
    let network = network.filter(|network| network.trunc() == *network);
    if network.is_none() {
        problems.add(
            field,
            "must be a network without host bits, for example 10.1.0.0/16",
        );
    }
    network
}

fn read_ports(fields: &Fields<'_>, is_domain: bool, problems: &mut Problems) -> Vec<(u16, u16)> {
    match fields.get("ports") {
        Some(field) => {
            let items = field.items(problems, 1..=usize::MAX).unwrap_or_default();
            items
                .iter()
                .filter_map(|item| read_port(item, problems))
                .collect()
        }
        None => default_ports(is_domain),
    }
}

/// The ports of a rule without `ports`; empty means all.
pub(super) fn default_ports(is_domain: bool) -> Vec<(u16, u16)> {
    if is_domain {
        vec![(80, 80), (443, 443)]
    } else {
        Vec::new()
    }
}

fn read_port(field: &Field<'_>, problems: &mut Problems) -> Option<(u16, u16)> {
    if let NodeValue::Number(_) = field.node.value {
        let port = field.integer(problems, 1..=65_535)?;
        return u16::try_from(port).ok().map(|port| (port, port));
    }
    let range = field
        .template_string()
        .and_then(|text| text.split_once('-'));
    let range = range.and_then(|(from, to)| Some((parse_port(from)?, parse_port(to)?)));
    let range = range.filter(|(from, to)| from <= to);
    if range.is_none() {
        problems.add(
            field,
            "must be an integer between 1 and 65535, or a string \"from-to\"",
        );
    }
    range
}

/// A port in plain decimal digits.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| plain && port > 0)
}

fn read_texts(
    fields: &Fields<'_>,
    key: &str,
    problems: &mut Problems,
    fault: impl Fn(&str) -> Option<&'static str>,
) -> Vec<String> {
    let Some(field) = fields.get(key) else {
        return Vec::new();
    };
    let items = field.strings(problems, 1..=usize::MAX).unwrap_or_default();
    for (item, text) in &items {
        if let Some(fault) = fault(text) {
            problems.add(item, fault);
        }
    }
    items.into_iter().map(|(_, text)| text.to_owned()).collect()
}
